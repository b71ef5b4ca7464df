#pragma once

#include <caf/all.hpp>

#include <string>

#include "core/error.hpp"
#include "core/integers.hpp"

namespace talaria {

/// CAF's error category of our own codes.
inline constexpr caf::atom_value kErrorCategory = caf::atom("talaria");

/// Carries an Error through a CAF message.
inline caf::error to_caf(const Error& error) {
  return {static_cast<u8>(static_cast<int>(error.code()) + 1), kErrorCategory,
          caf::make_message(std::string(error.what()))};
}

/// The Error inside a caf::error; CAF's own (timeouts, dead receivers) become Errc::no_worker.
inline Error from_caf(const caf::error& error) {
  if (error.category() == kErrorCategory) {
    std::string text = "unnamed failure";
    if (error.context().match_elements<std::string>())
      text = error.context().get_as<std::string>(0);
    return Error(static_cast<Errc>(error.code() - 1), text);
  }
  if (error == caf::sec::request_timeout)
    return Error(Errc::no_worker, "the worker did not answer within the deadline");
  return Error(Errc::no_worker, "the worker is gone");
}

} // namespace talaria
