#include <boost/test/unit_test.hpp>

#include "attest/evidence/pcs_json.hpp"
#include "attest/evidence/tdx_tcb.hpp"
#include "tests/attest/simulation.hpp"

using namespace talaria;
using attest::TcbStatus;
using tests::identity_spec;
using tests::info_spec;
using tests::simulated_outcome;
using tests::tdx_set;
namespace sim = attest::simulated;

namespace {

std::string with_info(const std::function<void(sim::TcbInfoSpec&)>& change) {
  sim::TcbInfoSpec info = info_spec();
  change(info);
  return simulated_outcome(tdx_set({}, info));
}

std::string with_identity(const std::function<void(sim::QeIdentitySpec&)>& change) {
  sim::QeIdentitySpec identity = identity_spec();
  change(identity);
  return simulated_outcome(tdx_set({}, info_spec(), identity));
}

/// The status of the simulated platform under `info`.
std::string status(const sim::TcbInfoSpec& info, const sim::QuoteSpec& quote = {},
                   const sim::QeIdentitySpec& identity = identity_spec()) {
  const auto judgement =
      attest::verify_evidence(tdx_set(quote, info, identity), tests::simulated_anchors(),
                              {tests::kJudged, attest::Seconds(0)});
  if (const auto refusal = judgement.checks.refusal()) return refusal->code;
  return to_string(judgement.tdx->tcb->status);
}

} // namespace

BOOST_AUTO_TEST_SUITE(tdx_chain)

BOOST_AUTO_TEST_CASE(quotes_of_the_simulated_platform_are_accepted) {
  BOOST_TEST(simulated_outcome(tdx_set()) == "accept");
  sim::QuoteSpec quote;
  quote.version = 5;
  BOOST_TEST(simulated_outcome(tdx_set(quote)) == "accept");
}

BOOST_AUTO_TEST_CASE(collateral_must_be_of_this_platform_in_force_and_of_the_right_sort) {
  BOOST_TEST(with_info([](auto& i) { i.id = "SGX"; }) == "tcb-id");
  BOOST_TEST(with_info([](auto& i) { i.version = 2; }) == "tcb-id");
  BOOST_TEST(with_info([](auto& i) { i.fmspc = "51A1B1C1D1E1"; }) == "accept"); // any case
  BOOST_TEST(with_info([](auto& i) { i.fmspc = "51a1b1c1d1e2"; }) == "fmspc");
  BOOST_TEST(with_info([](auto& i) { i.pce_id = "0001"; }) == "pceid");
  BOOST_TEST(with_info([](auto& i) { i.next_update = tests::kJudged - std::chrono::seconds(1); }) ==
             "tcb-expired");
  BOOST_TEST(with_info([](auto& i) { i.issued = tests::kJudged + std::chrono::seconds(1); }) ==
             "tcb-not-yet-valid");
  BOOST_TEST(with_identity([](auto& i) { i.id = "QE"; }) == "qe-id");
  BOOST_TEST(with_identity([](auto& i) { i.svn = 5; }) == "qe-identity");
  BOOST_TEST(with_identity([](auto& i) { i.mr_signer = std::string(64, 'a'); }) == "qe-identity");
  BOOST_TEST(with_identity([](auto& i) {
               i.next_update = tests::kJudged - std::chrono::seconds(1);
             }) == "qe-expired");
}

BOOST_AUTO_TEST_CASE(every_piece_of_collateral_is_needed) {
  const std::pair<const char*, const char*> kMissing[] = {{"tcb_info", "tcb-missing"},
                                                          {"qe_identity", "qe-missing"},
                                                          {"tcb_chain", "tcb-missing"},
                                                          {"root_crl", "root-crl-missing"},
                                                          {"pck_crl", "pck-crl-missing"}};
  for (const auto& [item, code] : kMissing) {
    auto set = tdx_set();
    set.items.erase(item);
    BOOST_TEST(simulated_outcome(set) == code, item);
  }
}

BOOST_AUTO_TEST_CASE(revoked_authorities_and_signers_are_refused) {
  const auto revoke = [](const char* item, const char* issuer, const sim::SigningKey& key,
                         u32 serial) {
    sim::ListSpec list;
    list.issuer = issuer;
    list.starts = tests::kMade;
    list.ends = tests::kMade + std::chrono::days(30);
    list.serials = {serial};
    auto set = tdx_set();
    set.items[item] = sim::make_revocation_list(list, key);
    return simulated_outcome(set);
  };
  const auto& authority = tests::tdx_authority();
  BOOST_TEST(revoke("root_crl", "Root-Simulated", authority.root, 2) == "root-crl-revoked");
  BOOST_TEST(revoke("root_crl", "Root-Simulated", authority.root, 4) == "root-crl-revoked");
  BOOST_TEST(revoke("pck_crl", "Intel SGX PCK Platform CA", authority.pck_authority, 3) ==
             "pck-crl-revoked");
  BOOST_TEST(revoke("pck_crl", "Intel SGX PCK Platform CA", authority.pck_authority, 9) ==
             "accept");
}

