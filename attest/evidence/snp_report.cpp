#include "attest/evidence/snp_report.hpp"

#include <algorithm>
#include <string>

namespace talaria::attest {
namespace {

constexpr std::size_t kR = 0x2A0;
constexpr std::size_t kS = 0x2E8;
constexpr std::size_t kBehindSignature = 0x330;
constexpr u32 kEcdsaP384 = 1;
constexpr u32 kMaskChipKey = 2;
constexpr u32 kOldest = 2;
constexpr u32 kNewest = 5;

[[noreturn]] void refuse_reserved(const std::string& where) {
  refuse(Stage::format, "reserved", where);
}

void require_zero(const Record& record, std::size_t from, std::size_t to, const char* where) {
  if (!all_zero(record.slice(from, to - from)))
    refuse_reserved(std::string("the reserved bytes ") + where + " are not zero");
}

std::optional<SnpProduct> product_of(CpuId id) {
  if (id.family == 0x19) {
    if (id.model <= 0x0F) return SnpProduct::milan;
    if ((id.model >= 0x10 && id.model <= 0x1F) || (id.model >= 0xA0 && id.model <= 0xAF))
      return SnpProduct::genoa;
  }
  if (id.family == 0x1A && id.model <= 0x11) return SnpProduct::turin;
  return std::nullopt;
}

SnpSigner read_signer(u32 key_info) {
  const u32 signer = key_info >> 2 & 7;
  if (signer > 1)
    refuse(Stage::format, "signer",
           signer == 7 ? "the host has switched signing off (SIGNING_KEY 7)"
                       : "SIGNING_KEY " + std::to_string(signer) + " is not known");
  // Sources disagree about the bit: chip id masked, or a signature of zeros. Nobody has seen it.
  if (key_info & kMaskChipKey)
    refuse(Stage::format, "signer", "MASK_CHIP_KEY is set: such firmware does not sign");
  return signer == 0 ? SnpSigner::vcek : SnpSigner::vlek;
}

void check_reserved(const Record& record, const SnpReport& report) {
  if (!(report.policy & snp_policy::kReservedOne)) refuse_reserved("bit 17 of the policy is zero");
  if (report.policy >> snp_policy::kFirstReserved) refuse_reserved("the policy has bits above 25");
  if (report.vmpl > 3) refuse_reserved("VMPL " + std::to_string(report.vmpl));
  require_zero(record, 0x4C, 0x50, "at 0x4c");
  if (report.key_info >> 5) refuse_reserved("the key information has bits above 4");
  require_zero(record, report.version == 2 ? 0x188 : 0x18B, 0x1A0, "before the chip id");
  require_zero(record, 0x1EB, 0x1EC, "at 0x1eb");
  require_zero(record, 0x1EF, 0x1F0, "at 0x1ef");
  require_zero(record, report.version >= 5 ? 0x208 : 0x1F8, kR, "before the signature");
  require_zero(record, kR + 48, kS, "behind R");
  require_zero(record, kS + 48, kBehindSignature, "behind S");
  require_zero(record, kBehindSignature, kSnpReportBytes, "behind the signature");
}

std::array<u8, 48> big_endian(const Record& record, std::size_t at) {
  std::array<u8, 48> number = record.array<48>(at);
  std::ranges::reverse(number);
  return number;
}

FirmwareVersion firmware(const Record& record, std::size_t at) {
  return {record.byte(at), record.byte(at + 1), record.byte(at + 2)};
}

void read_guest(const Record& record, SnpReport& report) {
  report.guest_svn = record.le32(0x004);
  report.policy = record.le64(0x008);
  report.family_id = record.array<16>(0x010);
  report.image_id = record.array<16>(0x020);
  report.vmpl = record.le32(0x030);
  report.signature_algorithm = record.le32(0x034);
  report.platform_info = record.le64(0x040);
  report.key_info = record.le32(0x048);
  report.report_data = record.array<64>(0x050);
  report.measurement = record.array<48>(0x090);
  report.host_data = record.array<32>(0x0C0);
  report.id_key_digest = record.array<48>(0x0E0);
  report.author_key_digest = record.array<48>(0x110);
  report.report_id = record.array<32>(0x140);
  report.report_id_ma = record.array<32>(0x160);
  report.chip_id = record.array<64>(0x1A0);
}

void read_platform(const Record& record, SnpReport& report) {
  report.current = record.array<8>(0x038);
  report.reported = record.array<8>(0x180);
  report.committed = record.array<8>(0x1E0);
  report.launch = record.array<8>(0x1F0);
  report.cpuid = {record.byte(0x188), record.byte(0x189), record.byte(0x18A)};
  report.current_firmware = firmware(record, 0x1E8);
  report.committed_firmware = firmware(record, 0x1EC);
  report.launch_mitigations = record.le64(0x1F8);
  report.current_mitigations = record.le64(0x200);
}

SnpReport read_report(Bytes bytes) {
  if (bytes.size() != kSnpReportBytes)
    refuse(Stage::format, "length",
           std::to_string(bytes.size()) + " bytes; a report has 1184 exactly");
  const Record record(bytes, "length");
  SnpReport report;
  report.version = record.le32(0);
  if (report.version < kOldest || report.version > kNewest)
    refuse(Stage::format, "version",
           "version " + std::to_string(report.version) + "; known are 2 to 5");
  read_guest(record, report);
  read_platform(record, report);
  if (report.signature_algorithm != kEcdsaP384)
    refuse(Stage::format, "signature-algorithm",
           "algorithm " + std::to_string(report.signature_algorithm) +
               "; expected 1, ECDSA P-384 with SHA-384");
  check_reserved(record, report);
  report.signer = read_signer(report.key_info);
  if (report.version >= 3) {
    report.product = product_of(report.cpuid);
    if (!report.product)
      refuse(Stage::format, "product",
             "CPU family " + std::to_string(report.cpuid.family) + ", model " +
                 std::to_string(report.cpuid.model) + " is not Milan, Genoa or Turin");
  }
  report.signed_bytes = record.array<kSnpSignedBytes>(0);
  report.r = big_endian(record, kR);
  report.s = big_endian(record, kS);
  return report;
}

} // namespace

const char* to_string(SnpSigner signer) noexcept {
  return signer == SnpSigner::vcek ? "VCEK" : "VLEK";
}

SnpTcb decode_tcb(const TcbVersion& raw, SnpProduct product) noexcept {
  if (product == SnpProduct::turin) return {raw[0], raw[1], raw[2], raw[3], raw[7]};
  return {0, raw[0], raw[1], raw[6], raw[7]};
}

bool is_plain_tcb(const TcbVersion& raw, SnpProduct product) noexcept {
  const Bytes bytes(raw);
  return product == SnpProduct::turin ? all_zero(bytes.subspan(4, 3))
                                      : all_zero(bytes.subspan(2, 4));
}

const char* platform_bit_name(unsigned bit) noexcept {
  static constexpr std::array names = {
      "smt", "tsme", "ecc", "rapl_off", "ciphertext_hiding", "alias_check", "iommu_write_safe",
      "tio"};
  return bit < names.size() ? names[bit] : nullptr;
}

const char* policy_bit_name(unsigned bit) noexcept {
  static constexpr std::array names = {
      "smt",         "reserved_one", "migration_agent",   "debug",        "single_socket", "cxl",
      "aes_256_xts", "rapl_off",     "ciphertext_hiding", "page_swap_off"};
  return bit >= 16 && bit - 16 < names.size() ? names[bit - 16] : nullptr;
}

Parsed<SnpReport> parse_snp_report(Bytes bytes) {
  return guarded([bytes] { return read_report(bytes); });
}

} // namespace talaria::attest
