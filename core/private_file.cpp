#include "core/private_file.hpp"

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <string>
#include <sys/stat.h>
#include <unistd.h>

#include "core/error.hpp"
#include "core/file_descriptor.hpp"

namespace talaria {
namespace {

[[noreturn]] void fail(const std::filesystem::path& path, const std::string& temporary) {
  const int why = errno;
  if (!temporary.empty()) ::unlink(temporary.c_str());
  throw Error(Errc::io, path.string() + ": cannot be written: " + std::strerror(why));
}

bool write_all(int file, std::string_view content) {
  while (!content.empty()) {
    const ssize_t count = ::write(file, content.data(), content.size());
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return false;
    content.remove_prefix(static_cast<std::size_t>(count));
  }
  return true;
}

/// A rename is kept only once its folder is on the disk. Not every file system takes this.
void sync_folder(const std::filesystem::path& path) {
  const auto folder = path.has_parent_path() ? path.parent_path() : std::filesystem::path(".");
  const FileDescriptor opened(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (opened.get() >= 0) ::fsync(opened.get());
}

} // namespace

void replace_public_file(const std::filesystem::path& path, std::string_view content) {
  std::string temporary = path.string() + ".XXXXXX";
  const FileDescriptor file(::mkostemp(temporary.data(), O_CLOEXEC));
  if (file.get() < 0) fail(path, {});
  if (!write_all(file.get(), content) || ::fchmod(file.get(), 0644) != 0 ||
      ::rename(temporary.c_str(), path.c_str()) != 0)
    fail(path, temporary);
}

void replace_private_file(const std::filesystem::path& path, std::string_view content) {
  std::string temporary = path.string() + ".XXXXXX";
  const FileDescriptor file(::mkostemp(temporary.data(), O_CLOEXEC)); // mode 0600
  if (file.get() < 0) fail(path, {});
  if (!write_all(file.get(), content) || ::fsync(file.get()) != 0 ||
      ::rename(temporary.c_str(), path.c_str()) != 0)
    fail(path, temporary);
  sync_folder(path);
}

} // namespace talaria
