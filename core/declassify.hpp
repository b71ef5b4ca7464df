#pragma once

#include <cstddef>

namespace talaria {

/// Says that these bytes, though computed from a secret, may be seen: a branch on them gives away
/// what is public anyway. Does nothing. Tests that follow secrets through the program put a
/// definition of their own in its place when they are linked (tests/oblivious).
///
/// Every use is a hole in a promise; docs/threat_model.md lists them.
void declassify(const void* data, std::size_t bytes) noexcept;

/// The same for one value.
template <class T>
T declassified(T value) noexcept {
  declassify(&value, sizeof value);
  return value;
}

} // namespace talaria
