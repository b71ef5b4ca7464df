#include "gateway/unix_listener.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <cerrno>
#include <cstring>
#include <system_error>

#include "core/error.hpp"

namespace talaria::gateway {

namespace {

constexpr int kUnixBacklog = 1024;

[[noreturn]] void refuse_path(const std::filesystem::path& path, const std::string& why) {
  throw Error(Errc::io, fmt::format("unix:{}: {}", path.string(), why));
}

std::string last_error() {
  return std::generic_category().message(errno);
}

sockaddr_un unix_address(const std::filesystem::path& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::string& name = path.native();
  if (name.size() >= sizeof address.sun_path)
    refuse_path(path, fmt::format("has {} bytes; a socket's path has at most {}", name.size(),
                                  sizeof address.sun_path - 1));
  std::memcpy(address.sun_path, name.data(), name.size());
  return address;
}

FileDescriptor unix_socket(const std::filesystem::path& path) {
  FileDescriptor made(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!made) refuse_path(path, "no socket: " + last_error());
  return made;
}

/// Two servers that start at once must not both find the same dead socket and remove each other's
/// living one. The folder needs no file of its own for that.
FileDescriptor lock_folder(const std::filesystem::path& path) {
  const auto folder = path.parent_path();
  FileDescriptor opened(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!opened)
    refuse_path(path,
                fmt::format("its folder {} cannot be opened: {}", folder.string(), last_error()));
  struct stat info {};
  if (::fstat(opened.get(), &info) != 0) refuse_path(path, last_error());
  if ((info.st_mode & S_IWOTH) != 0 && (info.st_mode & S_ISVTX) == 0)
    refuse_path(path,
                fmt::format("everybody may replace files of its folder {}; choose another, or "
                            "chmod o-w it",
                            folder.string()));
  while (::flock(opened.get(), LOCK_EX) != 0)
    if (errno != EINTR) refuse_path(path, "its folder cannot be locked: " + last_error());
  return opened;
}

/// What a server that was killed has left goes; nothing else does.
void remove_if_dead(const std::filesystem::path& path, const sockaddr_un& address) {
  struct stat info {};
  if (::lstat(path.c_str(), &info) != 0) {
    if (errno == ENOENT) return;
    refuse_path(path, last_error());
  }
  if (!S_ISSOCK(info.st_mode))
    refuse_path(path, "something that is not a socket stands there; remove it, or choose another "
                      "path");
  const FileDescriptor asking = unix_socket(path);
  const int result =
      ::connect(asking.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address);
  if (result == 0 || errno == EAGAIN || errno == EINPROGRESS) // EAGAIN: its queue is full
    refuse_path(path, "somebody answers there already; choose another path");
  if (errno == ENOENT) return;
  if (errno != ECONNREFUSED) refuse_path(path, last_error());
  if (::unlink(path.c_str()) != 0 && errno != ENOENT)
    refuse_path(path, "the socket that a server left behind cannot be removed: " + last_error());
}

} // namespace

UnixListener::UnixListener(std::filesystem::path path) : path_(std::move(path)) {
  const sockaddr_un address = unix_address(path_);
  const FileDescriptor lock = lock_folder(path_);
  remove_if_dead(path_, address);
  socket_ = unix_socket(path_);
  // Before it has a name: Linux gives the file the mode that the socket has.
  if (::fchmod(socket_.get(), S_IRUSR | S_IWUSR) != 0 ||
      ::bind(socket_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
    refuse_path(path_, "cannot be made: " + last_error());
  struct stat info {};
  if (::lstat(path_.c_str(), &info) != 0 || ::listen(socket_.get(), kUnixBacklog) != 0) {
    const std::string why = last_error();
    ::unlink(path_.c_str());
    refuse_path(path_, "cannot be listened at: " + why);
  }
  device_ = info.st_dev;
  inode_ = info.st_ino;
}

UnixListener::~UnixListener() {
  struct stat info {};
  if (::lstat(path_.c_str(), &info) == 0 && info.st_dev == device_ && info.st_ino == inode_)
    ::unlink(path_.c_str());
}

} // namespace talaria::gateway
