#include "model/weights/private_file.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <system_error>
#include <utility>
#include <vector>

#include "core/error.hpp"

namespace talaria::model {

namespace fs = std::filesystem;

namespace {

constexpr std::size_t kMaxText = std::size_t{256} << 20;
constexpr std::size_t kPiece = std::size_t{64} << 10;

[[noreturn]] void refuse(const fs::path& path, const std::string& why) {
  throw Error(Errc::model, fmt::format("{}: {}", path.string(), why));
}

/// As many bytes as come, at most; 0 at the end.
std::size_t read_some(int descriptor, std::span<u8> out, const fs::path& path) {
  for (;;) {
    const ssize_t got = ::read(descriptor, out.data(), out.size());
    if (got >= 0) return static_cast<std::size_t>(got);
    if (errno != EINTR) refuse(path, "cannot be read: " + reason(errno));
  }
}

/// Once around: what the file holds is what comes before its end, whatever its size is said to be.
PrivateFile read_whole(const FileDescriptor& file, const fs::path& path) {
  PrivateFile out;
  out.path = path;
  for (std::size_t length = 0;;) {
    out.text.resize(std::max(length + kPiece, std::min(2 * length, kMaxText + 1)));
    auto* const to = reinterpret_cast<u8*>(out.text.data());
    const std::size_t got = read_some(file.get(), {to + length, out.text.size() - length}, path);
    length += got;
    if (length > kMaxText)
      refuse(path, fmt::format("more than the {} bytes read of such a file", kMaxText));
    if (got > 0) continue;
    out.text.resize(length);
    out.text.shrink_to_fit();
    break;
  }
  out.digest = sha256({reinterpret_cast<const u8*>(out.text.data()), out.text.size()});
  return out;
}

} // namespace

bool is_there(const fs::path& path) {
  std::error_code ignored;
  return fs::exists(path, ignored);
}

std::string reason(int error) {
  return std::generic_category().message(error);
}

std::optional<PrivateFile> read_private_file_if_there(const fs::path& path) {
  const FileDescriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file && (errno == ENOENT || errno == ENOTDIR)) return std::nullopt;
  if (!file) refuse(path, "cannot be read: " + reason(errno));
  return read_whole(file, path);
}

PrivateFile read_private_file(const fs::path& path) {
  auto file = read_private_file_if_there(path);
  if (!file) refuse(path, reason(ENOENT));
  return std::move(*file);
}

TextFiles::TextFiles(const fs::path& folder, std::span<const std::string_view> names)
    : folder_(folder) {
  for (const std::string_view name : names)
    if (auto file = read_private_file_if_there(folder / name))
      add(std::string(name), std::move(*file));
}

const PrivateFile* TextFiles::find(std::string_view name) const {
  const auto at = files_.find(name);
  return at == files_.end() ? nullptr : &at->second;
}

const PrivateFile& TextFiles::get(std::string_view name) const {
  const PrivateFile* const file = find(name);
  if (file == nullptr) refuse(folder_ / name, reason(ENOENT));
  return *file;
}

LargeFile::LargeFile(const fs::path& path)
    : path_(path), descriptor_(::open(path.c_str(), O_RDONLY | O_CLOEXEC)) {
  if (!descriptor_) fail("cannot be opened: " + reason(errno));
  struct stat status {};
  if (::fstat(descriptor_.get(), &status) != 0) fail("cannot be read: " + reason(errno));
  if (!S_ISREG(status.st_mode)) fail("is not a regular file");
  size_ = static_cast<u64>(status.st_size);
}

std::span<const u8> LargeFile::read_chunk(u64 index, std::span<u8> buffer) const {
  const u64 offset = index * kChunk;
  const auto count =
      static_cast<std::size_t>(std::min<u64>(kChunk, size_ - std::min(size_, offset)));
  const std::span<u8> out = buffer.first(count);
  read_unchecked(offset, out);
  if (seal_ && !seal_->matches(index, out))
    fail("was changed while the model was loaded; try again");
  return out;
}

void LargeFile::read_unchecked(u64 offset, std::span<u8> out) const {
  while (!out.empty()) {
    const ssize_t got =
        ::pread(descriptor_.get(), out.data(), out.size(), static_cast<off_t>(offset));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) fail("cannot be read: " + reason(errno));
    if (got == 0) fail("ends too early; was it changed while the model was loaded?");
    out = out.subspan(static_cast<std::size_t>(got));
    offset += static_cast<u64>(got);
  }
}

void LargeFile::close() noexcept {
  if (descriptor_) ::posix_fadvise(descriptor_.get(), 0, 0, POSIX_FADV_DONTNEED);
  descriptor_.reset();
}

void LargeFile::fail(const std::string& why) const {
  refuse(path_, why);
}

void SealingPass::read(std::span<u8> out) {
  file_.read_unchecked(at_, out);
  digests_.update(out);
  at_ += out.size();
}

void SealingPass::skip(u64 bytes) {
  std::vector<u8> piece(static_cast<std::size_t>(std::min<u64>(bytes, LargeFile::kChunk)));
  while (bytes > 0) {
    const std::size_t count = static_cast<std::size_t>(std::min<u64>(bytes, piece.size()));
    read(std::span(piece).first(count));
    bytes -= count;
  }
}

Sha256Digest SealingPass::finish() {
  skip(left());
  const Sha256Digest whole = digests_.finish();
  file_.seal_ = std::move(digests_);
  return whole;
}

} // namespace talaria::model