BOOST_AUTO_TEST_CASE(signed_json_is_taken_byte_for_byte) {
  auto set = tdx_set();
  const std::string text(set.items["tcb_info"].begin(), set.items["tcb_info"].end());
  const auto with_text = [&set](const std::string& changed) {
    set.items["tcb_info"] = tests::bytes_of(changed);
    return simulated_outcome(set);
  };
  const std::size_t split = text.find(",\"signature\"");
  const std::string value = text.substr(11, split - 11);
  const std::string signature = text.substr(split + 1, text.size() - split - 2);
  BOOST_TEST(with_text(text) == "accept");
  BOOST_TEST(with_text("{" + signature + ",\"tcbInfo\":" + value + "}") == "accept");
  BOOST_TEST(with_text("{ \"tcbInfo\" : " + value + " ,\n" + signature + " }\n") == "accept");
  BOOST_TEST(with_text("{\"tcbInfo\":" + value + "," + text.substr(1)) == "json");
  BOOST_TEST(with_text(text.substr(0, text.size() - 1) + ",\"x\":{}}") == "json");
  BOOST_TEST(with_text(text + "{}") == "json");
  BOOST_TEST(with_text(text + std::string(1, '\0')) == "json"); // an end for lax parsers
  BOOST_TEST(with_text(text + std::string(1, '\0') + "{}") == "json");
  BOOST_TEST(with_text("\xEF\xBB\xBF" + text) == "json");
  BOOST_TEST(with_text("{\"tcb\\u0049nfo\":" + value + "," + signature + "}") == "json");
  std::string reformatted = value;
  reformatted.insert(1, " ");
  BOOST_TEST(with_text("{\"tcbInfo\":" + reformatted + "," + signature + "}") == "tcb-signature");
  BOOST_TEST(with_text("{\"tcbInfo\":" + value + ",\"signature\":\"00\"}") == "tcb-signature");
  BOOST_TEST(with_text(std::string(100000, '[')) == "json");
  BOOST_TEST(with_text("{\"tcbInfo\":{\"a\":1,\"a\":1}," + signature + "}") == "json");
}

BOOST_AUTO_TEST_CASE(the_order_of_levels_in_the_file_does_not_matter) {
  sim::TcbInfoSpec info = info_spec();
  sim::TcbLevelSpec older = sim::platform_level();
  older.sgx[0] = 1;
  older.status = "OutOfDate";
  sim::TcbLevelSpec unreachable = sim::platform_level();
  unreachable.sgx[0] = 200;
  info.levels = {older, sim::platform_level(), unreachable};
  BOOST_TEST(status(info) == "UpToDate");
  std::reverse(info.levels.begin(), info.levels.end());
  BOOST_TEST(status(info) == "UpToDate");
  info.levels = {unreachable, older};
  BOOST_TEST(status(info) == "OutOfDate");
  info.levels = {unreachable};
  BOOST_TEST(status(info) == "tcb"); // no level at all is worse than OutOfDate
}

BOOST_AUTO_TEST_CASE(every_component_counts_alone) {
  for (std::size_t i = 0; i < 16; ++i) {
    sim::TcbInfoSpec info = info_spec();
    ++info.levels[0].sgx[i];
    BOOST_TEST(status(info) == "tcb", "SGX component " << i);
    info = info_spec();
    ++info.levels[0].tdx[i];
    // The module has levels of its own from version 1 on: byte 1 of TEE_TCB_SVN, not byte 0.
    BOOST_TEST(status(info) == (i < 2 ? "UpToDate" : "tcb"), "TDX component " << i);
  }
  sim::TcbInfoSpec info = info_spec();
  ++info.levels[0].pce_svn;
  BOOST_TEST(status(info) == "tcb");
}

BOOST_AUTO_TEST_CASE(a_module_of_version_0_is_judged_by_the_platform_level) {
  sim::QuoteSpec quote;
  quote.tee_tcb_svn = {5, 0, 2};
  sim::TcbInfoSpec info = info_spec();
  info.levels[0].tdx = {5, 0, 2};
  BOOST_TEST(status(info, quote) == "UpToDate");
  info.levels[0].tdx[0] = 6;
  BOOST_TEST(status(info, quote) == "tcb");
}

BOOST_AUTO_TEST_CASE(a_module_that_nobody_names_or_below_every_level_is_refused) {
  sim::QuoteSpec quote;
  quote.tee_tcb_svn = {5, 7, 2};
  BOOST_TEST(status(info_spec(), quote) == "tdx-module");
  quote.tee_tcb_svn = {2, 1, 2};
  BOOST_TEST(status(info_spec(), quote) == "tdx-module");
}

