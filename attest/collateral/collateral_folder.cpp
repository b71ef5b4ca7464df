#include "attest/collateral/collateral_folder.hpp"

#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <fstream>
#include <system_error>

#include "core/error.hpp"
#include "core/private_file.hpp"

namespace talaria::attest {

namespace fs = std::filesystem;

fs::path CollateralFolder::usual() {
  const fs::path place = fs::path("talaria") / "collateral";
  const char* cache = std::getenv("XDG_CACHE_HOME");
  if (cache != nullptr && fs::path(cache).is_absolute()) return cache / place;
  const char* home = std::getenv("HOME");
  if (home != nullptr && fs::path(home).is_absolute()) return fs::path(home) / ".cache" / place;
  return {};
}

std::optional<std::vector<u8>> CollateralFolder::read(const std::string& place) const {
  constexpr std::size_t kMost = std::size_t{1} << 20;
  std::ifstream in(folder_ / place, std::ios::binary);
  if (!in) return std::nullopt;
  std::vector<u8> bytes(kMost + 1);
  in.read(reinterpret_cast<char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
  if (in.bad() || static_cast<std::size_t>(in.gcount()) > kMost) return std::nullopt;
  bytes.resize(static_cast<std::size_t>(in.gcount()));
  return bytes;
}

void CollateralFolder::make(const fs::path& folder) const {
  std::error_code error;
  fs::create_directories(folder, error);
  if (error) throw Error(Errc::io, folder.string() + ": cannot be made: " + error.message());
  fs::permissions(folder_, fs::perms::owner_all, error); // others have no business there
}

void CollateralFolder::write(const std::string& place, Bytes content) const {
  const fs::path file = folder_ / place;
  make(file.parent_path());
  replace_private_file(file, as_text(content));
}

void CollateralFolder::check_writable() const {
  make(folder_);
  if (::access(folder_.c_str(), W_OK | X_OK) != 0)
    throw Error(Errc::io, folder_.string() + ": nothing can be written there: " +
                              std::generic_category().message(errno));
}

} // namespace talaria::attest
