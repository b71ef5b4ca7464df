#include "attest/command/receipt_command.hpp"

#include <algorithm>
#include <chrono>

#include <fmt/format.h>

#include "attest/binding/document.hpp"
#include "attest/collateral/bundle.hpp"
#include "attest/command/files.hpp"
#include "attest/command/receipt_text.hpp"
#include "attest/evidence/encodings.hpp"
#include "attest/policy/policy_file.hpp"
#include "attest/receipts/receipt_chain.hpp"
#include "core/console.hpp"
#include "core/error.hpp"

namespace talaria::attest {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMaxBodyBytes = std::size_t{256} << 20;
constexpr Seconds kSkew{300};

TimePoint receipt_time(const std::string& at) {
  if (at.empty()) return std::chrono::floor<Seconds>(std::chrono::system_clock::now());
  const auto time = parse_time(at);
  if (!time) throw Error(Errc::usage, "--at " + at + ": use a time like 2026-08-01T00:00:00Z");
  return *time;
}

void require_usable(const ReceiptVerifyOptions& options) {
  const bool has_evidence = !options.evidence.empty() && !options.policy.empty();
  if (options.key.empty() && !has_evidence)
    throw Error(Errc::usage, "give --evidence FILE and --policy FILE, or --key KEY: that a receipt "
                             "names a key says nothing about whose it is");
  if (options.files.size() != 1 && (!options.request.empty() || !options.response.empty()))
    throw Error(Errc::usage, "--request and --response belong to one receipt; give one file");
}

/// Evidence for archives is about a key, which it names itself: what matters is what the report
/// covers, the statement.
Verdict judge_archive(const ReceiptVerifyOptions& options, const Policy& policy) {
  JudgeOptions judging;
  judging.now = receipt_time(options.at);
  judging.clock = options.at.empty() ? "system" : "given";
  judging.allow_simulated = options.allow_simulated;
  const std::vector<u8> bytes = read_small_file(options.evidence, kMaxDocumentBytes);
  auto document = parse_document(as_text(bytes));
  if (!document) return refuse_unread(document.refusal(), policy, judging);
  if (!options.bundle.empty()) {
    const auto bundle = Bundle::from_tar(read_small_file(options.bundle, std::size_t{16} << 20));
    if (!bundle)
      throw Error(Errc::usage,
                  fmt::format("{}: {}", options.bundle.string(), bundle.refusal().reason));
    bundle->complete(document->evidence);
  }
  BindingInput archive;
  archive.role = Role::archive;
  if (const auto statement = parse_statement(as_text(document->statement)))
    archive.key = statement->tls_key;
  return judge_session(*document, archive, policy, trust_anchors(policy), judging);
}

void compare_with_statement(const Receipt& receipt, const Statement& statement, Checks& checks) {
  const bool is_same =
      receipt.service == statement.service && receipt.model == statement.model &&
      receipt.model_root == statement.model_root && receipt.weights == statement.weights &&
      receipt.scheme == statement.scheme && receipt.parameters == statement.parameters &&
      receipt.integrity == statement.integrity && receipt.software == statement.software &&
      (!receipt.adapter || std::ranges::count(statement.adapters, *receipt.adapter) != 0);
  checks.require(
      is_same, Stage::policy, "receipt-statement",
      "the receipt is about another model, adapter, scheme or program than the statement that "
      "vouches for its key",
      to_hex(statement.model_root), to_hex(receipt.model_root));
}

/// The key that signed, as far as something vouches for it.
std::optional<ReceiptPublicKey> vouched_key(const ReceiptVerifyOptions& options,
                                            ReceiptFindings& findings) {
  if (!options.key.empty()) return receipt_key_from(options.key);
  const Policy policy = read_policy(options.policy);
  if (policy.simulated) print_log("{}", kSimulationWarning);
  findings.evidence = judge_archive(options, policy);
  findings.checks.add(findings.evidence->checks);
  const auto& statement = findings.evidence->statement;
  if (!statement) return std::nullopt;
  findings.checks.require(statement->receipt_key.has_value(), Stage::binding, "receipt-key",
                          "the statement of this evidence names no key for receipts");
  return statement->receipt_key;
}

/// Of a stream, what is signed: its events without comments.
std::string without_comments(std::string_view body) {
  std::string events;
  while (!body.empty()) {
    const std::size_t end = std::min(body.find("\n\n"), body.size() - 2);
    const std::size_t size = body.size() < 2 ? body.size() : end + 2;
    if (body.front() != ':') events += body.substr(0, size);
    body.remove_prefix(size);
  }
  return events;
}

void check_bodies(const ReceiptFile& file, Checks& checks) {
  const Receipt& receipt = file.receipt.receipt;
  const ReceiptSalts& salts = file.record.salts;
  if (file.record.request)
    checks.require(receipt.request == salted_text(salts.request, *file.record.request),
                   Stage::binding, "receipt-request", "the receipt is about another request");
  else
    checks.skip(Stage::binding, "receipt-request", "no request was given (--request)");
  if (receipt.cut)
    checks.skip(Stage::binding, "receipt-response", "the client left before the answer's end");
  else if (file.record.response)
    checks.require(receipt.response ==
                       salted_text(salts.response, receipt.stream
                                                       ? without_comments(*file.record.response)
                                                       : *file.record.response),
                   Stage::binding, "receipt-response", "the receipt is about another answer");
  else
    checks.skip(Stage::binding, "receipt-response", "no answer was given (--response)");
}

void take_bodies(const ReceiptVerifyOptions& options, ReceiptFile& file) {
  const auto text_of = [](const fs::path& path) {
    return std::string(as_text(read_small_file(path, kMaxBodyBytes)));
  };
  if (!options.request.empty()) file.record.request = text_of(options.request);
  if (!options.response.empty()) file.record.response = text_of(options.response);
  if (!file.has_salts && (file.record.request || file.record.response))
    throw Error(Errc::usage, "the file is a bare receipt without salts, by which alone a request "
                             "or an answer can be compared; use the one that talaria connect or "
                             "/v1/receipts gives");
}

void check_one(const ReceiptVerifyOptions& options, const fs::path& path,
               const std::optional<ReceiptPublicKey>& key, ReceiptFindings& findings) {
  Checks& checks = findings.checks;
  auto file = read_receipt_file(path);
  if (!file) return checks.fail(file.refusal());
  checks.pass(Stage::format, "receipt");
  if (key)
    checks.require(file->receipt.is_signed_by(*key), Stage::signature, "receipt-signature",
                   fmt::format("{} was not signed by this key, or was changed afterwards",
                               path.filename().string()),
                   thumbprint_of(*key), file->receipt.key_id);
  if (findings.evidence && findings.evidence->statement)
    compare_with_statement(file->receipt.receipt, *findings.evidence->statement, checks);
  checks.require(file->receipt.receipt.issued <= receipt_time(options.at) + kSkew, Stage::binding,
                 "receipt-time", "the receipt is of a time that has not come yet");
  take_bodies(options, *file);
  check_bodies(*file, checks);
  findings.simulated = findings.simulated || file->receipt.receipt.simulated;
  findings.receipts.push_back(std::move(file->receipt));
}

void close(const ReceiptVerifyOptions& options, ReceiptFindings& findings) {
  if (findings.evidence) findings.simulated = findings.simulated || findings.evidence->simulated;
  if (findings.simulated)
    findings.checks.require(options.allow_simulated, Stage::policy, "simulated",
                            "a simulated platform, which --allow-simulated did not ask for");
  const auto refusal = findings.checks.refusal();
  constexpr int kHoldsSimulated = 10;
  findings.status = refusal              ? static_cast<int>(refusal->grade())
                    : findings.simulated ? kHoldsSimulated
                                         : 0;
}

} // namespace

