#include "transport/certificates.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <optional>
#include <set>
#include <span>
#include <system_error>

#include "core/error.hpp"
#include "core/file_descriptor.hpp"
#include "transport/address.hpp"
#include "transport/x509.hpp"

namespace talaria::transport {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::system_clock;
using Days = std::chrono::duration<int, std::ratio<86400>>;

constexpr int kMaxDays = 3650;
constexpr std::chrono::hours kClockSkew{1}; // machines whose clock is behind accept it at once

[[noreturn]] void cannot_write(const fs::path& file, int error) {
  throw Error(Errc::io, fmt::format("cannot write {}: {}", file.string(),
                                    std::generic_category().message(error)));
}

bool is_dns_name(const std::string& name) {
  const auto allowed = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '.' || c == '_';
  };
  return !name.empty() && name.size() <= 253 && std::all_of(name.begin(), name.end(), allowed) &&
         name.front() != '.' && name.front() != '-' && name.back() != '.';
}

void check_names(const std::vector<std::string>& hosts, const CertificateOptions& options) {
  for (const std::string& host : hosts) {
    if (!is_ip_address(host) && !is_dns_name(host))
      throw Error(Errc::usage, "--hosts takes host names and IP addresses, separated by commas");
    if (host == "ca" || host == "enclave")
      throw Error(Errc::usage, fmt::format("a host cannot be called \"{}\": {}.pem has another "
                                           "meaning; give its address",
                                           host, host));
  }
  if (!is_dns_name(options.enclave_name))
    throw Error(Errc::usage, "the enclave's name must be a DNS name");
  if (options.days < 1 || options.days > kMaxDays)
    throw Error(Errc::usage, fmt::format("certificates live 1 to {} days", kMaxDays));
}

/// Whether NAME.pem and NAME.key are there. @throws Error{config} if only one is.
bool have_pair(const fs::path& dir, const std::string& name) {
  const bool certificate = fs::exists(dir / (name + ".pem"));
  const bool key = fs::exists(dir / (name + ".key"));
  if (certificate != key)
    throw Error(Errc::config,
                fmt::format("{}: {}.{} is missing beside {}.{}; restore it, or remove the other",
                            dir.string(), name, certificate ? "key" : "pem", name,
                            certificate ? "pem" : "key"));
  return certificate;
}

/// Where the authority's key is, or will be: beside its certificate only if an earlier version, or
/// somebody, put it there.
fs::path authority_key(const fs::path& dir, const CertificateOptions& options) {
  if (fs::exists(dir / "ca.key")) return dir / "ca.key";
  if (!options.authority.empty()) return options.authority / "ca.key";
  return authority_folder(dir) / "ca.key";
}

/// @throws Error{config} if the certificate of an authority is there, and its key is not.
bool have_authority(const fs::path& dir, const fs::path& key) {
  const bool has_certificate = fs::exists(dir / "ca.pem");
  const bool has_key = fs::exists(key);
  if (has_certificate && !has_key)
    throw Error(Errc::config,
                fmt::format("{} is needed to make certificates of {}; put it there for as long as "
                            "this takes, or name its folder with --authority",
                            key.string(), (dir / "ca.pem").string()));
  if (has_key && !has_certificate)
    throw Error(Errc::config, fmt::format("{}: its certificate {} is missing; restore it, or "
                                          "remove the key to have a new authority made",
                                          key.string(), (dir / "ca.pem").string()));
  return has_certificate;
}

Credential read_authority(const fs::path& dir, const fs::path& key) {
  Credential authority = Credential::read(dir / "ca.pem", key);
  if (!authority.is_living_authority())
    throw Error(Errc::config,
                fmt::format("{}: it has expired or is no authority; use another folder",
                            (dir / "ca.pem").string()));
  return authority;
}

/// Files that appear together or not at all: written under temporary names, then linked into place,
/// which never replaces a file.
class FileSet {
public:
  explicit FileSet(const fs::path& dir) : dir_(dir) { make_folder(dir); }
  ~FileSet() {
    std::error_code ignored;
    for (const Pending& file : pending_) fs::remove(file.temporary, ignored);
    if (finished_) return;
    for (const fs::path& file : placed_) fs::remove(file, ignored);
    for (const fs::path& folder : made_folders_) fs::remove(folder, ignored);
  }
  FileSet(const FileSet&) = delete;

