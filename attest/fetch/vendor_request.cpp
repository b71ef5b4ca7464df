#include "attest/fetch/vendor_request.hpp"

#include <algorithm>
#include <charconv>

#include <fmt/format.h>

#include "attest/collateral/collateral_key.hpp"
#include "attest/evidence/snp_leaf.hpp"
#include "core/error.hpp"

namespace talaria::attest {
namespace {

constexpr const char* kAmd = "kdsintf.amd.com";
constexpr const char* kIntel = "api.trustedservices.intel.com";

std::string vcek_target(const AmdKey& key) {
  const SnpTcb& tcb = key.tcb;
  const std::string fmc =
      key.product == SnpProduct::turin ? fmt::format("fmcSPL={:02}&", tcb.fmc) : "";
  return fmt::format("/vcek/v1/{}/{}?{}blSPL={:02}&teeSPL={:02}&snpSPL={:02}&ucodeSPL={:02}",
                     to_string(key.product), to_hex(key.chip), fmc, tcb.boot_loader, tcb.tee,
                     tcb.snp, tcb.microcode);
}

std::vector<VendorRequest> amd_requests(const AmdKey& key) {
  const bool is_vlek = key.signer == SnpSigner::vlek;
  const std::string folder =
      fmt::format("/{}/v1/{}", is_vlek ? "vlek" : "vcek", to_string(key.product));
  std::vector<VendorRequest> requests{
      {kAmd, folder + "/cert_chain", {"authority"}},
      {kAmd, fmt::format("/vcek/v1/{}/crl", to_string(key.product)), {"crl"}}};
  if (!is_vlek) requests.push_back({kAmd, vcek_target(key), {"leaf"}});
  return requests;
}

std::vector<VendorRequest> intel_requests(const IntelKey& key) {
  const std::string tdx = "/tdx/certification/v4";
  return {
      {kIntel, fmt::format("{}/tcb?fmspc={}", tdx, to_hex(key.fmspc)), {"tcb_info", "tcb_chain"}},
      {kIntel, tdx + "/qe/identity", {"qe_identity", "qe_chain"}},
      {kIntel,
       fmt::format("/sgx/certification/v4/pckcrl?ca={}&encoding=der",
                   key.is_platform ? "platform" : "processor"),
       {"pck_crl"}},
      {"certificates.trustedservices.intel.com", "/IntelSGXRootCA.der", {"root_crl"}}};
}

[[noreturn]] void refuse_item(const std::string& item, const char* what) {
  throw Error(Errc::io, fmt::format("{}: {}", item, what));
}

std::vector<u8> bytes_of_text(std::string_view text) {
  return to_vector(as_bytes(text));
}

/// The chain of a statement stands in a field, percent-encoded.
std::vector<u8> percent_decoded(std::string_view text, const std::string& item) {
  std::vector<u8> out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      out.push_back(static_cast<u8>(text[i]));
      continue;
    }
    u8 value = 0;
    const auto digits = text.substr(i + 1, 2);
    const auto [end, error] =
        std::from_chars(digits.data(), digits.data() + digits.size(), value, 16);
    if (digits.size() != 2 || error != std::errc() || end != digits.data() + 2)
      refuse_item(item, "its chain is not percent-encoded");
    out.push_back(value);
    i += 2;
  }
  return out;
}

/// A leaf of another chip would be kept for ever, and refused each time.
void check_leaf(Bytes der, const AmdKey& key) {
  const auto certificate = Certificate::from_der(der);
  const auto leaf = certificate ? read_snp_leaf(*certificate, key.product, key.signer)
                                : Parsed<SnpLeaf>(Refusal{});
  if (!leaf) refuse_item("leaf", "what came is no VCEK of this product");
  if (leaf->tcb != key.tcb || leaf->hwid != key.chip)
    refuse_item("leaf", "what came is of another chip or TCB than was asked for");
}

std::vector<u8> main_item(const std::string& item, const HttpsReply& reply,
                          const EvidenceSet& set) {
  std::vector<u8> bytes = bytes_of_text(reply.body);
  if (item == "authority") { // the authority, and behind it the root, which is pinned here
    const auto chain = Certificate::bundle(bytes);
    if (!chain || chain->size() != 2) refuse_item(item, "what came is no chain of two");
    return chain->front().der();
  }
  if (item == "leaf") check_leaf(bytes, amd_key(set).value());
  const std::string place = collateral_places(set)[item];
  if (!validity_of(place, bytes)) refuse_item(item, "what came is something else");
  return bytes;
}

} // namespace

std::vector<VendorRequest> vendor_requests(const EvidenceSet& set) {
  if (const auto amd = amd_key(set)) return amd_requests(*amd);
  const auto intel = intel_key(set);
  return intel ? intel_requests(*intel) : std::vector<VendorRequest>();
}

std::map<std::string, std::vector<u8>>
items_in(const HttpsReply& reply, const VendorRequest& request, const EvidenceSet& set) {
  std::map<std::string, std::vector<u8>> items;
  items[request.items[0]] = main_item(request.items[0], reply, set);
  if (request.items.size() < 2) return items;
  const std::string& chain = request.items[1];
  const std::string_view field = reply.field(
      chain == "tcb_chain" ? "tcb-info-issuer-chain" : "sgx-enclave-identity-issuer-chain");
  std::vector<u8> pem = percent_decoded(field, chain);
  if (!Certificate::bundle(pem)) refuse_item(chain, "no chain stands beside the statement");
  items[chain] = std::move(pem);
  return items;
}

} // namespace talaria::attest
