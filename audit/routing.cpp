#include "audit/routing.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

#include <fmt/format.h>

#include "audit/recording.hpp"
#include "audit/statistics.hpp"
#include "core/random.hpp"
#include "model/mixture.hpp"

namespace talaria::audit {
namespace {

std::vector<PlannedRequest> random_prompts(u32 vocab, const RoutingOptions& options) {
  ChaChaRng rng = seeded_rng(options.seed, 77);
  std::vector<PlannedRequest> out(options.prompts);
  for (PlannedRequest& request : out) {
    request.prompt.resize(options.length);
    for (u32& token : request.prompt) token = static_cast<u32>(rng.below(vocab));
  }
  return out;
}

/// Which list entry is asked when: each once.
std::vector<std::size_t> shuffled(std::size_t count, u64 seed) {
  ChaChaRng rng = seeded_rng(seed, 78);
  std::vector<std::size_t> out(count);
  std::iota(out.begin(), out.end(), std::size_t{0});
  for (std::size_t i = count; i > 1; --i) std::swap(out[i - 1], out[rng.below(i)]);
  return out;
}

/// Rows of the matrix whose input a router looked at, behind their norm: of root mean square 1,
/// whatever the scale of what was sent.
void add_counts(const float* row, std::size_t hidden, const model::Mixture& mixture,
                std::vector<u32>& counts) {
  double squares = 0;
  for (std::size_t i = 0; i < hidden; ++i) squares += double{row[i]} * row[i];
  const double scale = squares == 0 ? 0 : std::sqrt(static_cast<double>(hidden) / squares);
  std::vector<float> x(hidden);
  for (std::size_t i = 0; i < hidden; ++i) x[i] = static_cast<float>(row[i] * scale);
  std::vector<float> shares(mixture.experts());
  mixture.shares_of(x.data(), hidden, shares.data());
  for (std::size_t e = 0; e < shares.size(); ++e) counts[e] += shares[e] != 0 ? 1 : 0;
}

u64 difference(const RowCounts& a, const RowCounts& b) {
  if (a.size() != b.size()) return ~u64{0};
  u64 sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i) sum += a[i] > b[i] ? a[i] - b[i] : b[i] - a[i];
  return sum;
}

AttackResult cell(const std::string& where, const std::vector<RowCounts>& known,
                  const std::vector<RowCounts>& seen, const std::vector<std::size_t>& truth) {
  AttackResult out;
  out.attack = routing_info().name;
  out.where = where;
  out.measure = AttackResult::Measure::leak;
  out.rows = truth.size();
  const auto guesses = nearest_counts(known, seen);
  for (std::size_t i = 0; i < truth.size(); ++i) out.top1 += guesses[i] == truth[i] ? 1 : 0;
  out.top10 = out.top1;
  out.chance1 = out.chance10 = 1.0 / static_cast<double>(known.size());
  out.p_value = binomial_upper_tail(out.top1, out.rows, out.chance1);
  out.remark = fmt::format("which of {} prompts of one length was asked", known.size());
  return out;
}

/// Twice as many rows for each expert as an even spread would need.
class FixedRows {
public:
  FixedRows(const arch::ModelPlan& plan, u32 length) {
    const auto layer =
        std::find_if(plan.layers.begin(), plan.layers.end(), [](const arch::Layer& other) {
          return other.feed_forward.router.has_value();
        });
    experts_ = layer->feed_forward.experts.size();
    routed_ = layer->feed_forward.routed();
    const std::size_t needed = std::size_t{2} * length * layer->feed_forward.router->chosen;
    capacity_ = static_cast<u32>((needed + routed_ - 1) / routed_);
  }

  std::string name() const {
    return fmt::format("{} rows to each expert, the rest in further rounds", capacity_);
  }
  std::vector<RowCounts> rounds(const std::vector<RowCounts>& counts) const {
    std::vector<RowCounts> out;
    for (const RowCounts& one : counts)
      out.push_back(rounds_with_capacity(one, experts_, routed_, capacity_));
    return out;
  }

private:
  std::size_t experts_ = 0;
  std::size_t routed_ = 0;
  u32 capacity_ = 0;
};

} // namespace

AttackInfo routing_info() {
  return {"routing", "Rows per expert", "arXiv:2602.04105",
          "Which experts a row goes to names its token, so the number of rows that each expert's "
          "matrix is sent tells prompts apart. Where every expert gets every row there is nothing "
          "to count."};
}

