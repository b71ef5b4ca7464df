#pragma once

#include <cstddef>

#include "core/integers.hpp"

namespace talaria::pipeline {

struct EngineOptions;

/// What a model that guesses takes of the enclave's memory.
struct DraftMemory {
  std::size_t weight_bytes = 0;       ///< matrices and embeddings
  std::size_t bytes_per_position = 0; ///< keys and values
  u32 max_position = 0;               ///< from which on the context guesses
};
/// Of EngineOptions::draft_model, which is set: by its files, without making it.
/// @throws Error{config} as DraftModel does; Error{model} as the loader does.
DraftMemory draft_memory(const EngineOptions& options);

} // namespace talaria::pipeline
