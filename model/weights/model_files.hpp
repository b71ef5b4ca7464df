#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/digest.hpp"
#include "model/weights/gguf_model.hpp"
#include "model/weights/manifest.hpp"
#include "model/weights/model_folder.hpp"
#include "model/weights/private_file.hpp"
#include "model/weights/tensor_store.hpp"

namespace talaria::model {

/// The small files that are looked for in a folder. Who wants to read another one adds it here, so
/// that it is hashed with the rest.
inline constexpr std::string_view kTextFiles[] = {"config.json",
                                                  "generation_config.json",
                                                  "tokenizer.json",
                                                  "tokenizer_config.json",
                                                  "special_tokens_map.json",
                                                  "added_tokens.json",
                                                  "chat_template.jinja",
                                                  "modules.json",
                                                  "sentence_bert_config.json",
                                                  kPoolingFile};

/// A model as the enclave reads it: each file is opened once, read from beginning to end into
/// private memory, hashed, and from then on only what was hashed is used. Small files and the
/// tensors that the enclave keeps stay in memory; the matrices of a published folder, which may be
/// larger than memory, are read again piece by piece and checked against the first reading.
class ModelFiles {
public:
  using Weights = std::map<std::string, std::shared_ptr<const SafetensorsFile>>;

  /// Reads a published folder, a GGUF file with its other parts, or the enclave's half of a
  /// prepared folder, whose files are compared with its manifest.
  /// @param pinned  what root() has to be; nothing: anything.
  /// @throws Error{model} naming the file that is missing, unreadable, or not what the manifest
  /// says, or both digests if root() is another one.
  explicit ModelFiles(const std::filesystem::path& folder,
                      const std::optional<Sha256Digest>& pinned = std::nullopt);
  explicit ModelFiles(const OpenedFolder& opened,
                      const std::optional<Sha256Digest>& pinned = std::nullopt);

  /// Where the files lie: the folder itself, or enclave/ of a prepared one; of a GGUF model the
  /// file.
  const std::filesystem::path& folder() const noexcept { return texts_.folder(); }
  /// Of a GGUF model: what is made of its metadata.
  const TextFiles& texts() const noexcept { return texts_; }
  /// nullptr for a published folder.
  const Manifest* manifest() const noexcept { return manifest_ ? &*manifest_ : nullptr; }
  const Weights& weights() const noexcept { return weights_; }
  /// nullptr for a folder.
  const std::shared_ptr<const GgufModel>& gguf() const noexcept { return gguf_; }
  /// nullptr if all tensors are in one file.
  const WeightIndex* weight_index() const noexcept { return index_ ? &*index_ : nullptr; }

  /// Everything that was read, by name; without the manifest.
  const std::vector<FileEntry>& entries() const noexcept { return entries_; }
  /// One digest that stands for all of it: of a prepared folder SHA-256 of manifest.json, of a
  /// published one root_of(entries()).
  const Sha256Digest& root() const noexcept { return root_; }

private:
  void read_published();
  void read_gguf(const std::filesystem::path& path, const std::optional<Sha256Digest>& pinned);
  void read_prepared(const PrivateFile& manifest);
  void read_listed(const FileEntry& entry);
  void refuse_unlisted() const;
  void seal(const std::string& name);
  void list_entries();

  TextFiles texts_;
  std::optional<Manifest> manifest_;
  Weights weights_;
  std::optional<WeightIndex> index_;
  std::shared_ptr<const GgufModel> gguf_;
  std::vector<FileEntry> entries_;
  Sha256Digest root_{};
};

/// SHA-256 of the line "talaria model 1" and a line "DIGEST BYTES NAME" for each file: its SHA-256
/// in lower-case hexadecimal, its size in decimal, its name, with one blank between them; lines end
/// with
/// "\n" and are in the order of the names' bytes.
Sha256Digest root_of(const std::vector<FileEntry>& entries);

/// @throws Error{model} naming both digests if `root` is not what is `pinned`, if anything is.
void check_root(const std::filesystem::path& folder, const Sha256Digest& root,
                const std::optional<Sha256Digest>& pinned);

} // namespace talaria::model
