#include "model/weights/gguf.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <set>

#include "arch/json_fields.hpp"
#include "core/error.hpp"
#include "model/weights/private_file.hpp"

namespace talaria::model {

namespace fs = std::filesystem;

namespace {

static_assert(std::endian::native == std::endian::little);

constexpr std::size_t kBuffer = std::size_t{64} << 10;
constexpr u64 kMaxHeaderBytes = u64{256} << 20;
constexpr u64 kMaxValues = u64{1} << 23; ///< of all arrays together: tokens, scores, types, merges
constexpr u64 kMaxKeys = u64{1} << 16;
constexpr u64 kMaxTensors = u64{1} << 20;
constexpr u64 kMaxName = 1024;
constexpr u32 kMaxDimensions = 4;
constexpr int kMaxDepth = 4; ///< of arrays within arrays
constexpr u64 kDefaultAlignment = 32;
constexpr u64 kMaxAlignment = u64{1} << 20;

/// Types of values in the metadata.
enum ValueType : u32 {
  kU8,
  kI8,
  kU16,
  kI16,
  kU32,
  kI32,
  kF32,
  kBool,
  kString,
  kArray,
  kU64,
  kI64,
  kF64
};

/// The next numbers and strings of a header.
class HeaderBytes {
public:
  HeaderBytes(u64 size, const std::string& file, const GgufSource& source)
      : size_(size), limit_(std::min(size, kMaxHeaderBytes)), file_(file), source_(source) {}

  u64 at() const noexcept { return at_; }
  u64 size() const noexcept { return size_; }
  /// Bytes that a header may still have.
  u64 left() const noexcept { return limit_ - at_; }
  const std::string& file() const noexcept { return file_; }

  void read(std::span<u8> out, const std::string& what) {
    if (out.size() > left()) end(what);
    while (!out.empty()) {
      if (used_ == buffer_.size()) refill();
      const std::size_t count = std::min(out.size(), buffer_.size() - used_);
      std::memcpy(out.data(), buffer_.data() + used_, count);
      used_ += count;
      at_ += count;
      out = out.subspan(count);
    }
  }

  template <class T>
  T number(const std::string& what) {
    std::array<u8, sizeof(T)> bytes;
    read(bytes, what);
    return std::bit_cast<T>(bytes);
  }

  std::string text(u64 most, const std::string& what) {
    const u64 length = number<u64>(what);
    if (length > most || length > left())
      fail(fmt::format("{} is said to have {} bytes", what, length));
    std::string out(static_cast<std::size_t>(length), '\0');
    read({reinterpret_cast<u8*>(out.data()), out.size()}, what);
    return out;
  }

  [[noreturn]] void fail(const std::string& why) const {
    throw Error(Errc::model, fmt::format("{}: {}", file_, why));
  }

private:
  [[noreturn]] void end(const std::string& what) const {
    fail(limit_ < size_ ? fmt::format("the header is longer than {} bytes", kMaxHeaderBytes)
                        : fmt::format("ends within {} (is the file complete?)", what));
  }

  void refill() {
    buffer_.resize(static_cast<std::size_t>(std::min<u64>(kBuffer, size_ - fetched_)));
    source_(buffer_);
    fetched_ += buffer_.size();
    used_ = 0;
  }

  u64 size_;
  u64 limit_;
  const std::string& file_;
  const GgufSource& source_;
  std::vector<u8> buffer_;
  std::size_t used_ = 0;
  u64 fetched_ = 0;
  u64 at_ = 0;
};

/// Bytes that a value of the type takes at least.
u64 least_bytes(u32 type) {
  switch (type) {
  case kU8:
  case kI8:
  case kBool:
    return 1;
  case kU16:
  case kI16:
    return 2;
  case kU32:
  case kI32:
  case kF32:
    return 4;
  case kArray:
    return 12;
  default:
    return 8;
  }
}

class HeaderParser {
public:
  HeaderParser(u64 size, const std::string& file, const GgufSource& source)
      : bytes_(size, file, source) {}

  GgufHeader run() {
    check_magic();
    const u64 tensors = count("the number of tensors", kMaxTensors, 24);
    const u64 keys = count("the number of metadata keys", kMaxKeys, 13);
    for (u64 i = 0; i < keys; ++i) read_key();
    for (u64 i = 0; i < tensors; ++i) read_tensor();
    place_tensors();
    return std::move(header_);
  }

private:
  void check_magic() {
    std::array<u8, 4> magic;
    bytes_.read(magic, "the first four bytes");
    if (std::memcmp(magic.data(), "GGUF", 4) != 0)
      bytes_.fail("does not begin with \"GGUF\": not a GGUF file");
    const auto version = bytes_.number<u32>("the version");
    if (version != 2 && version != 3)
      bytes_.fail(version > 0xffff
                      ? std::string("is a big-endian GGUF file; only little-endian ones are read")
                      : fmt::format("has GGUF version {}; 2 and 3 are understood", version));
  }

  u64 count(const char* what, u64 most, u64 least_each) {
    const auto out = bytes_.number<u64>(what);
    if (out > most || out > bytes_.left() / least_each)
      bytes_.fail(fmt::format("{} is {}, which cannot be", what, out));
    return out;
  }

