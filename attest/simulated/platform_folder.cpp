#include "attest/simulated/platform_folder.hpp"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <fstream>
#include <iterator>
#include <unistd.h>

#include <fmt/format.h>

#include "core/console.hpp"
#include "core/digest.hpp"
#include "core/error.hpp"
#include "core/file_descriptor.hpp"

namespace talaria::attest::simulated {
namespace {

namespace fs = std::filesystem;

std::string text_of(const std::vector<u8>& bytes) {
  return {bytes.begin(), bytes.end()};
}
std::vector<u8> bytes_of(const std::string& text) {
  return {text.begin(), text.end()};
}

/// Writes files that must not be there yet.
class FolderWriter {
public:
  explicit FolderWriter(fs::path folder) : folder_(std::move(folder)) {
    std::error_code error;
    fs::create_directories(folder_, error);
    if (error) throw Error(Errc::io, folder_.string() + ": " + error.message());
  }

  void put(const char* name, const std::string& content, mode_t mode) {
    const fs::path file = folder_ / name;
    const FileDescriptor descriptor(
        ::open(file.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode));
    if (descriptor.get() < 0 && errno == EEXIST)
      throw Error(Errc::usage, file.string() + ": is there already; use another folder");
    if (descriptor.get() < 0 || !write_fully(descriptor.get(), content))
      throw Error(Errc::io, file.string() + ": " + std::strerror(errno));
    written.push_back(file);
  }
  void key(const char* name, const SigningKey& key) { put(name, key.pem(), 0600); }
  void file(const char* name, const std::vector<u8>& content) { put(name, text_of(content), 0644); }

  std::vector<fs::path> written;

private:
  fs::path folder_;
};

std::string read_text(const fs::path& file) {
  std::ifstream stream(file, std::ios::binary);
  std::string text;
  if (stream) text.assign(std::istreambuf_iterator<char>(stream), {});
  if (!stream || stream.bad())
    throw Error(Errc::io,
                file.string() + ": cannot be read; talaria attest simulate init makes it");
  return text;
}

SigningKey read_key(const fs::path& file) {
  try {
    return SigningKey::from_pem(read_text(file));
  } catch (const Error& error) {
    if (error.code() != Errc::config) throw;
    throw Error(Errc::config, file.string() + ": " + error.what());
  }
}

void write_tdx(const TdxAuthority& tdx, TimePoint now, FolderWriter& writer) {
  writer.key("root.key", tdx.root);
  writer.key("pck-ca.key", tdx.pck_authority);
  writer.key("pck.key", tdx.pck);
  writer.key("tcb-signer.key", tdx.tcb_signer);
  writer.file("root.der", tdx.root_certificate);
  writer.file("pck-ca.der", tdx.pck_authority_certificate);
  writer.file("pck.der", tdx.pck_certificate);
  writer.file("tcb-signer.der", tdx.tcb_signer_certificate);
  writer.file("root.crl", tdx.root_crl);
  writer.file("pck.crl", tdx.pck_crl);
  TcbInfoSpec info;
  info.issued = now;
  info.next_update = now + kLife;
  info.levels = {platform_level()};
  writer.put("tcb_info.json", make_tcb_info(info, tdx.tcb_signer), 0644);
  QeIdentitySpec identity;
  identity.issued = now;
  identity.next_update = now + kLife;
  writer.put("qe_identity.json", make_qe_identity(identity, tdx.tcb_signer), 0644);
}

} // namespace

std::vector<fs::path> create_platform(const fs::path& folder, TimePoint now) {
  FolderWriter writer(folder);
  if (fs::exists(folder / "roots.pem"))
    throw Error(Errc::usage,
                (folder / "roots.pem").string() + ": is there already; use another folder");
  const SnpAuthority snp = make_snp_authority(now);
  const TdxAuthority tdx = make_tdx_authority(now);
  writer.key("ark.key", snp.ark);
  writer.key("ask.key", snp.ask);
  writer.key("vcek.key", snp.vcek);
  writer.file("ark.der", snp.ark_certificate);
  writer.file("ask.der", snp.ask_certificate);
  writer.file("vcek.der", snp.vcek_certificate);
  writer.file("ark.crl", snp.crl);
  write_tdx(tdx, now, writer);
  writer.put("roots.pem", pem_of(snp.ark_certificate) + pem_of(tdx.root_certificate), 0644);
  return std::move(writer.written);
}

PlatformFolder::PlatformFolder(const fs::path& folder)
    : snp_{read_key(folder / "ark.key"),
           read_key(folder / "ask.key"),
           read_key(folder / "vcek.key"),
           bytes_of(read_text(folder / "ark.der")),
           bytes_of(read_text(folder / "ask.der")),
           bytes_of(read_text(folder / "vcek.der")),
           bytes_of(read_text(folder / "ark.crl"))},
      tdx_{read_key(folder / "root.key"),
           read_key(folder / "pck-ca.key"),
           read_key(folder / "pck.key"),
           read_key(folder / "tcb-signer.key"),
           bytes_of(read_text(folder / "root.der")),
           bytes_of(read_text(folder / "pck-ca.der")),
           bytes_of(read_text(folder / "pck.der")),
           bytes_of(read_text(folder / "tcb-signer.der")),
           bytes_of(read_text(folder / "root.crl")),
           bytes_of(read_text(folder / "pck.crl"))},
      tcb_info_(bytes_of(read_text(folder / "tcb_info.json"))),
      qe_identity_(bytes_of(read_text(folder / "qe_identity.json"))) {}

std::map<std::string, std::vector<u8>> PlatformFolder::snp(const ReportSpec& spec) const {
  return {{"report", make_report(spec, snp_.vcek)},
          {"leaf", snp_.vcek_certificate},
          {"authority", snp_.ask_certificate},
          {"root", snp_.ark_certificate},
          {"crl", snp_.crl}};
}

std::map<std::string, std::vector<u8>> PlatformFolder::tdx(const QuoteSpec& spec) const {
  return {{"quote", make_quote(spec, tdx_)}, {"tcb_info", tcb_info_},
          {"qe_identity", qe_identity_},     {"tcb_chain", bytes_of(tcb_chain_of(tdx_))},
          {"root_crl", tdx_.root_crl},       {"pck_crl", tdx_.pck_crl}};
}

std::array<u8, 32> PlatformFolder::chip_secret() const {
  const std::string pem = snp_.vcek.pem();
  return sha256(bytes_of("talaria simulated chip secret\n" + pem));
}

} // namespace talaria::attest::simulated
