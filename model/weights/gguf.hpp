#pragma once

#include <exception>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "core/digest.hpp"
#include "core/integers.hpp"
#include "model/weights/gguf_blocks.hpp"
#include "model/weights/safetensors.hpp"

namespace talaria::model {

// The container of GGUF files, versions 2 and 3, little-endian: "GGUF", u32 version, u64 tensor
// count, u64 metadata count; the metadata; one entry for each tensor; then, from the next multiple
// of general.alignment on, the data. Every count and offset is taken as hostile: it is compared
// with what is left of the file, and with a limit, before anything is allocated.

/// A value of the metadata. Arrays may hold arrays.
struct GgufValue {
  using List = std::vector<GgufValue>;
  std::variant<u64, i64, double, bool, std::string, List> is;
};

using GgufMetadata = std::map<std::string, GgufValue, std::less<>>;

/// An entry for a tensor.
struct GgufTensor {
  std::string name;
  std::vector<std::size_t> shape; ///< slowest first, as everywhere else: [out, in]
  const GgufType* type = nullptr;
  u64 offset = 0; ///< from the beginning of the file
  u64 bytes = 0;
};

/// What stands before the data.
struct GgufHeader {
  GgufMetadata metadata;
  std::vector<GgufTensor> tensors;
};

/// Fills a span with the next bytes of a file.
using GgufSource = std::function<void(std::span<u8>)>;

/// Parses the header of a file of `size` bytes. `source` is asked for no more than these; it may be
/// asked for more than the header.
/// @throws Error{model} naming file, and key or tensor: for a version, an alignment, a type of
/// tensor that is not understood (by its name), counts, lengths and offsets that do not fit the
/// file, keys and tensors that are there twice, tensors that overlap.
GgufHeader parse_gguf_header(u64 size, const std::string& file, const GgufSource& source);
/// The same for a file that lies in memory.
GgufHeader parse_gguf_header(std::span<const u8> bytes, const std::string& file);

/// One .gguf file, opened once; never mapped.
class GgufFile {
public:
  /// Reads the header; tensors are read from the file when asked for.
  /// @throws Error{model}
  static GgufFile open(const std::filesystem::path& path);
  /// Reads the file from beginning to end, once, hashes it, and parses the header from these very
  /// bytes. What is read of the data later is what was hashed, or an error.
  /// @throws Error{model} if the file cannot be read. What is wrong with its content is only said
  /// by header(), so that a digest may be compared first.
  static GgufFile sealed(const std::filesystem::path& path);

  const std::filesystem::path& path() const noexcept;
  u64 size() const noexcept;
  /// SHA-256 of the file, if it was sealed.
  const Sha256Digest& digest() const noexcept { return digest_; }
  /// @throws Error{model}
  const GgufHeader& header() const;
  /// A tensor of this file as it is stored. For queries and keys with `head_rows` see GgufRows.
  TensorView view(const GgufTensor& tensor, std::size_t head_rows = 0) const;

private:
  std::shared_ptr<LargeFile> file_;
  GgufHeader header_;
  Sha256Digest digest_{};
  std::exception_ptr damage_; ///< what header() has to say
};

/// Whether a path given as a model names a GGUF file (or one that is missing).
bool names_gguf(const std::filesystem::path& path);

/// The files that belong to `path`: itself, or, if it is named "...-00001-of-0000N.gguf", the N
/// parts of a split model.
/// @throws Error{model} for a part that is not the first.
std::vector<std::filesystem::path> gguf_parts(const std::filesystem::path& path);

} // namespace talaria::model