  void read_key() {
    std::string key = bytes_.text(kMaxName, "the name of a metadata key");
    const std::string shown = "metadata key " + printable(key);
    const auto type = bytes_.number<u32>(shown);
    const auto [at, fresh] = header_.metadata.try_emplace(std::move(key));
    if (!fresh) bytes_.fail(shown + " is there twice");
    at->second = value(type, shown, 0);
  }

  template <class As, class T>
  GgufValue plain(const std::string& what) {
    return {static_cast<As>(bytes_.number<T>(what))};
  }

  GgufValue value(u32 type, const std::string& what, int depth) {
    switch (type) {
    case kU8:
      return plain<u64, u8>(what);
    case kI8:
      return plain<i64, i8>(what);
    case kU16:
      return plain<u64, u16>(what);
    case kI16:
      return plain<i64, i16>(what);
    case kU32:
      return plain<u64, u32>(what);
    case kI32:
      return plain<i64, i32>(what);
    case kU64:
      return plain<u64, u64>(what);
    case kI64:
      return plain<i64, i64>(what);
    case kF32:
      return plain<double, float>(what);
    case kF64:
      return plain<double, double>(what);
    case kBool: {
      const auto byte = bytes_.number<u8>(what);
      if (byte > 1) bytes_.fail(fmt::format("{} is a boolean with the value {}", what, byte));
      return {byte == 1};
    }
    case kString:
      return {bytes_.text(kMaxHeaderBytes, what)};
    case kArray:
      return list(what, depth);
    default:
      bytes_.fail(fmt::format("{} has the unknown type {}", what, type));
    }
  }

  GgufValue list(const std::string& what, int depth) {
    if (depth == kMaxDepth) bytes_.fail(what + " is nested too deeply");
    const auto type = bytes_.number<u32>(what);
    const auto length = bytes_.number<u64>(what);
    if (length > bytes_.left() / least_bytes(type) || length > kMaxValues - values_)
      bytes_.fail(fmt::format("{} is said to have {} elements", what, length));
    values_ += length;
    GgufValue::List out;
    out.reserve(static_cast<std::size_t>(length));
    for (u64 i = 0; i < length; ++i) out.push_back(value(type, what, depth + 1));
    return {std::move(out)};
  }

  void read_tensor() {
    GgufTensor tensor;
    tensor.name = bytes_.text(kMaxName, "the name of a tensor");
    const std::string shown = "tensor " + printable(tensor.name);
    const auto dimensions = bytes_.number<u32>(shown);
    if (dimensions == 0 || dimensions > kMaxDimensions)
      bytes_.fail(fmt::format("{} has {} dimensions", shown, dimensions));
    u64 elements = 1;
    for (u32 i = 0; i < dimensions; ++i) {
      const auto size = bytes_.number<u64>(shown);
      if (size == 0 || __builtin_mul_overflow(elements, size, &elements))
        bytes_.fail(fmt::format("{} has a size of {}, which cannot be", shown, size));
      tensor.shape.insert(tensor.shape.begin(), static_cast<std::size_t>(size));
    }
    const auto type = bytes_.number<u32>(shown);
    tensor.type = find_gguf_type(type);
    if (tensor.type == nullptr)
      bytes_.fail(fmt::format("{} is of type {}, which is not supported; supported are {}", shown,
                              gguf_type_name(type), known_gguf_types()));
    if (tensor.shape.back() % tensor.type->values != 0)
      bytes_.fail(fmt::format("{} has rows of {} values, which are no whole blocks of {}", shown,
                              tensor.shape.back(), tensor.type->name));
    if (__builtin_mul_overflow(elements / tensor.type->values, u64{tensor.type->bytes},
                               &tensor.bytes))
      bytes_.fail(shown + " is too large");
    tensor.offset = bytes_.number<u64>(shown);
    if (!names_.insert(tensor.name).second) bytes_.fail(shown + " is there twice");
    header_.tensors.push_back(std::move(tensor));
  }

  u64 alignment() const {
    const auto at = header_.metadata.find("general.alignment");
    if (at == header_.metadata.end()) return kDefaultAlignment;
    const u64* const value = std::get_if<u64>(&at->second.is);
    if (value == nullptr || !std::has_single_bit(*value) || *value < 8 || *value > kMaxAlignment)
      bytes_.fail(
          fmt::format("general.alignment is not a power of two from 8 to {}", kMaxAlignment));
    return *value;
  }

