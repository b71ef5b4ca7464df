#include "attest/command/attest_command.hpp"

#include <algorithm>
#include <cctype>
#include <chrono>
#include <fstream>
#include <iterator>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "attest/binding/binding.hpp"
#include "attest/binding/statement.hpp"
#include "attest/collateral/bundle.hpp"
#include "attest/command/files.hpp"
#include "attest/evidence/encodings.hpp"
#include "attest/policy/policy_file.hpp"
#include "attest/policy/policy_text.hpp"
#include "attest/policy/verdict.hpp"
#include "core/console.hpp"
#include "core/error.hpp"

namespace talaria::attest {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMaxBundleBytes = std::size_t{16} << 20;

/// The only clock of the room: everything below takes the time as an argument.
TimePoint time_from(const std::string& at) {
  if (at.empty()) return std::chrono::floor<Seconds>(std::chrono::system_clock::now());
  const auto time = parse_time(at);
  if (!time) throw Error(Errc::usage, "--at " + at + ": use a time like 2026-08-01T00:00:00Z");
  return *time;
}

std::vector<u8> hex_flag(const char* flag, const std::string& text, std::size_t bytes) {
  auto value = from_hex(text);
  if (!value || (bytes != 0 && value->size() != bytes))
    throw Error(Errc::usage, bytes == 0
                                 ? fmt::format("{}: not hexadecimal", flag)
                                 : fmt::format("{}: not {} bytes of hexadecimal", flag, bytes));
  return *value;
}

EvidenceDocument read_document(const fs::path& file) {
  const std::vector<u8> bytes = read_small_file(file, kMaxDocumentBytes);
  auto document = parse_document(as_text(bytes));
  if (!document)
    throw Error(Errc::usage, fmt::format("{}: {}", file.string(), document.refusal().reason));
  return std::move(*document);
}

Bundle read_bundle(const fs::path& file) {
  auto bundle = Bundle::from_tar(read_small_file(file, kMaxBundleBytes));
  if (!bundle)
    throw Error(Errc::usage, fmt::format("{}: {}", file.string(), bundle.refusal().reason));
  return std::move(*bundle);
}

Expectation expectation_from(const VerifyOptions& options) {
  Expectation expectation;
  if (!options.report_data.empty()) {
    const auto bytes = hex_flag("--report-data", options.report_data, 64);
    std::ranges::copy(bytes, expectation.report_data.emplace().begin());
  }
  if (!options.nonce.empty()) expectation.nonce = hex_flag("--nonce", options.nonce, 0);
  return expectation;
}

std::string service_section(const PolicyOptions& options) {
  if (options.service.empty()) return {};
  std::string names;
  for (const std::string& name : options.service) names += (names.empty() ? "" : ", ") + name;
  const std::string ca = options.ca.empty()
                             ? std::string()
                             : fmt::format(", ca: '{}'", fs::absolute(options.ca).string());
  return fmt::format("service: {{ names: [{}]{} }}\n", names, ca);
}

/// What an archive's evidence says of model and masking; nothing if no report vouches for it.
std::string statement_section(const EvidenceDocument& document, const Judgement& judgement) {
  const auto statement = parse_statement(as_text(document.statement));
  if (!statement || judgement.azure) return {};
  BindingInput archive;
  archive.role = Role::archive;
  archive.key = statement->tls_key;
  archive.statement = sha256(document.statement);
  const auto bound =
      judgement.snp ? judgement.snp->report.report_data : judgement.tdx->quote.report_data;
  if (bound != report_data(archive, document.path)) return {};
  for (const std::string* word :
       {&statement->scheme, &statement->parameters, &statement->integrity})
    if (!std::ranges::all_of(*word, [](unsigned char c) { return std::isalnum(c) != 0; }))
      return {};
  return fmt::format(
      "statement: {{ model: [{}], scheme: [{}], parameters: [{}], integrity: {} }}\n",
      to_hex(statement->model_root), statement->scheme, statement->parameters,
      statement->integrity);
}

} // namespace

int verify_evidence_file(const VerifyOptions& options) {
  const Policy policy = read_policy(options.policy);
  if (policy.simulated) print_log("{}", kSimulationWarning);
  const TrustAnchors anchors = trust_anchors(policy);
  JudgeOptions judging;
  judging.now = time_from(options.at);
  judging.clock = options.at.empty() ? "system" : "given";
  judging.allow_simulated = options.allow_simulated;
  judging.expectation = expectation_from(options);
  // What is no document is refused as evidence is: whoever sent it may be anybody.
  const std::vector<u8> bytes = read_small_file(options.evidence, kMaxDocumentBytes);
  auto document = parse_document(as_text(bytes));
  if (document && !options.bundle.empty()) read_bundle(options.bundle).complete(document->evidence);
  const Verdict verdict = document ? judge(document->evidence, policy, anchors, judging)
                                   : refuse_unread(document.refusal(), policy, judging);
  print_out("{}", options.json ? to_json(verdict) + "\n" : to_text(verdict));
  return verdict.status;
}

int write_policy(const PolicyOptions& options) {
  const EvidenceDocument document = read_document(options.evidence);
  Policy trust;
  trust.simulated = !options.simulated_root.empty();
  trust.simulated_root = options.simulated_root;
  if (trust.simulated) print_log("{}", kSimulationWarning);
  const Judgement judgement =
      verify_evidence(document.evidence, trust_anchors(trust), {time_from(options.at), Seconds(0)});
  const auto refusal = judgement.checks.refusal();
  if (refusal && refusal->stage < Stage::collateral) {
    print_log("talaria: {}: {}: {}; no policy is written for it", options.evidence.string(),
              refusal->code, refusal->reason);
    return static_cast<int>(refusal->grade());
  }
  std::string text =
      policy_for(judgement, document.evidence.kind,
                 options.name.empty() ? options.evidence.stem().string() : options.name,
                 options.simulated_root);
  text += service_section(options) + statement_section(document, judgement);
  write_result(options.output, text);
  return 0;
}

int write_bundle(const BundleOptions& options) {
  Bundle bundle;
  for (const fs::path& file : options.evidence) bundle.add(read_document(file).evidence);
  if (bundle.is_empty())
    throw Error(Errc::usage, "none of the documents carries collateral that can be told apart");
  const std::vector<u8> tar = bundle.to_tar();
  write_result(options.output, as_text(tar));
  if (options.output.empty()) return 0;
  if (options.json)
    print_out(
        "{}\n",
        nlohmann::json{{"written", options.output.string()}, {"files", bundle.size()}}.dump());
  else
    print_out("{}: {} files\n", options.output.string(), bundle.size());
  return 0;
}

} // namespace talaria::attest
