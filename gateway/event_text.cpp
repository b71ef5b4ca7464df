#include "gateway/event_text.hpp"

#include <algorithm>
#include <array>
#include <bit>

#include "core/integers.hpp"

namespace talaria::gateway {

namespace {

constexpr std::size_t kSmallestBody = 1024;
// Bytes of a character that is not complete are held back, and at worst come out with the next
// token as three replacement characters of three bytes.
constexpr std::size_t kHeldBack = 9;

std::size_t escaped_size(char character) noexcept {
  switch (character) {
  case '"':
  case '\\':
  case '\b':
  case '\f':
  case '\n':
  case '\r':
  case '\t':
    return 2;
  default:
    return static_cast<u8>(character) < 0x20 ? 6 : 1; // \u0001
  }
}

bool continues_a_character(char byte) noexcept {
  return (static_cast<u8>(byte) & 0xC0) == 0x80;
}

} // namespace

std::size_t escaped_size(std::string_view text) noexcept {
  std::size_t size = 0;
  for (const char character : text) size += escaped_size(character);
  return size;
}

std::string_view first_that_fits(std::string_view text, std::size_t room) noexcept {
  std::size_t fits = 0;
  for (std::size_t end = 0, size = 0; end < text.size(); fits = end) {
    do size += escaped_size(text[end++]);
    while (end < text.size() && continues_a_character(text[end]));
    if (size > room && fits > 0) break;
  }
  return text.substr(0, fits);
}

std::size_t longest_token(const model::Tokenizer& tokenizer) {
  std::size_t longest = 0;
  for (u32 id = 0; id < tokenizer.vocab_size(); ++id) {
    const std::array<u32, 1> ids{id};
    longest = std::max(longest, escaped_size(tokenizer.decode(ids, /*skip_special=*/true)));
  }
  return longest + kHeldBack;
}

std::size_t body_class(std::size_t bytes) noexcept {
  return std::max(kSmallestBody, std::bit_ceil(bytes));
}

} // namespace talaria::gateway
