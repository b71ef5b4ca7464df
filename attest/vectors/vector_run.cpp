#include "attest/vectors/vector_run.hpp"

#include <fstream>
#include <map>
#include <set>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "attest/evidence/encodings.hpp"
#include "attest/policy/parts.hpp"
#include "attest/vectors/vector_facts.hpp"
#include "core/console.hpp"
#include "core/error.hpp"

namespace talaria::attest {
namespace {

using nlohmann::json;
namespace fs = std::filesystem;

constexpr std::uintmax_t kMaxFileBytes = std::uintmax_t{16} << 20;

std::vector<u8> read_file(const fs::path& file) {
  std::error_code ignored;
  std::ifstream stream(file, std::ios::binary);
  if (!stream || fs::file_size(file, ignored) > kMaxFileBytes || ignored)
    throw Error(Errc::io, file.string() + ": cannot be read");
  return {std::istreambuf_iterator<char>(stream), {}};
}

/// Files of one case, read once and kept while it is judged.
class Files {
public:
  Files(fs::path root, fs::path base) : root_(std::move(root)), base_(std::move(base)) {}

  Bytes get(const json& from, const char* key) {
    if (!from.contains(key)) return {};
    const fs::path file = (base_ / from.at(key).get<std::string>()).lexically_normal();
    const auto inside = file.lexically_relative(root_);
    if (inside.empty() || *inside.begin() == "..")
      throw Error(Errc::usage, file.string() + ": lies outside the folder");
    return contents_.try_emplace(file, read_file(file)).first->second;
  }

private:
  fs::path root_;
  fs::path base_;
  std::map<fs::path, std::vector<u8>> contents_;
};

/// What cases take for granted unless they say otherwise: genuine evidence of any machine.
Policy base_policy() {
  Policy policy;
  policy.collateral.crl_required = false;
  policy.snp.products = {SnpProduct::milan, SnpProduct::genoa, SnpProduct::turin};
  policy.snp.signers = {SnpSigner::vcek, SnpSigner::vlek};
  policy.snp.any_csp = true;
  policy.snp.least_version = 2;
  policy.tdx.any_status = true;
  policy.tdx.any_advisory = true;
  policy.tdx.least_evaluation = 0;
  policy.tdx.service_td = true;
  policy.tdx.attributes_require = 0;
  policy.tdx.attributes_allow = td_attribute::kKnown;
  return policy;
}

SnpFloor read_floor(const json& object) {
  SnpFloor floor;
  for (const auto& [key, value] : object.items()) {
    auto& part = key == "fmc"     ? floor.fmc
                 : key == "bl"    ? floor.boot_loader
                 : key == "tee"   ? floor.tee
                 : key == "snp"   ? floor.snp
                 : key == "ucode" ? floor.microcode
                                  : throw Error(Errc::usage, "min_tcb has an unknown part " + key);
    part = value.get<u8>();
  }
  return floor;
}

Policy read_policy(const json& from, std::map<std::string, std::string>& expected) {
  Policy policy = base_policy();
  for (const auto& [key, value] : from.items()) {
    if (key == "debug")
      policy.snp.debug = policy.tdx.debug = value.get<bool>();
    else if (key == "migration")
      policy.snp.migration_agent = value.get<bool>();
    else if (key == "vmpl")
      policy.snp.max_vmpl = value.get<u32>();
    else if (key == "min_tcb")
      for (const auto product : {SnpProduct::milan, SnpProduct::genoa, SnpProduct::turin})
        policy.snp.floors[product] = read_floor(value);
    else if (key == "expect")
      expected = value.get<std::map<std::string, std::string>>();
    else if (key == "status") {
      policy.tdx.any_status = false;
      policy.tdx.statuses.clear();
      for (const auto& word : value)
        if (const auto status = parse_tcb_status(word.get<std::string>()))
          policy.tdx.statuses.push_back(*status);
    } else
      throw Error(Errc::usage, "the policy has an unknown field " + key);
  }
  return policy;
}

TrustAnchors anchors_for(const json& entry, Files& files) {
  TrustAnchors anchors = TrustAnchors::hardware();
  for (const char* pin : {"pin_ark", "pin_intel"}) {
    if (!entry.contains(pin)) continue;
    const auto roots = Certificate::bundle(files.get(entry, pin));
    if (!roots) throw Error(Errc::usage, std::string(pin) + " cannot be read");
    const std::string product = entry.value("product", "Milan");
    const bool is_amd = std::string_view(pin) == "pin_ark";
    anchors.add({is_amd ? Vendor::amd : Vendor::intel,
                 product == "Genoa"   ? SnpProduct::genoa
                 : product == "Turin" ? SnpProduct::turin
                                      : SnpProduct::milan,
                 roots->front(), false});
  }
  return anchors;
}

std::optional<TdxCollateral> collateral_of(const json& entry, Files& files) {
  if (!entry.contains("collateral")) return std::nullopt;
  const json& from = entry.at("collateral");
  return TdxCollateral{files.get(from, "tcb_info"),  files.get(from, "qe_identity"),
                       files.get(from, "tcb_chain"), files.get(from, "qe_chain"),
                       files.get(from, "root_crl"),  files.get(from, "pck_crl")};
}

SnpEvidence snp_of(const json& entry, Files& files) {
  return {files.get(entry, "report"), files.get(entry, "leaf"), files.get(entry, "ask"),
          files.get(entry, "ark"), files.get(entry, "crl")};
}

/// Everything that one case's judgement refers to.
struct Judged {
  Checks checks;
  std::optional<SnpFacts> snp;
  std::optional<TdxFacts> tdx;
  std::optional<AzureFacts> azure;

