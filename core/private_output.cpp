#include "core/private_output.hpp"

#include <fcntl.h>
#include <sys/stat.h>

#include "core/file_descriptor.hpp"

namespace talaria {

std::ofstream open_private(const std::filesystem::path& path) {
  constexpr mode_t kOwner = S_IRUSR | S_IWUSR;
  const FileDescriptor file(::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, kOwner));
  struct stat about {};
  if (file && ::fstat(file.get(), &about) == 0 && S_ISREG(about.st_mode))
    ::fchmod(file.get(), kOwner);
  return std::ofstream(path, std::ios::binary | std::ios::trunc);
}

} // namespace talaria
