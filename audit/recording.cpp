#include "audit/recording.hpp"

#include <algorithm>
#include <cmath>
#include <map>
#include <mutex>

#include "core/error.hpp"
#include "core/random.hpp"
#include "core/wall_clock.hpp"
#include "kernels/modulus.hpp"
#include "pipeline/worker_decorator.hpp"

namespace talaria::audit {
namespace {

/// Uniform in [low, high].
std::size_t between(Rng& rng, std::size_t low, std::size_t high) {
  return low + rng.below(high - low + 1);
}

/// Everything that arrives at a worker, in order. Thread-safe: the worker's actor fills it.
class Tap {
public:
  Tap(KeepLimits keep, PageWatch* watch) : keep_(keep), watch_(watch) {}

  void take(const remo::MaskedTensor& tensor) {
    const std::lock_guard lock(mutex_);
    std::size_t& rows = rows_[tensor.matrix];
    arrivals_.push_back({wall_ns(), tensor.matrix, tensor.rows, rows});
    if (watch_ != nullptr && tensor.matrix == 0)
      visits_.push_back({rows, tensor.rows, watch_->drain()});
    rows += tensor.rows;
    const std::size_t limit = tensor.matrix == 0 ? keep_.first : keep_.others;
    if (rows <= limit) tensors_[tensor.matrix].push_back(tensor);
  }

