#pragma once

#include <sys/types.h>

#include <filesystem>
#include <utility>

#include "core/file_descriptor.hpp"

namespace talaria::gateway {

/// A listening socket in the file system: who may open the file may connect. Its mode is 0600 from
/// the first moment, whatever the umask; the file goes when this object does.
class UnixListener {
public:
  /// A socket that nobody answers at is replaced; anything else that stands there is left alone.
  /// @param path  absolute; at most 107 bytes, as the kernel has it
  /// @throws Error{io} naming the path: it is too long, somebody answers there, something else
  ///         stands there, or its folder is missing, read-only, or writable for everybody
  explicit UnixListener(std::filesystem::path path);
  /// Removes the file, unless another has taken its place.
  ~UnixListener();
  UnixListener(const UnixListener&) = delete;
  UnixListener& operator=(const UnixListener&) = delete;

  /// Hands over the socket, non-blocking, for Httpd::adopt(). The file stays this object's. Once.
  FileDescriptor take() noexcept { return std::move(socket_); }
  const std::filesystem::path& path() const noexcept { return path_; }

private:
  const std::filesystem::path path_;
  FileDescriptor socket_;
  dev_t device_ = 0;
  ino_t inode_ = 0;
};

} // namespace talaria::gateway
