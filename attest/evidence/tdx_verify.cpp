#include "attest/evidence/tdx_verify.hpp"

#include <algorithm>

#include "attest/evidence/snp_verify.hpp"
#include "attest/evidence/tdx_collateral.hpp"
#include "core/digest.hpp"

namespace talaria::attest {
namespace {

constexpr std::size_t kHalf = 32;

struct TdxChain {
  Certificate leaf;
  Certificate authority;
  Certificate given_root;
  const TrustAnchor* anchor = nullptr;

  const Certificate& root() const { return anchor ? anchor->certificate : given_root; }
};

std::optional<TdxChain> read_tdx_chain(const TdxQuote& quote, const TrustAnchors& anchors,
                                       Checks& checks) {
  Bytes pem(quote.chain);
  while (!pem.empty() && pem.back() == 0) pem = pem.first(pem.size() - 1);
  const auto certificates = Certificate::bundle(pem);
  if (!checks.require(certificates && certificates->size() == 3, Stage::chain, "chain",
                      "the quote does not carry exactly three certificates"))
    return std::nullopt;
  TdxChain chain{(*certificates)[0], (*certificates)[1], (*certificates)[2], nullptr};
  chain.anchor = anchors.find(Vendor::intel, chain.given_root);
  checks.require(chain.anchor != nullptr, Stage::root, "root-not-pinned",
                 "the key of " + chain.given_root.common_name() + " is not a pinned root");
  if (chain.anchor)
    checks.require(!chain.anchor->simulated ||
                       chain.root().organization() == kSimulatedOrganisation,
                   Stage::root, "simulated", "a root of a simulated platform does not say so");
  return chain;
}

void check_tdx_chain(const TdxChain& chain, Checks& checks) {
  const auto need = [&checks](bool holds, const std::string& what) {
    checks.require(holds, Stage::chain, "chain", what);
  };
  need(chain.given_root.is_issued_by(chain.root(), kIntelRule), "the root has not signed itself");
  need(chain.authority.is_issued_by(chain.root(), kIntelRule),
       chain.authority.common_name() + " is not issued by the root");
  need(chain.leaf.is_issued_by(chain.authority, kIntelRule),
       "the PCK certificate is not issued by " + chain.authority.common_name());
  need(chain.root().may_be_authority() && chain.authority.may_be_authority() &&
           chain.leaf.may_be_leaf(),
       "a certificate is used for what its extensions forbid");
  const std::string authority = chain.authority.common_name();
  need(authority == "Intel SGX PCK Platform CA" || authority == "Intel SGX PCK Processor CA",
       "the authority is " + authority + ", which issues no PCK certificates");
  need(chain.leaf.common_name() == "Intel SGX PCK Certificate",
       "the leaf is " + chain.leaf.common_name() + ", no PCK certificate");
}

void check_tdx_dates(const TdxChain& chain, Clock clock, Checks& checks, Ledger& ledger) {
  for (const Certificate* certificate :
       {&chain.root(), &chain.given_root, &chain.authority, &chain.leaf})
    check_dates(*certificate, clock, Stage::dates, "certificate-dates", checks);
  ledger.add("root", chain.root());
  ledger.add("PCK authority", chain.authority);
  ledger.add("PCK certificate", chain.leaf);
}

void check_pck(const TdxChain& chain, TdxFacts& facts, Checks& checks) {
  const auto pck = read_pck(chain.leaf);
  if (pck) {
    facts.pck = *pck;
    checks.pass(Stage::leaf, "pck-extension");
  } else {
    checks.fail(pck.refusal());
  }
  const auto key = chain.leaf.key();
  checks.require(key && key->kind() == PublicKey::Kind::p256, Stage::leaf, "leaf-key",
                 "the PCK is not on P-256");
}

bool verifies_p256(const std::optional<PublicKey>& key, Bytes signature, Bytes message) {
  return key && key->kind() == PublicKey::Kind::p256 &&
         key->verifies_ecdsa(signature.first(kHalf), signature.subspan(kHalf), message);
}

/// From the PCK to the quoting enclave, from it to the attestation key, from that to the quote.
void check_signatures(const TdxChain& chain, const TdxQuote& quote, Checks& checks) {
  checks.require(verifies_p256(chain.leaf.key(), quote.qe_signature, quote.qe_report_bytes),
                 Stage::signature, "qe-report-signature",
                 "the quoting enclave's report is not signed by the PCK");
  std::vector<u8> hashed = to_vector(quote.attestation_key);
  hashed.insert(hashed.end(), quote.qe_authentication.begin(), quote.qe_authentication.end());
  const Bytes bound(quote.qe_report.report_data);
  checks.require(std::ranges::equal(bound.first(kHalf), sha256(hashed)) &&
                     all_zero(bound.subspan(kHalf)),
                 Stage::signature, "qe-report-data",
                 "the quoting enclave does not vouch for the attestation key");
  checks.require(verifies_p256(PublicKey::from_p256_point(quote.attestation_key), quote.signature,
                               quote.signed_bytes),
                 Stage::signature, "signature", "the quote is not signed by the attestation key");
}

/// @return the list, if it can be read.
std::optional<RevocationList> check_list(Bytes bytes, const std::string& prefix,
                                         const std::string& what, const Certificate& issuer,
                                         const Certificate& certificate, Clock clock,
                                         Checks& checks, Ledger& ledger) {
  if (!checks.require(!bytes.empty(), Stage::collateral, prefix + "-missing",
                      what + " is not at hand"))
    return std::nullopt;
  const auto list = RevocationList::from(bytes);
  if (!list) {
    checks.fail(Stage::collateral, prefix + "-signature", what + " cannot be read");
    return std::nullopt;
  }
  check_revocation(*list, issuer, kIntelRule, {&certificate}, clock, Stage::collateral, prefix,
                   checks);
  ledger.add(what, *list);
  return list;
}

void judge_with_collateral(const TdxCollateral& collateral, const TdxChain& chain,
                           const TrustAnchors& anchors, Clock clock, Checks& checks,
                           TdxFacts& facts) {
  facts.has_collateral = true;
  // Intel's lists are collateral like its statements: they are looked at once the quote is genuine.
  const PcsBodies bodies = split_bodies(collateral, checks);
  const auto root_crl = check_list(collateral.root_crl, "root-crl", "root CRL", chain.root(),
                                   chain.authority, clock, checks, facts.collateral);
  check_list(collateral.pck_crl, "pck-crl", "PCK CRL", chain.authority, chain.leaf, clock, checks,
             facts.collateral);
  judge_collateral(collateral, bodies, chain.root(), root_crl ? &*root_crl : nullptr, anchors,
                   clock, checks, facts);
}

} // namespace

TdxJudgement verify_tdx(const TdxEvidence& evidence, const TrustAnchors& anchors, Clock clock) {
  TdxJudgement judgement;
  Checks& checks = judgement.checks;
  const auto quote = parse_tdx_quote(evidence.quote);
  if (!quote) {
    checks.fail(quote.refusal());
    return judgement;
  }
  checks.pass(Stage::format, "format");
  TdxFacts& facts = judgement.facts.emplace();
  facts.quote = *quote;
  const auto chain = read_tdx_chain(*quote, anchors, checks);
  if (!chain) return judgement;
  facts.simulated = chain->anchor && chain->anchor->simulated;
  check_tdx_chain(*chain, checks);
  check_tdx_dates(*chain, clock, checks, facts.collateral);
  check_pck(*chain, facts, checks);
  check_signatures(*chain, *quote, checks);
  if (evidence.collateral) {
    judge_with_collateral(*evidence.collateral, *chain, anchors, clock, checks, facts);
  } else {
    checks.skip(Stage::collateral, "pck-crl-revoked", "no collateral at hand");
    checks.skip(Stage::tcb_status, "tcb", "no collateral at hand");
    // Intel's own module has a signer of zeros; whose the others are, TCB info would say.
    checks.require(all_zero(quote->mr_signer_seam) && all_zero(quote->seam_attributes),
                   Stage::collateral, "tdx-module", "the TDX module is not Intel's");
  }
  return judgement;
}

} // namespace talaria::attest
