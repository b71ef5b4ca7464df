#pragma once

#include <cstddef>
#include <exception>
#include <filesystem>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/digest.hpp"
#include "core/integers.hpp"

namespace talaria::model {

class LargeFile;
struct GgufRows;

/// u8: bytes that are no numbers; weights are never of it.
enum class Dtype { bf16, f16, f32, u8 };

/// Bytes of one element: 1, 2 or 4.
constexpr std::size_t element_bytes(Dtype dtype) {
  return dtype == Dtype::f32 ? 4 : dtype == Dtype::u8 ? 1 : 2;
}

/// out.size() elements from `from`, which need not be aligned, widened to fp32: exact for all of
/// them.
void widen(Dtype dtype, const u8* from, std::span<float> out);

/// A tensor in memory, or at its place in a file that is read when somebody asks.
struct TensorView {
  std::string name;
  Dtype dtype = Dtype::f32;
  std::vector<std::size_t> shape;
  std::span<const u8> bytes;          ///< empty if it is in `source`
  std::string file;                   ///< for messages
  std::shared_ptr<const void> memory; ///< behind `bytes`; null: whoever made the view keeps them
  std::shared_ptr<const LargeFile> source{}; ///< null: in memory
  u64 offset = 0;                            ///< of its first byte in `source`
  /// How a tensor of a GGUF file is stored; it then counts as one of f32, which is what comes out
  /// of it. Null: its elements lie one behind the other.
  std::shared_ptr<const GgufRows> rows{};

  std::size_t elements() const;
  std::size_t size_bytes() const { return elements() * element_bytes(dtype); }
  /// Elements [begin, begin + out.size()) in row-major order, widened to fp32 (exact for bf16, f16,
  /// f32). For many calls on end take a TensorReader.
  /// @throws Error{model} if they are in a file and cannot be read.
  void read(std::size_t begin, std::span<float> out) const;
};

/// Reads one tensor piece by piece, and keeps the part of the file that it read last, so that going
/// through the tensor reads, and checks, each byte once.
class TensorReader {
public:
  explicit TensorReader(const TensorView& tensor) : tensor_(tensor) {}
  const TensorView& tensor() const noexcept { return tensor_; }
  /// As TensorView::read().
  void read(std::size_t begin, std::span<float> out);
  /// Bytes [begin, begin + out.size()) of the tensor as elements of its dtype; of a tensor with
  /// `rows` both have to be multiples of 4.
  void read_bytes(std::size_t begin, std::span<u8> out);

private:
  void read_stored(u64 at, std::span<u8> out);
  void decode(std::size_t begin, std::span<float> out);

  const TensorView& tensor_;
  std::vector<u8> buffer_;
  std::span<const u8> chunk_; ///< in buffer_
  u64 chunk_index_ = ~u64{0};
  std::vector<u8> row_;
  std::vector<float> decoded_;
};

/// What a safetensors header says; the tensors' `bytes`, `memory` and `source` are empty, `offset`
/// counts from the end of the header.
struct SafetensorsHeader {
  std::map<std::string, TensorView> tensors;
  /// Tensors that are no weights (integers, booleans, other float widths): name to dtype. They are
  /// validated like the rest, and only somebody asking for one as a weight is an error.
  std::map<std::string, std::string> other_dtypes;
  std::map<std::string, TensorView> byte_tensors; ///< those of U8, which are among the others too
};

/// Parses a header: JSON without duplicate keys, dtypes, shape times element size equal to the
/// extent of data_offsets (overflow-checked), extents inside the data, no overlap, no gap.
/// `data_bytes` is the number of bytes behind it.
/// @throws Error{model} naming file and tensor; `file` only appears in messages.
SafetensorsHeader parse_safetensors_header(std::string_view header, u64 data_bytes,
                                           const std::string& file);

/// The same for a whole file that lies in memory: 8 bytes of header length (little-endian), header,
/// data. The tensors point into `bytes`. Exposed for fuzzing.
std::map<std::string, TensorView>
parse_safetensors(std::span<const u8> bytes, const std::string& file,
                  std::map<std::string, std::string>* other_dtypes = nullptr);

/// One .safetensors file, opened once; never mapped.
class SafetensorsFile {
public:
  /// Reads the header; tensors are read from the file when asked for.
  /// @throws Error{model} naming file and tensor.
  explicit SafetensorsFile(const std::filesystem::path& path);
  SafetensorsFile(SafetensorsFile&&) noexcept;
  SafetensorsFile& operator=(SafetensorsFile&&) noexcept;
  ~SafetensorsFile();

  /// Reads the file from beginning to end, once, and hashes it. What the enclave keeps (the
  /// embedding table, in locked memory, and every tensor of one dimension) goes into private memory
  /// in this pass; matrices are read again when asked for, and then are the bytes that were hashed
  /// or an error.
  /// @throws Error{model} if the file cannot be read. What is wrong with its content is only said
  /// by tensors(), so that a digest may be compared first.
  static SafetensorsFile sealed(const std::filesystem::path& path);

  u64 size() const noexcept; ///< of the file, in bytes
  /// SHA-256 of the file, if it was sealed.
  const Sha256Digest& digest() const noexcept { return digest_; }
  /// @throws Error{model} naming file and tensor.
  const std::map<std::string, TensorView>& tensors() const;
  /// See SafetensorsHeader.
  const std::map<std::string, std::string>& other_dtypes() const { return header_.other_dtypes; }
  const std::map<std::string, TensorView>& byte_tensors() const { return header_.byte_tensors; }

private:
  SafetensorsFile();
  void keep(class SealingPass& pass);

  std::shared_ptr<LargeFile> file_;
  SafetensorsHeader header_;
  Sha256Digest digest_{};
  std::exception_ptr damage_; ///< what tensors() has to say
};

/// The name that a tensor of the decoder has in a checkpoint that is nothing but the decoder with
/// its head. Checkpoints that also see or hear put "language_model." before "model." or behind it;
/// those of a decoder without a head, as most embedding models are, leave "model." out.
std::string canonical_name(const std::string& name);

/// The embedding matrix [vocab, hidden] in every model of ours.
inline constexpr const char* kEmbeddings = "model.embed_tokens.weight";
/// Of Gemma 4: tokens decide what is read there as well.
inline constexpr const char* kPerLayerEmbeddings = "model.embed_tokens_per_layer.weight";

} // namespace talaria::model
