#include "pipeline/hint_cache_file.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <system_error>
#include <utility>

#include "core/error.hpp"
#include "core/kernel_random.hpp"

namespace talaria::pipeline {

namespace fs = std::filesystem;

namespace {

constexpr std::string_view kMagic = "talhint\n";
constexpr u64 kVersion = 1;
constexpr u64 kSealedVersion = 2;
constexpr u64 kHeaderBytes = 72;
constexpr u64 kSealedHeaderBytes = kHeaderBytes + 8 + sizeof(HintSeal::Salt); // before its tag
constexpr u64 kDigestBytes = sizeof(Sha256Digest);

void put(std::vector<u8>& out, u64 value, std::size_t bytes) {
  for (std::size_t i = 0; i < bytes; ++i) out.push_back(static_cast<u8>(value >> (8 * i)));
}

[[noreturn]] void fail(const fs::path& path, const char* doing, int error) {
  throw Error(Errc::io, fmt::format("{}: cannot be {}: {}", path.string(), doing,
                                    std::generic_category().message(error)));
}

/// Reads until `out` is full or the file ends; returns what was read.
std::size_t read_at(int descriptor, const fs::path& path, u64 offset, std::span<u8> out) {
  std::size_t done = 0;
  while (done < out.size()) {
    const ssize_t got = ::pread(descriptor, out.data() + done, out.size() - done,
                                static_cast<off_t>(offset + done));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) fail(path, "read", errno);
    if (got == 0) break;
    done += static_cast<std::size_t>(got);
  }
  return done;
}

void write_at(int descriptor, const fs::path& path, u64 offset, std::span<const u8> bytes) {
  while (!bytes.empty()) {
    const ssize_t put =
        ::pwrite(descriptor, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (put < 0 && errno == EINTR) continue;
    if (put < 0) fail(path, "written", errno);
    bytes = bytes.subspan(static_cast<std::size_t>(put));
    offset += static_cast<u64>(put);
  }
}

u64 size_of(int descriptor) {
  struct stat status {};
  return ::fstat(descriptor, &status) == 0 ? static_cast<u64>(status.st_size) : 0;
}

} // namespace

u64 HintLayout::rows_of(u64 block) const {
  return std::min(block_rows, rows - block * block_rows);
}

u64 HintLayout::header_bytes() const {
  return seal ? kSealedHeaderBytes + Seal::kOverhead : kHeaderBytes;
}

u64 HintLayout::block_overhead() const {
  return seal ? Seal::kOverhead : kDigestBytes;
}

u64 HintLayout::offset(u64 block) const {
  return header_bytes() + std::min(block * block_rows, rows) * row_bytes() +
         block * block_overhead();
}

std::vector<u8> HintLayout::header() const {
  std::vector<u8> out(kMagic.begin(), kMagic.end());
  put(out, seal ? kSealedVersion : kVersion, 4);
  put(out, word_bytes, 4);
  put(out, rows, 8);
  put(out, columns, 8);
  put(out, block_rows, 8);
  out.insert(out.end(), key.begin(), key.end());
  return out;
}

Sha256Digest HintLayout::block_digest(u64 block, std::span<const u8> data) const {
  std::vector<u8> prefix(key.begin(), key.end());
  put(prefix, block, 8);
  Sha256 hash;
  hash.update(prefix);
  hash.update(data);
  return hash.finish();
}

HintFile::HintFile(fs::path folder, const HintLayout& layout, int descriptor, bool partial)
    : folder_(std::move(folder)), layout_(layout), descriptor_(descriptor), partial_(partial) {}

HintFile::HintFile(HintFile&& other) noexcept
    : folder_(std::move(other.folder_)), layout_(other.layout_),
      descriptor_(std::exchange(other.descriptor_, -1)), partial_(other.partial_),
      rows_(other.rows_), seal_(std::move(other.seal_)),
      sealed_header_(std::move(other.sealed_header_)), opened_(std::move(other.opened_)),
      opened_block_(other.opened_block_) {}

HintFile& HintFile::operator=(HintFile&& other) noexcept {
  std::swap(folder_, other.folder_);
  std::swap(layout_, other.layout_);
  std::swap(descriptor_, other.descriptor_);
  std::swap(partial_, other.partial_);
  std::swap(rows_, other.rows_);
  std::swap(seal_, other.seal_);
  std::swap(sealed_header_, other.sealed_header_);
  std::swap(opened_, other.opened_);
  std::swap(opened_block_, other.opened_block_);
  return *this;
}

HintFile::~HintFile() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

fs::path HintFile::path() const {
  return folder_ / (partial_ ? layout_.partial_name() : layout_.complete_name());
}

std::optional<HintFile> HintFile::open_complete(const fs::path& folder, const HintLayout& layout) {
  const fs::path path = folder / layout.complete_name();
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
  if (descriptor < 0 && errno == ENOENT) return std::nullopt;
  if (descriptor < 0) fail(path, "opened", errno);
  HintFile file(folder, layout, descriptor, false);
  const std::string problem = file.verify_blocks();
  if (!file.complete() || size_of(descriptor) != layout.file_bytes())
    throw Error(Errc::verification,
                fmt::format("{}: {}: good up to row {} of {}", path.string(),
                            problem.empty() ? "longer than this hint is" : problem, file.rows_,
                            layout.rows));
  ::futimens(descriptor, nullptr);
  return file;
}

std::optional<HintFile> HintFile::open_partial(const fs::path& folder, const HintLayout& layout) {
  const fs::path path = folder / layout.partial_name();
  const int descriptor = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (descriptor < 0) fail(path, "opened", errno);
  HintFile file(folder, layout, descriptor, true);
  // Whoever completed it between open and lock has given it another name.
  if (::flock(descriptor, LOCK_EX | LOCK_NB) != 0 || !file.still_named()) return std::nullopt;
  file.verify_blocks();
  if (file.rows_ == 0)
    file.start_over();
  else if (::ftruncate(descriptor, static_cast<off_t>(layout.offset(
                                       (file.rows_ + layout.block_rows - 1) / layout.block_rows))))
    fail(path, "cut back", errno);
  return file;
}

bool HintFile::still_named() const {
  struct stat held {};
  struct stat named {};
  return ::fstat(descriptor_, &held) == 0 && ::stat(path().c_str(), &named) == 0 &&
         held.st_ino == named.st_ino && held.st_dev == named.st_dev;
}

/// Looks at the header. @return what is wrong with it; empty: it is this hint's.
std::string HintFile::open_header() {
  const std::vector<u8> expected = layout_.header();
  std::vector<u8> header(layout_.header_bytes());
  const bool whole = read_at(descriptor_, path(), 0, header) == header.size();
  const bool same = std::equal(expected.begin(), expected.end(), header.begin());
  if (!layout_.seal) return whole && same ? "" : "damaged, truncated, sealed or of another hint";
  if (!whole || !same) return "damaged, truncated, not sealed or of another hint";
  const std::span<u8> bytes(header);
  if (!std::ranges::equal(bytes.subspan(kHeaderBytes, 8), layout_.seal->key_id()))
    return "sealed with another key, or for another model";
  HintSeal::Salt salt{};
  std::ranges::copy(bytes.subspan(kHeaderBytes + 8, salt.size()), salt.begin());
  Seal seal = layout_.seal->of_file(salt);
  if (!seal.open(bytes.first(kSealedHeaderBytes), bytes.subspan(kSealedHeaderBytes), {}))
    return "its sealed header was changed";
  seal_ = std::move(seal);
  sealed_header_.assign(bytes.begin(), bytes.begin() + kSealedHeaderBytes);
  return {};
}

/// What a sealed block belongs to.
std::vector<u8> HintFile::place_of(u64 block) const {
  std::vector<u8> place = sealed_header_;
  const Sha256Digest& root = layout_.seal->model_root();
  place.insert(place.end(), root.begin(), root.end());
  put(place, block, 8);
  put(place, layout_.blocks(), 8);
  return place;
}

/// The rows of a block, if they are what was written there.
bool HintFile::load_block(u64 block, std::span<u8> rows) const {
  std::vector<u8> whole(rows.size() + layout_.block_overhead());
  if (read_at(descriptor_, path(), layout_.offset(block), whole) != whole.size()) return false;
  const std::span<const u8> bytes(whole);
  if (seal_) return seal_->open(place_of(block), bytes, rows);
  const Sha256Digest digest = layout_.block_digest(block, bytes.first(rows.size()));
  if (!std::ranges::equal(digest, bytes.subspan(rows.size()))) return false;
  std::ranges::copy(bytes.first(rows.size()), rows.begin());
  return true;
}

/// Counts the rows of all blocks that are whole, from the first on.
/// @return what is wrong with the first one that is not; empty: all are there.
std::string HintFile::verify_blocks() {
  std::string problem = open_header();
  if (!problem.empty()) return problem;
  std::vector<u8> rows(layout_.block_rows * layout_.row_bytes());
  for (u64 block = 0; block < layout_.blocks(); ++block) {
    const std::span<u8> part(rows.data(), layout_.rows_of(block) * layout_.row_bytes());
    if (!load_block(block, part))
      return fmt::format("block {} is damaged, cut off or from elsewhere", block);
    rows_ += layout_.rows_of(block);
  }
  return {};
}

void HintFile::start_over() {
  if (::ftruncate(descriptor_, 0) != 0) fail(path(), "cut back", errno);
  std::vector<u8> header = layout_.header();
  if (layout_.seal) {
    HintSeal::Salt salt{};
    kernel_random(salt);
    seal_ = layout_.seal->of_file(salt);
    header.insert(header.end(), layout_.seal->key_id().begin(), layout_.seal->key_id().end());
    header.insert(header.end(), salt.begin(), salt.end());
    sealed_header_ = header;
    header.resize(layout_.header_bytes());
    seal_->close(sealed_header_, {}, std::span<u8>(header).subspan(kSealedHeaderBytes));
  }
  write_at(descriptor_, path(), 0, header);
}

void HintFile::read(u64 first, u64 count, u8* out) const {
  while (count > 0) {
    const u64 block = first / layout_.block_rows;
    const u64 inside = first % layout_.block_rows;
    const u64 rows = std::min(count, layout_.rows_of(block) - inside);
    const std::size_t bytes = rows * layout_.row_bytes();
    const u64 skipped = inside * layout_.row_bytes();
    if (!seal_) {
      if (read_at(descriptor_, path(), layout_.offset(block) + skipped, {out, bytes}) != bytes)
        fail(path(), "read", EIO);
    } else {
      if (opened_block_ != block) {
        opened_block_ = ~u64{0};
        opened_.resize(layout_.rows_of(block) * layout_.row_bytes());
        if (!load_block(block, opened_)) fail(path(), "read", EIO); // it was whole before
        opened_block_ = block;
      }
      std::memcpy(out, opened_.data() + skipped, bytes);
    }
    out += bytes;
    first += rows;
    count -= rows;
  }
}

void HintFile::append(std::span<const u8> rows) {
  const u64 block = rows_ / layout_.block_rows;
  const u64 offset = layout_.offset(block);
  if (seal_) {
    std::vector<u8> sealed(rows.size() + Seal::kOverhead);
    seal_->close(place_of(block), rows, sealed);
    write_at(descriptor_, path(), offset, sealed);
  } else {
    write_at(descriptor_, path(), offset, rows);
    write_at(descriptor_, path(), offset + rows.size(), layout_.block_digest(block, rows));
  }
  rows_ += layout_.rows_of(block);
}

void HintFile::publish() {
  if (::fsync(descriptor_) != 0) fail(path(), "put on the disk", errno);
  const fs::path complete = folder_ / layout_.complete_name();
  if (::rename(path().c_str(), complete.c_str()) != 0) fail(complete, "renamed", errno);
  partial_ = false;
  const int folder = ::open(folder_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (folder < 0) return;
  ::fsync(folder);
  ::close(folder);
}

void HintFile::remove() noexcept {
  if (still_named()) ::unlink(path().c_str());
}

namespace {

struct Candidate {
  fs::path path;
  fs::file_time_type used;
  u64 bytes = 0;
};

/// False if somebody is writing it.
bool delete_file(const fs::path& path) {
  std::error_code failure;
  if (path.extension() == ".hint") return fs::remove(path, failure) || !failure;
  const int descriptor = ::open(path.c_str(), O_RDWR | O_CLOEXEC | O_NOFOLLOW);
  if (descriptor < 0) return errno == ENOENT;
  const bool free = ::flock(descriptor, LOCK_EX | LOCK_NB) == 0;
  if (free) fs::remove(path, failure);
  ::close(descriptor);
  return free && !failure;
}

} // namespace

bool evict_hints(const fs::path& folder, u64 limit, const std::vector<std::string>& keep) {
  std::vector<Candidate> candidates;
  u64 held = 0;
  std::error_code failure;
  for (const auto& entry : fs::directory_iterator(folder, failure)) {
    const fs::path& path = entry.path();
    if (path.extension() != ".hint" && path.extension() != ".part") continue;
    if (std::find(keep.begin(), keep.end(), path.filename().string()) != keep.end()) continue;
    std::error_code gone;
    const u64 bytes = fs::file_size(path, gone);
    const auto used = fs::last_write_time(path, gone);
    if (gone) continue;
    held += bytes;
    candidates.push_back({path, used, bytes});
  }
  std::sort(candidates.begin(), candidates.end(),
            [](const Candidate& a, const Candidate& b) { return a.used < b.used; });
  for (auto at = candidates.begin(); at != candidates.end() && held > limit; ++at)
    if (delete_file(at->path)) held -= at->bytes;
  return held <= limit;
}

} // namespace talaria::pipeline
