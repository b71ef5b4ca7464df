#include <boost/test/unit_test.hpp>

#include "attest/policy/policy_file.hpp"
#include "attest/policy/policy_text.hpp"
#include "attest/policy/verdict.hpp"
#include "core/error.hpp"
#include "tests/attest/simulation.hpp"
#include "tests/attest/vector_files.hpp"

using namespace talaria;

namespace {

const std::string kMeasurement(96, 'a');

std::string policy_text(const std::string& more = {},
                        const std::string& evidence = "[snp, tdx, azure-snp, azure-tdx]",
                        const std::string& images = "any") {
  return "version: 1\nname: test\nevidence: " + evidence + "\nimages: " + images + "\n" + more;
}

attest::Policy policy_from(const std::string& text) {
  return attest::parse_policy(text, "policy.yaml");
}

/// A policy that accepts exactly `evidence`, with some of its text replaced.
attest::Policy policy_for(const tests::RealEvidence& evidence, const std::string& from = {},
                          const std::string& to = {}) {
  const auto judgement = attest::verify_evidence(evidence.set, attest::TrustAnchors::hardware(),
                                                 {evidence.when, attest::Seconds(0)});
  std::string text = attest::policy_for(judgement, evidence.set.kind, "image");
  if (!from.empty()) {
    const std::size_t at = text.find(from);
    BOOST_TEST_REQUIRE(at != text.npos, from << " is not in\n" << text);
    text.replace(at, from.size(), to);
  }
  return policy_from(text);
}

attest::Verdict verdict_on(const tests::RealEvidence& evidence, const attest::Policy& policy,
                           const attest::Expectation& expectation = {}) {
  attest::JudgeOptions options;
  options.now = evidence.when;
  options.expectation = expectation;
  return attest::judge(evidence.set, policy, attest::TrustAnchors::hardware(), options);
}

std::string code_of(const attest::Verdict& verdict) {
  return verdict.refusal ? verdict.refusal->code : "accept";
}

struct Mistake {
  const char* section;
  const char* complaint;
};

const Mistake kMistakes[] = {
    {"snp: { products: [naples] }",
     "policy.yaml:5:19: snp.products[0]: is 'naples'; expected milan, genoa or turin"},
    {"snp: { debgu: true }", "policy.yaml:5:8: snp.debgu: unknown key; did you mean 'debug'?"},
    {"snp: { check: [reported, launch] }",
     "policy.yaml:5:8: snp.check: leaves out reported, committed or current; only launch may be "
     "left out"},
    {"snp: { signer: vlek }",
     "policy.yaml:5:1: snp: accepts a VLEK without naming a provider; expected csp: [CN=...]"},
    {"snp: { min_tcb: { genoa: { fmc: 1 } } }",
     "policy.yaml:5:28: snp.min_tcb.genoa.fmc: unknown key; expected bl, tee, snp or ucode"},
    {"snp: { min_tcb: { genoa: { snp: 256 } } }",
     "policy.yaml:5:33: snp.min_tcb.genoa.snp: is '256'; expected a whole number from 0 to 255"},
    {"snp: { vmpl: 4 }", "policy.yaml:5:14: snp.vmpl: is '4'; expected a whole number from 0 to 3"},
    {"snp: { chips: [ABCD] }",
     "policy.yaml:5:16: snp.chips[0]: is 'ABCD'; expected a chip id of 128 hexadecimal digits, or "
     "of 16 for Turin, or any"},
    {"tdx: { status: [Revoked] }",
     "policy.yaml:5:17: tdx.status[0]: is 'Revoked'; expected a TCB status like UpToDate or "
     "SWHardeningNeeded, and never Revoked"},
    {"tdx: { out_of_date_for: 2 weeks }",
     "policy.yaml:5:25: tdx.out_of_date_for: is '2 weeks'; expected a time like 0, 90s, 5m, 1h or "
     "14d"},
    {"collateral: { crl: optional }",
     "policy.yaml:5:20: collateral.crl: is 'optional'; expected required or if-present"},
    {"simulated: { root: x.pem }",
     "policy.yaml:1:1: names a simulated root, but evidence does not list simulated"},
};

} // namespace

