#pragma once

#include <filesystem>
#include <functional>

#include "core/progress.hpp"
#include "model/weights/manifest.hpp"

namespace talaria::model {

struct PrepareOptions {
  WeightFormat weights = WeightFormat::int8;
  bool force = false; ///< replace an OUT that an earlier prepare made
  /// Asked between matrices; true ends the work and leaves nothing behind. May be empty.
  std::function<bool()> cancelled;
};

/// What was written; the manifest itself is not among the bytes.
struct Prepared {
  Manifest enclave;
  Manifest worker;
  u64 enclave_bytes = 0;
  u64 worker_bytes = 0;
  Sha256Digest enclave_root{}; ///< SHA-256 of enclave/manifest.json
  Sha256Digest worker_root{};  ///< SHA-256 of worker/manifest.json
};

/// Splits a Hugging Face folder or a GGUF file into OUT/enclave (configuration, tokenizer,
/// embeddings, biases, head norms, scales) and OUT/worker (config.json and quantised matrices, one
/// file per layer). Both get a manifest.json with the digests of all matrices. Everything is
/// written to OUT.partial, put on the disk and renamed at the end, so OUT is never incomplete.
/// @throws Error{model} for a model that cannot be loaded, Error{usage} if OUT exists (or is not
/// one of ours, with `force`), Error{io} for a disk that is full or fails, Error{cancelled}.
Prepared prepare_model(const std::filesystem::path& model_dir, const std::filesystem::path& out,
                       const PrepareOptions& options, Progress& progress);

} // namespace talaria::model
