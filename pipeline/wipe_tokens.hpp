#pragma once

#include <vector>

#include "core/integers.hpp"
#include "core/secret.hpp"

namespace talaria::pipeline {

/// Overwrites tokens and leaves none.
inline void wipe_tokens(std::vector<u32>& tokens) {
  wipe(tokens.data(), tokens.size() * sizeof(u32));
  tokens.clear();
}

} // namespace talaria::pipeline
