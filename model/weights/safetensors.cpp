#include "model/weights/safetensors.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstring>
#include <nlohmann/json.hpp>
#include <optional>
#include <system_error>
#include <tuple>

#include "core/error.hpp"
#include "model/weights/json_fields.hpp"

namespace talaria::model {

using nlohmann::json;

namespace {

constexpr u64 kMaxHeader = 100'000'000; // the limit of the safetensors library
constexpr std::size_t kLengthBytes = 8;

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
  }
}

void TensorView::read(std::size_t begin, std::span<float> out) const {
  const std::size_t width = element_bytes(dtype);
  const std::size_t count = bytes.size() / width;
  if (begin > count || out.size() > count - begin)
    throw Error(Errc::internal, fmt::format("read past the end of tensor \"{}\"", printable(name)));
  widen(dtype, bytes.data() + begin * width, out);
}

std::map<std::string, TensorView>
parse_safetensors_header(std::string_view header, std::span<const u8> data, const std::string& file,
                         std::map<std::string, std::string>* other_dtypes) {
  if (!header.starts_with('{'))
    throw Error(Errc::model, fmt::format("{}: the safetensors header is no JSON object", file));
  const json entries = parse_json(header, file);
  std::map<std::string, TensorView> tensors;
  std::vector<Extent> extents;
  for (const auto& [name, entry] : entries.items()) {
    if (name == "__metadata__") {
      check_metadata(entry, file);
      continue;
    }
    const DtypeInfo& info = read_dtype(entry, file, name);
    auto shape = read_shape(entry, file, name);
    Extent extent = read_extent(entry, data.size(), file, name);
    check_size(shape, info.bits, extent, file);
    if (info.dtype) {
      const auto bytes = data.subspan(extent.begin, extent.end - extent.begin);
      tensors.emplace(name, TensorView{name, *info.dtype, std::move(shape), bytes, file});
    } else if (other_dtypes != nullptr) {
      other_dtypes->emplace(name, info.name);
    }
    extents.push_back(std::move(extent));
  }
  check_tiling(std::move(extents), data.size(), file);
  return tensors;
}

std::map<std::string, TensorView>
parse_safetensors(std::span<const u8> bytes, const std::string& file,
                  std::map<std::string, std::string>* other_dtypes) {
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  if (text.starts_with("version https://git-lfs"))
    throw Error(Errc::model, fmt::format("{}: a Git LFS pointer, not the file itself; run "
                                         "`git lfs pull` in the model folder",
                                         file));
  if (bytes.size() < kLengthBytes)
    throw Error(Errc::model,
                fmt::format("{}: {} bytes are too few for a safetensors file", file, bytes.size()));
  u64 length = 0;
  std::memcpy(&length, bytes.data(), kLengthBytes);
  const u64 rest = bytes.size() - kLengthBytes;
  if (length > kMaxHeader || length > rest)
    throw Error(Errc::model,
                fmt::format("{}: header length {} exceeds {} (is this a safetensors file, and "
                            "complete?)",
                            file, length,
                            length > kMaxHeader ? "the format's limit of 100 MB"
                                                : fmt::format("the {} bytes behind it", rest)));
  return parse_safetensors_header(text.substr(kLengthBytes, length),
                                  bytes.subspan(kLengthBytes + length), file, other_dtypes);
}

struct SafetensorsFile::Mapping {
  std::span<const u8> bytes;

  explicit Mapping(const std::filesystem::path& path) {
    const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (descriptor < 0) fail(path, errno);
    struct stat status {};
    const int failed = ::fstat(descriptor, &status) != 0 ? errno : 0;
    const auto size = static_cast<std::size_t>(status.st_size);
    void* at = nullptr;
    int error = failed != 0 ? failed : S_ISREG(status.st_mode) ? 0 : EINVAL;
    if (error == 0 && size > 0) {
      at = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, descriptor, 0);
      if (at == MAP_FAILED) error = errno;
    }
    ::close(descriptor);
    if (error != 0) fail(path, error);
    bytes = {static_cast<const u8*>(at), size};
  }
  Mapping(const Mapping&) = delete;
  Mapping& operator=(const Mapping&) = delete;
  ~Mapping() {
    if (!bytes.empty()) ::munmap(const_cast<u8*>(bytes.data()), bytes.size());
  }

  [[noreturn]] static void fail(const std::filesystem::path& path, int error) {
    throw Error(Errc::model, fmt::format("{}: cannot be mapped: {}", path.string(),
                                         std::generic_category().message(error)));
  }
};

SafetensorsFile::SafetensorsFile(const std::filesystem::path& path)
    : mapping_(std::make_unique<Mapping>(path)),
      tensors_(parse_safetensors(mapping_->bytes, path.string(), &other_dtypes_)) {}
SafetensorsFile::SafetensorsFile(SafetensorsFile&&) noexcept = default;
SafetensorsFile::~SafetensorsFile() = default;

} // namespace talaria::model