  Facts facts() const {
    const SnpFacts* report = azure ? (azure->snp ? &*azure->snp : nullptr) : snp ? &*snp : nullptr;
    const TdxFacts* quote = azure ? (azure->tdx ? &*azure->tdx : nullptr) : tdx ? &*tdx : nullptr;
    return {EvidenceKind::snp, report, quote, azure ? &*azure : nullptr};
  }
};

Judged verify_azure_case(const json& entry, Files& files, const TrustAnchors& anchors,
                         Clock clock) {
  AzureEvidence evidence;
  evidence.hcl = files.get(entry, "hcl");
  evidence.kind = entry.at("kind") == "azure-snp" ? HclReport::Kind::snp : HclReport::Kind::tdx;
  if (evidence.kind == HclReport::Kind::snp)
    evidence.snp = snp_of(entry, files);
  else
    evidence.tdx = {files.get(entry, "td_quote"), collateral_of(entry, files)};
  if (entry.contains("tpm_quote"))
    evidence.tpm = TpmEvidence{files.get(entry, "tpm_quote"), files.get(entry, "tpm_sig"),
                               files.get(entry, "pcrs")};
  AzureJudgement judgement = verify_azure(evidence, anchors, clock);
  if (judgement.facts.tpm && entry.contains("nonce"))
    check_tpm_nonce(*judgement.facts.tpm,
                    from_hex(entry.at("nonce").get<std::string>()).value_or(std::vector<u8>{}),
                    judgement.checks);
  Judged judged;
  judged.checks = judgement.checks;
  judged.azure = std::move(judgement.facts);
  return judged;
}

Judged verify_case(const json& entry, Files& files, const TrustAnchors& anchors, Clock clock) {
  const std::string kind = entry.at("kind");
  Judged judged;
  if (kind == "snp-format") {
    const auto report = parse_snp_report(files.get(entry, "report"));
    if (report)
      judged.snp.emplace().report = *report;
    else
      judged.checks.fail(report.refusal());
  } else if (kind == "snp") {
    SnpJudgement judgement = verify_snp(snp_of(entry, files), anchors, clock);
    judged.checks = judgement.checks;
    judged.snp = std::move(judgement.facts);
  } else if (kind == "tdx") {
    TdxJudgement judgement =
        verify_tdx({files.get(entry, "quote"), collateral_of(entry, files)}, anchors, clock);
    judged.checks = judgement.checks;
    judged.tdx = std::move(judgement.facts);
  } else if (kind == "azure-snp" || kind == "azure-tdx") {
    return verify_azure_case(entry, files, anchors, clock);
  } else {
    throw Error(Errc::usage, "unknown kind " + kind);
  }
  return judged;
}

Judged judge(const json& entry, Files& files) {
  const auto now = parse_time(entry.at("now").get<std::string>());
  if (!now) throw Error(Errc::usage, "now is no time like 2026-08-01T00:00:00Z");
  std::map<std::string, std::string> expected;
  const Policy policy = read_policy(entry.value("policy", json::object()), expected);
  Judged judged = verify_case(entry, files, anchors_for(entry, files), {*now, Seconds(0)});
  if (entry.at("kind") == "snp-format") return judged;
  std::vector<std::string> warnings;
  const Facts facts = judged.facts();
  if (facts.snp) appraise_snp(*facts.snp, policy, judged.checks, warnings);
  if (facts.tdx) appraise_tdx(*facts.tdx, policy, *now, judged.checks, warnings);
  const auto table = vector_facts(facts);
  for (const auto& [field, value] : expected) {
    const auto found = table.find(field);
    if (found == table.end() && !facts.snp && !facts.tdx) continue;
    judged.checks.require(found != table.end() && found->second == value, Stage::expected, field,
                          "another value", value, found == table.end() ? "" : found->second);
  }
  return judged;
}

/// The first fact that is not what the case says.
std::string wrong_fact(const json& entry, const Judged& judged) {
  const auto table = vector_facts(judged.facts());
  const json facts = entry.value("facts", json::object());
  for (const auto& [field, wanted] : facts.items()) {
    const std::string text = wanted.is_string() ? wanted.get<std::string>() : wanted.dump();
    const auto found = table.find(field);
    const std::string actual = found == table.end() ? "(none)" : found->second;
    if (actual != text) return fmt::format("{} is {}, expected {}", field, actual, text);
  }
  return {};
}

VectorResult run_case(const json& entry, Files files) {
  VectorResult result;
  try {
    result.name = entry.at("name");
    result.expected = entry.at("verdict");
    const Judged judged = judge(entry, files);
    const auto refusal = judged.checks.refusal();
    result.actual = refusal ? refusal->code : "accept";
    if (refusal) result.reason = refusal->reason;
    result.passed = result.actual == result.expected;
    if (refusal || !result.passed) return result;
    result.reason = wrong_fact(entry, judged);
    result.passed = result.reason.empty();
  } catch (const std::exception& error) {
    result.actual = "error";
    result.reason = error.what();
    result.passed = false;
  }
  return result;
}

void run_manifest(const fs::path& root, const fs::path& manifest,
                  std::vector<VectorResult>& results) {
  const std::vector<u8> text = read_file(manifest);
  json document;
  try {
    document = json::parse(text.begin(), text.end());
    for (const json& entry : document.at("cases"))
      results.push_back(run_case(entry, Files(root, manifest.parent_path())));
  } catch (const json::exception&) {
    throw Error(Errc::usage, manifest.string() + ": not a manifest");
  }
}

} // namespace

std::vector<VectorResult> run_vectors(const fs::path& folder) {
  const fs::path root = fs::absolute(folder).lexically_normal() / "";
  std::vector<VectorResult> results;
  std::size_t manifests = 0;
  for (const char* name : {"manifest.json", "negative/manifest.json"}) {
    if (!fs::exists(root / name)) continue;
    ++manifests;
    run_manifest(root, root / name, results);
  }
  if (manifests == 0) throw Error(Errc::io, root.string() + ": holds no manifest.json");
  return results;
}

int attest_vectors_main(int argc, char** argv) {
  if (argc != 2) {
    print_log("usage: attest_vectors FOLDER");
    return 2;
  }
  try {
    std::size_t failed = 0;
    const auto results = run_vectors(argv[1]);
    for (const VectorResult& result : results) {
      failed += result.passed ? 0 : 1;
      print_out("{} {}: {}{}{}\n", result.passed ? "ok  " : "FAIL", result.name, result.actual,
                result.passed ? "" : ", expected " + result.expected,
                result.reason.empty() ? "" : " (" + result.reason + ")");
    }
    print_out("{} passed, {} failed\n", results.size() - failed, failed);
    return failed == 0 ? 0 : 1;
  } catch (const Error& error) {
    print_log("attest_vectors: {}", error.what());
    return 2;
  }
}

} // namespace talaria::attest
