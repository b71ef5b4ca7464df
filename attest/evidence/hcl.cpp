#include "attest/evidence/hcl.hpp"

#include <string>

#include <nlohmann/json.hpp>

#include "attest/evidence/encodings.hpp"
#include "attest/evidence/strict_json.hpp"

namespace talaria::attest {
namespace {

constexpr std::size_t kMaxHclBytes = std::size_t{32} << 10;
constexpr std::size_t kReport = 0x20;
constexpr std::size_t kReportBytes = 1184;
constexpr std::size_t kTdReportBytes = 1024;
constexpr std::size_t kRuntime = 0x4C0;
constexpr std::size_t kRuntimeHead = 20;
constexpr std::size_t kClaims = kRuntime + kRuntimeHead;
constexpr u32 kAttestationRequest = 2;
constexpr u32 kSnpReport = 2;
constexpr u32 kTdxReport = 4;

void need_hcl(bool holds, std::string_view code, const std::string& reason) {
  if (!holds) refuse(Stage::format, code, reason);
}

HashKind hash_of(u32 number) {
  need_hcl(number >= 1 && number <= 3, "hcl-hash",
           "hash algorithm " + std::to_string(number) + "; known are 1 to 3");
  return number == 1 ? HashKind::sha256 : number == 2 ? HashKind::sha384 : HashKind::sha512;
}

void check_lengths(const Record& record, std::size_t claims) {
  need_hcl(claims <= record.size() - kClaims, "hcl-length",
           "claims of " + std::to_string(claims) + " bytes do not fit");
  need_hcl(record.le32(kRuntime) == kRuntimeHead + claims && record.le32(0x008) == kClaims + claims,
           "hcl-length", "the lengths in the header contradict that of the claims");
}

HclReport read_hcl(Bytes bytes) {
  need_hcl(bytes.size() >= kClaims && bytes.size() <= kMaxHclBytes, "hcl-length",
           std::to_string(bytes.size()) + " bytes; expected 1236 to 32768");
  const Record record(bytes, "hcl-length");
  need_hcl(as_text(record.slice(0, 4)) == "HCLA", "hcl-signature", "does not begin with HCLA");
  HclReport hcl;
  hcl.version = record.le32(0x004);
  need_hcl(hcl.version == 1 || hcl.version == 2, "hcl-version",
           "header version " + std::to_string(hcl.version) + "; known are 1 and 2");
  need_hcl(record.le32(0x00C) == kAttestationRequest, "hcl-request",
           "request type " + std::to_string(record.le32(0x00C)) + "; expected 2");
  const std::size_t claims = record.le32(0x4D0);
  check_lengths(record, claims);
  hcl.hash = hash_of(record.le32(0x4CC));
  const u32 type = record.le32(0x4C8);
  need_hcl(type == kSnpReport || type == kTdxReport, "hcl-type",
           "report type " + std::to_string(type) + "; known are 2, SNP, and 4, TDX");
  hcl.kind = type == kSnpReport ? HclReport::Kind::snp : HclReport::Kind::tdx;
  need_hcl(all_zero(record.slice(0x010, 0x010)), "reserved",
           "status or reserved bytes of the header are not zero");
  need_hcl(type == kSnpReport ||
               all_zero(record.slice(kReport + kTdReportBytes, kReportBytes - kTdReportBytes)),
           "reserved", "bytes that are not zero follow the TDREPORT");
  need_hcl(all_zero(bytes.subspan(kClaims + claims)), "trailing-bytes",
           "bytes that are not zero follow the claims");
  hcl.report = to_vector(record.slice(kReport, kReportBytes));
  hcl.claims = to_vector(record.slice(kClaims, claims));
  return hcl;
}

[[noreturn]] void refuse_claims(const std::string& what) {
  refuse(Stage::binding, "hcl-ak", what);
}

std::vector<u8> key_number(const nlohmann::json& key, const char* name) {
  const auto found = key.find(name);
  auto bytes = found != key.end() && found->is_string() ? from_base64url(found->get<std::string>())
                                                        : std::nullopt;
  if (!bytes) refuse_claims(std::string("HCLAkPub has no readable ") + name);
  return *bytes;
}

PublicKey key_of(const nlohmann::json& claims) {
  const auto keys = claims.find("keys");
  if (keys == claims.end() || !keys->is_array()) refuse_claims("the claims hold no keys");
  const nlohmann::json* wanted = nullptr;
  for (const auto& key : *keys) {
    if (!key.is_object() || !key.contains("kid") || key["kid"] != "HCLAkPub") continue;
    if (wanted) refuse_claims("the claims hold HCLAkPub twice");
    wanted = &key;
  }
  if (!wanted) refuse_claims("the claims hold no HCLAkPub");
  if (!wanted->contains("kty") || (*wanted)["kty"] != "RSA") refuse_claims("HCLAkPub is not RSA");
  const auto key = PublicKey::from_rsa(key_number(*wanted, "n"), key_number(*wanted, "e"));
  if (!key) refuse_claims("HCLAkPub is no RSA key of 2048 bits or more with e = 65537");
  return *key;
}

HclClaims read_claims(Bytes bytes) {
  const auto claims = strict_json(as_text(bytes), kMaxHclBytes, Stage::binding, "hcl-ak");
  if (!claims.is_object()) refuse_claims("the claims are no object");
  HclClaims read{key_of(claims), {}, {}, {}};
  if (const auto data = claims.find("user-data"); data != claims.end() && data->is_string())
    read.user_data = data->get<std::string>();
  const auto vm = claims.find("vm-configuration");
  if (vm == claims.end() || !vm->is_object()) return read;
  if (const auto id = vm->find("vmUniqueId"); id != vm->end() && id->is_string())
    read.vm_id = id->get<std::string>();
  if (const auto boot = vm->find("secure-boot"); boot != vm->end() && boot->is_boolean())
    read.secure_boot = boot->get<bool>();
  return read;
}

} // namespace

Parsed<HclReport> parse_hcl(Bytes bytes) {
  return guarded([bytes] { return read_hcl(bytes); });
}

Parsed<HclClaims> read_hcl_claims(Bytes claims) {
  return guarded([claims] { return read_claims(claims); });
}

} // namespace talaria::attest
