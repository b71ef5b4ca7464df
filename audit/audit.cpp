#include "audit/audit.hpp"

#include <algorithm>
#include <chrono>
#include <optional>
#include <thread>

#include <fmt/format.h>

#include "audit/attacks.hpp"
#include "audit/baselines.hpp"
#include "audit/draft_counts.hpp"
#include "audit/recording.hpp"
#include "audit/round_clock.hpp"
#include "audit/routing.hpp"
#include "audit/scoring.hpp"
#include "audit/traffic.hpp"
#include "core/error.hpp"
#include "core/thread_team.hpp"
#include "estimator/security_level.hpp"
#include "remo/public/public_matrix.hpp"

namespace talaria::audit {
namespace {

constexpr double kNoise = 0.5; // of the additive baseline, relative to the row's rms

/// How much of everything an audit does.
struct Scale {
  std::size_t judged_rows = 20'500; ///< prompt rows of the configured scheme
  std::size_t other_rows = 1'500;
  double judged_chosen = 4; ///< rows of chosen prompts, over the hidden size
  double other_chosen = 2;
  u32 longest_answer = 8;
  Effort judged{.rows = 40'000, .slow_rows = 512, .layers = {}};
  Effort other{.rows = 2'000, .slow_rows = 128, .layers = {}};
  std::vector<double> hybrid_ranks{0.25, 0.5, 0.75, 0.9, 0.97};
};

Scale scale_of(const AuditOptions& options, const arch::ModelPlan& plan) {
  Scale out;
  std::vector<u32> layers{1, plan.layer_count() / 2, plan.layer_count() - 1};
  if (options.quick) {
    out.judged_rows = 2'500;
    out.other_rows = 400;
    out.judged_chosen = 3;
    out.other_chosen = 1.5;
    out.longest_answer = 4;
    out.judged = {.rows = 4'000, .slow_rows = 96, .layers = {}};
    out.other = {.rows = 500, .slow_rows = 48, .layers = {}};
    out.hybrid_ranks = {0.5, 0.97};
    layers.resize(1);
  }
  std::erase_if(layers, [&](u32 layer) { return layer == 0 || layer >= plan.layer_count(); });
  std::sort(layers.begin(), layers.end());
  layers.erase(std::unique(layers.begin(), layers.end()), layers.end());
  out.judged.layers = out.other.layers = layers;
  return out;
}

std::vector<Attack> chosen_attacks(const std::vector<std::string>& names) {
  if (names.empty()) return all_attacks();
  std::vector<Attack> out;
  for (const std::string& name : names) {
    if (name == traffic_info().name || name == stream_info().name ||
        name == round_clock_info().name || name == routing_info().name || name == draft_info().name)
      continue; // engines of their own
    const auto it = std::find_if(all_attacks().begin(), all_attacks().end(),
                                 [&](const Attack& each) { return each.info.name == name; });
    if (it == all_attacks().end())
      throw Error(Errc::usage, fmt::format("unknown attack '{}'; use all, or some of {}", name,
                                           fmt::join(attack_names(), ", ")));
    out.push_back(*it);
  }
  return out;
}

bool takes(const std::vector<std::string>& names, const AttackInfo& attack) {
  return names.empty() || std::find(names.begin(), names.end(), attack.name) != names.end();
}

/// Everything one run of run_audit() shares.
class Audit {
public:
  Audit(const AuditOptions& options, Progress& progress)
      : options_(options), progress_(progress), attacks_(chosen_attacks(options.attacks)),
        traffic_(takes(options.attacks, traffic_info())),
        threads_(options.engine.threads != 0
                     ? options.engine.threads
                     : std::max<std::size_t>(1, std::thread::hardware_concurrency())) {}

  AuditReport run() {
    const auto begin = std::chrono::steady_clock::now();
    load();
    record_all();
    describe();
    attack_all();
    attack_traffic();
    attack_stream();
    attack_rounds();
    attack_routing();
    attack_drafts();
    judge();
    report_.seconds =
        std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
    return std::move(report_);
  }

private:
  struct Row {
    SchemeRow scheme;
    Recording recording;
    Effort effort;
  };

  void say(const std::string& line) const {
    if (options_.log) options_.log(line);
  }

  void load();
  void record_all();
  void record_others();
  void describe();
  void attack_all();
  void attack_traffic();
  void attack_stream();
  void attack_rounds();
  void attack_routing();
  void attack_drafts();
  void judge();
  Recording record_scheme(remo::SchemeKind kind, const std::string& name, double rank, bool judged);
  void add(std::string note, Recording recording, bool configured) {
    SchemeRow scheme{recording.view.scheme, std::move(note), configured};
    rows_.push_back(
        {std::move(scheme), std::move(recording), configured ? scale_.judged : scale_.other});
  }

  const AuditOptions& options_;
  Progress& progress_;
  std::vector<Attack> attacks_;
  bool traffic_;
  std::size_t threads_;
  Scale scale_;
  pipeline::EngineOptions engine_;
  std::optional<model::Tokenizer> tokenizer_;
  std::shared_ptr<const PublicModel> model_;
  std::vector<Row> rows_;
  AuditReport report_;
};

/// The model once, for all engines and attacks.
void Audit::load() {
  say("loading the model");
  engine_ = options_.engine;
  engine_.cluster.reset();
  engine_.trace.clear();
  engine_.padding = {}; // dummy rows are no rows to attack; traffic has an attack of its own
  engine_.batch = {};
  engine_.pool.rows_ahead = 512; // a block or two ahead, not the stock of a server
  if (!engine_.model)
    engine_.model =
        std::make_shared<const pipeline::ModelLoader>(engine_.model_dir, engine_.weights);
  engine_.products = std::make_shared<worker::ProductEngine>(*engine_.scheme.parameters,
                                                             remo::public_matrix_seed(), threads_);
  engine_.model->for_each_linear(progress_, [this](model::QuantizedLinear linear) {
    engine_.products->add(std::move(linear));
  });
  model_ = std::make_shared<const PublicModel>(engine_.model, engine_.products,
                                               *engine_.scheme.parameters);
  tokenizer_ = model::Tokenizer::load(engine_.model->files()->texts());
  scale_ = scale_of(options_, model_->plan());
}

Recording Audit::record_scheme(remo::SchemeKind kind, const std::string& name, double rank,
                               bool judged) {
  say("recording " + name);
  pipeline::EngineOptions engine = engine_;
  engine.scheme.kind = kind;
  engine.scheme.hybrid_rank = rank;
  if (kind != options_.engine.scheme.kind) engine.scheme.reply = remo::ReplyFormat::full;
  PlanLimits limits;
  limits.unknown_rows = judged ? scale_.judged_rows : scale_.other_rows;
  limits.chosen_rows = std::min<std::size_t>(
      static_cast<std::size_t>((judged ? scale_.judged_chosen : scale_.other_chosen) *
                               static_cast<double>(model_->hidden())),
      8'192);
  limits.longest_answer = scale_.longest_answer;
  // Attacks on mixed rows need fewer rows than dimensions.
  limits.longest = std::clamp<std::size_t>(model_->hidden() * 3 / 8, limits.shortest, 96);
  limits.seed = options_.seed;
  const KeepLimits keep{.first = 2 * (limits.unknown_rows + limits.chosen_rows), .others = 1'536};
  return record(engine, name, model_, *tokenizer_,
                plan_requests(*tokenizer_, model_->plan().vocab, options_.text, limits), keep,
                progress_);
}

void Audit::record_others() {
  const remo::SchemeKind configured = options_.engine.scheme.kind;
  const Recording clear = record_scheme(remo::SchemeKind::clear, "clear", 1, false);
  if (configured != remo::SchemeKind::clear) add("nothing is masked", clear, false);
  add("secret permutation of the features (STIP)", permuted(clear, options_.seed), false);
  add("random combinations of a request's rows (GELO)", mixed(clear, options_.seed), false);
  add(fmt::format("Gaussian noise, {:g} of the row's rms", kNoise),
      noisy(clear, kNoise, options_.seed), false);
  for (const double rank : scale_.hybrid_ranks) {
    if (configured == remo::SchemeKind::hybrid && rank == options_.engine.scheme.hybrid_rank)
      continue;
    add(fmt::format("masks of rank {:g} d_in", rank),
        record_scheme(remo::SchemeKind::hybrid, fmt::format("hybrid-{:g}", rank), rank, false),
        false);
  }
  if (configured != remo::SchemeKind::lattice)
    add("Module-LWE masks", record_scheme(remo::SchemeKind::lattice, "lattice", 1, false), false);
}

void Audit::record_all() {
  if (options_.others) record_others();
  const remo::SchemeOptions& scheme = options_.engine.scheme;
  std::string name = remo::to_string(scheme.kind);
  if (scheme.kind == remo::SchemeKind::hybrid) name += fmt::format("-{:g}", scheme.hybrid_rank);
  add("as configured", record_scheme(scheme.kind, name, scheme.hybrid_rank, true), true);
}

void Audit::describe() {
  const remo::LatticeParameters& parameters = *options_.engine.scheme.parameters;
  const std::filesystem::path& folder = engine_.model->files()->folder();
  report_.model = folder.filename().string();
  if (report_.model.empty()) report_.model = folder.parent_path().filename();
  report_.parameters = parameters.name;
  const estimator::SecurityLevel level = estimator::security_level(parameters);
  report_.core_svp_bits = level.core;
  report_.quantum_core_svp_bits = level.quantum;
  report_.fhe_standard_bits = level.bdgl;
  report_.configured = rows_.back().scheme.name;
  report_.quick = options_.quick;
  for (const Attack& attack : attacks_) report_.attacks.push_back(attack.info);
  for (const Row& row : rows_) report_.schemes.push_back(row.scheme);
}

/// Cells are independent of each other, so they share the cores; the slow row goes first.
void Audit::attack_all() {
  say(fmt::format("attacking {} recordings with {} attacks", rows_.size(), attacks_.size()));
  const std::size_t columns = attacks_.size();
  std::vector<std::vector<AttackResult>> cells(rows_.size() * columns);
  ThreadTeam team(threads_);
  team.parallel_for(cells.size(), 1, [&](std::size_t begin, std::size_t end) {
    for (std::size_t job = begin; job < end; ++job) {
      const std::size_t at = cells.size() - 1 - job;
      const Row& row = rows_[at / columns];
      const Attack& attack = attacks_[at % columns];
      for (const Finding& finding : attack.run(row.recording.view, row.effort))
        cells[at].push_back(score(finding, row.recording.truth, attack.info.name, row.scheme.name));
    }
  });
  for (const auto& cell : cells)
    report_.cells.insert(report_.cells.end(), cell.begin(), cell.end());
}

/// Padding as configured or, if it is off, as one might set it.
void Audit::attack_traffic() {
  if (!traffic_) return;
  say("reading lengths off the traffic");
  pipeline::Padding padding = options_.engine.padding;
  if (!padding.is_on()) padding = example_padding();
  TrafficOptions options;
  options.seed = options_.seed;
  if (options_.quick) options.requests = 8;
  report_.attacks.push_back(traffic_info());
  for (AttackResult& result : traffic_shape(engine_, padding, options, progress_)) {
    result.scheme = report_.configured;
    report_.cells.push_back(std::move(result));
  }
}

void Audit::attack_stream() {
  if (!options_.stream || !takes(options_.attacks, stream_info())) return;
  say("reading token lengths off streamed answers");
  StreamOptions options;
  options.seed = options_.seed;
  if (options_.quick) options.answers = 8;
  report_.attacks.push_back(stream_info());
  for (AttackResult& result : stream_sizes(engine_, options_.stream, options, progress_)) {
    result.scheme = report_.configured;
    report_.cells.push_back(std::move(result));
  }
}

/// Padding as configured or, if it has no rounds, as one might set it.
void Audit::attack_rounds() {
  if (!takes(options_.attacks, round_clock_info())) return;
  say("telling dummy rounds by the clock");
  pipeline::Padding padding = options_.engine.padding;
  if (padding.rounds < 2) padding = rounds_padding();
  RoundClockOptions options;
  options.seed = options_.seed;
  if (options_.quick) {
    options.answers = 16;
    options.prompt = 96;
  }
  report_.attacks.push_back(round_clock_info());
  for (AttackResult& result : round_clock(engine_, padding, options, progress_)) {
    result.scheme = report_.configured;
    report_.cells.push_back(std::move(result));
  }
}

/// Of models whose layers can go back behind a wrong draft.
void Audit::attack_drafts() {
  if (!takes(options_.attacks, draft_info())) return;
  for (const arch::Layer& layer : model_->plan().layers)
    if (layer.delta_net) return;
  say("recognising prompts by accepted drafts");
  DraftOptions options;
  options.seed = options_.seed;
  if (options_.quick) options.queries = 8;
  pipeline::EngineOptions engine = engine_;
  engine.batch.drafts = options_.engine.batch.drafts;
  report_.attacks.push_back(draft_info());
  for (AttackResult& result : draft_counts(engine, options_.stream, options, progress_)) {
    result.scheme = report_.configured;
    report_.cells.push_back(std::move(result));
  }
}

/// Of mixtures; others have no such column.
void Audit::attack_routing() {
  if (!takes(options_.attacks, routing_info())) return;
  RoutingOptions options;
  options.seed = options_.seed;
  if (options_.quick) options.prompts = 8;
  const auto results = routing(engine_, model_, *tokenizer_, options, progress_);
  if (results.empty()) return;
  say("counting rows per expert");
  report_.attacks.push_back(routing_info());
  for (AttackResult result : results) {
    result.scheme = report_.configured;
    report_.cells.push_back(std::move(result));
  }
}

void Audit::judge() {
  std::vector<AttackResult> judged;
  for (const AttackResult& cell : report_.cells)
    if (cell.scheme == report_.configured && cell.applicable && cell.judges) judged.push_back(cell);
  report_.alarm_level = alarm_level(judged.size());
  for (const AttackResult* alarm : alarms(judged)) report_.alarms.push_back(*alarm);
}

} // namespace

std::vector<std::string> attack_names() {
  std::vector<std::string> out;
  for (const Attack& attack : all_attacks()) out.push_back(attack.info.name);
  out.push_back(traffic_info().name);
  out.push_back(stream_info().name);
  out.push_back(round_clock_info().name);
  out.push_back(routing_info().name);
  out.push_back(draft_info().name);
  return out;
}

AuditReport run_audit(const AuditOptions& options, Progress& progress) {
  return Audit(options, progress).run();
}

} // namespace talaria::audit
