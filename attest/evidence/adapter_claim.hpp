#pragma once

#include <string>

#include "core/digest.hpp"

namespace talaria::attest {

/// An adapter beside the model: its name, and SHA-256 of its files (docs/api.md, Adapters).
struct AdapterClaim {
  std::string name;
  Sha256Digest root{};
  bool operator==(const AdapterClaim&) const = default;
};

} // namespace talaria::attest
