#include "export/output_folder.hpp"

#include <fcntl.h>
#include <stdio.h> // NOLINT: renameat2
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <system_error>

#include "core/console.hpp"
#include "core/error.hpp"
#include "core/file_descriptor.hpp"

namespace talaria::exporting {

namespace {

namespace fs = std::filesystem;

[[noreturn]] void fail(const fs::path& path, int error) {
  throw Error(Errc::io, path.string() + ": " + std::strerror(error));
}

void synchronise_folder(const fs::path& folder) {
  const FileDescriptor descriptor(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!descriptor || ::fsync(descriptor.get()) != 0) fail(folder, errno);
}

void write_file(const fs::path& path, const OutputFile& file) {
  const mode_t mode = file.is_executable ? 0755 : 0644;
  const FileDescriptor descriptor(
      ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode));
  if (!descriptor || !write_fully(descriptor.get(), file.text) || ::fsync(descriptor.get()) != 0)
    fail(path, errno);
}

/// A folder beside the wanted one, gone with this object unless it was put in place.
class StagedFolder {
public:
  explicit StagedFolder(const fs::path& wanted) {
    std::string name = wanted.string() + ".partial-XXXXXX";
    if (::mkdtemp(name.data()) == nullptr) fail(wanted, errno);
    path_ = name;
  }
  ~StagedFolder() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  StagedFolder(const StagedFolder&) = delete;
  StagedFolder& operator=(const StagedFolder&) = delete;

  void add(const OutputFile& file) {
    const fs::path path = path_ / file.path;
    std::error_code error;
    fs::create_directories(path.parent_path(), error);
    if (error) fail(path.parent_path(), error.value());
    write_file(path, file);
  }

  /// Renames it to `wanted`; what was there comes here, and goes with this object.
  void put_in_place(const fs::path& wanted, bool exchange) {
    if (::chmod(path_.c_str(), 0755) != 0) fail(path_, errno); // mkdtemp makes 0700
    synchronise_folder(path_);
    const int done =
        exchange ? ::renameat2(AT_FDCWD, path_.c_str(), AT_FDCWD, wanted.c_str(), RENAME_EXCHANGE)
                 : ::rename(path_.c_str(), wanted.c_str());
    if (done != 0) fail(wanted, errno);
    synchronise_folder(wanted.parent_path());
  }

private:
  fs::path path_;
};

/// Whether the folder has something in it that may be replaced.
bool must_be_exchanged(const fs::path& folder, bool replace) {
  std::error_code error;
  if (!fs::exists(folder, error)) return false;
  if (!fs::is_directory(folder, error))
    throw Error(Errc::usage, folder.string() + ": is no folder; name another one with -o");
  if (fs::is_empty(folder, error) && !error) return false;
  if (error) fail(folder, error.value());
  if (!fs::exists(folder / kMarkerFile, error))
    throw Error(Errc::usage, folder.string() +
                                 ": has files that talaria export did not write; name "
                                 "another folder with -o");
  if (!replace)
    throw Error(Errc::usage, folder.string() + ": holds an earlier export; --force replaces the "
                                               "folder, with everything in it");
  return true;
}

} // namespace

void write_output(const fs::path& folder, const std::vector<OutputFile>& files, bool replace) {
  // Without the '/' at the end and links resolved: it is renamed beside itself.
  fs::path wanted = fs::weakly_canonical(fs::absolute(folder));
  if (!wanted.has_filename()) wanted = wanted.parent_path();
  const bool exchange = must_be_exchanged(wanted, replace);
  std::error_code error;
  fs::create_directories(wanted.parent_path(), error);
  if (error) fail(wanted.parent_path(), error.value());
  StagedFolder staged(wanted);
  for (const OutputFile& file : files) staged.add(file);
  staged.add({kMarkerFile, "Written by talaria export; --force replaces this folder.\n", false});
  staged.put_in_place(wanted, exchange);
}

} // namespace talaria::exporting
