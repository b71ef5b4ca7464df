#pragma once

#include <filesystem>
#include <optional>
#include <string_view>

#include "core/integers.hpp"
#include "model/weights/private_file.hpp"

namespace talaria::model {

// The layout of sentence-transformers, in which models for embeddings come: what stands behind the
// layers, one module after the other, and what the one of them has to say.
inline constexpr std::string_view kModulesFile = "modules.json";
inline constexpr std::string_view kPoolingFile = "1_Pooling/config.json";

/// What a path given as a model is.
enum class FolderKind : u8 {
  hugging_face,     ///< config.json and safetensors weights as published
  gguf,             ///< no folder: a GGUF file, or the first part of a split one
  prepared_enclave, ///< OUT/enclave of `talaria prepare`
  prepared_worker,  ///< OUT/worker of `talaria prepare`
  prepared_root,    ///< OUT itself: holds enclave/ and worker/
};

/// A folder or file given as a model, and the manifests that were read, once, to tell what it is.
struct OpenedFolder {
  FolderKind kind = FolderKind::hugging_face;
  std::filesystem::path folder; ///< as given
  std::optional<PrivateFile> enclave_manifest;
  std::optional<PrivateFile> worker_manifest;

  /// Nothing was prepared: matrices are quantised here.
  bool published() const { return kind == FolderKind::hugging_face || kind == FolderKind::gguf; }
  /// Where the enclave finds config, tokenizer, embeddings and biases.
  /// @throws Error{model} for a worker's folder, which holds none of these.
  std::filesystem::path enclave() const;
  /// Where a worker finds its weights.
  /// @throws Error{model} for an enclave's folder, which holds no weights.
  std::filesystem::path worker() const;
};

/// @throws Error{model} if `folder` is none of these (missing folders included).
OpenedFolder open_folder(const std::filesystem::path& folder);

/// open_folder(folder).kind, .enclave() and .worker().
FolderKind folder_kind(const std::filesystem::path& folder);
std::filesystem::path enclave_folder(const std::filesystem::path& folder);
std::filesystem::path worker_folder(const std::filesystem::path& folder);

} // namespace talaria::model