  std::vector<Arrival> arrivals() const {
    const std::lock_guard lock(mutex_);
    return arrivals_;
  }
  std::map<u32, std::vector<remo::MaskedTensor>> tensors() const {
    const std::lock_guard lock(mutex_);
    return tensors_;
  }
  /// Rows of one matrix so far.
  std::size_t rows_of(u32 matrix) const {
    const std::lock_guard lock(mutex_);
    const auto it = rows_.find(matrix);
    return it == rows_.end() ? 0 : it->second;
  }
  /// Forgets what came while hints were made.
  void clear() {
    const std::lock_guard lock(mutex_);
    arrivals_.clear();
    tensors_.clear();
    rows_.clear();
    visits_.clear();
    if (watch_ != nullptr) watch_->drain();
  }
  std::vector<CloudView::PageVisits> visits() const {
    const std::lock_guard lock(mutex_);
    return visits_;
  }

private:
  KeepLimits keep_;
  PageWatch* watch_; ///< null: nobody sees pages
  mutable std::mutex mutex_;
  std::vector<Arrival> arrivals_;
  std::map<u32, std::vector<remo::MaskedTensor>> tensors_;
  std::map<u32, std::size_t> rows_;
  std::vector<CloudView::PageVisits> visits_;
};

/// In front of `worker`: sees every masked tensor it is sent.
worker::Worker spawn_tap(caf::actor_system& system, worker::Worker worker,
                         std::shared_ptr<Tap> tap) {
  return system.spawn([worker, tap](worker::Worker::pointer self) -> worker::Worker::behavior_type {
    return {[=](const remo::MaskedTensor& tensor) {
              tap->take(tensor);
              return self->delegate(worker, tensor);
            },
            [=](const worker::Dispute& dispute) { return self->delegate(worker, dispute); },
            [=](const remo::HintRequest& request) { return self->delegate(worker, request); },
            [=](const remo::WeightRequest& request) { return self->delegate(worker, request); }};
  });
}

void append_words(const remo::MaskedTensor& tensor, const kernels::Modulus& q, MatrixRows& out) {
  const std::size_t count = std::size_t{tensor.rows} * tensor.cols;
  const double unit = std::ldexp(1.0, -out.delta_bits);
  const auto word = static_cast<std::size_t>(q.word_bytes);
  for (std::size_t i = 0; i < count; ++i) {
    const u64 residue = kernels::load_word(tensor.bytes->data() + i * word, q.word_bytes);
    out.words.push_back(residue);
    out.values.push_back(static_cast<float>(static_cast<double>(q.centered(residue)) * unit));
  }
}

MatrixRows rows_of(const std::vector<remo::MaskedTensor>& tensors, const PublicModel& model,
                   bool masked) {
  const remo::MaskedTensor& first = tensors.front();
  const model::LinearId id{first.matrix};
  MatrixRows out;
  out.matrix = first.matrix;
  const arch::Linear& linear = model.plan().linears.at(id);
  out.name = linear.name;
  if (linear.kind != arch::LinearKind::lm_head) out.layer = linear.layer;
  out.cols = first.cols;
  const bool words = remo::is_words(first.kind);
  if (words) {
    const remo::LatticeParameters& parameters = model.parameters();
    out.modulus = remo::is_rounded(first.kind) ? parameters.rounded_words().modulus
                                               : parameters.full_words().modulus;
    out.delta_bits = masked ? model.delta_bits(id) : 0;
    out.activation_norm = model.activation_norm(id);
  }
  for (const remo::MaskedTensor& tensor : tensors) {
    out.rows += tensor.rows;
    if (words) {
      append_words(tensor, out.modulus, out);
    } else {
      const auto* values = reinterpret_cast<const float*>(tensor.bytes->data());
      out.values.insert(out.values.end(), values, values + std::size_t{tensor.rows} * tensor.cols);
    }
  }
  return out;
}

/// Notes what `rows` rows of one request, the newest ones, were.
void note_truth(const TrueRequest& request, std::size_t rows, const model::Tokenizer& tokenizer,
                Recording& out) {
  // A row is the prompt's next token or, one at a time, the answer's; behind each tensor's rows
  // there may be padding, which makes what follows unknown here.
  const std::size_t index = out.truth.requests.size();
  std::vector<u32> tokens = request.prompt;
  if (!request.answer.empty())
    tokens.insert(tokens.end(), request.answer.begin(), request.answer.end() - 1);
  const std::size_t first = out.truth.tokens.size();
  tokens.resize(rows, kNoToken);
  for (const u32 token : tokens) {
    const bool scored = token != kNoToken && !tokenizer.is_special(token) && !request.chosen;
    out.truth.tokens.push_back(scored ? token : kNoToken);
    out.truth.request_of_row.push_back(static_cast<u32>(index));
  }
  if (request.chosen) out.view.chosen.push_back({first, std::move(tokens)});
  out.truth.requests.push_back(request);
}

/// The tokens that the tokenizer puts before a text.
std::vector<u32> opening(const model::Tokenizer& tokenizer) {
  // Of what surrounds an empty text, the first special token; what ends a text does not belong
  // here.
  for (const u32 id : tokenizer.encode("", true))
    if (tokenizer.is_special(id)) return {id};
  return {};
}

/// What the tap kept, as the cloud would look at it.
void describe(const Tap& tap, const remo::SchemeOptions& scheme,
              std::shared_ptr<const PublicModel> model, CloudView& out) {
  const bool masked =
      scheme.kind == remo::SchemeKind::lattice || scheme.reply == remo::ReplyFormat::switched;
  out.arrivals = tap.arrivals();
  for (const auto& [matrix, tensors] : tap.tensors())
    out.matrices.push_back(rows_of(tensors, *model, masked));
  if (scheme.kind == remo::SchemeKind::hybrid) {
    out.hybrid_rank = scheme.hybrid_rank;
    out.hybrid_amplitude = scheme.hybrid_amplitude;
  } else {
    out.parameters = scheme.parameters;
  }
  out.model = std::move(model);
}

} // namespace

std::vector<PlannedRequest> plan_requests(const model::Tokenizer& tokenizer, u32 vocab,
                                          const std::string& text, const PlanLimits& limits) {
  const std::vector<u32> ids = tokenizer.encode(text, false);
  if (ids.size() < limits.shortest)
    throw Error(Errc::usage, "the prompt text has too few tokens to attack; give a longer one");
  ChaChaRng rng = seeded_rng(limits.seed);
  std::vector<PlannedRequest> out;
  std::size_t at = 0;
  for (std::size_t chosen = 0, unknown = 0;
       chosen < limits.chosen_rows || unknown < limits.unknown_rows;) {
    PlannedRequest request;
    request.prompt = opening(tokenizer);
    request.max_tokens = static_cast<u32>(between(rng, 1, limits.longest_answer));
    const std::size_t length = between(rng, limits.shortest, limits.longest);
    request.chosen =
        chosen < limits.chosen_rows && (chosen <= unknown || unknown >= limits.unknown_rows);
    for (std::size_t i = 0; i < length; ++i) {
      if (request.chosen) {
        u32 token = 0;
        do token = static_cast<u32>(rng.below(vocab));
        while (token >= tokenizer.vocab_size() || tokenizer.is_special(token));
        request.prompt.push_back(token);
      } else {
        request.prompt.push_back(ids[at]);
        at = (at + 1) % ids.size();
      }
    }
    (request.chosen ? chosen : unknown) += length;
    out.push_back(std::move(request));
  }
  return out;
}

Recording record(pipeline::EngineOptions options, const std::string& scheme,
                 std::shared_ptr<const PublicModel> model, const model::Tokenizer& tokenizer,
                 const std::vector<PlannedRequest>& requests, const KeepLimits& keep,
                 Progress& progress, PageWatch* watch) {
  Recording out;
  out.view.scheme = scheme;
  auto tap = std::make_shared<Tap>(keep, watch);
  options.decorate_worker =
      pipeline::decorate_worker([tap](caf::actor_system& system, worker::Worker worker) {
        return spawn_tap(system, std::move(worker), tap);
      });
  pipeline::Engine engine(options, progress);
  engine.wait_for_masks();
  if (watch != nullptr) watch->attach(*engine.embeddings());
  tap->clear();
  for (const PlannedRequest& planned : requests) {
    pipeline::Request request;
    request.prompt = planned.prompt;
    request.max_tokens = planned.max_tokens;
    request.ignore_eos = true;
    if (planned.max_tokens == 0) request.logits = pipeline::LogitsWanted::last;
    const std::size_t before = tap->rows_of(0);
    const pipeline::Completion completion = run_to_end(engine, std::move(request));
    note_truth({planned.prompt, completion.tokens, planned.chosen}, tap->rows_of(0) - before,
               tokenizer, out);
  }
  if (watch != nullptr)
    out.view.pages = {engine.embeddings()->row_bytes(), engine.embeddings()->rows(), tap->visits()};
  describe(*tap, options.scheme, std::move(model), out.view);
  return out;
}

} // namespace talaria::audit
