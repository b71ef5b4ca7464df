#include "attest/evidence/snp_leaf.hpp"

#include "attest/evidence/der.hpp"

namespace talaria::attest {
namespace {

const std::string kArc = "1.3.6.1.4.1.3704.1.";
constexpr std::size_t kLongId = 64;
constexpr std::size_t kShortId = 8;

[[noreturn]] void refuse_extension(const std::string& what) {
  refuse(Stage::leaf, "leaf-extension", what);
}

class Extensions {
public:
  explicit Extensions(const Certificate& certificate) : certificate_(certificate) {
    if (certificate.repeats_an_extension()) refuse_extension("an extension stands there twice");
  }

  std::optional<std::vector<u8>> optional(const char* object) const {
    return certificate_.extension(kArc + object);
  }
  std::vector<u8> required(const char* object, const char* what) const {
    auto content = optional(object);
    if (!content) refuse_extension(std::string("no ") + what + " (" + object + ")");
    return *content;
  }
  u8 number(const char* object, const char* what) const {
    return number_of(required(object, what), what);
  }
  /// SPLs without a meaning yet: firmware derives the key from zeros.
  void require_zero_if_there(const char* object) const {
    const auto content = optional(object);
    if (content && number_of(*content, "reserved SPL") != 0)
      refuse(Stage::leaf, "leaf-tcb", std::string("reserved SPL ") + object + " is not zero");
  }
  void forbid(const char* object, const char* what) const {
    if (optional(object)) refuse_extension(what);
  }
  std::string text(const char* object, const char* what) const {
    const auto content = required(object, what);
    auto ascii = der_content(content, kDerAscii);
    if (!ascii) ascii = der_content(content, kDerUtf8);
    if (!ascii) refuse_extension(std::string(what) + " is no text");
    return printable(*ascii, what);
  }
  /// A short text whose length byte may fall short of it: certificates in circulation for tests
  /// count wrong. Everything behind the header is taken, so that what a policy compares is all
  /// that was signed.
  std::string loose_text(const char* object, const char* what) const {
    constexpr std::size_t kLongest = 129;
    const auto content = required(object, what);
    if (content.size() < 2 || content.size() > kLongest ||
        (content[0] != kDerAscii && content[0] != kDerUtf8) || content[1] > content.size() - 2)
      refuse_extension(std::string(what) + " is no text");
    return printable(Bytes(content).subspan(2), what);
  }

private:
  static std::string printable(Bytes text, const char* what) {
    for (const u8 c : text)
      if (c < 0x20 || c > 0x7E) refuse_extension(std::string(what) + " is not printable");
    return std::string(as_text(text));
  }
  static u8 number_of(Bytes content, const char* what) {
    const auto integer = der_content(content, kDerInteger);
    const auto value = integer ? der_unsigned(*integer) : std::nullopt;
    if (!value || *value > 0xFF)
      refuse_extension(std::string(what) + " is no INTEGER from 0 to 255");
    return static_cast<u8>(*value);
  }

  const Certificate& certificate_;
};

void check_product(const std::string& name, SnpProduct product) {
  if (name.substr(0, name.find('-')) != to_string(product))
    refuse(Stage::leaf, "product",
           "the certificate is for " + name + ", its chain for " + to_string(product));
}

SnpTcb read_tcb(const Extensions& extensions, SnpProduct product) {
  SnpTcb tcb;
  tcb.boot_loader = extensions.number("3.1", "boot loader SPL");
  tcb.tee = extensions.number("3.2", "TEE SPL");
  tcb.snp = extensions.number("3.3", "SNP SPL");
  tcb.microcode = extensions.number("3.8", "microcode SPL");
  for (const char* reserved : {"3.4", "3.5", "3.6", "3.7"})
    extensions.require_zero_if_there(reserved);
  if (product == SnpProduct::turin)
    tcb.fmc = extensions.number("3.9", "FMC SPL");
  else
    extensions.forbid("3.9", "an FMC SPL where there is no FMC");
  return tcb;
}

SnpLeaf read_leaf(const Certificate& certificate, SnpProduct product, SnpSigner signer) {
  const Extensions extensions(certificate);
  SnpLeaf leaf;
  leaf.product_name = extensions.text("2", "product name");
  check_product(leaf.product_name, product);
  const u8 version = product == SnpProduct::turin ? 1 : 0;
  if (extensions.number("1", "structVersion") != version)
    refuse_extension("structVersion is not that of " + std::string(to_string(product)));
  leaf.tcb = read_tcb(extensions, product);
  if (signer == SnpSigner::vlek) {
    leaf.csp = extensions.loose_text("5", "CSP id");
    extensions.forbid("4", "a HWID in a VLEK");
    return leaf;
  }
  const std::size_t size = product == SnpProduct::turin ? kShortId : kLongId;
  leaf.hwid = hwid_bytes(extensions.required("4", "HWID"), size);
  extensions.forbid("5", "a CSP id in a VCEK");
  if (leaf.hwid.empty())
    refuse_extension("the HWID does not have " + std::to_string(size) + " bytes");
  return leaf;
}

} // namespace

std::vector<u8> hwid_bytes(Bytes content, std::size_t size) {
  if (content.size() == size) return to_vector(content);
  if (content.size() != size + 2 || content[0] != kDerOctets || content[1] != size) return {};
  return to_vector(content.subspan(2));
}

Parsed<SnpLeaf> read_snp_leaf(const Certificate& certificate, SnpProduct product,
                              SnpSigner signer) {
  return guarded([&] { return read_leaf(certificate, product, signer); });
}

} // namespace talaria::attest
