#include "model/one_line.hpp"

#include <algorithm>

namespace talaria::model {

std::string one_line(std::string text) {
  constexpr std::size_t longest = 400;
  const auto control = [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; };
  std::replace_if(text.begin(), text.end(), control, ' ');
  if (text.size() <= longest) return text;
  std::size_t cut = longest;
  while (cut > 0 && (static_cast<unsigned char>(text[cut]) & 0xC0) == 0x80) --cut;
  return text.substr(0, cut) + "...";
}

} // namespace talaria::model
