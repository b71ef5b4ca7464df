#pragma once

#include <cstddef>
#include <filesystem>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/integers.hpp"

namespace talaria::model {

enum class Dtype { bf16, f16, f32 };

/// Bytes of one element: 2 or 4.
constexpr std::size_t element_bytes(Dtype dtype) {
  return dtype == Dtype::f32 ? 4 : 2;
}

/// out.size() elements from `from`, which need not be aligned, widened to fp32: exact for all
/// three.
void widen(Dtype dtype, const u8* from, std::span<float> out);

/// A tensor inside a memory-mapped file; valid as long as the file's object lives.
struct TensorView {
  std::string name;
  Dtype dtype = Dtype::f32;
  std::vector<std::size_t> shape;
  std::span<const u8> bytes;
  std::string file; ///< for messages

  std::size_t elements() const;
  /// Elements [begin, begin + out.size()) in row-major order, widened to fp32 (exact for bf16, f16,
  /// f32).
  void read(std::size_t begin, std::span<float> out) const;
};

/// One .safetensors file, memory-mapped read-only. The header is validated before anything is read:
/// length against the file size, JSON without duplicate keys, dtypes, shape times element size
/// equal to the extent of data_offsets (overflow-checked), extents inside the file, no overlap, no
/// gap.
class SafetensorsFile {
public:
  /// @throws Error{model} naming file and tensor.
  explicit SafetensorsFile(const std::filesystem::path& path);
  SafetensorsFile(SafetensorsFile&&) noexcept;
  ~SafetensorsFile();

  const std::map<std::string, TensorView>& tensors() const noexcept { return tensors_; }
  /// Tensors that are no weights (integers, booleans, other float widths): name to dtype. They are
  /// validated like the rest, and only somebody asking for one as a weight is an error.
  const std::map<std::string, std::string>& other_dtypes() const noexcept { return other_dtypes_; }

private:
  struct Mapping;
  std::unique_ptr<Mapping> mapping_;
  std::map<std::string, std::string> other_dtypes_;
  std::map<std::string, TensorView> tensors_;
};

/// Parses a safetensors header. `header` is the JSON text, `data` the bytes behind it. Exposed for
/// fuzzing.
/// @param other_dtypes  where tensors that are neither bf16, f16 nor f32 are listed, name to dtype.
/// @throws Error{model}; `file` only appears in messages.
std::map<std::string, TensorView>
parse_safetensors_header(std::string_view header, std::span<const u8> data, const std::string& file,
                         std::map<std::string, std::string>* other_dtypes = nullptr);

/// The same for a whole file: 8 bytes of header length (little-endian), header, data.
std::map<std::string, TensorView>
parse_safetensors(std::span<const u8> bytes, const std::string& file,
                  std::map<std::string, std::string>* other_dtypes = nullptr);

/// All tensors of a model folder: model.safetensors, or the shards of model.safetensors.index.json.
class TensorStore {
public:
  /// @throws Error{model} naming a missing shard, a tensor the index places in the wrong shard, or
  /// neither file present (and says which formats are understood).
  explicit TensorStore(const std::filesystem::path& model_dir);
  /// Tensors that lie in memory which `memory` keeps alive; `source` stands for the folder in
  /// messages.
  TensorStore(std::string source, std::vector<TensorView> tensors,
              std::shared_ptr<const void> memory);

  /// @throws Error{model} if absent or not of exactly this shape (both shapes are named).
  const TensorView& get(const std::string& name, const std::vector<std::size_t>& shape) const;
  bool contains(const std::string& name) const;
  std::size_t total_bytes() const noexcept { return total_bytes_; }

private:
  void load_shards(const std::filesystem::path& model_dir);

  std::string dir_; ///< for messages
  std::vector<SafetensorsFile> files_;
  std::vector<TensorView> in_memory_;
  std::shared_ptr<const void> memory_; ///< behind in_memory_
  std::map<std::string, const TensorView*> index_;
  std::map<std::string, std::string> other_dtypes_;
  std::size_t total_bytes_ = 0;
};

} // namespace talaria::model