BOOST_AUTO_TEST_SUITE(attest_policy)

BOOST_AUTO_TEST_CASE(mistakes_name_file_line_and_field) {
  for (const Mistake& mistake : kMistakes) {
    std::string complaint;
    try {
      policy_from(policy_text(std::string(mistake.section) + "\n"));
    } catch (const Error& error) {
      complaint = error.what();
      BOOST_TEST((error.code() == Errc::config));
    }
    BOOST_TEST(complaint == mistake.complaint);
  }
}

BOOST_AUTO_TEST_CASE(a_policy_without_images_or_evidence_is_refused) {
  const auto complaint = [](const std::string& text) {
    try {
      policy_from(text);
    } catch (const Error& error) {
      return std::string(error.what());
    }
    return std::string();
  };
  BOOST_TEST(complaint("version: 1\nname: x\nevidence: [snp]\n") ==
             "policy.yaml:1:1: images: missing; it is required");
  BOOST_TEST(complaint("").starts_with("policy.yaml:1:1: is nothing; expected a mapping with"));
  BOOST_TEST(complaint("version: 2\nname: x\nevidence: [snp]\nimages: any\n") ==
             "policy.yaml:1:10: version: is '2'; expected a whole number from 1 to 1");
  BOOST_TEST(complaint(policy_text({}, "[]")) ==
             "policy.yaml:3:1: evidence: is empty; expected snp, tdx, azure-snp, azure-tdx or "
             "simulated");
  BOOST_TEST(
      complaint(policy_text({}, "[snp]",
                            "[ { name: a, snp: { measurement: " + std::string(96, 'A') + " } } ]"))
          .ends_with("expected 48 bytes as 96 digits of lower-case hexadecimal"));
  BOOST_TEST(complaint(policy_text({}, "[snp]", "[ { name: a } ]")) ==
             "policy.yaml:4:11: images[0]: names no measurement; expected snp, tdx or azure");
}

BOOST_AUTO_TEST_CASE(a_simulation_has_a_policy_of_its_own) {
  const auto refused = [](const std::string& text) { BOOST_CHECK_THROW(policy_from(text), Error); };
  refused(policy_text("simulated: { root: r.pem }\n", "[snp, simulated]"));
  refused(policy_text({}, "[simulated]"));
  const auto policy = policy_from(policy_text("simulated: { root: r.pem }\n", "[simulated]"));
  BOOST_TEST(policy.simulated);
  BOOST_TEST(policy.evidence.empty());
}

BOOST_AUTO_TEST_CASE(defaults_are_strict) {
  const auto policy = policy_from(policy_text());
  BOOST_TEST(
      (policy.snp.products == std::vector{attest::SnpProduct::genoa, attest::SnpProduct::turin}));
  BOOST_TEST((policy.snp.signers == std::vector{attest::SnpSigner::vcek}));
  BOOST_TEST(!policy.snp.debug);
  BOOST_TEST(!policy.snp.migration_agent);
  BOOST_TEST(policy.snp.check_launch);
  BOOST_TEST(policy.snp.max_vmpl == 0u);
  BOOST_TEST(policy.snp.least_version == 3u);
  BOOST_TEST((policy.tdx.statuses == std::vector{attest::TcbStatus::up_to_date}));
  BOOST_TEST(!policy.tdx.any_status);
  BOOST_TEST(!policy.tdx.any_advisory);
  BOOST_TEST(policy.tdx.least_evaluation == 18u);
  BOOST_TEST(policy.tdx.attributes_require == 0x10000000u);
  BOOST_TEST(policy.collateral.crl_required);
  BOOST_TEST(policy.collateral.skew.count() == 300);
  BOOST_TEST(policy.sha256.size() == 64u);
}

