#include "core/error.hpp"

namespace talaria {

int exit_status(Errc code) noexcept {
  switch (code) {
  case Errc::usage:
  case Errc::config:
  case Errc::io:
    return 2;
  case Errc::model:
  case Errc::bounds:
    return 3;
  case Errc::no_worker:
    return 4;
  case Errc::verification:
    return 5;
  case Errc::cancelled:
    return 130;
  case Errc::internal:
    return 70;
  }
  return 70;
}

const char* to_string(Errc code) noexcept {
  switch (code) {
  case Errc::usage:
    return "usage";
  case Errc::config:
    return "config";
  case Errc::io:
    return "io";
  case Errc::model:
    return "model";
  case Errc::bounds:
    return "bounds";
  case Errc::no_worker:
    return "no_worker";
  case Errc::verification:
    return "verification";
  case Errc::cancelled:
    return "cancelled";
  case Errc::internal:
    return "internal";
  }
  return "unknown";
}

} // namespace talaria
