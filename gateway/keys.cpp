#include "gateway/keys.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <map>
#include <mutex>
#include <set>
#include <sstream>

#include "core/equal_bytes.hpp"
#include "core/error.hpp"
#include "core/file_descriptor.hpp"
#include "core/random.hpp"

namespace talaria::gateway {

namespace {

namespace fs = std::filesystem;

constexpr std::string_view kPrefix = "sk-talaria-";
constexpr std::size_t kSecretBytes = 32;
constexpr std::size_t kMaxBytes = std::size_t{4} << 20; // of a file: some 20,000 keys
constexpr std::size_t kLongestName = 64;

bool is_name(std::string_view name) {
  const auto allowed = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '_' || c == '-';
  };
  return !name.empty() && name.size() <= kLongestName &&
         std::all_of(name.begin(), name.end(), allowed);
}

std::optional<u8> digit_of(char c) {
  if (c >= '0' && c <= '9') return static_cast<u8>(c - '0');
  if (c >= 'a' && c <= 'f') return static_cast<u8>(c - 'a' + 10);
  return std::nullopt;
}

/// Lower-case hexadecimal of exactly as many bytes as `out` has.
bool read_hex(std::string_view text, std::span<u8> out) {
  if (text.size() != 2 * out.size()) return false;
  for (std::size_t i = 0; i < out.size(); ++i) {
    const auto high = digit_of(text[2 * i]);
    const auto low = digit_of(text[2 * i + 1]);
    if (!high || !low) return false;
    out[i] = static_cast<u8>(*high << 4 | *low);
  }
  return true;
}

/// "requests=8" into `limits`.
bool read_limit(std::string_view word, ClientLimits& limits) {
  const std::size_t equals = word.find('=');
  if (equals == std::string_view::npos) return false;
  const std::string_view name = word.substr(0, equals);
  const std::string_view number = word.substr(equals + 1);
  u32* limit = name == "requests"            ? &limits.requests
               : name == "tokens_per_minute" ? &limits.tokens_per_minute
                                             : nullptr;
  if (limit == nullptr) return false;
  const auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), *limit);
  return error == std::errc() && end == number.data() + number.size() && *limit > 0;
}

std::optional<StoredKey> read_line(const std::string& line) {
  std::istringstream words(line);
  StoredKey key;
  std::string salt;
  std::string hash;
  if (!(words >> key.name >> salt >> hash) || !is_name(key.name) || !read_hex(salt, key.salt) ||
      !read_hex(hash, key.hash))
    return std::nullopt;
  for (std::string word; words >> word;)
    if (!read_limit(word, key.limits)) return std::nullopt;
  return key;
}

Sha256Digest hash_of(std::span<const u8> salt, std::span<const u8> secret) {
  Sha256 hash;
  hash.update(salt);
  hash.update(secret);
  return hash.finish();
}

[[noreturn]] void fail(const fs::path& file, const char* what, int error) {
  throw Error(Errc::io, fmt::format("{}: the keys cannot be {}: {}", file.string(), what,
                                    std::strerror(error)));
}

struct stat status_of(int descriptor, const fs::path& file) {
  struct stat status {};
  if (::fstat(descriptor, &status) != 0) fail(file, "read", errno);
  return status;
}

void require_private(const struct stat& status, const fs::path& file) {
  if (!S_ISREG(status.st_mode)) throw Error(Errc::io, file.string() + ": the keys must be a file");
  if (status.st_uid != ::geteuid() && status.st_uid != 0)
    throw Error(Errc::io, fmt::format("{}: belongs to user {}, who could change the keys; it must "
                                      "belong to the user that serves",
                                      file.string(), status.st_uid));
  if ((status.st_mode & 077) != 0)
    throw Error(Errc::io, fmt::format("{}: mode {:04o} lets others at the keys; chmod 600 it",
                                      file.string(), status.st_mode & 07777));
}