BOOST_AUTO_TEST_CASE(statuses_merge_as_intel_says) {
  const auto merged = [](const char* platform, const char* module, const char* qe) {
    sim::TcbInfoSpec info = info_spec();
    info.levels[0].status = platform;
    info.module_status = module;
    sim::QeIdentitySpec identity = identity_spec();
    identity.status = qe;
    return status(info, {}, identity);
  };
  BOOST_TEST(merged("UpToDate", "UpToDate", "UpToDate") == "UpToDate");
  BOOST_TEST(merged("UpToDate", "OutOfDate", "UpToDate") == "OutOfDate");
  BOOST_TEST(merged("SWHardeningNeeded", "OutOfDate", "UpToDate") == "OutOfDate");
  BOOST_TEST(merged("ConfigurationNeeded", "OutOfDate", "UpToDate") ==
             "OutOfDateConfigurationNeeded");
  BOOST_TEST(merged("ConfigurationAndSWHardeningNeeded", "UpToDate", "OutOfDate") ==
             "OutOfDateConfigurationNeeded");
  BOOST_TEST(merged("OutOfDate", "OutOfDate", "OutOfDate") == "OutOfDate");
  BOOST_TEST(merged("OutOfDateConfigurationNeeded", "OutOfDate", "UpToDate") ==
             "OutOfDateConfigurationNeeded");
  BOOST_TEST(merged("SWHardeningNeeded", "UpToDate", "UpToDate") == "SWHardeningNeeded");
  for (const int revoked : {0, 1, 2})
    BOOST_TEST(merged(revoked == 0 ? "Revoked" : "UpToDate", revoked == 1 ? "Revoked" : "UpToDate",
                      revoked == 2 ? "Revoked" : "UpToDate") == "tcb-status");
  BOOST_TEST(merged("Splendid", "UpToDate", "UpToDate") == "tcb-status");
  BOOST_TEST(merged("UpToDate", "UpToDate", "Splendid") == "tcb-status");
}

BOOST_AUTO_TEST_CASE(a_patched_platform_asks_for_a_relaunch_of_the_td) {
  attest::TcbInfo info;
  info.module.mr_signer.assign(48, 0);
  info.module.attributes.assign(8, 0);
  info.module.attributes_mask.assign(8, 0xFF);
  attest::ModuleIdentity module = info.module;
  module.id = "TDX_01";
  module.levels = {{5, {"UpToDate", "2026-01-01T00:00:00Z", {}}},
                   {3, {"OutOfDate", "2025-01-01T00:00:00Z", {"INTEL-SA-2"}}}};
  info.modules = {module};
  attest::PlatformLevel newest{{}, 1, {}, {"UpToDate", "2026-01-01T00:00:00Z", {}}};
  newest.tdx[2] = 4;
  attest::PlatformLevel older = newest;
  older.tdx[2] = 2;
  older.claim = {"OutOfDate", "2025-01-01T00:00:00Z", {"INTEL-SA-1"}};
  info.levels = {newest, older};
  attest::QeIdentity identity;
  identity.levels = {{1, {"UpToDate", "2026-01-01T00:00:00Z", {}}}};

  const std::vector<u8> zeros(48);
  attest::TcbInput input;
  input.pce_svn = 1;
  input.tee_svn = {3, 1, 2};
  input.tee_svn_2 = std::array<u8, 16>{5, 1, 4};
  input.mr_signer_seam = zeros;
  input.seam_attributes = attest::Bytes(zeros).first(8);
  const auto verdict = [&] {
    const auto level = attest::match_module(input, info);
    return *attest::evaluate_tcb(input, info, identity.levels[0], identity, *level);
  };
  BOOST_TEST((verdict().status == TcbStatus::td_relaunch_advised));
  const std::vector<std::string> both{"INTEL-SA-1", "INTEL-SA-2"};
  BOOST_TEST(verdict().advisories == both, boost::test_tools::per_element());
  BOOST_TEST(attest::to_text(verdict().outdated_since.value()) == "2026-01-01T00:00:00Z");

  input.tee_svn_2 = std::array<u8, 16>{5, 1, 3}; // the loader is not the newest
  BOOST_TEST((verdict().status == TcbStatus::out_of_date));
  input.tee_svn_2 = std::array<u8, 16>{4, 1, 4}; // the module is not
  BOOST_TEST((verdict().status == TcbStatus::out_of_date));
  input.tee_svn_2.reset(); // a TDX 1.0 body cannot say
  BOOST_TEST((verdict().status == TcbStatus::out_of_date));
  input.tee_svn_2 = std::array<u8, 16>{5, 1, 4};
  info.levels[0].claim.status = "ConfigurationNeeded";
  BOOST_TEST((verdict().status == TcbStatus::td_relaunch_advised_configuration_needed));
  info.levels[0].claim.status = "OutOfDate"; // the platform itself is not patched
  BOOST_TEST((verdict().status == TcbStatus::out_of_date));
  info.levels[0].claim.status = "UpToDate";
  identity.levels[0].claim.status = "OutOfDate";
  BOOST_TEST((verdict().status == TcbStatus::out_of_date));
}

BOOST_AUTO_TEST_SUITE_END()