ReceiptPublicKey receipt_key_from(const std::string& text) {
  const auto bytes = from_base64url(text);
  ReceiptPublicKey key{};
  if (!bytes || bytes->size() != key.size())
    throw Error(Errc::usage, "--key " + text +
                                 ": not 43 characters of base64url: the x of "
                                 "receipt_key in a statement");
  std::ranges::copy(*bytes, key.begin());
  return key;
}

Parsed<ReceiptFile> read_receipt_file(const fs::path& path) {
  const std::vector<u8> bytes = read_small_file(path, kMaxRecordBytes);
  const std::string_view text = trimmed(as_text(bytes));
  ReceiptFile file;
  file.has_salts = text.starts_with('{');
  if (file.has_salts) {
    auto record = parse_record(text);
    if (!record) return record.refusal();
    file.record = std::move(*record);
  } else {
    file.record.jws = text;
  }
  auto receipt = parse_signed_receipt(file.record.jws);
  if (!receipt) return receipt.refusal();
  file.receipt = std::move(*receipt);
  return file;
}

int verify_receipts(const ReceiptVerifyOptions& options) {
  require_usable(options);
  ReceiptFindings findings;
  const auto key = vouched_key(options, findings);
  for (const fs::path& file : options.files) check_one(options, file, key, findings);
  if (key && findings.receipts.size() > 1) check_chains(findings.receipts, findings.checks);
  close(options, findings);
  print_out("{}", options.json ? to_json(findings) + "\n" : to_text(findings));
  return findings.status;
}

} // namespace talaria::attest
