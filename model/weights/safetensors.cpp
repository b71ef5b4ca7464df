#include "model/weights/safetensors.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <nlohmann/json.hpp>
#include <optional>
#include <tuple>

#include "arch/json_fields.hpp"
#include "core/error.hpp"
#include "core/locked_memory.hpp"
#include "model/weights/gguf_blocks.hpp"
#include "model/weights/private_file.hpp"

namespace talaria::model {

using nlohmann::json;

namespace {

constexpr u64 kMaxHeader = 100'000'000; // the limit of the safetensors library
constexpr std::size_t kLengthBytes = 8;
constexpr std::string_view kLfsPointer = "version https://git-lfs"; // how one begins

/// Every dtype the format defines; only three of them are weights.
struct DtypeInfo {
  std::string_view name;
  unsigned bits;
  std::optional<Dtype> dtype;
};
constexpr DtypeInfo kDtypes[] = {
    {"BF16", 16, Dtype::bf16},    {"F16", 16, Dtype::f16},      {"F32", 32, Dtype::f32},
    {"F64", 64, std::nullopt},    {"C64", 64, std::nullopt},    {"BOOL", 8, std::nullopt},
    {"U8", 8, std::nullopt},      {"I8", 8, std::nullopt},      {"U16", 16, std::nullopt},
    {"I16", 16, std::nullopt},    {"U32", 32, std::nullopt},    {"I32", 32, std::nullopt},
    {"U64", 64, std::nullopt},    {"I64", 64, std::nullopt},    {"F8_E4M3", 8, std::nullopt},
    {"F8_E5M2", 8, std::nullopt}, {"F8_E8M0", 8, std::nullopt}, {"F6_E2M3", 6, std::nullopt},
    {"F6_E3M2", 6, std::nullopt}, {"F4", 4, std::nullopt},
};

struct Extent {
  u64 begin;
  u64 end;
  std::string name;
};

/// Exact for all 65536 values: subnormals come out of a subtraction that rounds nothing.
float widen_f16(u16 half) {
  const u32 magnitude = half & 0x7fffu;
  const u32 sign = (half & 0x8000u) << 16;
  const u32 normal = (magnitude << 13) + (112u << 23);
  const u32 special = (magnitude << 13) | 0x7f800000u;
  const u32 subnormal = std::bit_cast<u32>(std::bit_cast<float>(magnitude | 0x3f000000u) - 0.5f);
  // 0x3f000000 + m stands for 0.5 + m 2^-24, and m 2^-24 is what a subnormal m means.
  const u32 bits = magnitude < 0x0400u ? subnormal : magnitude >= 0x7c00u ? special : normal;
  return std::bit_cast<float>(bits | sign);
}

float widen_bf16(u16 half) {
  return std::bit_cast<float>(u32{half} << 16);
}

template <float (*widen)(u16)>
void widen_all(const u8* from, std::span<float> out) {
  for (std::size_t i = 0; i < out.size(); ++i) {
    u16 half;
    std::memcpy(&half, from + 2 * i, sizeof half); // data need not be aligned
    out[i] = widen(half);
  }
}

[[noreturn]] void reject(const std::string& file, const std::string& tensor,
                         const std::string& why) {
  throw Error(Errc::model, fmt::format("{}: tensor \"{}\": {}", file, printable(tensor), why));
}

u64 read_unsigned(const json& value, const char* what, const std::string& file,
                  const std::string& tensor) {
  if (!value.is_number_unsigned())
    reject(file, tensor, fmt::format("{} must hold non-negative integers", what));
  return value.get<u64>();
}

const json& member(const json& entry, const char* key, json::value_t type, const std::string& file,
                   const std::string& tensor) {
  if (!entry.is_object()) reject(file, tensor, "its entry in the header is no JSON object");
  const auto at = entry.find(key);
  if (at == entry.end() || at->type() != type)
    reject(file, tensor, fmt::format("{} is missing or of the wrong type", key));
  return *at;
}

const DtypeInfo& read_dtype(const json& entry, const std::string& file, const std::string& tensor) {
  const auto& name =
      member(entry, "dtype", json::value_t::string, file, tensor).get_ref<const std::string&>();
  for (const DtypeInfo& info : kDtypes)
    if (info.name == name) return info;
  reject(file, tensor, fmt::format("unknown dtype \"{}\"", printable(name)));
}

std::vector<std::size_t> read_shape(const json& entry, const std::string& file,
                                    const std::string& tensor) {
  std::vector<std::size_t> shape;
  for (const json& dim : member(entry, "shape", json::value_t::array, file, tensor))
    shape.push_back(read_unsigned(dim, "shape", file, tensor));
  return shape;
}

Extent read_extent(const json& entry, std::size_t data_bytes, const std::string& file,
                   const std::string& tensor) {
  const json& offsets = member(entry, "data_offsets", json::value_t::array, file, tensor);
  if (offsets.size() != 2) reject(file, tensor, "data_offsets must hold two numbers");
  const u64 begin = read_unsigned(offsets[0], "data_offsets", file, tensor);
  const u64 end = read_unsigned(offsets[1], "data_offsets", file, tensor);
  if (begin > end || end > data_bytes)
    reject(file, tensor,
           fmt::format("data_offsets [{}, {}] lie outside the {} bytes of data (is the file "
                       "truncated?)",
                       begin, end, data_bytes));
  return {begin, end, tensor};
}

void check_size(const std::vector<std::size_t>& shape, unsigned bits, const Extent& extent,
                const std::string& file) {
  u64 count = bits;
  for (const std::size_t dim : shape)
    if (__builtin_mul_overflow(count, u64{dim}, &count))
      reject(file, extent.name, fmt::format("shape {} is too large", shape));
  if (count % 8 != 0 || count / 8 != extent.end - extent.begin)
    reject(file, extent.name,
           fmt::format("shape {} needs {} bytes, data_offsets hold {}", shape, count / 8,
                       extent.end - extent.begin));
}

/// Extents must tile the data: nothing twice, nothing unexplained.
void check_tiling(std::vector<Extent> extents, std::size_t data_bytes, const std::string& file) {
  std::sort(extents.begin(), extents.end(), [](const Extent& a, const Extent& b) {
    return std::tie(a.begin, a.end) < std::tie(b.begin, b.end);
  });
  u64 at = 0;
  for (const Extent& extent : extents) {
    if (extent.begin != at)
      reject(file, extent.name,
             fmt::format(
                 "starts at byte {} of the data, {} byte {}", extent.begin,
                 extent.begin < at ? "inside the tensor that ends at" : "leaving a gap from", at));
    at = extent.end;
  }
  if (at != data_bytes)
    throw Error(Errc::model, fmt::format("{}: tensors end at byte {} of {} bytes of data", file, at,
                                         data_bytes));
}

void check_metadata(const json& metadata, const std::string& file) {
  const bool strings =
      metadata.is_object() && std::all_of(metadata.begin(), metadata.end(),
                                          [](const json& value) { return value.is_string(); });
  if (!strings)
    throw Error(Errc::model, fmt::format("{}: __metadata__ must map strings to strings", file));
}

} // namespace

std::string canonical_name(const std::string& name) {
  // Of prepared folders (scale_tensor()), which name matrices and not tensors of a checkpoint.
  if (name.ends_with(".scale")) return name;
  constexpr std::pair<std::string_view, std::string_view> kPrefixes[] = {
      {"language_model.model.", "model."},
      {"model.language_model.", "model."},
      {"language_model.lm_head.", "lm_head."},
      {"embed_tokens.", "model.embed_tokens."},
      {"layers.", "model.layers."},
      {"norm.", "model.norm."}};
  for (const auto& [prefix, replacement] : kPrefixes)
    if (name.starts_with(prefix)) return std::string(replacement) + name.substr(prefix.size());
  return name;
}

std::size_t TensorView::elements() const {
  std::size_t count = 1;
  for (const std::size_t dim : shape) count *= dim;
  return count;
}

void widen(Dtype dtype, const u8* from, std::span<float> out) {
  if (out.empty()) return;
  switch (dtype) {
  case Dtype::f32:
    std::memcpy(out.data(), from, out.size_bytes());
    break;
  case Dtype::f16:
    widen_all<widen_f16>(from, out);
    break;
  case Dtype::bf16:
    widen_all<widen_bf16>(from, out);
    break;
  case Dtype::u8:
    std::copy_n(from, out.size(), out.begin());
    break;
  }
}

void TensorView::read(std::size_t begin, std::span<float> out) const {
  TensorReader(*this).read(begin, out);
}

void TensorReader::read(std::size_t begin, std::span<float> out) {
  const std::size_t width = element_bytes(tensor_.dtype);
  const std::size_t count = tensor_.elements();
  if (begin > count || out.size() > count - begin)
    throw Error(Errc::internal,
                fmt::format("read past the end of tensor \"{}\"", printable(tensor_.name)));
  if (tensor_.rows != nullptr) return decode(begin, out);
  if (tensor_.source == nullptr) {
    widen(tensor_.dtype, tensor_.bytes.data() + begin * width, out);
    return;
  }
  row_.resize(out.size() * width);
  read_bytes(begin * width, row_);
  widen(tensor_.dtype, row_.data(), out);
}

void TensorReader::read_bytes(std::size_t begin, std::span<u8> out) {
  if (tensor_.rows == nullptr) return read_stored(begin, out);
  if (begin % sizeof(float) != 0 || out.size() % sizeof(float) != 0)
    throw Error(Errc::internal, "half an element of a tensor was asked for");
  constexpr std::size_t kDecodedPiece = std::size_t{64} << 10;
  std::vector<float> values;
  for (begin /= sizeof(float); !out.empty(); begin += values.size()) {
    values.resize(std::min(kDecodedPiece, out.size() / sizeof(float)));
    decode(begin, values);
    std::memcpy(out.data(), values.data(), values.size() * sizeof(float));
    out = out.subspan(values.size() * sizeof(float));
  }
}

/// Whole blocks are decoded in place, those that are asked for in part beside it.
void TensorReader::decode(std::size_t begin, std::span<float> out) {
  const GgufRows& rows = *tensor_.rows;
  const GgufType& type = *rows.type;
  while (!out.empty()) {
    const std::size_t column = begin % rows.row_values;
    const std::size_t count = std::min(out.size(), rows.row_values - column);
    const std::size_t first = column / type.values;
    const std::size_t blocks = (column + count + type.values - 1) / type.values - first;
    row_.resize(blocks * type.bytes);
    read_stored(u64{rows.stored(begin / rows.row_values)} * rows.row_bytes() + first * type.bytes,
                row_);
    if (blocks * type.values == count) {
      type.decode(row_.data(), blocks, out.data());
    } else {
      decoded_.resize(blocks * type.values);
      type.decode(row_.data(), blocks, decoded_.data());
      std::copy_n(decoded_.begin() + static_cast<std::ptrdiff_t>(column % type.values), count,
                  out.begin());
    }
    begin += count;
    out = out.subspan(count);
  }
}

/// Bytes of the tensor as they lie in its file or in memory.
void TensorReader::read_stored(u64 begin, std::span<u8> out) {
  if (tensor_.source == nullptr) {
    const auto from = tensor_.bytes.subspan(static_cast<std::size_t>(begin), out.size());
    std::copy(from.begin(), from.end(), out.begin());
    return;
  }
  u64 at = tensor_.offset + begin;
  while (!out.empty()) {
    const u64 index = at / LargeFile::kChunk;
    if (index != chunk_index_) {
      chunk_index_ = ~u64{0}; // until it is there
      buffer_.resize(LargeFile::kChunk);
      chunk_ = tensor_.source->read_chunk(index, buffer_);
      chunk_index_ = index;
    }
    const auto here = chunk_.subspan(std::min<std::size_t>(at % LargeFile::kChunk, chunk_.size()));
    const std::size_t count = std::min(here.size(), out.size());
    if (count == 0) throw Error(Errc::internal, "read past the end of a file of weights");
    std::memcpy(out.data(), here.data(), count);
    out = out.subspan(count);
    at += count;
  }
}

SafetensorsHeader parse_safetensors_header(std::string_view header, u64 data_bytes,
                                           const std::string& file) {
  if (!header.starts_with('{'))
    throw Error(Errc::model, fmt::format("{}: the safetensors header is no JSON object", file));
  const json entries = parse_json(header, file);
  SafetensorsHeader out;
  std::vector<Extent> extents;
  for (const auto& [name, entry] : entries.items()) {
    if (name == "__metadata__") {
      check_metadata(entry, file);
      continue;
    }
    const DtypeInfo& info = read_dtype(entry, file, name);
    auto shape = read_shape(entry, file, name);
    Extent extent = read_extent(entry, data_bytes, file, name);
    check_size(shape, info.bits, extent, file);
    const bool bytes = info.name == "U8";
    if (!info.dtype) out.other_dtypes.emplace(name, info.name);
    if (info.dtype || bytes) {
      TensorView& tensor = (bytes ? out.byte_tensors : out.tensors)[name];
      tensor.name = name;
      tensor.dtype = info.dtype.value_or(Dtype::u8);
      tensor.shape = std::move(shape);
      tensor.file = file;
      tensor.offset = extent.begin;
    }
    extents.push_back(std::move(extent));
  }
  check_tiling(std::move(extents), data_bytes, file);
  return out;
}

namespace {

/// The header's text. `read` fills a span with the next bytes of the file, which has `size` bytes.
template <class Read>
std::string read_header(u64 size, const std::string& file, Read read) {
  if (size < kLengthBytes)
    throw Error(Errc::model,
                fmt::format("{}: {} bytes are too few for a safetensors file", file, size));
  std::array<u8, kLengthBytes> prefix;
  read(std::span<u8>(prefix));
  u64 length = 0;
  std::memcpy(&length, prefix.data(), kLengthBytes);
  const u64 rest = size - kLengthBytes;
  const bool fits = length <= std::min(rest, kMaxHeader);
  std::string text(fits ? length : std::min(rest, u64{kLfsPointer.size() - kLengthBytes}), '\0');
  read(std::span<u8>(reinterpret_cast<u8*>(text.data()), text.size()));
  if (std::string(prefix.begin(), prefix.end()) + text == kLfsPointer)
    throw Error(Errc::model, fmt::format("{}: a Git LFS pointer, not the file itself; run "
                                         "`git lfs pull` in the model folder",
                                         file));
  if (!fits)
    throw Error(Errc::model,
                fmt::format("{}: header length {} exceeds {} (is this a safetensors file, and "
                            "complete?)",
                            file, length,
                            length > kMaxHeader ? "the format's limit of 100 MB"
                                                : fmt::format("the {} bytes behind it", rest)));
  return text;
}

/// Whether tokens decide what is read of it.
bool is_read_by_token(const TensorView& tensor) {
  const std::string name = canonical_name(tensor.name);
  return name == kEmbeddings || name == kPerLayerEmbeddings;
}

/// What the enclave keeps for as long as it runs, and small tensors.
bool is_kept(const TensorView& tensor) {
  return tensor.shape.size() < 2 || is_read_by_token(tensor);
}

/// Private memory for a tensor that is kept: locked if tokens decide what is read there.
std::span<u8> memory_for(TensorView& tensor) {
  std::span<u8> bytes;
  if (is_read_by_token(tensor)) {
    const auto memory = std::make_shared<LockedBuffer>(tensor.size_bytes());
    bytes = memory->span();
    tensor.memory = memory;
  } else {
    const auto memory = std::make_shared<std::vector<u8>>(tensor.size_bytes());
    bytes = *memory;
    tensor.memory = memory;
  }
  tensor.bytes = bytes;
  return bytes;
}

} // namespace

std::map<std::string, TensorView>
parse_safetensors(std::span<const u8> bytes, const std::string& file,
                  std::map<std::string, std::string>* other_dtypes) {
  std::span<const u8> left = bytes;
  const auto read = [&left](std::span<u8> out) {
    std::copy_n(left.begin(), out.size(), out.begin());
    left = left.subspan(out.size());
  };
  const std::string text = read_header(bytes.size(), file, read);
  SafetensorsHeader header = parse_safetensors_header(text, left.size(), file);
  for (auto& [name, tensor] : header.tensors) {
    tensor.bytes = left.subspan(tensor.offset, tensor.size_bytes());
    tensor.offset = 0;
  }
  if (other_dtypes != nullptr) other_dtypes->merge(header.other_dtypes);
  return std::move(header.tensors);
}

SafetensorsFile::SafetensorsFile() = default;
SafetensorsFile::SafetensorsFile(SafetensorsFile&&) noexcept = default;
SafetensorsFile& SafetensorsFile::operator=(SafetensorsFile&&) noexcept = default;
SafetensorsFile::~SafetensorsFile() = default;

SafetensorsFile::SafetensorsFile(const std::filesystem::path& path)
    : file_(std::make_shared<LargeFile>(path)) {
  u64 at = 0;
  const std::string text = read_header(size(), path.string(), [&](std::span<u8> out) {
    file_->read_unchecked(at, out);
    at += out.size();
  });
  header_ = parse_safetensors_header(text, size() - at, path.string());
  for (auto* tensors : {&header_.tensors, &header_.byte_tensors})
    for (auto& [name, tensor] : *tensors) {
      tensor.source = file_;
      tensor.offset += at;
    }
}

SafetensorsFile SafetensorsFile::sealed(const std::filesystem::path& path) {
  SafetensorsFile out;
  out.file_ = std::make_shared<LargeFile>(path);
  SealingPass pass(*out.file_);
  try {
    const std::string text =
        read_header(pass.left(), path.string(), [&pass](std::span<u8> bytes) { pass.read(bytes); });
    out.header_ = parse_safetensors_header(text, pass.left(), path.string());
    out.keep(pass);
  } catch (const Error&) {
    out.damage_ = std::current_exception();
  }
  out.digest_ = pass.finish();
  const auto& tensors = out.header_.tensors;
  if (out.header_.byte_tensors.empty() &&
      std::all_of(tensors.begin(), tensors.end(),
                  [](const auto& entry) { return is_kept(entry.second); }))
    out.file_->close();
  return out;
}

/// Goes over the data, which begin where `pass` stands.
void SafetensorsFile::keep(SealingPass& pass) {
  std::vector<TensorView*> in_order;
  for (auto& [name, tensor] : header_.tensors) in_order.push_back(&tensor);
  std::sort(in_order.begin(), in_order.end(),
            [](const TensorView* a, const TensorView* b) { return a->offset < b->offset; });
  const u64 data = size() - pass.left();
  for (auto& [name, tensor] : header_.byte_tensors) {
    tensor.source = file_;
    tensor.offset += data;
  }
  for (TensorView* tensor : in_order) {
    tensor->offset += data;
    if (!is_kept(*tensor)) {
      tensor->source = file_;
      continue;
    }
    pass.skip(tensor->offset - (size() - pass.left()));
    pass.read(memory_for(*tensor));
  }
}

u64 SafetensorsFile::size() const noexcept {
  return file_->size();
}

const std::map<std::string, TensorView>& SafetensorsFile::tensors() const {
  if (damage_) std::rethrow_exception(damage_);
  return header_.tensors;
}

} // namespace talaria::model
