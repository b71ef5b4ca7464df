#include "model/tokenization/byte_level.hpp"

#include <array>

#include "core/integers.hpp"
#include "model/utf8.hpp"

namespace talaria::model::byte_level {

namespace {

constexpr u16 beyond_latin1 = 0x100;

/// Printable Latin-1 stands for itself; the other 68 bytes, in order, for U+0100 and up.
struct Alphabet {
  std::array<u16, 256> of_byte{};
  std::array<i16, 256 + 68> of_character{};

  constexpr Alphabet() {
    of_character.fill(-1);
    u16 next = beyond_latin1;
    for (u16 byte = 0; byte < 256; ++byte) {
      const bool printable =
          (byte >= '!' && byte <= '~') || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE;
      of_byte[byte] = printable ? byte : next++;
      of_character[of_byte[byte]] = static_cast<i16>(byte);
    }
  }
};

constexpr Alphabet alphabet;

} // namespace

std::string encode(std::string_view bytes) {
  std::string out;
  out.reserve(bytes.size() + bytes.size() / 4);
  for (const char c : bytes) utf8::append(out, alphabet.of_byte[static_cast<unsigned char>(c)]);
  return out;
}

std::optional<std::string> decode(std::string_view text) {
  std::string out;
  for (std::size_t at = 0; at < text.size();) {
    const utf8::Step next = utf8::step(text, at);
    const bool known = next.valid && next.code_point < alphabet.of_character.size();
    const i16 byte = known ? alphabet.of_character[next.code_point] : i16{-1};
    if (byte < 0) return std::nullopt;
    out.push_back(static_cast<char>(byte));
    at += next.length;
  }
  return out;
}

} // namespace talaria::model::byte_level
