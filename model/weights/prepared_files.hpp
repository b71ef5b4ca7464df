#pragma once

#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "core/digest.hpp"
#include "core/integers.hpp"
#include "kernels/packed_weights.hpp"
#include "model/weights/manifest.hpp"

namespace talaria::model {

/// A new file, hashed while it is written. Incomplete until finish().
class OutputFile {
public:
  /// @throws Error{io} if FOLDER/NAME exists or cannot be made.
  OutputFile(const std::filesystem::path& folder, std::string name);
  OutputFile(const OutputFile&) = delete;
  OutputFile& operator=(const OutputFile&) = delete;
  ~OutputFile();

  /// @throws Error{io} naming the file, e.g. when the disk is full.
  void write(std::span<const u8> bytes);
  void write(std::string_view text);
  /// Puts the file on the disk and closes it. @throws Error{io}
  FileEntry finish();

private:
  [[noreturn]] void fail(int error) const;

  std::filesystem::path path_;
  int descriptor_;
  Sha256 hash_;
  FileEntry entry_;
};

/// A tensor of a safetensors file that is about to be written.
struct PlannedTensor {
  std::string name;
  const char* dtype; ///< as the format spells it: "I8", "F32", ...
  std::vector<std::size_t> shape;
  u64 bytes;
};

/// What goes before the tensors' bytes, which must follow in this order without gaps.
std::string safetensors_head(const std::vector<PlannedTensor>& tensors);

/// Writes a matrix as int8 [d_in, columns], row-major: d_in * columns bytes.
void write_row_major(OutputFile& file, const kernels::PackedWeights& weights);

/// A .safetensors file of int8 matrices, read in pieces rather than mapped, so that a file that
/// shrinks or a disk that fails is an error and not a signal.
class WeightFile {
public:
  /// @throws Error{model} naming the file if it is missing or its header is damaged.
  explicit WeightFile(const std::filesystem::path& path);
  WeightFile(const WeightFile&) = delete;
  WeightFile& operator=(const WeightFile&) = delete;
  ~WeightFile();

  /// Packs the matrix `name`, which must be int8 of exactly the shape of `weights`.
  /// @throws Error{model} naming the file and the matrix.
  void read(const std::string& name, kernels::PackedWeights& weights) const;

private:
  struct Extent {
    std::size_t d_in;
    std::size_t columns;
    u64 offset; ///< in the file
  };
  void read_header();
  void read_bytes(u64 offset, std::span<u8> out, const std::string& what) const;

  std::filesystem::path path_;
  int descriptor_;
  std::map<std::string, Extent> matrices_;
};

} // namespace talaria::model