BOOST_AUTO_TEST_CASE(every_field_of_the_documented_policy_is_read) {
  const auto policy = attest::read_policy(std::filesystem::path(TALARIA_SOURCE_DIR) /
                                          "examples/attestation/policy.yaml");
  BOOST_TEST(policy.images.size() == 1u);
  BOOST_TEST(policy.images[0].snp->measurement.size() == 1u);
  BOOST_TEST(policy.images[0].tdx->rtmr.size() == 4u);
  BOOST_TEST(policy.images[0].azure->pcrs.size() == 3u);
  BOOST_TEST(int{policy.snp.floors.at(attest::SnpProduct::turin).fmc.value()} == 1);
  BOOST_TEST(policy.snp.platform_require == 1u << 5);
  BOOST_TEST(policy.service.names.front() == "api.example.org");
  BOOST_TEST(policy.binding.max_age.count() == 3600);
  BOOST_TEST(policy.statement.schemes.front() == "lattice");
}

BOOST_AUTO_TEST_CASE(a_policy_written_for_a_machine_accepts_it) {
  for (const auto& evidence : {tests::turin(), tests::genoa(), tests::milan(), tests::emerald_v4(),
                               tests::emerald_v5(), tests::azure_genoa()}) {
    const auto verdict = verdict_on(evidence, policy_for(evidence));
    BOOST_TEST(code_of(verdict) == "accept");
    BOOST_TEST(verdict.status == 0);
    BOOST_TEST(verdict.image.name == "image");
  }
}

BOOST_AUTO_TEST_CASE(a_policy_written_for_one_machine_refuses_another) {
  const auto policy = policy_for(tests::genoa());
  BOOST_TEST(verdict_on(tests::milan(), policy).status == 8);
  BOOST_TEST(verdict_on(tests::emerald_v4(), policy).status == 8);
}

BOOST_AUTO_TEST_CASE(milan_must_be_named_and_is_warned_about_each_time) {
  const auto evidence = tests::milan();
  const auto unnamed =
      verdict_on(evidence, policy_for(evidence, "products: [milan]", "products: [genoa, turin]"));
  BOOST_TEST(code_of(unnamed) == "product");
  BOOST_TEST(unnamed.status == 8);
  const auto named = verdict_on(evidence, policy_for(evidence));
  BOOST_TEST(named.accepted);
  BOOST_TEST(named.warnings.size() == 1u);
}

BOOST_AUTO_TEST_CASE(the_nearest_image_and_its_differences_are_named) {
  const auto evidence = tests::genoa();
  const std::string measurement =
      to_hex(attest::parse_snp_report(evidence.set.get("report"))->measurement);
  const std::string other = "  - name: another\n    snp: { measurement: [" + kMeasurement +
                            "], id_key: [" + kMeasurement + "] }\n  - name: image\n";
  auto policy = policy_for(evidence, "  - name: image\n", other);
  BOOST_TEST(verdict_on(evidence, policy).image.name == "image");
  policy.images[1].snp->measurement = {std::array<u8, 48>{}};
  const auto verdict = verdict_on(evidence, policy);
  BOOST_TEST(code_of(verdict) == "image");
  BOOST_TEST(verdict.status == 8);
  BOOST_TEST(verdict.image.nearest == "image");
  BOOST_TEST_REQUIRE(verdict.image.differences.size() == 1u);
  BOOST_TEST(verdict.image.differences[0].field == "measurement");
  BOOST_TEST(verdict.image.differences[0].actual == measurement);
  BOOST_TEST(to_text(verdict).find("nearest is image, which differs in\n  measurement\n") !=
             std::string::npos);
}

BOOST_AUTO_TEST_CASE(any_image_is_never_accepted) {
  const auto policy = policy_from(policy_text("snp: { report_version: 2 }\n"));
  const auto verdict = verdict_on(tests::genoa(), policy);
  BOOST_TEST(code_of(verdict) == "image");
  BOOST_TEST(verdict.status == 8);
}

BOOST_AUTO_TEST_CASE(floors_hold_for_each_component_of_each_tcb) {
  const auto evidence = tests::genoa();
  BOOST_TEST(code_of(verdict_on(evidence, policy_for(evidence, "snp: 27", "snp: 28"))) == "tcb");
  BOOST_TEST(code_of(verdict_on(evidence, policy_for(evidence, "bl: 10", "bl: 11"))) == "tcb");
  BOOST_TEST(code_of(verdict_on(evidence, policy_for(evidence, "bl: 10", "bl: 9"))) == "accept");
}