std::string read_all(int descriptor, const fs::path& file) {
  std::string text;
  char buffer[4096];
  for (ssize_t count = 0; (count = ::read(descriptor, buffer, sizeof buffer)) != 0;) {
    if (count < 0) fail(file, "read", errno);
    text.append(buffer, static_cast<std::size_t>(count));
    if (text.size() > kMaxBytes)
      throw Error(Errc::config, file.string() + ": too long for a file of keys");
  }
  return text;
}

/// Names a version of a file: another one differs in some of it.
struct Version {
  dev_t device = 0;
  ino_t inode = 0;
  off_t size = 0;
  timespec modified{};
  timespec changed{};
  bool operator==(const Version& other) const {
    const auto same = [](const timespec& a, const timespec& b) {
      return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
    };
    return device == other.device && inode == other.inode && size == other.size &&
           same(modified, other.modified) && same(changed, other.changed);
  }
};

Version version_of(const struct stat& status) {
  return {status.st_dev, status.st_ino, status.st_size, status.st_mtim, status.st_ctim};
}

/// The version that is there; one like no other if nothing is.
Version version_at(const fs::path& file) {
  struct stat status {};
  return ::stat(file.c_str(), &status) == 0 ? version_of(status) : Version{};
}

FileDescriptor locked_folder(const fs::path& file) {
  const fs::path folder = file.has_parent_path() ? file.parent_path() : fs::path(".");
  FileDescriptor descriptor(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!descriptor || ::flock(descriptor.get(), LOCK_EX) != 0) fail(file, "written", errno);
  return descriptor;
}

void write_all(int descriptor, std::string_view text, const fs::path& file) {
  while (!text.empty()) {
    const ssize_t count = ::write(descriptor, text.data(), text.size());
    if (count < 0 && errno != EINTR) fail(file, "written", errno);
    if (count > 0) text.remove_prefix(static_cast<std::size_t>(count));
  }
}

