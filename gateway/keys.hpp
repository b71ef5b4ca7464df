#pragma once

#include <array>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/digest.hpp"
#include "core/integers.hpp"
#include "gateway/limits.hpp"

namespace talaria::gateway {

/// What is kept of a key: whoever reads it cannot ask with it. Keys are 32 random bytes, so that
/// one SHA-256 is as good as a slow hash.
struct StoredKey {
  std::string name;       ///< 1 to 64 of A-Z a-z 0-9 . _ -
  std::array<u8, 8> salt; ///< in the key as well, to find it by
  Sha256Digest hash;      ///< SHA-256 of salt and secret
  ClientLimits limits;    ///< 0: the server's defaults
};

/// A key file, one line per key: NAME SALT HASH [requests=N] [tokens_per_minute=N], salt and hash
/// in hexadecimal; empty lines and lines that begin with # count for nothing.
/// @throws Error{config} "file:line: ..." for a line that is wrong or a name that comes twice
std::vector<StoredKey> parse_keys(std::string_view text, const std::string& file);
std::string to_text(const std::vector<StoredKey>& keys);

/// Reads and checks a key file.
/// @throws Error{io} if it cannot be read or others may read or write it; Error{config} as
/// parse_keys()
std::vector<StoredKey> read_keys(const std::filesystem::path& file);

/// Lets `change` work on the keys of `file`, none if there is no such file, and puts the result in
/// its place at once, mode 0600. One at a time.
/// @throws Error as read_keys() and as `change` does
void edit_keys(const std::filesystem::path& file,
               const std::function<void(std::vector<StoredKey>& keys)>& change);

/// A new key of random bytes: what is kept of it, and the key itself, "sk-talaria-SALT-SECRET".
struct NewKey {
  StoredKey stored;
  std::string key;
};
/// @throws Error{usage} for a name that is not one
NewKey make_key(const std::string& name, ClientLimits limits);

/// The keys of a file, as it is now: looked at again whenever it has changed. A file that has
/// become wrong, or is gone, changes nothing, and is said once. Thread-safe.
class KeyRing {
public:
  /// @param log  told what is wrong with a changed file, in one line
  /// @throws Error as read_keys()
  KeyRing(std::filesystem::path file, std::function<void(const std::string&)> log);
  ~KeyRing();

  /// Whose key this is; nothing: nobody's. Takes the same time for every wrong secret.
  std::optional<StoredKey> find(std::string_view key);
  std::size_t size();

private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

} // namespace talaria::gateway
