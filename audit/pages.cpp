#include <algorithm>
#include <map>

#include "audit/attacks.hpp"

namespace talaria::audit {
namespace {

RowGuesses::Ranked tokens_on(u32 page, const CloudView::PageView& seen) {
  RowGuesses::Ranked ranked;
  ranked.fill(kNoToken);
  std::size_t at = 0;
  const std::size_t begin = std::size_t{page} * CloudView::kPageBytes;
  for (std::size_t token = begin / seen.row_bytes;
       at < ranked.size() && token < seen.rows &&
       token * seen.row_bytes < begin + CloudView::kPageBytes;
       ++token)
    ranked[at++] = static_cast<u32>(token);
  return ranked;
}

/// The pages of a pass, those first that were touched oftener or more rarely than most.
std::vector<u32> striking(const std::vector<u32>& visits) {
  std::map<u32, long> counts;
  for (const u32 page : visits) ++counts[page];
  std::vector<long> sorted;
  for (const auto& [page, count] : counts) sorted.push_back(count);
  const auto middle = sorted.begin() + static_cast<std::ptrdiff_t>(sorted.size() / 2);
  std::nth_element(sorted.begin(), middle, sorted.end());
  std::vector<u32> pages;
  for (const auto& [page, count] : counts) pages.push_back(page);
  std::stable_sort(pages.begin(), pages.end(), [&, usual = *middle](u32 a, u32 b) {
    return std::abs(counts[a] - usual) > std::abs(counts[b] - usual);
  });
  return pages;
}

} // namespace

std::vector<Finding> page_visits(const CloudView& view, const Effort& effort) {
  if (!view.pages || view.pages->visits.empty()) return {};
  RowGuesses out;
  out.where = kFirstMatrix;
  for (const CloudView::PageVisits& seen : view.pages->visits) {
    if (seen.pages.empty()) continue;
    const bool one_each = seen.pages.size() == seen.rows;
    const std::vector<u32> pages = one_each ? seen.pages : striking(seen.pages);
    for (std::size_t r = 0; r < seen.rows && out.rows.size() < effort.rows; ++r) {
      out.rows.push_back(seen.first_row + r);
      out.ranked.push_back(tokens_on(pages[std::min(r, pages.size() - 1)], *view.pages));
    }
  }
  return {std::move(out)};
}

} // namespace talaria::audit