BOOST_AUTO_TEST_CASE(launch_alone_may_be_left_out_of_the_floors) {
  tests::sim::ReportSpec report;
  report.changes[0x1F0 + 6] = {20}; // LAUNCH_TCB: an older SNP firmware
  const auto judgement = attest::verify_evidence(tests::snp_set(report), tests::simulated_anchors(),
                                                 {tests::kJudged, attest::Seconds(0)});
  BOOST_TEST_REQUIRE(judgement.snp.has_value());
  const auto refused = [&](const char* check) {
    auto policy = policy_from(policy_text(
        std::string("snp: { min_tcb: { genoa: { snp: 27 } }, check: ") + check + " }\n"));
    attest::Checks checks;
    attest::ImageMatch image;
    std::vector<std::string> warnings;
    const attest::Facts facts{attest::EvidenceKind::snp, &*judgement.snp, nullptr, nullptr};
    appraise(facts, policy, tests::kJudged, checks, image, warnings);
    return checks.refusal().value().code == "tcb" || !checks.passed(attest::Stage::policy, "tcb");
  };
  BOOST_TEST(refused("[reported, committed, current, launch]"));
  BOOST_TEST(!refused("[reported, committed, current]"));
}

BOOST_AUTO_TEST_CASE(what_expired_or_is_missing_leaves_the_verdict_open) {
  auto evidence = tests::genoa();
  const auto policy = policy_for(evidence);
  evidence.when = tests::at("2026-10-01T00:00:00Z");
  auto verdict = verdict_on(evidence, policy);
  BOOST_TEST(code_of(verdict) == "crl-expired");
  BOOST_TEST(verdict.status == 6);
  evidence = tests::genoa();
  evidence.set.items.erase("crl");
  verdict = verdict_on(evidence, policy);
  BOOST_TEST(code_of(verdict) == "crl-missing");
  BOOST_TEST(verdict.status == 6);
  auto quote = tests::emerald_v5();
  const auto tdx = policy_for(quote);
  for (const auto& name : attest::EvidenceSet::collateral(attest::EvidenceKind::tdx))
    quote.set.items.erase(std::string(name));
  verdict = verdict_on(quote, tdx);
  BOOST_TEST(code_of(verdict) == "collateral-missing");
  BOOST_TEST(verdict.status == 6);
}

BOOST_AUTO_TEST_CASE(what_is_not_genuine_is_told_from_what_is_not_allowed) {
  auto evidence = tests::genoa();
  const auto policy = policy_for(evidence);
  evidence.set.items.at("report")[0x90] ^= 1;
  BOOST_TEST(verdict_on(evidence, policy).status == 7);
  evidence = tests::genoa();
  evidence.set.items.at("leaf").back() ^= 1;
  BOOST_TEST(verdict_on(evidence, policy).status == 7);
  auto quote = tests::emerald_v4();
  BOOST_TEST(
      verdict_on(quote, policy_for(quote, "min_evaluation: 17", "min_evaluation: 18")).status == 8);
  BOOST_TEST(verdict_on(quote, policy_for(quote, "[UpToDate]", "[OutOfDate]")).status == 8);
}

BOOST_AUTO_TEST_CASE(evidence_is_bound_to_what_is_expected_and_to_nothing_else) {
  const auto evidence = tests::genoa();
  const auto policy = policy_for(evidence);
  attest::Expectation expectation;
  expectation.report_data = attest::parse_snp_report(evidence.set.get("report"))->report_data;
  BOOST_TEST(verdict_on(evidence, policy, expectation).status == 0);
  (*expectation.report_data)[63] ^= 1;
  const auto verdict = verdict_on(evidence, policy, expectation);
  BOOST_TEST(code_of(verdict) == "report-data");
  BOOST_TEST(verdict.status == 9);
  BOOST_TEST(!verdict_on(evidence, policy).checks.passed(attest::Stage::binding, "report-data"));
}

