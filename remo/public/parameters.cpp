#include "remo/public/parameters.hpp"

#include <string>

#include "core/error.hpp"

namespace talaria::remo {

const LatticeParameters& lattice_parameters(std::string_view name) {
  std::string accepted;
  for (const LatticeParameters& set : kAcceptedParameters) {
    if (set.name == name) return set;
    accepted += (accepted.empty() ? "" : ", ") + std::string(set.name);
  }
  throw Error(Errc::config, "masking.parameters: '" + std::string(name) +
                                "' is not an accepted set; use one of " + accepted);
}

} // namespace talaria::remo