  /// Offsets count from the data; afterwards from the beginning of the file.
  void place_tensors() {
    const u64 align = alignment();
    const u64 data = (bytes_.at() + align - 1) / align * align;
    if (header_.tensors.empty()) return;
    const u64 size = bytes_.size() - std::min(bytes_.size(), data);
    std::vector<const GgufTensor*> order;
    for (GgufTensor& tensor : header_.tensors) {
      if (tensor.offset % align != 0 || tensor.offset > size || tensor.bytes > size - tensor.offset)
        bytes_.fail(fmt::format("tensor {} is said to lie at byte {} of the data, with {} bytes; "
                                "the data have {} bytes (is the file complete?)",
                                printable(tensor.name), tensor.offset, tensor.bytes, size));
      tensor.offset += data;
      order.push_back(&tensor);
    }
    std::sort(order.begin(), order.end(),
              [](const GgufTensor* a, const GgufTensor* b) { return a->offset < b->offset; });
    for (std::size_t i = 1; i < order.size(); ++i)
      if (order[i - 1]->offset + order[i - 1]->bytes > order[i]->offset)
        bytes_.fail(fmt::format("tensors {} and {} overlap", printable(order[i - 1]->name),
                                printable(order[i]->name)));
  }

  HeaderBytes bytes_;
  GgufHeader header_;
  std::set<std::string> names_;
  u64 values_ = 0;
};

} // namespace

GgufHeader parse_gguf_header(u64 size, const std::string& file, const GgufSource& source) {
  return HeaderParser(size, file, source).run();
}

GgufHeader parse_gguf_header(std::span<const u8> bytes, const std::string& file) {
  std::span<const u8> left = bytes;
  return parse_gguf_header(bytes.size(), file, [&left](std::span<u8> out) {
    std::copy_n(left.begin(), out.size(), out.begin());
    left = left.subspan(out.size());
  });
}

GgufFile GgufFile::open(const fs::path& path) {
  GgufFile out;
  out.file_ = std::make_shared<LargeFile>(path);
  u64 at = 0;
  out.header_ = parse_gguf_header(out.size(), path.string(), [&](std::span<u8> bytes) {
    out.file_->read_unchecked(at, bytes);
    at += bytes.size();
  });
  return out;
}

GgufFile GgufFile::sealed(const fs::path& path) {
  GgufFile out;
  out.file_ = std::make_shared<LargeFile>(path);
  SealingPass pass(*out.file_);
  try {
    out.header_ = parse_gguf_header(out.size(), path.string(),
                                    [&pass](std::span<u8> bytes) { pass.read(bytes); });
  } catch (const Error&) {
    out.damage_ = std::current_exception();
  }
  out.digest_ = pass.finish();
  return out;
}

const fs::path& GgufFile::path() const noexcept {
  return file_->path();
}

u64 GgufFile::size() const noexcept {
  return file_->size();
}

const GgufHeader& GgufFile::header() const {
  if (damage_) std::rethrow_exception(damage_);
  return header_;
}

TensorView GgufFile::view(const GgufTensor& tensor, std::size_t head_rows) const {
  TensorView out;
  out.name = tensor.name;
  out.dtype = Dtype::f32;
  out.shape = tensor.shape;
  out.file = path().string();
  out.source = file_;
  out.offset = tensor.offset;
  GgufRows rows;
  rows.type = tensor.type;
  rows.head_rows = head_rows;
  if (head_rows != 0 && tensor.shape.size() == 1 && tensor.type->values != 1)
    throw Error(Errc::model,
                fmt::format("{}: tensor {} is of type {}; a bias of queries or keys has to be F32, "
                            "F16 or BF16",
                            path().string(), tensor.name, tensor.type->name));
  // A bias of queries or keys is in the order of its matrix's rows.
  rows.row_values = tensor.shape.size() == 1 && head_rows != 0 ? 1 : tensor.shape.back();
  const std::string name = tensor.type->name;
  if (head_rows == 0 && name == "F16") out.dtype = Dtype::f16;
  if (head_rows == 0 && name == "BF16") out.dtype = Dtype::bf16;
  if (tensor.type->values != 1 || head_rows != 0) out.rows = std::make_shared<const GgufRows>(rows);
  return out;
}

bool names_gguf(const fs::path& path) {
  std::error_code ignored;
  return path.extension() == ".gguf" && !fs::is_directory(path, ignored);
}

std::vector<fs::path> gguf_parts(const fs::path& path) {
  const std::string name = path.filename().string();
  constexpr std::string_view kShape = "-00000-of-00000.gguf";
  const auto is_part = [&] {
    if (name.size() <= kShape.size()) return false;
    const std::string_view tail = std::string_view(name).substr(name.size() - kShape.size());
    for (std::size_t i = 0; i < kShape.size(); ++i) {
      const bool digit = tail[i] >= '0' && tail[i] <= '9';
      if (kShape[i] == '0' ? !digit : tail[i] != kShape[i]) return false;
    }
    return true;
  };
  if (!is_part()) return {path};
  const std::size_t at = name.size() - kShape.size();
  const int number = std::stoi(name.substr(at + 1, 5));
  const int count = std::stoi(name.substr(at + 10, 5));
  if (number != 1 || count == 0)
    throw Error(Errc::model, fmt::format("{}: part {} of {} of a split model; give the first part, "
                                         "{}-00001-of-{:05}.gguf",
                                         path.string(), number, count, name.substr(0, at), count));
  std::vector<fs::path> out;
  for (int i = 1; i <= count; ++i)
    out.push_back(path.parent_path() /
                  fmt::format("{}-{:05}-of-{:05}.gguf", name.substr(0, at), i, count));
  return out;
}

} // namespace talaria::model
