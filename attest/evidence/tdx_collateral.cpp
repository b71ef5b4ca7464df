#include "attest/evidence/tdx_collateral.hpp"

#include <algorithm>

#include "core/digest.hpp"

namespace talaria::attest {
namespace {

constexpr Stage kStage = Stage::collateral;

/// One of the two signed bodies and the words that go with it.
struct Item {
  std::string prefix; ///< of codes: "tcb", "qe"
  const char* what;
  const char* id;
  u32 version;
  Bytes answer;
  const std::optional<SignedBody>& body;
  Bytes chain;
};

struct Context {
  const Certificate& root;
  const RevocationList* root_crl;
  const TrustAnchors& anchors;
  Clock clock;
  Checks& checks;
};

/// The certificate that signs the body, if its chain can be read.
std::optional<Certificate> check_signer(const Item& item, const Context& context) {
  Checks& checks = context.checks;
  const auto chain = Certificate::bundle(item.chain);
  const std::string code = item.prefix + "-chain";
  if (!checks.require(chain.has_value(), kStage, code, "the chain of the signer cannot be read"))
    return std::nullopt;
  const Certificate& signer = chain->front();
  const Certificate& root = chain->back();
  checks.require(context.anchors.find(Vendor::intel, root) != nullptr &&
                     root.spki_digest() == context.root.spki_digest(),
                 kStage, "root-not-pinned", "the chain of the signer ends at another root");
  // The given root has the pinned key, and that is all that is asked of it.
  checks.require(chain->size() == 2 && signer.is_issued_by(root, kIntelRule) &&
                     signer.may_be_leaf(),
                 kStage, code, "the signer is not issued by the root");
  checks.require(signer.common_name().ends_with("TCB Signing"), kStage, code,
                 "the signer is " + signer.common_name());
  for (const Certificate& certificate : *chain)
    check_dates(certificate, context.clock, kStage, code + "-dates", checks);
  if (context.root_crl)
    checks.require(!context.root_crl->names(signer), kStage, "root-crl-revoked",
                   signer.common_name() + " is revoked");
  return signer;
}

bool is_signed(const SignedBody& body, const Certificate& signer) {
  constexpr std::size_t kHalf = 32;
  const auto key = signer.key();
  if (!key || body.signature.size() != 2 * kHalf || key->kind() != PublicKey::Kind::p256)
    return false;
  const Bytes signature(body.signature);
  return key->verifies_ecdsa(signature.first(kHalf), signature.subspan(kHalf), as_bytes(body.text));
}

/// One item on its way: who signed it, and what it says about itself.
struct Opened {
  std::optional<Certificate> signer;
  std::optional<PcsHead> head;
};

Opened check_signature(const Item& item, const Context& context) {
  Opened opened;
  if (!item.body) return opened;
  opened.signer = check_signer(item, context);
  if (opened.signer)
    context.checks.require(is_signed(*item.body, *opened.signer), kStage,
                           item.prefix + "-signature",
                           std::string(item.what) + " is not signed by its signer, byte for byte");
  const auto head = read_pcs_head(item.body->text);
  if (head)
    opened.head = *head;
  else
    context.checks.fail(head.refusal());
  return opened;
}

void check_item_dates(const Item& item, const Opened& opened, const Context& context,
                      Ledger& ledger) {
  if (!opened.head) return;
  const PcsHead& head = *opened.head;
  context.checks.require(head.issued <= context.clock.now + context.clock.skew, kStage,
                         item.prefix + "-not-yet-valid",
                         std::string(item.what) + " was issued at " + to_text(head.issued));
  context.checks.require(context.clock.now <= head.next_update, kStage, item.prefix + "-expired",
                         std::string(item.what) + " ended at " + to_text(head.next_update));
  if (opened.signer) ledger.add("TCB signing certificate", *opened.signer);
  ledger.add({item.what, opened.signer ? opened.signer->common_name() : "", head.issued,
              head.next_update, sha256(item.answer)});
}

bool check_id(const Item& item, const Opened& opened, Checks& checks) {
  if (!opened.head) return false;
  return checks.require(opened.head->id == item.id && opened.head->version == item.version, kStage,
                        item.prefix + "-id", std::string(item.what) + " has another id or version",
                        item.id, opened.head->id);
}

void compare_platform(const TcbInfo& info, const PckFacts& pck, Checks& checks) {
  const std::string fmspc = to_hex(pck.fmspc);
  const std::string pce_id = to_hex(pck.pce_id);
  checks.require(info.fmspc == fmspc, kStage, "fmspc", "the TCB info is of another platform", fmspc,
                 info.fmspc);
  checks.require(info.pce_id == pce_id, kStage, "pceid", "the TCB info is of another PCE", pce_id,
                 info.pce_id);
}

/// Levels count only once every signature of this stage and before holds: a forged info must not
/// decide even what is printed.
void judge_levels(const TcbInfo& info, const QeIdentity& identity, Checks& checks,
                  TdxFacts& facts) {
  const TdxQuote& quote = facts.quote;
  TcbInput input{facts.pck->svn, facts.pck->pce_svn,   quote.tee_tcb_svn,
                 std::nullopt,   quote.mr_signer_seam, quote.seam_attributes};
  if (quote.body_type == 3) input.tee_svn_2 = quote.tee_tcb_svn_2;
  const auto qe = match_qe(quote.qe_report, identity);
  if (qe)
    checks.pass(kStage, "qe-identity");
  else
    checks.fail(qe.refusal());
  const auto module = match_module(input, info);
  if (module)
    checks.pass(kStage, "tdx-module");
  else
    checks.fail(module.refusal());
  if (!qe || !module) return;
  const auto verdict = evaluate_tcb(input, info, **qe, identity, *module);
  if (!verdict) return checks.fail(verdict.refusal());
  checks.pass(Stage::tcb_status, "tcb");
  facts.tcb = *verdict;
  if (verdict->status == TcbStatus::revoked)
    checks.fail(Stage::tcb_status, "tcb-status", "the platform's TCB level is revoked");
}

std::optional<SignedBody> split_body(Bytes answer, Bytes chain, const char* key,
                                     const std::string& prefix, Checks& checks) {
  if (!checks.require(!answer.empty() && !chain.empty(), kStage, prefix + "-missing",
                      std::string(key) + " or its chain is not at hand"))
    return std::nullopt;
  auto body = split_signed_body(answer, key);
  if (body) return std::move(*body);
  checks.fail(body.refusal());
  return std::nullopt;
}

Bytes chain_of_identity(const TdxCollateral& collateral) {
  return collateral.qe_chain.empty() ? collateral.tcb_chain : collateral.qe_chain;
}

} // namespace

PcsBodies split_bodies(const TdxCollateral& collateral, Checks& checks) {
  PcsBodies bodies;
  bodies.tcb_info = split_body(collateral.tcb_info, collateral.tcb_chain, "tcbInfo", "tcb", checks);
  bodies.qe_identity = split_body(collateral.qe_identity, chain_of_identity(collateral),
                                  "enclaveIdentity", "qe", checks);
  return bodies;
}

void judge_collateral(const TdxCollateral& collateral, const PcsBodies& bodies,
                      const Certificate& root, const RevocationList* root_crl,
                      const TrustAnchors& anchors, Clock clock, Checks& checks, TdxFacts& facts) {
  const Context context{root, root_crl, anchors, clock, checks};
  const Item tcb{"tcb",           "TCB info",          "TDX", 3, collateral.tcb_info,
                 bodies.tcb_info, collateral.tcb_chain};
  const Item qe{"qe",
                "QE identity",
                "TD_QE",
                2,
                collateral.qe_identity,
                bodies.qe_identity,
                chain_of_identity(collateral)};
  const Opened info_item = check_signature(tcb, context);
  const Opened identity_item = check_signature(qe, context);
  check_item_dates(tcb, info_item, context, facts.collateral);
  check_item_dates(qe, identity_item, context, facts.collateral);
  if (info_item.head) facts.tcb_evaluation = info_item.head->evaluation;
  if (identity_item.head) facts.qe_evaluation = identity_item.head->evaluation;
  const bool is_info = check_id(tcb, info_item, checks);
  const bool is_identity = check_id(qe, identity_item, checks);
  if (!is_info || !is_identity) return;
  const auto info = read_tcb_info(tcb.body->text);
  const auto identity = read_qe_identity(qe.body->text);
  if (!info) checks.fail(info.refusal());
  if (!identity) checks.fail(identity.refusal());
  if (!info || !identity || !facts.pck) return;
  compare_platform(*info, *facts.pck, checks);
  if (checks.refusal()) {
    checks.skip(Stage::tcb_status, "tcb", "what it rests on has failed");
    return;
  }
  judge_levels(*info, *identity, checks, facts);
}

} // namespace talaria::attest
