#include "core/private_file.hpp"

#include <cerrno>
#include <charconv>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <optional>
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

[[noreturn]] void refuse(const std::filesystem::path& path, const char* what) {
  throw Error(Errc::io, path.string() + ": is " + what + "; name a file");
}

/// The descriptor of this process that a path names. Only these names: where a link in some other
/// folder leads is for whoever made it to say.
std::optional<int> named_descriptor(const std::filesystem::path& path) {
  const std::string name = std::filesystem::absolute(path).lexically_normal().string();
  if (name == "/dev/stdin") return 0;
  if (name == "/dev/stdout") return 1;
  if (name == "/dev/stderr") return 2;
  for (const std::string_view folder : {"/dev/fd/", "/proc/self/fd/"}) {
    if (name.compare(0, folder.size(), folder) != 0) continue;
    int number = -1;
    const char* const end = name.data() + name.size();
    const auto [at, error] = std::from_chars(name.data() + folder.size(), end, number);
    if (error == std::errc() && at == end && number >= 0) return number;
  }
  return std::nullopt;
}

/// Opens what keeps no content: a terminal, /dev/null, or a pipe of this user. Nothing if `path` is
/// a file, a link, or not there. @throws Error{io} for anything else.
FileDescriptor open_device(const std::filesystem::path& path) {
  const auto check = [&](const struct stat& about) {
    const mode_t kind = about.st_mode & S_IFMT;
    if (kind == S_IFDIR) refuse(path, "a folder");
    if (kind == S_IFBLK) refuse(path, "a disk");
    if (kind == S_IFSOCK) refuse(path, "a socket");
    // In a folder that others write to, its reader may be anybody.
    if (kind == S_IFIFO && about.st_uid != ::geteuid()) refuse(path, "a pipe of another user");
  };
  struct stat about {};
  if (::lstat(path.c_str(), &about) != 0 || S_ISREG(about.st_mode) || S_ISLNK(about.st_mode))
    return {};
  check(about);
  FileDescriptor file(::open(path.c_str(), O_WRONLY | O_NOCTTY | O_NOFOLLOW | O_CLOEXEC));
  if (!file || ::fstat(file.get(), &about) != 0) fail(path, {});
  check(about); // it may have been changed in between
  if (S_ISREG(about.st_mode)) refuse(path, "being replaced by somebody else");
  return file;
}

/// Whether `path` was not a file but something to write into, which this has then done.
bool wrote_into(const std::filesystem::path& path, std::string_view content) {
  const auto number = named_descriptor(path);
  const FileDescriptor file =
      number ? FileDescriptor(::fcntl(*number, F_DUPFD_CLOEXEC, 0)) : open_device(path);
  if (!number && !file) return false;
  if (!file || !write_all(file.get(), content)) fail(path, {});
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
  if (wrote_into(path, content)) return;
  std::string temporary = path.string() + ".XXXXXX";
  const FileDescriptor file(::mkostemp(temporary.data(), O_CLOEXEC));
  if (file.get() < 0) fail(path, {});
  if (!write_all(file.get(), content) || ::fchmod(file.get(), 0644) != 0 ||
      ::rename(temporary.c_str(), path.c_str()) != 0)
    fail(path, temporary);
}

void replace_private_file(const std::filesystem::path& path, std::string_view content) {
  if (wrote_into(path, content)) return;
  std::string temporary = path.string() + ".XXXXXX";
  const FileDescriptor file(::mkostemp(temporary.data(), O_CLOEXEC)); // mode 0600
  if (file.get() < 0) fail(path, {});
  if (!write_all(file.get(), content) || ::fsync(file.get()) != 0 ||
      ::rename(temporary.c_str(), path.c_str()) != 0)
    fail(path, temporary);
  sync_folder(path);
}

} // namespace talaria
