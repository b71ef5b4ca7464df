#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "attest/evidence/encodings.hpp"
#include "cli/worker/owner_gate.hpp"
#include "core/error.hpp"
#include "core/file_descriptor.hpp"
#include "core/secret.hpp"

namespace talaria::cli {

SealKey read_seal_secret(const std::filesystem::path& path) {
  const FileDescriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  std::array<char, 128> text{};
  const ssize_t size = file ? ::read(file.get(), text.data(), text.size()) : -1;
  struct stat status {};
  if (size < 0 || ::fstat(file.get(), &status) != 0)
    throw Error(Errc::io, path.string() + ": the secret cannot be read");
  if ((status.st_mode & (S_IRWXG | S_IRWXO)) != 0)
    throw Error(Errc::config, path.string() + ": others can read or change it; chmod 600");
  const auto bytes = attest::from_hex(
      attest::trimmed(std::string_view(text.data(), static_cast<std::size_t>(size))));
  wipe(text.data(), text.size());
  SealKey secret{};
  if (!bytes || bytes->size() != secret.size())
    throw Error(Errc::config,
                path.string() + ": not 64 hexadecimal digits (openssl rand -hex 32 makes them)");
  std::ranges::copy(*bytes, secret.begin());
  return secret;
}

std::optional<SealKey> seal_key_for(const attest::Verdict& verdict, const SealKey& secret) {
  if (!verdict.accepted || !verdict.statement || verdict.azure) return std::nullopt;
  std::vector<u8> about;
  const auto add = [&about](std::span<const u8> bytes) {
    about.push_back(static_cast<u8>(bytes.size())); // lengths keep neighbours apart
    about.insert(about.end(), bytes.begin(), bytes.end());
  };
  add(attest::as_bytes("talaria hint cache v1"));
  add(attest::as_bytes(verdict.simulated ? "simulated" : "hardware"));
  add(attest::as_bytes(to_string(verdict.kind)));
  const Sha256Digest image = sha256(attest::as_bytes(verdict.image.name));
  add(image);
  if (verdict.snp) {
    add(verdict.snp->report.measurement);
    add(verdict.snp->report.host_data);
  } else if (verdict.tdx) {
    add(verdict.tdx->quote.mr_td);
    for (const auto& rtmr : verdict.tdx->quote.rtmr) add(rtmr);
    add(verdict.tdx->quote.mr_config_id);
  } else {
    return std::nullopt;
  }
  return derive_key(secret, verdict.statement->model_root, about);
}

} // namespace talaria::cli