  /// @param path  of the file; its folder is made if it is missing
  void add(const fs::path& path, std::span<const char> content, mode_t mode) {
    make_folder(path.parent_path());
    fs::path temporary =
        path.parent_path() / fmt::format(".{}.{}", path.filename().string(), ::getpid());
    const FileDescriptor file(
        ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode));
    if (file.get() < 0) cannot_write(temporary, errno);
    pending_.push_back({temporary, path});
    while (!content.empty()) {
      const ssize_t put = ::write(file.get(), content.data(), content.size());
      if (put < 0 && errno != EINTR) cannot_write(temporary, errno);
      if (put > 0) content = content.subspan(static_cast<std::size_t>(put));
    }
    if (::fchmod(file.get(), mode) != 0 || ::fsync(file.get()) != 0) cannot_write(temporary, errno);
  }
  void add(const std::string& name, const Credential& credential) {
    add(dir_ / (name + ".pem"), credential.certificate_pem(), 0644);
    add(dir_ / (name + ".key"), credential.key_pem().span(), 0600);
  }
  std::vector<fs::path> finish() {
    for (const Pending& file : pending_) {
      if (::link(file.temporary.c_str(), file.name.c_str()) != 0) cannot_write(file.name, errno);
      placed_.push_back(file.name);
    }
    finished_ = true;
    return placed_;
  }

private:
  struct Pending {
    fs::path temporary;
    fs::path name;
  };
  void make_folder(const fs::path& folder) {
    std::error_code error;
    const bool made = fs::create_directories(folder, error);
    if (error) cannot_write(folder, error.value());
    if (!made) return;
    made_folders_.push_back(folder);
    fs::permissions(folder, fs::perms::owner_all);
  }

  fs::path dir_;
  std::vector<fs::path> made_folders_;
  bool finished_ = false;
  std::vector<Pending> pending_;
  std::vector<fs::path> placed_;
};

Credential make_authority(FileSet& files, const fs::path& dir, const fs::path& key,
                          Clock::time_point now) {
  Credential authority =
      Credential::create({"Talaria certificate authority", CertificateUse::authority,
                          now - kClockSkew, now + Days(kMaxDays)},
                         nullptr);
  files.add(dir / "ca.pem", authority.certificate_pem(), 0644);
  files.add(key, authority.key_pem().span(), 0600);
  return authority;
}

} // namespace

fs::path authority_folder(const fs::path& dir) {
  const fs::path absolute = fs::absolute(dir).lexically_normal();
  const fs::path whole = absolute.has_filename() ? absolute : absolute.parent_path();
  return whole.parent_path() / (whole.filename().string() + "-authority");
}

std::vector<fs::path> create_certificates(const fs::path& dir,
                                          const std::vector<std::string>& hosts,
                                          const CertificateOptions& options) {
  check_names(hosts, options);
  const bool have_enclave = have_pair(dir, "enclave");
  if (have_enclave && !certificate_names(dir / "enclave.pem", options.enclave_name))
    throw Error(Errc::config,
                fmt::format("{} is not for the name {}; remove it and its key to have "
                            "it made again",
                            (dir / "enclave.pem").string(), options.enclave_name));
  std::set<std::string> missing; // each host once
  for (const std::string& host : hosts)
    if (!have_pair(dir, host)) missing.insert(host);
  // What needs no new signature needs no key, which may be off line.
  if (fs::exists(dir / "ca.pem") && have_enclave && missing.empty()) return {};

  const fs::path key = authority_key(dir, options);
  const auto now = Clock::now();
  std::optional<Credential> authority;
  if (have_authority(dir, key)) authority = read_authority(dir, key);
  FileSet files(dir);
  if (!authority) authority = make_authority(files, dir, key, now);
  const auto ends = std::min(now + Days(options.days), authority->ends());
  const auto add = [&](const std::string& file, const std::string& name, CertificateUse use) {
    files.add(file, Credential::create({name, use, now - kClockSkew, ends}, &*authority));
  };
  if (!have_enclave) add("enclave", options.enclave_name, CertificateUse::client);
  for (const std::string& host : missing) add(host, host, CertificateUse::server);
  return files.finish();
}

} // namespace talaria::transport
