#include "model/grammar/characters.hpp"

#include <algorithm>

namespace talaria::model::grammar {

namespace {

/// The bytes of a character in UTF-8.
std::vector<u8> utf8_of(u32 c) {
  const auto tail = [c](unsigned shift) { return static_cast<u8>(0x80 | ((c >> shift) & 0x3F)); };
  if (c < 0x80) return {static_cast<u8>(c)};
  if (c < 0x800) return {static_cast<u8>(0xC0 | (c >> 6)), tail(0)};
  if (c < 0x10000) return {static_cast<u8>(0xE0 | (c >> 12)), tail(6), tail(0)};
  return {static_cast<u8>(0xF0 | (c >> 18)), tail(12), tail(6), tail(0)};
}

/// Characters from `first` to `last` as rows of ranges of bytes. Cut where the length changes, at
/// surrogates, which are no characters, and where a byte before the last would need two ranges.
void add_characters(u32 first, u32 last, std::vector<Expression>& out) {
  if (first > last) return;
  for (const u32 end : {0x7FU, 0x7FFU, 0xD7FFU, 0xDFFFU, 0xFFFFU})
    if (first <= end && end < last) {
      add_characters(first, end, out);
      return add_characters(end + 1, last, out);
    }
  if (first >= 0xD800 && last <= 0xDFFF) return;
  const std::size_t length = utf8_of(first).size();
  for (std::size_t i = 1; i < length; ++i) {
    const u32 low = (1U << (6 * i)) - 1;
    if ((first & ~low) == (last & ~low)) continue;
    if ((first & low) != 0) {
      add_characters(first, first | low, out);
      return add_characters((first | low) + 1, last, out);
    }
    if ((last & low) != low) {
      add_characters(first, (last & ~low) - 1, out);
      return add_characters(last & ~low, last, out);
    }
  }
  const auto from = utf8_of(first);
  const auto to = utf8_of(last);
  std::vector<Expression> bytes;
  for (std::size_t i = 0; i < length; ++i) bytes.push_back(byte_range(from[i], to[i]));
  out.push_back(sequence(std::move(bytes)));
}

} // namespace

CodePoints complement(CodePoints set, u32 first) {
  std::sort(set.begin(), set.end());
  CodePoints out;
  u32 next = first; // the first character that is not looked at
  for (const auto& [from, to] : set) {
    if (from > next) out.emplace_back(next, from - 1);
    next = std::max(next, to + 1);
  }
  if (next <= kLastCharacter) out.emplace_back(next, kLastCharacter);
  return out;
}

Expression characters(CodePoints set, bool others) {
  // Twice the complement: the ranges themselves, none of which overlap.
  CodePoints ranges = complement(std::move(set), 0);
  if (!others) ranges = complement(std::move(ranges), 0);
  std::vector<Expression> out;
  for (const auto& [first, last] : ranges) add_characters(first, last, out);
  return any_of(std::move(out));
}

} // namespace talaria::model::grammar