std::vector<std::size_t> nearest_counts(const std::vector<RowCounts>& known,
                                        const std::vector<RowCounts>& seen) {
  std::vector<std::size_t> out;
  for (const RowCounts& counts : seen) {
    const auto best =
        std::min_element(known.begin(), known.end(), [&](const RowCounts& a, const RowCounts& b) {
          return difference(a, counts) < difference(b, counts);
        });
    out.push_back(static_cast<std::size_t>(best - known.begin()));
  }
  return out;
}

std::vector<RowCounts> counts_without_padding(const Recording& clear,
                                              const std::vector<u32>& lengths) {
  const PublicModel& model = *clear.view.model;
  const arch::ModelPlan& plan = model.plan();
  const auto tensors = model::load_enclave_tensors(model.loader().tensors(), plan);
  std::vector<RowCounts> out(lengths.size());
  for (const MatrixRows& matrix : clear.view.matrices) {
    const arch::Linear& linear = plan.linears.at({matrix.matrix});
    const arch::FeedForward& shape = plan.layers[linear.layer].feed_forward;
    // Behind the last layer's attention only the rows are left that somebody samples from.
    if (linear.kind != arch::LinearKind::gate_up || !shape.router ||
        linear.layer + 1 == plan.layer_count())
      continue;
    const model::Mixture mixture(shape, tensors.gains[linear.layer]);
    std::size_t row = 0;
    for (std::size_t i = 0; i < lengths.size(); ++i) {
      std::vector<u32> counts(mixture.experts());
      for (u32 r = 0; r < lengths[i] && row < matrix.rows; ++r, ++row)
        add_counts(matrix.row(row), matrix.cols, mixture, counts);
      out[i].insert(out[i].end(), counts.begin(), counts.end());
    }
  }
  return out;
}

RowCounts rounds_with_capacity(const RowCounts& counts, std::size_t experts, std::size_t routed,
                               u32 capacity) {
  RowCounts out;
  for (std::size_t layer = 0; layer + experts <= counts.size(); layer += experts) {
    const auto begin = counts.begin() + static_cast<std::ptrdiff_t>(layer);
    const u32 most = *std::max_element(begin, begin + static_cast<std::ptrdiff_t>(routed));
    out.push_back((most + capacity - 1) / capacity);
  }
  return out;
}

std::vector<RowCounts> counts_as_sent(const Recording& recording) {
  std::vector<RowCounts> out;
  for (const Arrival& arrival : recording.view.arrivals) {
    if (arrival.matrix == 0) out.emplace_back(); // every request has one round
    out.back().push_back(arrival.matrix);
    out.back().push_back(arrival.rows);
  }
  return out;
}

std::vector<AttackResult> routing(const pipeline::EngineOptions& engine,
                                  const std::shared_ptr<const PublicModel>& model,
                                  const model::Tokenizer& tokenizer, const RoutingOptions& options,
                                  Progress& progress) {
  const arch::ModelPlan& plan = model->plan();
  if (std::none_of(plan.layers.begin(), plan.layers.end(),
                   [](const arch::Layer& layer) { return layer.feed_forward.router.has_value(); }))
    return {};
  const auto prompts = random_prompts(plan.vocab, options);
  const auto order = shuffled(prompts.size(), options.seed);
  std::vector<PlannedRequest> asked;
  for (const std::size_t i : order) asked.push_back(prompts[i]);
  const std::vector<u32> lengths(prompts.size(), options.length);
  const KeepLimits all{.first = 1, .others = prompts.size() * options.length};
  const auto recorded = [&](remo::SchemeKind kind, const std::vector<PlannedRequest>& requests,
                            const KeepLimits& keep) {
    pipeline::EngineOptions one = engine;
    one.scheme.kind = kind;
    if (kind == remo::SchemeKind::clear) one.scheme.reply = remo::ReplyFormat::full;
    return record(one, remo::to_string(kind), model, tokenizer, requests, keep, progress);
  };
  const auto clear_counts = [&](const std::vector<PlannedRequest>& requests) {
    return counts_without_padding(recorded(remo::SchemeKind::clear, requests, all), lengths);
  };
  const auto sent_counts = [&](const std::vector<PlannedRequest>& requests) {
    return counts_as_sent(recorded(engine.scheme.kind, requests, {.first = 1, .others = 1}));
  };
  const auto known = clear_counts(prompts);
  const auto seen = clear_counts(asked);
  std::vector<AttackResult> out;
  out.push_back(cell("rows to chosen experts only", known, seen, order));
  out.back().judges = false;
  const FixedRows fixed(plan, options.length);
  out.push_back(cell(fixed.name(), fixed.rounds(known), fixed.rounds(seen), order));
  out.back().judges = false;
  out.push_back(cell("every row to every expert", sent_counts(prompts), sent_counts(asked), order));
  return out;
}

} // namespace talaria::audit
