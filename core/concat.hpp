#pragma once

#include <concepts>
#include <string>
#include <string_view>
#include <type_traits>

namespace talaria {

namespace concat_detail {

inline void append(std::string& text, std::string_view part) {
  text += part;
}
template <std::integral Number>
void append(std::string& text, Number part) {
  static_assert(!std::is_same_v<Number, char> && !std::is_same_v<Number, bool>);
  text += std::to_string(part);
}

} // namespace concat_detail

/// The parts one after the other: strings, and integers in decimal. For the messages of what must
/// build where only a compiler is: scripts/gpu carries those rooms to machines without fmt.
template <class... Parts>
std::string concat(const Parts&... parts) {
  std::string text;
  (concat_detail::append(text, parts), ...);
  return text;
}

} // namespace talaria
