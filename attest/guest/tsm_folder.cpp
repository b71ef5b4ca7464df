#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fmt/format.h>

#include "attest/guest/tsm_report.hpp"
#include "core/digest.hpp"
#include "core/error.hpp"
#include "core/file_descriptor.hpp"
#include "core/kernel_random.hpp"

namespace talaria::attest {
namespace {

namespace fs = std::filesystem;

class FolderEntry final : public TsmEntry {
public:
  explicit FolderEntry(fs::path folder) : folder_(std::move(folder)) {
    if (::mkdir(folder_.c_str(), 0700) != 0)
      throw Error(Errc::io,
                  fmt::format("{}: cannot be made: {}", folder_.string(), std::strerror(errno)));
  }
  ~FolderEntry() override { ::rmdir(folder_.c_str()); } // attributes go with it
  FolderEntry(const FolderEntry&) = delete;
  FolderEntry& operator=(const FolderEntry&) = delete;

  int write(const std::string& attribute, Bytes bytes) override {
    const FileDescriptor file(::open((folder_ / attribute).c_str(), O_WRONLY | O_CLOEXEC));
    if (!file) return errno;
    const ssize_t put = ::write(file.get(), bytes.data(), bytes.size());
    if (put < 0) return errno;
    return put == static_cast<ssize_t>(bytes.size()) ? 0 : EIO; // parts would be other reports
  }

  int read(const std::string& attribute, std::vector<u8>& out) override {
    constexpr std::size_t kMost = std::size_t{128} << 10;
    const FileDescriptor file(::open((folder_ / attribute).c_str(), O_RDONLY | O_CLOEXEC));
    if (!file) return errno == ENOENT && attribute == "auxblob" ? 0 : errno;
    out.clear();
    std::array<u8, 4096> part{};
    for (;;) {
      const ssize_t got = ::read(file.get(), part.data(), part.size());
      if (got < 0) return errno;
      if (got == 0) return 0;
      out.insert(out.end(), part.begin(), part.begin() + got);
      if (out.size() > kMost) return EFBIG;
    }
  }

private:
  const fs::path folder_;
};

class FolderTsm final : public Tsm {
public:
  explicit FolderTsm(fs::path folder) : folder_(std::move(folder)) {}
  bool is_there() const override {
    std::error_code ignored;
    return fs::is_directory(folder_, ignored);
  }
  std::unique_ptr<TsmEntry> enter() override {
    std::array<u8, 8> name{}; // of our own, so that nobody writes there by accident
    kernel_random(name);
    return std::make_unique<FolderEntry>(folder_ / ("talaria-" + to_hex(name)));
  }

private:
  const fs::path folder_;
};

} // namespace

std::unique_ptr<Tsm> tsm_below(const fs::path& root) {
  return std::make_unique<FolderTsm>(root / "sys/kernel/config/tsm/report");
}

} // namespace talaria::attest
