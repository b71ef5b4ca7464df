#include "attest/simulated/snp_platform.hpp"

#include <algorithm>

namespace talaria::attest::simulated {
namespace {

const std::string kArc = "1.3.6.1.4.1.3704.1.";

/// A DER INTEGER of one byte's range.
std::vector<u8> spl_integer(u8 value) {
  if (value < 0x80) return {0x02, 0x01, value};
  return {0x02, 0x02, 0x00, value};
}

class ReportWriter {
public:
  explicit ReportWriter(std::size_t bytes) : bytes_(bytes) {}

  template <class Range>
  void put(std::size_t at, const Range& values) {
    std::copy(values.begin(), values.end(), bytes_.begin() + static_cast<std::ptrdiff_t>(at));
  }
  void number(std::size_t at, u64 value, std::size_t bytes) {
    for (std::size_t i = 0; i < bytes; ++i) bytes_[at + i] = static_cast<u8>(value >> (8 * i));
  }
  std::vector<u8>& bytes() { return bytes_; }

private:
  std::vector<u8> bytes_;
};

} // namespace

std::array<u8, 64> simulated_chip() {
  std::array<u8, 64> chip{};
  for (std::size_t i = 0; i < chip.size(); ++i) chip[i] = static_cast<u8>(0x51 + i);
  return chip;
}

std::vector<Extension> vcek_extensions(const Svns& svns, const std::array<u8, 64>& chip) {
  std::vector<Extension> extensions;
  const auto add = [&extensions](const char* object, std::vector<u8> content) {
    extensions.push_back({kArc + object, std::move(content), false});
  };
  add("1", spl_integer(0));
  add("2", {0x16, 0x05, 'G', 'e', 'n', 'o', 'a'});
  add("3.1", spl_integer(svns[0]));
  add("3.2", spl_integer(svns[1]));
  for (const char* reserved : {"3.4", "3.5", "3.6", "3.7"}) add(reserved, spl_integer(0));
  add("3.3", spl_integer(svns[2]));
  add("3.8", spl_integer(svns[3]));
  add("4", {chip.begin(), chip.end()});
  return extensions;
}

SnpAuthority make_snp_authority(TimePoint now) {
  const TimePoint ends = now + kLife;
  SnpAuthority made{SigningKey::generate(SigningKey::Kind::rsa4096),
                    SigningKey::generate(SigningKey::Kind::rsa4096),
                    SigningKey::generate(SigningKey::Kind::p384),
                    {},
                    {},
                    {},
                    {}};
  const auto spec = [now, ends](const char* name, const char* issuer, u32 serial, int authority) {
    CertificateSpec certificate;
    certificate.name = name;
    certificate.issuer = issuer;
    certificate.starts = now;
    certificate.ends = ends;
    certificate.serial = serial;
    certificate.is_authority = authority;
    return certificate;
  };
  made.ark_certificate =
      make_certificate(spec("ARK-Simulated", "ARK-Simulated", 1, 1), made.ark, made.ark);
  made.ask_certificate =
      make_certificate(spec("SEV-Genoa", "ARK-Simulated", 2, 1), made.ask, made.ark);
  CertificateSpec leaf = spec("SEV-VCEK", "SEV-Genoa", 0, -1);
  leaf.extensions = vcek_extensions(kUsualSvns, simulated_chip());
  made.vcek_certificate = make_certificate(leaf, made.vcek, made.ask);
  ListSpec list;
  list.issuer = "ARK-Simulated";
  list.starts = now;
  list.ends = ends;
  made.crl = make_revocation_list(list, made.ark);
  return made;
}

std::vector<u8> make_report(const ReportSpec& spec, const SigningKey& vcek) {
  constexpr std::size_t kBytes = 1184;
  constexpr std::size_t kSigned = 672;
  ReportWriter report(kBytes);
  report.number(0, spec.version, 4);
  report.number(8, spec.policy, 8);
  report.put(16, spec.family_id);
  report.number(48, spec.vmpl, 4);
  report.number(52, 1, 4); // ECDSA P-384 with SHA-384
  report.number(64, spec.platform_info, 8);
  report.number(72, spec.key_info, 4);
  report.put(80, spec.report_data);
  report.put(144, spec.measurement);
  report.put(192, spec.host_data);
  report.put(352, std::vector<u8>(32, 0xFF)); // no migration agent
  if (spec.version >= 3) report.put(392, spec.cpuid);
  report.put(416, spec.chip_id);
  for (const std::size_t at : {56, 384, 480, 496}) { // current, reported, committed, launch
    report.number(at, spec.svns[0], 1);
    report.number(at + 1, spec.svns[1], 1);
    report.number(at + 6, spec.svns[2], 1);
    report.number(at + 7, spec.svns[3], 1);
  }
  for (const auto& [at, bytes] : spec.changes) report.put(at, bytes);
  auto [r, s] = vcek.sign({report.bytes().data(), kSigned});
  std::reverse(r.begin(), r.end());
  std::reverse(s.begin(), s.end());
  report.put(672, r);
  report.put(744, s);
  return std::move(report.bytes());
}

} // namespace talaria::attest::simulated
