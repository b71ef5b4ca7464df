#include "remo/masking_scheme.hpp"

#include <string>

#include "remo/clear_scheme.hpp"
#include "remo/hybrid_scheme.hpp"
#include "remo/lattice_scheme.hpp"
#include "remo/plain_scheme.hpp"

namespace talaria::remo {

const char* to_string(SchemeKind kind) noexcept {
  switch (kind) {
  case SchemeKind::lattice:
    return "lattice";
  case SchemeKind::hybrid:
    return "hybrid";
  case SchemeKind::clear:
    return "clear";
  case SchemeKind::plain:
    return "plain";
  }
  return "unknown";
}

SchemeKind parse_scheme(std::string_view name) {
  for (const SchemeKind kind : {SchemeKind::lattice, SchemeKind::hybrid, SchemeKind::clear})
    if (name == to_string(kind)) return kind;
  throw Error(Errc::usage,
              "unknown scheme '" + std::string(name) + "'; use one of lattice, hybrid, clear");
}

std::unique_ptr<MaskingScheme> make_scheme(const SchemeOptions& options) {
  if (options.parameters == nullptr) throw Error(Errc::internal, "a scheme without parameters");
  switch (options.kind) {
  case SchemeKind::lattice:
    return std::make_unique<LatticeScheme>(options);
  case SchemeKind::hybrid:
    return std::make_unique<HybridScheme>(options);
  case SchemeKind::clear:
    return std::make_unique<ClearScheme>(options);
  case SchemeKind::plain:
    return std::make_unique<PlainScheme>();
  }
  throw Error(Errc::internal, "unknown kind of scheme");
}

} // namespace talaria::remo
