#include "attest/simulated/tdx_platform.hpp"

#include <algorithm>
#include <cstdio>

#include <fmt/chrono.h>
#include <fmt/format.h>

#include "core/digest.hpp"

namespace talaria::attest::simulated {
namespace {

constexpr const char* kRoot = "Root-Simulated";
constexpr const char* kPckAuthority = "Intel SGX PCK Platform CA";
constexpr std::array<u8, 6> kFmspc = {0x51, 0xA1, 0xB1, 0xC1, 0xD1, 0xE1};
constexpr u16 kPceSvn = 13;

void append(std::vector<u8>& to, std::span<const u8> bytes) {
  to.insert(to.end(), bytes.begin(), bytes.end());
}

void append_number(std::vector<u8>& to, u64 value, std::size_t bytes) {
  for (std::size_t i = 0; i < bytes; ++i) to.push_back(static_cast<u8>(value >> (8 * i)));
}

std::vector<u8> der(u8 tag, std::span<const u8> content) {
  std::vector<u8> value{tag};
  if (content.size() >= 0x100) {
    value.push_back(0x82);
    value.push_back(static_cast<u8>(content.size() >> 8));
  } else if (content.size() >= 0x80) {
    value.push_back(0x81);
  }
  value.push_back(static_cast<u8>(content.size()));
  append(value, content);
  return value;
}

std::vector<u8> integer(u32 value) {
  std::vector<u8> content;
  for (int shift = 24; shift >= 0; shift -= 8)
    if (value >> shift != 0 || shift == 0) content.push_back(static_cast<u8>(value >> shift));
  if (content.front() >= 0x80) content.insert(content.begin(), 0);
  return der(0x02, content);
}

/// SEQUENCE of an object below 1.2.840.113741.1.13.1 and a value.
std::vector<u8> field(std::initializer_list<u8> below, const std::vector<u8>& value) {
  std::vector<u8> object{0x2A, 0x86, 0x48, 0x86, 0xF8, 0x4D, 0x01, 0x0D, 0x01};
  append(object, std::vector<u8>(below));
  std::vector<u8> content = der(0x06, object);
  append(content, value);
  return der(0x30, content);
}

Extension sgx_extension() {
  const TcbLevelSpec level = platform_level();
  std::vector<u8> tcb;
  for (u8 i = 0; i < 16; ++i)
    append(tcb, field({2, static_cast<u8>(i + 1)}, integer(level.sgx[i])));
  append(tcb, field({2, 17}, integer(level.pce_svn)));
  append(tcb, field({2, 18}, der(0x04, level.sgx)));
  std::vector<u8> all = field({1}, der(0x04, std::vector<u8>(16, 0x5A)));
  append(all, field({2}, der(0x30, tcb)));
  append(all, field({3}, der(0x04, std::vector<u8>{0, 0})));
  append(all, field({4}, der(0x04, kFmspc)));
  append(all, field({5}, der(0x0A, std::vector<u8>{1})));
  append(all, field({6}, der(0x04, std::vector<u8>(16, 0x6B))));
  return {"1.2.840.113741.1.13.1", der(0x30, all), false};
}

std::string time_text(TimePoint time) {
  return fmt::format("{:%Y-%m-%dT%H:%M:%SZ}", time);
}

std::string components(const std::array<u8, 16>& svns) {
  std::string text;
  for (const u8 svn : svns) text += fmt::format("{}{{\"svn\":{}}}", text.empty() ? "" : ",", svn);
  return "[" + text + "]";
}

std::string level_text(const TcbLevelSpec& level) {
  std::string advisories;
  for (const std::string& id : level.advisories)
    advisories += fmt::format("{}\"{}\"", advisories.empty() ? "" : ",", id);
  return fmt::format(R"({{"tcb":{{"sgxtcbcomponents":{},"pcesvn":{},"tdxtcbcomponents":{}}},)"
                     R"("tcbDate":"{}","tcbStatus":"{}","advisoryIDs":[{}]}})",
                     components(level.sgx), level.pce_svn, components(level.tdx), level.date,
                     level.status, advisories);
}

std::string signed_answer(const char* key, const std::string& value, const SigningKey& signer) {
  auto [r, s] = signer.sign({reinterpret_cast<const u8*>(value.data()), value.size()});
  append(r, s);
  return fmt::format(R"({{"{}":{},"signature":"{}"}})", key, value, to_hex(r));
}

std::array<u8, 32> qe_signer() {
  std::array<u8, 32> signer{};
  signer.fill(0x7C);
  return signer;
}

std::vector<u8> header(u16 version) {
  std::vector<u8> bytes;
  append_number(bytes, version, 2);
  append_number(bytes, 2, 2); // ECDSA P-256
  append_number(bytes, 0x81, 4);
  append_number(bytes, 0, 4);
  append(bytes, std::array<u8, 16>{0x93, 0x9A, 0x72, 0x33, 0xF7, 0x9C, 0x4C, 0xA9, 0x94, 0x0A, 0x0D,
                                   0xB3, 0x95, 0x7F, 0x06, 0x07});
  bytes.resize(48); // the user data stays zero
  return bytes;
}

std::vector<u8> body(const QuoteSpec& spec) {
  std::vector<u8> bytes;
  append(bytes, spec.tee_tcb_svn);
  bytes.resize(120); // module measurement, its signer and attributes: zero
  append_number(bytes, spec.td_attributes, 8);
  append_number(bytes, spec.xfam, 8);
  append(bytes, spec.mr_td);
  append(bytes, spec.mr_config_id);
  bytes.resize(328); // owner
  for (const auto& each : spec.rtmr) append(bytes, each);
  append(bytes, spec.report_data);
  return bytes;
}

/// 384 bytes, bound to the attestation key.
std::vector<u8> qe_report(std::span<const u8> attestation_key, std::span<const u8> authentication) {
  std::vector<u8> hashed(attestation_key.begin(), attestation_key.end());
  append(hashed, authentication);
  std::vector<u8> report(384);
  report[48] = 0x11; // INIT and PROVISION... as real ones have it
  const auto signer = qe_signer();
  std::copy(signer.begin(), signer.end(), report.begin() + 128);
  report[256] = 2; // ISVPRODID
  report[258] = 4; // ISVSVN
  const Sha256Digest digest = sha256(hashed);
  std::copy(digest.begin(), digest.end(), report.begin() + 320);
  return report;
}

} // namespace

TcbLevelSpec platform_level() {
  TcbLevelSpec level;
  for (u8 i = 0; i < 8; ++i) level.sgx[i] = static_cast<u8>(i + 2);
  level.sgx[8] = 200; // an INTEGER with a leading zero
  level.pce_svn = kPceSvn;
  level.tdx = {5, 1, 2};
  return level;
}

TdxAuthority make_tdx_authority(TimePoint now) {
  using Kind = SigningKey::Kind;
  TdxAuthority made{SigningKey::generate(Kind::p256),
                    SigningKey::generate(Kind::p256),
                    SigningKey::generate(Kind::p256),
                    SigningKey::generate(Kind::p256),
                    {},
                    {},
                    {},
                    {},
                    {},
                    {}};
  const auto spec = [now](const char* name, const char* issuer, u32 serial, int authority) {
    CertificateSpec certificate;
    certificate.name = name;
    certificate.issuer = issuer;
    certificate.starts = now;
    certificate.ends = now + kLife;
    certificate.serial = serial;
    certificate.is_authority = authority;
    return certificate;
  };
  made.root_certificate = make_certificate(spec(kRoot, kRoot, 1, 1), made.root, made.root);
  made.pck_authority_certificate =
      make_certificate(spec(kPckAuthority, kRoot, 2, 1), made.pck_authority, made.root);
  CertificateSpec leaf = spec("Intel SGX PCK Certificate", kPckAuthority, 3, 0);
  leaf.extensions = {sgx_extension()};
  made.pck_certificate = make_certificate(leaf, made.pck, made.pck_authority);
  made.tcb_signer_certificate =
      make_certificate(spec("Simulated TCB Signing", kRoot, 4, 0), made.tcb_signer, made.root);
  ListSpec list;
  list.starts = now;
  list.ends = now + kLife;
  list.issuer = kRoot;
  made.root_crl = make_revocation_list(list, made.root);
  list.issuer = kPckAuthority;
  made.pck_crl = make_revocation_list(list, made.pck_authority);
  return made;
}

std::string tcb_chain_of(const TdxAuthority& authority) {
  return pem_of(authority.tcb_signer_certificate) + pem_of(authority.root_certificate);
}

std::string make_tcb_info(const TcbInfoSpec& spec, const SigningKey& signer) {
  const std::string zeros(96, '0');
  std::string levels;
  for (const TcbLevelSpec& level : spec.levels)
    levels += (levels.empty() ? "" : ",") + level_text(level);
  const std::string value = fmt::format(
      R"({{"id":"{}","version":{},"issueDate":"{}","nextUpdate":"{}","fmspc":"{}","pceId":"{}",)"
      R"("tcbType":0,"tcbEvaluationDataNumber":{},"tdxModule":{{"mrsigner":"{}",)"
      R"("attributes":"0000000000000000","attributesMask":"FFFFFFFFFFFFFFFF"}},)"
      R"("tdxModuleIdentities":[{{"id":"TDX_01","mrsigner":"{}",)"
      R"("attributes":"0000000000000000","attributesMask":"FFFFFFFFFFFFFFFF",)"
      R"("tcbLevels":[{{"tcb":{{"isvsvn":{}}},"tcbDate":"2026-01-01T00:00:00Z",)"
      R"("tcbStatus":"{}"}}]}}],"tcbLevels":[{}]}})",
      spec.id, spec.version, time_text(spec.issued), time_text(spec.next_update), spec.fmspc,
      spec.pce_id, spec.evaluation, zeros, zeros, spec.module_svn, spec.module_status, levels);
  return signed_answer("tcbInfo", value, signer);
}

std::string make_qe_identity(const QeIdentitySpec& spec, const SigningKey& signer) {
  const std::string value = fmt::format(
      R"({{"id":"{}","version":2,"issueDate":"{}","nextUpdate":"{}",)"
      R"("tcbEvaluationDataNumber":{},"miscselect":"00000000","miscselectMask":"FFFFFFFF",)"
      R"("attributes":"11000000000000000000000000000000",)"
      R"("attributesMask":"FBFFFFFFFFFFFFFF0000000000000000","mrsigner":"{}","isvprodid":2,)"
      R"("tcbLevels":[{{"tcb":{{"isvsvn":{}}},"tcbDate":"2026-01-01T00:00:00Z",)"
      R"("tcbStatus":"{}"}}]}})",
      spec.id, time_text(spec.issued), time_text(spec.next_update), spec.evaluation,
      spec.mr_signer.empty() ? to_hex(qe_signer()) : spec.mr_signer, spec.svn, spec.status);
  return signed_answer("enclaveIdentity", value, signer);
}

std::vector<u8> make_quote(const QuoteSpec& spec, const TdxAuthority& authority) {
  const SigningKey attestation = SigningKey::generate(SigningKey::Kind::p256);
  std::vector<u8> quote = header(spec.version);
  if (spec.version >= 5) {
    append_number(quote, 2, 2); // body type: TDX 1.0
    append_number(quote, 584, 4);
  }
  append(quote, body(spec));
  const auto [r, s] = attestation.sign(quote);
  const std::vector<u8> key = attestation.point();
  const std::vector<u8> authentication(32, 0x20);
  const std::vector<u8> report = qe_report(key, authentication);
  const auto [qe_r, qe_s] = authority.pck.sign(report);
  const std::string chain = pem_of(authority.pck_certificate) +
                            pem_of(authority.pck_authority_certificate) +
                            pem_of(authority.root_certificate);
  std::vector<u8> certification = report;
  append(certification, qe_r);
  append(certification, qe_s);
  append_number(certification, authentication.size(), 2);
  append(certification, authentication);
  append_number(certification, 5, 2);
  append_number(certification, chain.size(), 4);
  append(certification, {reinterpret_cast<const u8*>(chain.data()), chain.size()});
  append_number(quote, 128 + 6 + certification.size(), 4);
  append(quote, r);
  append(quote, s);
  append(quote, key);
  append_number(quote, 6, 2);
  append_number(quote, certification.size(), 4);
  append(quote, certification);
  return quote;
}

} // namespace talaria::attest::simulated
