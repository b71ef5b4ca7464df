#include <algorithm>
#include <numeric>
#include <optional>

#include <fmt/format.h>

#include "audit/attacks.hpp"
#include "audit/block_runner.hpp"
#include "audit/matching.hpp"
#include "audit/subspace.hpp"

namespace talaria::audit {
namespace {

constexpr std::size_t kTokensAtATime = 1'024; // run at once
constexpr std::size_t kShortlist = 64;        // candidates run behind the prefix, at least
constexpr double kShortlistCost = 1e8;        // operations to spend on more of them
constexpr double kWideningCost = 5e8;         // operations per row, to run the whole vocabulary
constexpr float kMatch = 0.999F;              // cosine; below it the token was not on the list

/// Rows and candidates as they are compared: without the part that masks can change, if there is
/// such a part, and at length one.
class Comparison {
public:
  Comparison(const CloudView& view, std::size_t cols) {
    if (view.hybrid_rank && *view.hybrid_rank < 1)
      directions_ = mask_free_directions(*view.hybrid_rank, cols);
  }
  Rows operator()(const Rows& rows) const {
    Rows out = directions_ ? Rows((rows.cast<double>() * *directions_).cast<float>()) : rows;
    out.rowwise().normalize();
    return out;
  }

private:
  std::optional<Eigen::MatrixXd> directions_;
};

RowGuesses::Ranked ten_of(const std::vector<u32>& order) {
  RowGuesses::Ranked ranked;
  ranked.fill(kNoToken);
  std::copy_n(order.begin(), std::min(order.size(), ranked.size()), ranked.begin());
  return ranked;
}

/// Operations of the layers before `layer` for one candidate.
double candidate_cost(const arch::ModelPlan& plan, u32 layer) {
  double weights = 0;
  for (const arch::Linear& linear : plan.linears)
    if (linear.layer < layer && linear.kind != arch::LinearKind::lm_head)
      weights += static_cast<double>(linear.d_in) * static_cast<double>(linear.d_out);
  return 2 * weights;
}

/// Matches the rows of one layer, token by token.
class Matcher {
public:
  Matcher(const CloudView& view, const MatrixRows& matrix, u32 layer, std::size_t rows)
      : comparison_(view, matrix.cols), runner_(view.model, layer), all_(view.model->vocab()),
        cost_(candidate_cost(view.model->plan(), layer)),
        shortlist_(std::max(kShortlist, static_cast<std::size_t>(kShortlistCost / cost_))),
        to_spend_(kWideningCost * static_cast<double>(rows)) {
    std::iota(all_.begin(), all_.end(), 0U);
    alone_ = run(all_);
  }

  /// The tokens of one prompt, each behind those before it.
  void match(const Rows& seen, std::size_t first_row, RowGuesses& out) {
    runner_.restart();
    const Rows rows = comparison_(seen);
    for (Eigen::Index r = 0; r < rows.rows(); ++r) {
      const std::vector<u32> order = ranked(rows.row(r));
      out.rows.push_back(first_row + static_cast<std::size_t>(r));
      out.ranked.push_back(ten_of(order));
      runner_.append(order.front());
    }
  }

private:
  /// Tokens by how near they come to `row` behind the prefix: those that look likely without it or,
  /// if none matches and there is work left to spend, all.
  std::vector<u32> ranked(const Eigen::RowVectorXf& row) {
    const std::vector<u32> likely = best(alone_ * row.transpose(), shortlist_);
    float score = 0;
    std::vector<u32> order = ranked_among(likely, row, score);
    const double whole = cost_ * static_cast<double>(all_.size());
    if (score >= kMatch || likely.size() == all_.size() || to_spend_ < whole) return order;
    to_spend_ -= whole;
    return ranked_among(all_, row, score);
  }

  std::vector<u32> ranked_among(const std::vector<u32>& tokens, const Eigen::RowVectorXf& row,
                                float& score) {
    const Eigen::VectorXf scores = run(tokens) * row.transpose();
    std::vector<u32> order = best(scores, tokens.size());
    score = scores[order.front()];
    for (u32& at : order) at = tokens[at];
    return order;
  }

  /// What `tokens` give behind the prefix, compared.
  Rows run(const std::vector<u32>& tokens) {
    Rows out;
    for (std::size_t first = 0; first < tokens.size(); first += kTokensAtATime) {
      const std::size_t count = std::min(kTokensAtATime, tokens.size() - first);
      const Rows part = comparison_(runner_.candidates({tokens.data() + first, count}));
      if (out.size() == 0) out.resize(static_cast<Eigen::Index>(tokens.size()), part.cols());
      out.middleRows(static_cast<Eigen::Index>(first), part.rows()) = part;
    }
    return out;
  }

  Comparison comparison_;
  BlockRunner runner_;
  std::vector<u32> all_;
  double cost_; ///< of one candidate
  std::size_t shortlist_;
  double to_spend_; ///< operations left for the whole vocabulary
  Rows alone_;      ///< what each token gives without a context, compared
};

} // namespace

std::vector<Finding> vocabulary_matching(const CloudView& view, const Effort& effort) {
  std::vector<Finding> findings;
  for (const u32 layer : effort.layers) {
    const MatrixRows* matrix = view.find(fmt::format("layers.{}.qkv", layer));
    if (matrix == nullptr || layer == 0) continue;
    std::vector<bool> unknown(matrix->rows);
    for (const std::size_t row : view.unknown_rows(*matrix)) unknown[row] = true;
    Matcher matcher(view, *matrix, layer, effort.slow_rows);
    RowGuesses out;
    out.where = matrix->name;
    for (const Arrival& arrival : view.kept_arrivals(*matrix)) {
      if (out.rows.size() >= effort.slow_rows) break;
      if (arrival.rows < 2 || !unknown[arrival.first_row]) continue; // one row: of an answer
      std::vector<std::size_t> which(arrival.rows);
      std::iota(which.begin(), which.end(), arrival.first_row);
      matcher.match(gather(*matrix, which), arrival.first_row, out);
    }
    if (!out.rows.empty()) findings.emplace_back(std::move(out));
  }
  return findings;
}

} // namespace talaria::audit
