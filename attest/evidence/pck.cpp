#include "attest/evidence/pck.hpp"

#include <map>
#include <string>

#include "attest/evidence/der.hpp"

namespace talaria::attest {
namespace {

const std::string kExtension = "1.2.840.113741.1.13.1";
constexpr std::size_t kMaxFields = 32;

[[noreturn]] void refuse_field(const std::string& what) {
  refuse(Stage::leaf, "pck-extension", what);
}

/// A SEQUENCE of (object, value) pairs.
class Fields {
public:
  explicit Fields(Bytes content) {
    const auto items = der_items(content, kMaxFields);
    if (!items) refuse_field("the extension is not a list of fields");
    for (const DerValue& item : *items) add(item);
  }

  const DerValue* find(const std::string& below) const {
    const auto found = values_.find(kExtension + "." + below);
    return found == values_.end() ? nullptr : &found->second;
  }
  Bytes content(const std::string& below, u8 tag) const {
    const DerValue* value = find(below);
    if (!value || value->tag != tag)
      refuse_field("field ." + below + " is missing or of another type");
    return value->content;
  }
  u32 number(const std::string& below, u32 most, u8 tag = kDerInteger) const {
    const auto value = der_unsigned(content(below, tag));
    if (!value || *value > most) refuse_field("field ." + below + " is out of range");
    return *value;
  }
  template <std::size_t N>
  std::array<u8, N> octets(const std::string& below) const {
    const Bytes bytes = content(below, kDerOctets);
    if (bytes.size() != N)
      refuse_field("field ." + below + " does not have " + std::to_string(N) + " bytes");
    std::array<u8, N> value;
    std::ranges::copy(bytes, value.begin());
    return value;
  }

private:
  void add(const DerValue& item) {
    const auto pair = item.tag == kDerSequence ? der_items(item.content, 2) : std::nullopt;
    if (!pair || pair->size() != 2 || pair->front().tag != kDerObject)
      refuse_field("a field is no pair of object and value");
    const auto object = der_object(pair->front().content);
    if (!object) refuse_field("a field has no readable object");
    if (!values_.emplace(*object, pair->back()).second) refuse_field("field " + *object + " twice");
  }

  std::map<std::string, DerValue> values_;
};

PckFacts read_sgx_extension(const Certificate& certificate) {
  if (certificate.repeats_an_extension()) refuse_field("an extension stands there twice");
  const auto extension = certificate.extension(kExtension);
  if (!extension) refuse_field("the certificate has no SGX extension");
  const auto content = der_content(*extension, kDerSequence);
  if (!content) refuse_field("the SGX extension is no SEQUENCE");
  const Fields fields(*content);
  const Fields tcb(fields.content("2", kDerSequence));
  PckFacts facts;
  facts.ppid = fields.octets<16>("1");
  for (std::size_t i = 0; i < facts.svn.size(); ++i)
    facts.svn[i] = tcb.number("2." + std::to_string(i + 1), 0xFF);
  facts.pce_svn = tcb.number("2.17", 0xFFFF);
  facts.cpu_svn = tcb.octets<16>("2.18");
  facts.pce_id = fields.octets<2>("3");
  facts.fmspc = fields.octets<6>("4");
  facts.sgx_type = fields.number("5", 0xFF, kDerEnumerated);
  if (fields.find("6")) {
    const auto instance = fields.octets<16>("6");
    facts.platform_instance = to_vector(instance);
  }
  return facts;
}

} // namespace

Parsed<PckFacts> read_pck(const Certificate& certificate) {
  return guarded([&] { return read_sgx_extension(certificate); });
}

} // namespace talaria::attest