/// Readers see the old file or the new one, never a part. Keeps the owner of the old.
void replace_file(const fs::path& file, std::string_view text) {
  const fs::path partial = file.string() + ".new";
  ::unlink(partial.c_str()); // left by one that was killed: the lock is ours
  const FileDescriptor out(
      ::open(partial.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (!out) fail(file, "written", errno);
  try {
    struct stat old {};
    if (::stat(file.c_str(), &old) == 0 && old.st_uid != ::geteuid() &&
        ::fchown(out.get(), old.st_uid, old.st_gid) != 0)
      fail(file, "written", errno);
    write_all(out.get(), text, file);
    if (::fsync(out.get()) != 0 || ::rename(partial.c_str(), file.c_str()) != 0)
      fail(file, "written", errno);
  } catch (...) {
    ::unlink(partial.c_str());
    throw;
  }
}

} // namespace

std::vector<StoredKey> parse_keys(std::string_view text, const std::string& file) {
  std::vector<StoredKey> keys;
  std::set<std::string> names;
  std::set<std::array<u8, 8>> salts;
  std::istringstream lines{std::string(text)};
  int number = 0;
  for (std::string line; std::getline(lines, line);) {
    ++number;
    const std::size_t first = line.find_first_not_of(" \t\r");
    if (first == std::string::npos || line[first] == '#') continue;
    const auto key = read_line(line);
    if (!key)
      throw Error(Errc::config, fmt::format("{}:{}: expected NAME SALT HASH [requests=N] "
                                            "[tokens_per_minute=N]; talaria keys add makes such "
                                            "lines",
                                            file, number));
    if (!names.insert(key->name).second || !salts.insert(key->salt).second)
      throw Error(Errc::config,
                  fmt::format("{}:{}: key '{}' is there twice", file, number, key->name));
    keys.push_back(*key);
  }
  return keys;
}

std::string to_text(const std::vector<StoredKey>& keys) {
  std::string text = "# talaria keys: name, salt, SHA-256 of salt and key, limits\n";
  for (const StoredKey& key : keys) {
    text += fmt::format("{} {} {}", key.name, to_hex(key.salt), to_hex(key.hash));
    if (key.limits.requests != 0) text += fmt::format(" requests={}", key.limits.requests);
    if (key.limits.tokens_per_minute != 0)
      text += fmt::format(" tokens_per_minute={}", key.limits.tokens_per_minute);
    text += '\n';
  }
  return text;
}

std::vector<StoredKey> read_keys(const fs::path& file) {
  const FileDescriptor descriptor(::open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!descriptor) fail(file, "read", errno);
  require_private(status_of(descriptor.get(), file), file);
  return parse_keys(read_all(descriptor.get(), file), file.string());
}

void edit_keys(const fs::path& name, const std::function<void(std::vector<StoredKey>&)>& change) {
  std::error_code ignored;
  const bool exists = fs::exists(name, ignored);
  const fs::path file = exists ? fs::canonical(name) : name; // a link stays a link
  const FileDescriptor lock = locked_folder(file);
  std::vector<StoredKey> keys;
  if (fs::exists(file, ignored)) keys = read_keys(file);
  change(keys);
  replace_file(file, to_text(keys));
  ::fsync(lock.get());
}

NewKey make_key(const std::string& name, ClientLimits limits) {
  if (!is_name(name))
    throw Error(Errc::usage, fmt::format("a key's name is 1 to {} letters, digits, '.', '_' or '-'",
                                         kLongestName));
  NewKey made;
  std::array<u8, kSecretBytes> secret{};
  auto rng = ChaChaRng::from_system();
  rng.fill(secret);
  rng.fill(made.stored.salt);
  made.stored.name = name;
  made.stored.limits = limits;
  made.stored.hash = hash_of(made.stored.salt, secret);
  made.key = fmt::format("{}{}-{}", kPrefix, to_hex(made.stored.salt), to_hex(secret));
  return made;
}

struct KeyRing::Impl {
  using Keys = std::map<std::array<u8, 8>, StoredKey>;

  void load() {
    version = version_at(file); // before reading: a change in between is seen next time
    auto read = std::make_shared<Keys>();
    for (const StoredKey& key : read_keys(file)) read->emplace(key.salt, key);
    keys = std::move(read);
  }

  std::shared_ptr<const Keys> current() {
    const std::lock_guard lock(mutex);
    if (version_at(file) == version) return keys;
    try {
      load();
      log(fmt::format("{}: read again, {} keys", file.string(), keys->size()));
    } catch (const Error& error) {
      log(fmt::format("{}; the keys stay as they were", error.what()));
    }
    return keys;
  }

  fs::path file;
  std::function<void(const std::string&)> log;
  std::mutex mutex;
  Version version;
  std::shared_ptr<const Keys> keys;
};

KeyRing::KeyRing(fs::path file, std::function<void(const std::string&)> log)
    : impl_(std::make_unique<Impl>()) {
  impl_->file = std::move(file);
  impl_->log = std::move(log);
  impl_->load();
}

KeyRing::~KeyRing() = default;

std::optional<StoredKey> KeyRing::find(std::string_view key) {
  const auto keys = impl_->current();
  std::array<u8, 8> salt{};
  std::array<u8, kSecretBytes> secret{};
  const std::size_t dash = kPrefix.size() + 2 * salt.size();
  if (!key.starts_with(kPrefix) || key.size() <= dash || key[dash] != '-' ||
      !read_hex(key.substr(kPrefix.size(), 2 * salt.size()), salt) ||
      !read_hex(key.substr(dash + 1), secret))
    return std::nullopt;
  const auto found = keys->find(salt);
  if (found == keys->end() || !equal_in_constant_time(hash_of(salt, secret), found->second.hash))
    return std::nullopt;
  return found->second;
}

std::size_t KeyRing::size() {
  return impl_->current()->size();
}

} // namespace talaria::gateway