BOOST_AUTO_TEST_CASE(a_vtpm_quote_is_fresh_only_with_the_nonce_that_was_asked_for) {
  const auto evidence = tests::azure_genoa();
  const auto policy = policy_for(evidence);
  attest::Expectation expectation;
  expectation.nonce = attest::parse_tpm_quote(evidence.set.get("tpm_quote"))->extra_data;
  BOOST_TEST(verdict_on(evidence, policy, expectation).status == 0);
  expectation.nonce = std::vector<u8>{};
  BOOST_TEST(verdict_on(evidence, policy, expectation).status == 9);
  expectation.nonce = std::vector<u8>(48);
  BOOST_TEST(verdict_on(evidence, policy, expectation).status == 9);
  // Without a quote nothing is fresh, and nothing is known about the image.
  auto bare = evidence;
  bare.set.items.erase("tpm_quote");
  BOOST_TEST(code_of(verdict_on(bare, policy, expectation)) == "image");
}

BOOST_AUTO_TEST_CASE(grace_runs_from_the_day_the_better_level_came_out) {
  auto info = tests::info_spec();
  auto newer = tests::sim::platform_level();
  newer.sgx[0] = 99;
  newer.date = "2026-01-25T00:00:00Z";
  info.levels[0].status = "OutOfDate";
  info.levels.push_back(newer);
  const auto outcome = [&](const char* grace) {
    const auto judgement = attest::verify_evidence(
        tests::tdx_set({}, info), tests::simulated_anchors(), {tests::kJudged, attest::Seconds(0)});
    const auto policy =
        policy_from(policy_text(std::string("tdx: { out_of_date_for: ") + grace + " }\n"));
    attest::Checks checks;
    attest::ImageMatch image;
    std::vector<std::string> warnings;
    appraise({attest::EvidenceKind::tdx, nullptr, &*judgement.tdx, nullptr}, policy, tests::kJudged,
             checks, image, warnings);
    return checks.refusal().value().code;
  };
  BOOST_TEST(outcome("0") == "tcb-status");
  BOOST_TEST(outcome("7d") == "tcb-status");
  BOOST_TEST(outcome("8d") != "tcb-status");
}

BOOST_AUTO_TEST_CASE(attributes_of_a_td_are_what_the_policy_allows) {
  const auto outcome = [](u64 attributes, const char* section) {
    tests::sim::QuoteSpec quote;
    quote.td_attributes = attributes;
    const auto judgement = attest::verify_evidence(
        tests::tdx_set(quote), tests::simulated_anchors(), {tests::kJudged, attest::Seconds(0)});
    attest::Checks checks;
    attest::ImageMatch image;
    std::vector<std::string> warnings;
    appraise({attest::EvidenceKind::tdx, nullptr, &*judgement.tdx, nullptr},
             policy_from(policy_text(section)), tests::kJudged, checks, image, warnings);
    for (const auto& check : checks.ordered())
      if (check.result == attest::CheckResult::fail && check.stage == attest::Stage::policy &&
          check.name != "simulated" && check.name != "evidence-kind")
        return check.name;
    return std::string("accept");
  };
  BOOST_TEST(outcome(0x10000000, "") == "accept");
  BOOST_TEST(outcome(0x10000001, "") == "debug");
  BOOST_TEST(outcome(0x10000080, "") == "debug"); // the whole first byte is under debug
  BOOST_TEST(outcome(0x10000001, "tdx: { debug: true }\n") == "accept");
  BOOST_TEST(outcome(0, "") == "attributes");
  BOOST_TEST(outcome(0x30000000, "") == "attributes"); // migratable
  BOOST_TEST(outcome(0x30000000, "tdx: { attributes: { allow: 0x30000000 } }\n") == "accept");
  BOOST_TEST(outcome(0x10000000, "tdx: { xfam: { allow: 0x3 } }\n") == "xfam");
}

BOOST_AUTO_TEST_SUITE_END()
