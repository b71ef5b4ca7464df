#pragma once

#include <string>

#include "core/error.hpp"

namespace talaria::launch {

/// An Error that another process has sent as the number of its code and its text: Errc::internal
/// for a number that is no code.
inline Error reported_error(int code, const std::string& text) {
  const bool is_known = code >= 0 && code <= static_cast<int>(Errc::internal);
  return Error(is_known ? static_cast<Errc>(code) : Errc::internal, text);
}

} // namespace talaria::launch
