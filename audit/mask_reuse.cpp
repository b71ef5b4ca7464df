#include <algorithm>
#include <array>
#include <map>
#include <optional>
#include <unordered_map>

#include <fmt/format.h>

#include "audit/attacks.hpp"
#include "audit/matching.hpp"

namespace talaria::audit {
namespace {

constexpr std::size_t kCandidates = 32; // for the first token of a pair
constexpr std::size_t kMaxPairs = 500;  // decoded

struct Pair {
  std::size_t first = 0;
  std::size_t second = 0;
};

/// Finds rows whose difference is a multiple of Delta in every column, without comparing all pairs:
/// such rows agree modulo Delta, up to the wrap at q, in their first two columns.
class ReuseSearch {
public:
  ReuseSearch(const MatrixRows& matrix, const kernels::Modulus& q)
      : matrix_(matrix), q_(q), low_((u64{1} << matrix.delta_bits) - 1) {}

  std::vector<Pair> find() {
    std::vector<Pair> out;
    for (std::size_t row = 0; row < matrix_.rows && out.size() < kMaxPairs; ++row) {
      if (const auto partner = partner_of(row)) out.push_back({*partner, row});
      rows_[key(matrix_.word_row(row)[0] & low_, matrix_.word_row(row)[1] & low_)].push_back(row);
    }
    return out;
  }

  /// (c - c') / Delta of two rows, rounded.
  std::vector<float> difference(const Pair& pair) const {
    std::vector<float> out(matrix_.cols);
    for (std::size_t i = 0; i < out.size(); ++i)
      out[i] =
          static_cast<float>(static_cast<double>(apart(pair, i)) / static_cast<double>(low_ + 1));
    return out;
  }

private:
  static u64 key(u64 a, u64 b) { return a * 0x9e3779b97f4a7c15u ^ b; }

  i64 apart(const Pair& pair, std::size_t i) const {
    return q_.centered(q_.sub(matrix_.word_row(pair.first)[i], matrix_.word_row(pair.second)[i]));
  }

  std::optional<std::size_t> partner_of(std::size_t row) const {
    const u64 wrap = q_.q & low_;
    const std::array<u64, 3> shifts{0, wrap, (low_ + 1 - wrap) & low_};
    for (const u64 a : shifts)
      for (const u64 b : shifts) {
        const auto it = rows_.find(
            key((matrix_.word_row(row)[0] + a) & low_, (matrix_.word_row(row)[1] + b) & low_));
        if (it == rows_.end()) continue;
        for (const std::size_t other : it->second)
          if (same_mask({other, row})) return other;
      }
    return std::nullopt;
  }

  bool same_mask(const Pair& pair) const {
    bool different = false;
    for (std::size_t i = 0; i < matrix_.cols; ++i) {
      const i64 value = apart(pair, i);
      if ((static_cast<u64>(value) & low_) != 0) return false;
      different = different || value != 0;
    }
    return different; // equal rows say nothing about their token
  }

  const MatrixRows& matrix_;
  kernels::Modulus q_;
  u64 low_; ///< Delta - 1
  std::unordered_map<u64, std::vector<std::size_t>> rows_;
};

Eigen::RowVectorXf as_row(const std::vector<float>& values) {
  return Eigen::Map<const Eigen::RowVectorXf>(values.data(),
                                              static_cast<Eigen::Index>(values.size()));
}

/// Tokens (a, b) whose difference is nearest to `difference`, as the two rankings.
std::array<RowGuesses::Ranked, 2> decode_pair(const Eigen::RowVectorXf& difference,
                                              const Rows& tokens) {
  const auto firsts = best(tokens * difference.transpose(), kCandidates);
  Rows seconds(static_cast<Eigen::Index>(firsts.size()), tokens.cols());
  for (std::size_t i = 0; i < firsts.size(); ++i)
    seconds.row(static_cast<Eigen::Index>(i)) = tokens.row(firsts[i]) - difference;
  const auto ranked = rank_by_distance(seconds, tokens);
  std::vector<std::pair<float, std::size_t>> order(firsts.size());
  for (std::size_t i = 0; i < firsts.size(); ++i)
    order[i] = {
        (seconds.row(static_cast<Eigen::Index>(i)) - tokens.row(ranked[i].front())).squaredNorm(),
        i};
  std::sort(order.begin(), order.end());
  std::array<RowGuesses::Ranked, 2> out;
  for (RowGuesses::Ranked& each : out) each.fill(kNoToken);
  for (std::size_t r = 0; r < std::min(order.size(), RowGuesses::kRanks); ++r) {
    out[0][r] = firsts[order[r].second];
    out[1][r] = ranked[order[r].second].front();
  }
  return out;
}

/// Rows under no common mask are taken in pairs all the same: what the attack says without a bug.
void guess_blindly(const ReuseSearch& search, const std::vector<std::size_t>& rows,
                   const Rows& tokens, RowGuesses& out) {
  Rows differences(static_cast<Eigen::Index>(rows.size() / 2 * 2), tokens.cols());
  for (std::size_t i = 0; i + 1 < rows.size(); i += 2) {
    const auto row = as_row(search.difference({rows[i], rows[i + 1]}));
    differences.row(static_cast<Eigen::Index>(i)) = row;
    differences.row(static_cast<Eigen::Index>(i + 1)) = -row;
  }
  const auto ranked = rank_by_cosine(differences, tokens);
  out.rows.insert(out.rows.end(), rows.begin(),
                  rows.begin() + static_cast<std::ptrdiff_t>(ranked.size()));
  out.ranked.insert(out.ranked.end(), ranked.begin(), ranked.end());
}

} // namespace

std::vector<Finding> mask_reuse(const CloudView& view, const Effort& effort) {
  const MatrixRows* matrix = view.find(kFirstMatrix);
  if (matrix == nullptr || matrix->words.empty() || matrix->delta_bits == 0 || matrix->cols < 2)
    return {};
  const Rows tokens = vocabulary(view, *matrix);
  ReuseSearch search(*matrix, matrix->modulus);
  const std::vector<Pair> pairs = search.find();
  std::vector<std::size_t> rest = view.unknown_rows(*matrix);
  std::map<std::size_t, RowGuesses::Ranked> opened;
  for (const Pair& pair : pairs) {
    const auto ranked = decode_pair(as_row(search.difference(pair)), tokens);
    opened[pair.first] = ranked[0];
    opened[pair.second] = ranked[1];
  }
  RowGuesses out;
  out.where = matrix->name;
  out.remark = fmt::format("{} pairs of rows under one mask", pairs.size());
  for (const std::size_t row : rest) {
    const auto it = opened.find(row);
    if (it == opened.end()) continue;
    out.rows.push_back(row);
    out.ranked.push_back(it->second);
  }
  std::erase_if(rest, [&](std::size_t row) { return opened.contains(row); });
  guess_blindly(search, spread(rest, effort.rows), tokens, out);
  return {std::move(out)};
}

} // namespace talaria::audit
