#include "attest/evidence/snp_verify.hpp"

#include <algorithm>

#include "attest/evidence/snp_leaf.hpp"

namespace talaria::attest {
namespace {

struct SnpChain {
  Certificate leaf;
  Certificate authority;
  Certificate given_root; ///< the pinned one where none was given
  const TrustAnchor* anchor = nullptr;

  /// The pinned certificate; the given one where nothing is pinned, to see what else is wrong.
  const Certificate& root() const { return anchor ? anchor->certificate : given_root; }
};

std::optional<Certificate> single(Bytes bytes) {
  const auto read = Certificate::bundle(bytes);
  return read && read->size() == 1 ? std::optional(read->front()) : std::nullopt;
}

std::optional<SnpChain> read_snp_chain(const SnpEvidence& evidence, const TrustAnchors& anchors,
                                       Checks& checks) {
  if (evidence.leaf.empty() || evidence.authority.empty()) {
    checks.fail(Stage::chain, "collateral-missing",
                "the certificate of the signing key, or its authority, is not at hand");
    return std::nullopt;
  }
  const auto leaf = single(evidence.leaf);
  const auto authority = single(evidence.authority);
  const auto root = single(evidence.root);
  if (!leaf || !authority || (!root && !evidence.root.empty())) {
    checks.fail(Stage::chain, "chain", "a certificate of the chain cannot be read");
    return std::nullopt;
  }
  const TrustAnchor* anchor = root ? anchors.find(Vendor::amd, *root)
                                   : anchors.issuer_of(Vendor::amd, *authority, kAmdRule);
  checks.require(anchor != nullptr, Stage::root, "root-not-pinned",
                 root ? "the key of " + root->common_name() + " is not one of the pinned roots"
                      : "no pinned root issued " + authority->common_name());
  if (!anchor && !root) return std::nullopt;
  return SnpChain{*leaf, *authority, root ? *root : anchor->certificate, anchor};
}

/// The two kinds of evidence must not be mistaken for each other, whoever signed.
void check_simulation(const SnpReport& report, const SnpChain& chain, Checks& checks) {
  if (!chain.anchor) return;
  const bool says_so = as_text(report.family_id) == kSimulatedFamily;
  if (!chain.anchor->simulated)
    checks.require(!says_so, Stage::root, "simulated",
                   "the report calls itself simulated under a root of hardware");
  else
    checks.require(says_so && chain.root().organization() == kSimulatedOrganisation, Stage::root,
                   "simulated", "a root of a simulated platform, but report or root do not say so");
}

void check_snp_chain(const SnpChain& chain, const SnpReport& report, Checks& checks) {
  const auto need = [&checks](bool holds, const std::string& what) {
    checks.require(holds, Stage::chain, "chain", what);
  };
  const Certificate& root = chain.root();
  need(chain.given_root.is_issued_by(root, kAmdRule), "the root has not signed itself");
  need(chain.authority.is_issued_by(root, kAmdRule),
       chain.authority.common_name() + " is not issued by " + root.common_name());
  need(chain.leaf.is_issued_by(chain.authority, kAmdRule),
       chain.leaf.common_name() + " is not issued by " + chain.authority.common_name());
  need(root.may_be_authority() && chain.authority.may_be_authority() && chain.leaf.may_be_leaf(),
       "a certificate is used for what its extensions forbid");
  if (chain.anchor) {
    const std::string wanted = (report.signer == SnpSigner::vlek ? "SEV-VLEK-" : "SEV-") +
                               std::string(to_string(chain.anchor->product));
    need(chain.authority.common_name() == wanted,
         "the authority is " + chain.authority.common_name() + "; expected " + wanted);
  }
  const std::string leaf = std::string("SEV-") + to_string(report.signer);
  need(chain.leaf.common_name() == leaf,
       "the leaf is " + chain.leaf.common_name() + "; expected " + leaf);
}

void check_snp_dates(const SnpChain& chain, Clock clock, Checks& checks, Ledger& ledger) {
  for (const Certificate* certificate :
       {&chain.root(), &chain.given_root, &chain.authority, &chain.leaf})
    check_dates(*certificate, clock, Stage::dates, "certificate-dates", checks);
  ledger.add("ARK", chain.root());
  ledger.add(chain.authority.common_name(), chain.authority);
  ledger.add(chain.leaf.common_name(), chain.leaf);
}

/// @return whether there was a list that can be read.
bool check_crl(Bytes bytes, const SnpChain& chain, Clock clock, Checks& checks, Ledger& ledger) {
  if (bytes.empty()) {
    checks.skip(Stage::revocation, "crl-revoked", "no CRL at hand");
    return false;
  }
  const auto list = RevocationList::from(bytes);
  if (!list) {
    checks.fail(Stage::revocation, "crl-signature", "the CRL cannot be read");
    return false;
  }
  check_revocation(*list, chain.root(), kAmdRule, {&chain.authority, &chain.leaf}, clock,
                   Stage::revocation, "crl", checks);
  ledger.add("CRL", *list);
  return true;
}

std::string describe(const SnpTcb& tcb, SnpProduct product) {
  std::string text = product == SnpProduct::turin ? "fmc " + std::to_string(tcb.fmc) + " " : "";
  return text + "bl " + std::to_string(tcb.boot_loader) + " tee " + std::to_string(tcb.tee) +
         " snp " + std::to_string(tcb.snp) + " ucode " + std::to_string(tcb.microcode);
}

void check_chip(const SnpReport& report, const SnpLeaf& leaf) {
  if (report.signer == SnpSigner::vlek) return; // a VLEK is of no chip
  if (all_zero(report.chip_id))
    refuse(Stage::leaf, "chip-id", "the host masks the chip id: nothing ties the key to the chip");
  const Bytes id(report.chip_id);
  if (!std::ranges::equal(id.first(leaf.hwid.size()), leaf.hwid) ||
      !all_zero(id.subspan(leaf.hwid.size())))
    refuse(Stage::leaf, "chip-id", "the report and the certificate name different chips");
}

/// Product, TCB and chip: what ties the certificate to this report.
void compare_leaf(const SnpChain& chain, SnpFacts& facts) {
  const SnpReport& report = facts.report;
  if (report.product && *report.product != facts.product)
    refuse(Stage::leaf, "product",
           std::string("the CPU is a ") + to_string(*report.product) + ", the chain is of " +
               to_string(facts.product));
  if (!is_plain_tcb(report.reported, facts.product))
    refuse(Stage::leaf, "reserved", "a reserved byte of the reported TCB is not zero");
  auto leaf = read_snp_leaf(chain.leaf, facts.product, report.signer);
  if (!leaf) throw Refused{leaf.refusal()};
  facts.product_name = leaf->product_name;
  facts.csp = leaf->csp;
  if (leaf->tcb != facts.reported)
    refuse(Stage::leaf, "leaf-tcb",
           "the certificate is for " + describe(leaf->tcb, facts.product) + ", the report says " +
               describe(facts.reported, facts.product));
  check_chip(report, *leaf);
}

void check_snp_leaf(const SnpChain& chain, SnpFacts& facts, Checks& checks) {
  try {
    compare_leaf(chain, facts);
    for (const char* name : {"product", "leaf-extension", "leaf-tcb", "chip-id"})
      checks.pass(Stage::leaf, name);
  } catch (const Refused& refused) {
    checks.fail(refused.refusal);
  }
  const auto key = chain.leaf.key();
  if (!checks.require(key && key->kind() == PublicKey::Kind::p384, Stage::leaf, "leaf-key",
                      "the leaf's key is not on P-384")) {
    checks.skip(Stage::signature, "signature", "the leaf has no key for it");
    return;
  }
  const SnpReport& report = facts.report;
  checks.require(key->verifies_ecdsa(report.r, report.s, report.signed_bytes), Stage::signature,
                 "signature", "the report is not signed by the leaf's key");
  // These three are compared with nothing but floors, and only once the report is genuine.
  for (const TcbVersion* raw : {&report.current, &report.committed, &report.launch})
    checks.require(is_plain_tcb(*raw, facts.product), Stage::signature, "reserved",
                   "a reserved byte of a TCB is not zero");
}

} // namespace

SnpJudgement verify_snp(const SnpEvidence& evidence, const TrustAnchors& anchors, Clock clock) {
  SnpJudgement judgement;
  Checks& checks = judgement.checks;
  const auto report = parse_snp_report(evidence.report);
  if (!report) {
    checks.fail(report.refusal());
    return judgement;
  }
  checks.pass(Stage::format, "format");
  SnpFacts& facts = judgement.facts.emplace();
  facts.report = *report;
  if (report->product) facts.product = *report->product;
  const auto chain = read_snp_chain(evidence, anchors, checks);
  if (chain && chain->anchor) facts.product = chain->anchor->product;
  facts.reported = decode_tcb(report->reported, facts.product);
  facts.committed = decode_tcb(report->committed, facts.product);
  facts.current = decode_tcb(report->current, facts.product);
  facts.launch = decode_tcb(report->launch, facts.product);
  if (!chain) return judgement;
  facts.simulated = chain->anchor && chain->anchor->simulated;
  check_simulation(*report, *chain, checks);
  check_snp_chain(*chain, *report, checks);
  check_snp_dates(*chain, clock, checks, facts.collateral);
  facts.has_crl = check_crl(evidence.crl, *chain, clock, checks, facts.collateral);
  check_snp_leaf(*chain, facts, checks);
  return judgement;
}

} // namespace talaria::attest
