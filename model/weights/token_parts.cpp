#include "model/weights/token_parts.hpp"

#include <algorithm>
#include <numeric>
#include <string>

namespace talaria::model {

TokenParts::TokenParts(std::span<const std::string_view> texts) {
  for (const std::string_view text : texts) sizes_.push_back(text.size());
  beginning_ = longest_beginnings(texts);
  std::vector<std::string> mirrored;
  for (const std::string_view text : texts) mirrored.emplace_back(text.rbegin(), text.rend());
  const std::vector<std::string_view> views(mirrored.begin(), mirrored.end());
  ending_ = longest_beginnings(views);
}

// In the order of a dictionary all texts that begin with another follow it, before any that do not:
// those the last one begins with are a stack.
std::vector<std::size_t> TokenParts::longest_beginnings(std::span<const std::string_view> texts) {
  std::vector<std::size_t> order(texts.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::sort(order.begin(), order.end(),
            [&](std::size_t a, std::size_t b) { return texts[a] < texts[b]; });
  std::vector<std::size_t> longest(texts.size(), kNone);
  std::vector<std::size_t> open;
  for (const std::size_t index : order) {
    while (!open.empty() && !texts[index].starts_with(texts[open.back()])) open.pop_back();
    if (!open.empty()) longest[index] = open.back();
    open.push_back(index);
  }
  return longest;
}

std::vector<TokenParts::Cut> TokenParts::cuts(std::size_t index) const {
  std::vector<std::size_t> lefts; // from the longest to the shortest
  for (std::size_t part = beginning_[index]; part != kNone; part = beginning_[part])
    lefts.push_back(part);
  std::vector<Cut> cuts;
  // The longest right part belongs to the first place, so both go from left to right.
  for (std::size_t part = ending_[index]; part != kNone; part = ending_[part]) {
    const std::size_t at = sizes_[index] - sizes_[part];
    while (!lefts.empty() && sizes_[lefts.back()] < at) lefts.pop_back();
    if (!lefts.empty() && sizes_[lefts.back()] == at) cuts.push_back({at, lefts.back(), part});
  }
  return cuts;
}

} // namespace talaria::model
