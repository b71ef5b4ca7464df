#include "model/weights/prepared_files.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <nlohmann/json.hpp>
#include <system_error>

#include "arch/json_fields.hpp"
#include "core/error.hpp"
#include "model/weights/private_file.hpp"

namespace talaria::model {

using kernels::PackedWeights;
using nlohmann::json;

namespace {

constexpr std::size_t kGroup = 4;                                   // inputs that lie side by side
constexpr std::size_t kPanelGroup = PackedWeights::kPanel * kGroup; // bytes of a panel's group
constexpr std::size_t kBufferBytes = std::size_t{1} << 20;
constexpr std::size_t kPreparedLengthBytes = 8;
constexpr u64 kMaxPreparedHeader = u64{1} << 20; // four matrices need a thousandth of that

/// How many groups of four rows fill the buffer.
std::size_t groups_at_a_time(const PackedWeights& weights) {
  return std::max<std::size_t>(1, kBufferBytes / (kGroup * weights.d_out()));
}

/// Four consecutive rows between the packed layout and row-major; `present` < 4 in the last group.
/// Whole panels go through loops of known length, which compilers turn into vector shuffles.
void unpack_group(const PackedWeights& weights, std::size_t group, std::size_t present, u8* rows) {
  const std::size_t columns = weights.d_out();
  for (std::size_t p = 0; p < weights.panels(); ++p) {
    const auto* from = reinterpret_cast<const u8*>(weights.panel(p)) + group * kPanelGroup;
    u8* to = rows + p * PackedWeights::kPanel;
    const std::size_t width = std::min(PackedWeights::kPanel, columns - p * PackedWeights::kPanel);
    std::array<u8, kPanelGroup> row_by_row;
    for (std::size_t j = 0; j < PackedWeights::kPanel; ++j)
      for (std::size_t k = 0; k < kGroup; ++k)
        row_by_row[k * PackedWeights::kPanel + j] = from[j * kGroup + k];
    for (std::size_t k = 0; k < present; ++k)
      std::memcpy(to + k * columns, row_by_row.data() + k * PackedWeights::kPanel, width);
  }
}

void pack_group(const u8* rows, std::size_t group, std::size_t present, PackedWeights& weights) {
  const std::size_t columns = weights.d_out();
  for (std::size_t p = 0; p < weights.panels(); ++p) {
    auto* to = reinterpret_cast<u8*>(weights.panel(p)) + group * kPanelGroup;
    const u8* from = rows + p * PackedWeights::kPanel;
    const std::size_t width = std::min(PackedWeights::kPanel, columns - p * PackedWeights::kPanel);
    std::array<u8, kPanelGroup> row_by_row{}; // padding is zero
    for (std::size_t k = 0; k < present; ++k)
      std::memcpy(row_by_row.data() + k * PackedWeights::kPanel, from + k * columns, width);
    for (std::size_t j = 0; j < PackedWeights::kPanel; ++j)
      for (std::size_t k = 0; k < kGroup; ++k)
        to[j * kGroup + k] = row_by_row[k * PackedWeights::kPanel + j];
  }
}

/// Calls body(first group, groups, rows) on pieces that fit the buffer.
template <class Body>
void for_each_piece(const PackedWeights& weights, Body body) {
  const std::size_t step = groups_at_a_time(weights);
  for (std::size_t g = 0; g < weights.groups(); g += step) {
    const std::size_t groups = std::min(step, weights.groups() - g);
    const std::size_t rows = std::min(groups * kGroup, weights.d_in() - g * kGroup);
    body(g, groups, rows);
  }
}

std::size_t rows_in(std::size_t group, std::size_t rows) {
  return std::min(kGroup, rows - group * kGroup);
}

} // namespace

OutputFile::OutputFile(const std::filesystem::path& folder, std::string name)
    : path_(folder / name),
      descriptor_(::open(path_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644)) {
  if (descriptor_ < 0) fail(errno);
  entry_.name = std::move(name);
}

OutputFile::~OutputFile() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

void OutputFile::write(std::span<const u8> bytes) {
  hash_.update(bytes);
  entry_.bytes += bytes.size();
  while (!bytes.empty()) {
    const ssize_t written = ::write(descriptor_, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) fail(errno);
    bytes = bytes.subspan(static_cast<std::size_t>(written));
  }
}

void OutputFile::write(std::string_view text) {
  write({reinterpret_cast<const u8*>(text.data()), text.size()});
}

FileEntry OutputFile::finish() {
  if (::fsync(descriptor_) != 0) fail(errno);
  if (::close(std::exchange(descriptor_, -1)) != 0) fail(errno);
  entry_.digest = hash_.finish();
  return entry_;
}

void OutputFile::fail(int error) const {
  throw Error(Errc::io, fmt::format("{}: cannot be written: {}", path_.string(), reason(error)));
}

std::string safetensors_head(const std::vector<PlannedTensor>& tensors) {
  json header = json::object();
  u64 at = 0;
  for (const PlannedTensor& tensor : tensors) {
    header[tensor.name] = {{"dtype", tensor.dtype},
                           {"shape", tensor.shape},
                           {"data_offsets", {at, at + tensor.bytes}}};
    at += tensor.bytes;
  }
  std::string text = header.dump();
  text.resize(round_up(text.size(), 8), ' '); // so that the data begins at a multiple of 8
  std::string head(kPreparedLengthBytes, '\0');
  const u64 length = text.size();
  std::memcpy(head.data(), &length, kPreparedLengthBytes);
  return head + text;
}

void write_row_major(OutputFile& file, const PackedWeights& weights) {
  const std::size_t columns = weights.d_out();
  std::vector<u8> buffer(groups_at_a_time(weights) * kGroup * columns);
  for_each_piece(weights, [&](std::size_t first, std::size_t groups, std::size_t rows) {
    for (std::size_t g = 0; g < groups; ++g)
      unpack_group(weights, first + g, rows_in(g, rows), buffer.data() + g * kGroup * columns);
    file.write(std::span<const u8>(buffer).first(rows * columns));
  });
}

WeightFile::WeightFile(const std::filesystem::path& path)
    : path_(path), descriptor_(::open(path.c_str(), O_RDONLY | O_CLOEXEC)) {
  if (descriptor_ < 0)
    throw Error(Errc::model, fmt::format("{}: {}", path_.string(), reason(errno)));
  try {
    read_header();
  } catch (...) {
    ::close(descriptor_);
    throw;
  }
}

WeightFile::~WeightFile() {
  ::close(descriptor_);
}

void WeightFile::read_header() {
  struct stat status {};
  const u64 size = ::fstat(descriptor_, &status) == 0 ? static_cast<u64>(status.st_size) : 0;
  const auto damaged = [this](const std::string& why) {
    return Error(Errc::model, fmt::format("{}: {}; copy or prepare it again", path_.string(), why));
  };
  if (size < kPreparedLengthBytes)
    throw damaged(fmt::format("{} bytes are too few for weights", size));
  u64 length = 0;
  std::array<u8, kPreparedLengthBytes> prefix{};
  read_bytes(0, prefix, "the header");
  std::memcpy(&length, prefix.data(), prefix.size());
  if (length > std::min(kMaxPreparedHeader, size - kPreparedLengthBytes))
    throw damaged("the header is damaged or the file truncated");
  std::string text(length, '\0');
  read_bytes(kPreparedLengthBytes, {reinterpret_cast<u8*>(text.data()), length}, "the header");
  const json header = parse_json(text, path_.string());
  const u64 data = kPreparedLengthBytes + length;
  for (const auto& [name, entry] : header.items()) try {
      const auto shape = entry.at("shape").get<std::array<u32, 2>>();
      const auto extent = entry.at("data_offsets").get<std::array<u64, 2>>();
      if (entry.at("dtype") != "I8" || extent[0] > extent[1] || extent[1] > size - data ||
          extent[1] - extent[0] != u64{shape[0]} * shape[1])
        throw damaged(fmt::format("matrix \"{}\" is no int8 matrix, or the file is truncated",
                                  printable(name)));
      matrices_[name] = {shape[0], shape[1], data + extent[0]};
    } catch (const json::exception&) {
      throw damaged(fmt::format("matrix \"{}\" has no valid entry in the header", printable(name)));
    }
}

void WeightFile::read_bytes(u64 offset, std::span<u8> out, const std::string& what) const {
  while (!out.empty()) {
    const ssize_t got = ::pread(descriptor_, out.data(), out.size(), static_cast<off_t>(offset));
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0)
      throw Error(Errc::model, fmt::format("{}: {} cannot be read: {}", path_.string(), what,
                                           got < 0 ? reason(errno) : "the file ends too early"));
    out = out.subspan(static_cast<std::size_t>(got));
    offset += static_cast<u64>(got);
  }
}

void WeightFile::read(const std::string& name, PackedWeights& weights) const {
  const auto at = matrices_.find(name);
  if (at == matrices_.end())
    throw Error(Errc::model, fmt::format("{}: matrix {} is missing", path_.string(), name));
  const Extent& extent = at->second;
  const std::size_t columns = weights.d_out();
  if (extent.d_in != weights.d_in() || extent.columns != columns)
    throw Error(Errc::model, fmt::format("{}: matrix {} has shape [{}, {}], {} asks for [{}, {}]",
                                         path_.string(), name, extent.d_in, extent.columns,
                                         kManifestFile, weights.d_in(), columns));
  std::vector<u8> buffer(groups_at_a_time(weights) * kGroup * columns);
  for_each_piece(weights, [&](std::size_t first, std::size_t groups, std::size_t rows) {
    read_bytes(extent.offset + first * kGroup * columns,
               std::span<u8>(buffer).first(rows * columns), "matrix " + name);
    for (std::size_t g = 0; g < groups; ++g)
      pack_group(buffer.data() + g * kGroup * columns, first + g, rows_in(g, rows), weights);
  });
}

} // namespace talaria::model
