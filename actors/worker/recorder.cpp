#include "actors/worker/recorder.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <cstring>
#include <fstream>
#include <nlohmann/json.hpp>
#include <system_error>
#include <vector>

#include "core/error.hpp"
#include "core/integers.hpp"

namespace talaria::worker {

namespace fs = std::filesystem;
using remo::MaskedTensor;
using remo::ProductKind;

namespace {

constexpr std::size_t kWidest = 8;              // bytes of a residue, as recorded
constexpr std::size_t kValuesAtATime = 1 << 16; // widened before they are written

/// Bytes of one value of the tensor, or 0 if its bytes do not fit its header.
std::size_t value_bytes(const MaskedTensor& tensor) {
  const u64 values = u64{tensor.rows} * tensor.cols;
  if (tensor.bytes == nullptr || values == 0 || tensor.bytes->size() % values != 0) return 0;
  const std::size_t bytes = tensor.bytes->size() / values;
  const bool fits = tensor.kind == ProductKind::float32 ? bytes == sizeof(float) : bytes <= kWidest;
  return fits ? bytes : 0;
}

/// Magic, version 1.0, length, and a Python literal padded so that the data begins at a multiple
/// of 64 (numpy.lib.format).
std::string npy_header(const MaskedTensor& tensor) {
  constexpr std::size_t kBefore = 10;
  std::string text =
      fmt::format("{{'descr': '{}', 'fortran_order': False, 'shape': ({}, {}), }}",
                  tensor.kind == ProductKind::float32 ? "<f4" : "<u8", tensor.rows, tensor.cols);
  text.resize(round_up(kBefore + text.size() + 1, 64) - kBefore - 1, ' ');
  text += '\n';
  std::string head("\x93NUMPY\x01\x00", 8);
  head += static_cast<char>(text.size() & 0xff);
  head += static_cast<char>(text.size() >> 8);
  return head + text;
}

/// Little-endian words of `width` bytes as words of eight.
void write_widened(std::ofstream& out, const AlignedBuffer<u8>& bytes, std::size_t width) {
  std::vector<char> wide;
  const std::size_t values = bytes.size() / width;
  for (std::size_t at = 0; at < values; at += kValuesAtATime) {
    const std::size_t count = std::min(kValuesAtATime, values - at);
    wide.assign(count * kWidest, '\0');
    for (std::size_t i = 0; i < count; ++i)
      std::memcpy(wide.data() + i * kWidest, bytes.data() + (at + i) * width, width);
    out.write(wide.data(), static_cast<std::streamsize>(wide.size()));
  }
}

i64 unix_nanoseconds() {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  return std::chrono::duration_cast<std::chrono::nanoseconds>(now).count();
}

/// @throws Error{io} with the system's reason unless everything written so far went well.
void require(std::ofstream& out, const fs::path& path) {
  out.flush();
  if (!out)
    throw Error(Errc::io, fmt::format("{}: cannot be written: {}", path.string(),
                                      std::generic_category().message(errno)));
}

/// The 3 of "layers.3.qkv"; null for a matrix of no layer (lm_head).
nlohmann::json layer_in(std::string_view name) {
  constexpr std::string_view kPrefix = "layers.";
  u32 layer = 0;
  if (!name.starts_with(kPrefix)) return nullptr;
  const char* begin = name.data() + kPrefix.size();
  const auto [end, error] = std::from_chars(begin, name.data() + name.size(), layer);
  return error == std::errc() && end != begin ? nlohmann::json(layer) : nlohmann::json(nullptr);
}

} // namespace

Recorder::Recorder(fs::path folder, Log log) : folder_(std::move(folder)), log_(std::move(log)) {
  std::error_code failure;
  const bool made = fs::create_directories(folder_, failure);
  if (!failure && made) fs::permissions(folder_, fs::perms::owner_all, failure);
  const bool empty = !failure && fs::is_empty(folder_, failure);
  if (failure)
    throw Error(Errc::io, fmt::format("--record {}: {}", folder_.string(), failure.message()));
  if (!empty)
    throw Error(Errc::usage, fmt::format("--record {}: the folder is not empty; give a new one",
                                         folder_.string()));
}

void Recorder::record(const MaskedTensor& tensor, std::string_view name) {
  const std::size_t width = value_bytes(tensor);
  if (width == 0) return;
  std::lock_guard lock(mutex_);
  if (stopped_) return;
  try {
    write(tensor, name, width);
    ++count_;
  } catch (const Error& error) {
    stopped_ = true;
    if (log_) log_(fmt::format("recording stops after {} requests: {}", count_, error.what()));
  }
}

void Recorder::write(const MaskedTensor& tensor, std::string_view name, std::size_t width) {
  const std::string file = fmt::format("{:06}-{}.npy", count_ + 1, name);
  const fs::path path = folder_ / file;
  try {
    std::ofstream out(path, std::ios::binary);
    out << npy_header(tensor);
    if (tensor.kind == ProductKind::float32)
      out.write(reinterpret_cast<const char*>(tensor.bytes->data()),
                static_cast<std::streamsize>(tensor.bytes->size()));
    else
      write_widened(out, *tensor.bytes, width);
    require(out, path);

    const nlohmann::json line{{"file", file},
                              {"matrix", tensor.matrix},
                              {"name", name},
                              {"layer", layer_in(name)},
                              {"rows", tensor.rows},
                              {"cols", tensor.cols},
                              {"kind", remo::to_string(tensor.kind)},
                              {"time_unix_ns", unix_nanoseconds()}};
    const fs::path log = folder_ / "requests.jsonl";
    std::ofstream lines(log, std::ios::binary | std::ios::app);
    lines << line.dump() + "\n";
    require(lines, log);
  } catch (const Error&) {
    std::error_code ignored;
    fs::remove(path, ignored); // half a file is no evidence
    throw;
  }
}

u64 Recorder::count() const {
  std::lock_guard lock(mutex_);
  return count_;
}

} // namespace talaria::worker
