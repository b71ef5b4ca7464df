#pragma once

#include <cstddef>
#include <filesystem>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "core/chunk_digests.hpp"
#include "core/digest.hpp"
#include "core/file_descriptor.hpp"
#include "core/integers.hpp"

namespace talaria::model {

// The door through which files of a model come into the process. Nothing is mapped: a file that
// changes, shrinks or goes away later changes nothing, and no page of it is ever read again behind
// the program's back.

/// Whether there is a file or folder of this name, as far as one may look.
bool is_there(const std::filesystem::path& path);
/// What the system says of an errno.
std::string reason(int error);

/// A whole file in private memory, and SHA-256 of these very bytes.
struct PrivateFile {
  std::filesystem::path path; ///< for messages
  std::string text;
  Sha256Digest digest{};
};

/// Reads a file, or a pipe, from beginning to end, once. For configuration, tokenizers and the
/// like: at most 256 MiB.
/// @throws Error{model} naming the file if it is missing, too large or cannot be read.
PrivateFile read_private_file(const std::filesystem::path& path);

/// The same; nothing if there is no such file.
std::optional<PrivateFile> read_private_file_if_there(const std::filesystem::path& path);

/// The small files of a model folder, each read once.
class TextFiles {
public:
  TextFiles() = default;
  /// Those of `names` that `folder` has. @throws Error{model} if one cannot be read.
  TextFiles(const std::filesystem::path& folder, std::span<const std::string_view> names);
  explicit TextFiles(const std::filesystem::path& folder) : folder_(folder) {}

  const std::filesystem::path& folder() const noexcept { return folder_; }
  void add(const std::string& name, PrivateFile file) { files_[name] = std::move(file); }
  /// nullptr if there is none of this name.
  const PrivateFile* find(std::string_view name) const;
  /// @throws Error{model} naming the file if there is none of this name.
  const PrivateFile& get(std::string_view name) const;
  const std::map<std::string, PrivateFile, std::less<>>& all() const noexcept { return files_; }

private:
  std::filesystem::path folder_;
  std::map<std::string, PrivateFile, std::less<>> files_;
};

/// A file too large to be held whole: opened once, and read in pieces. After a SealingPass whatever
/// is read is checked against what the pass saw, in private memory, before anybody gets it.
/// read() may run on several threads at once.
class LargeFile {
public:
  static constexpr std::size_t kChunk = std::size_t{1} << 20;

  /// @throws Error{model} if it is missing or no regular file.
  explicit LargeFile(const std::filesystem::path& path);

  const std::filesystem::path& path() const noexcept { return path_; }
  u64 size() const noexcept { return size_; } ///< when it was opened

  /// Bytes [index * kChunk, ...) up to the next chunk or the end, into `buffer`, which holds kChunk
  /// bytes.
  /// @throws Error{model} if they cannot be read, or are not what the pass saw.
  std::span<const u8> read_chunk(u64 index, std::span<u8> buffer) const;
  /// Bytes [offset, offset + out.size()). Not checked by a pass: for what is checked otherwise.
  /// @throws Error{model} if the file ends before.
  void read_unchecked(u64 offset, std::span<u8> out) const;
  /// Nothing will be read any more: closes the file and lets the system forget its pages.
  void close() noexcept;

private:
  friend class SealingPass;
  [[noreturn]] void fail(const std::string& why) const;

  std::filesystem::path path_;
  FileDescriptor descriptor_;
  u64 size_ = 0;
  std::optional<ChunkDigests> seal_;
};

/// Reads a LargeFile from beginning to end, once, and hashes what it hands out.
class SealingPass {
public:
  explicit SealingPass(LargeFile& file) : file_(file), digests_(LargeFile::kChunk) {}
  /// Bytes that are still to come.
  u64 left() const noexcept { return file_.size() - at_; }
  /// The next out.size() <= left() bytes. @throws Error{model} if the file has become shorter.
  void read(std::span<u8> out);
  /// Reads over them.
  void skip(u64 bytes);
  /// Reads what is left. From now on the file is sealed. Call once.
  Sha256Digest finish();

private:
  LargeFile& file_;
  ChunkDigests digests_;
  u64 at_ = 0;
};

} // namespace talaria::model
