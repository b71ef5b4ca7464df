#pragma once

#include <optional>
#include <string>
#include <vector>

#include "attest/binding/binding.hpp"
#include "attest/binding/statement.hpp"
#include "attest/policy/appraisal.hpp"

namespace talaria::attest {

/// What evidence of a live connection must be bound to.
struct SessionExpectation {
  BindingInput own;          ///< all of it this side's; `statement` is set from the bytes below
  std::vector<u8> statement; ///< as sent
  std::vector<PathStep> path;
};

/// What the evidence must be bound to. Nothing: it comes from a file, which is of no connection;
/// the verdict then says that this was not checked.
struct Expectation {
  std::optional<std::array<u8, 64>> report_data; ///< SNP and TDX
  std::optional<std::vector<u8>> nonce;          ///< Azure: extraData of the vTPM's quote
  std::optional<SessionExpectation> session;     ///< in the place of both
};

struct JudgeOptions {
  TimePoint now{};
  std::string clock = "system"; ///< where `now` comes from: system, signed, given
  bool allow_simulated = false; ///< the command line says so; the policy must as well
  Expectation expectation;
};

/// Everything that one judgement of evidence under a policy has found.
struct Verdict {
  bool accepted = false;
  int status = 7; ///< exit status: 0, 6 to 9, 10 (docs/attestation.md)
  std::optional<Refusal> refusal;
  EvidenceKind kind = EvidenceKind::snp;
  bool simulated = false;
  TimePoint at{};
  std::string clock;
  std::string policy_name;
  std::string policy_sha256;
  ImageMatch image;
  Checks checks;
  std::optional<SnpFacts> snp;
  std::optional<TdxFacts> tdx;
  std::optional<AzureFacts> azure;
  std::vector<std::string> warnings;
  std::optional<TimePoint> valid_until; ///< when it must be formed anew
  std::optional<BindingInput> binding;  ///< that of a live connection
  std::optional<Statement> statement;   ///< only if everything before it has passed

  const Ledger* collateral() const;
  /// What TCB info is about: FMSPC in hexadecimal; empty without one.
  std::string platform() const;
  /// One more thing speaks against it.
  void refuse(const Refusal& why);
};

/// The line that is printed each time simulated evidence is looked at.
inline constexpr std::string_view kSimulationWarning =
    "attestation: SIMULATED. This proves nothing about hardware: whoever has the authority's "
    "folder "
    "can make such evidence.";

/// Verifies and appraises. `anchors` are the roots of hardware, or those of the policy's simulation
/// (trust_anchors()).
Verdict judge(const EvidenceSet& evidence, const Policy& policy, const TrustAnchors& anchors,
              const JudgeOptions& options);

/// The same for a document that came over a live connection. `own` is what this side knows of it:
/// role, nonce, exporter and the peer's key. A statement is demanded, and looked at last.
Verdict judge_session(const EvidenceDocument& document, const BindingInput& own,
                      const Policy& policy, const TrustAnchors& anchors, JudgeOptions options);

/// The verdict on something that is no evidence at all: `refusal` and nothing else.
Verdict refuse_unread(const Refusal& refusal, const Policy& policy, const JudgeOptions& options);

/// The roots that `policy` trusts: of hardware, or the one root file of a simulation.
/// @throws Error{config} if that file cannot be read or is no such root.
TrustAnchors trust_anchors(const Policy& policy);

/// A line per check, what was expected and found under those that failed, and what the nearest
/// image differs in. Ends with the verdict in one line.
std::string to_text(const Verdict& verdict);

/// One JSON object (docs/attestation.md), without a line end.
std::string to_json(const Verdict& verdict);

} // namespace talaria::attest
