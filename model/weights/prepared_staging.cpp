#include "model/weights/prepared_staging.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

#include "core/error.hpp"

namespace talaria::model {

namespace fs = std::filesystem;

namespace {

fs::path beside(const fs::path& out, const char* suffix) {
  fs::path name = out;
  name += suffix;
  return name;
}

[[noreturn]] void fail(const fs::path& path, const std::error_code& failure) {
  throw Error(Errc::io, fmt::format("{}: {}", path.string(), failure.message()));
}

void move_folder(const fs::path& from, const fs::path& to) {
  std::error_code failure;
  fs::rename(from, to, failure);
  if (failure) fail(to, failure);
}

/// Puts the names in `folder` on the disk.
void sync_folder(const fs::path& folder) {
  const int descriptor = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (descriptor < 0) return; // not readable, not ours to sync
  ::fsync(descriptor);
  ::close(descriptor);
}

} // namespace

StagingFolder::StagingFolder(const fs::path& out)
    : out_(fs::absolute(out).lexically_normal()), partial_(beside(out_, ".partial")) {
  std::error_code failure;
  fs::create_directory(partial_, failure);
  if (failure) fail(partial_, failure);
  lock_ = ::open(partial_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (lock_ < 0) fail(partial_, std::error_code(errno, std::generic_category()));
  if (::flock(lock_, LOCK_EX | LOCK_NB) != 0) {
    ::close(lock_);
    throw Error(Errc::usage, fmt::format("{}: another `talaria prepare` is writing it; wait for it",
                                         partial_.string()));
  }
  for (const auto& left_over : fs::directory_iterator(partial_, failure))
    fs::remove_all(left_over.path(), failure);
}

StagingFolder::~StagingFolder() {
  std::error_code ignored;
  if (!published_) fs::remove_all(partial_, ignored);
  ::close(lock_);
}

void StagingFolder::publish() {
  sync_folder(partial_ / "enclave");
  sync_folder(partial_ / "worker");
  sync_folder(partial_);
  const fs::path replaced = beside(out_, ".replaced");
  std::error_code ignored;
  const bool replaces = fs::exists(out_, ignored);
  if (replaces) {
    fs::remove_all(replaced, ignored);
    move_folder(out_, replaced);
  }
  try {
    move_folder(partial_, out_);
  } catch (const Error&) {
    if (replaces) fs::rename(replaced, out_, ignored);
    throw;
  }
  published_ = true;
  sync_folder(out_.parent_path());
  if (replaces) fs::remove_all(replaced, ignored);
}

} // namespace talaria::model
