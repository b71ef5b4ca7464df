// Chains that are valid but for one thing, by an authority whose layouts are written down apart
// from the verifier's.
#include <boost/test/unit_test.hpp>

#include "attest/evidence/snp_verify.hpp"
#include "tests/attest/simulation.hpp"

using namespace talaria;
using tests::kMade;
using tests::simulated_outcome;
using tests::snp_authority;
using tests::snp_set;
namespace sim = attest::simulated;

namespace {

constexpr std::chrono::days kLife{30};

sim::CertificateSpec spec(const char* name, const char* issuer, u32 serial, int authority) {
  sim::CertificateSpec made;
  made.name = name;
  made.issuer = issuer;
  made.starts = kMade;
  made.ends = kMade + kLife;
  made.serial = serial;
  made.is_authority = authority;
  return made;
}

sim::CertificateSpec leaf_spec() {
  sim::CertificateSpec leaf = spec("SEV-VCEK", "SEV-Genoa", 7, -1);
  leaf.extensions = sim::vcek_extensions(sim::kUsualSvns, sim::simulated_chip());
  return leaf;
}

std::string with_leaf(const sim::CertificateSpec& leaf) {
  auto set = snp_set();
  set.items["leaf"] = sim::make_certificate(leaf, snp_authority().vcek, snp_authority().ask);
  return simulated_outcome(set);
}

std::string with_authority(const sim::CertificateSpec& authority) {
  auto set = snp_set();
  set.items["authority"] =
      sim::make_certificate(authority, snp_authority().ask, snp_authority().ark);
  return simulated_outcome(set);
}

std::string with_list(const sim::ListSpec& list, const sim::SigningKey& key) {
  auto set = snp_set();
  set.items["crl"] = sim::make_revocation_list(list, key);
  return simulated_outcome(set);
}

sim::ListSpec list_spec() {
  sim::ListSpec list;
  list.issuer = "ARK-Simulated";
  list.starts = kMade;
  list.ends = kMade + kLife;
  return list;
}

std::string with_report(const std::function<void(sim::ReportSpec&)>& change) {
  sim::ReportSpec report;
  change(report);
  return simulated_outcome(snp_set(report));
}

} // namespace

BOOST_AUTO_TEST_SUITE(snp_chain)

BOOST_AUTO_TEST_CASE(what_the_simulated_chip_signs_is_accepted) {
  BOOST_TEST(simulated_outcome(snp_set()) == "accept");
  BOOST_TEST(with_leaf(leaf_spec()) == "accept");
}

BOOST_AUTO_TEST_CASE(the_pinned_root_is_used_whether_it_comes_along_or_not) {
  auto set = snp_set();
  set.items.erase("root");
  BOOST_TEST(simulated_outcome(set) == "accept");
  auto pem = snp_set();
  pem.items["root"] = tests::bytes_of(sim::pem_of(snp_authority().ark_certificate));
  pem.items["leaf"] = tests::bytes_of(sim::pem_of(snp_authority().vcek_certificate));
  BOOST_TEST(simulated_outcome(pem) == "accept");
}

BOOST_AUTO_TEST_CASE(no_simulated_chain_passes_for_hardware) {
  for (const bool with_root : {true, false}) {
    auto set = snp_set();
    if (!with_root) set.items.erase("root");
    const auto judgement = attest::verify_evidence(set, attest::TrustAnchors::hardware(),
                                                   {tests::kJudged, attest::Seconds(0)});
    BOOST_TEST(judgement.checks.refusal().value().code == "root-not-pinned");
  }
}

BOOST_AUTO_TEST_CASE(a_report_and_its_root_both_say_that_they_are_simulated_or_neither) {
  BOOST_TEST(with_report([](auto& r) { r.family_id = {}; }) == "simulated");
  // The same root, pinned as if it were of hardware.
  attest::TrustAnchors anchors;
  anchors.add({attest::Vendor::amd, attest::SnpProduct::genoa,
               attest::Certificate::from_der(snp_authority().ark_certificate).value(), false});
  const auto judgement =
      attest::verify_evidence(snp_set(), anchors, {tests::kJudged, attest::Seconds(0)});
  BOOST_TEST(judgement.checks.refusal().value().code == "simulated");
}

BOOST_AUTO_TEST_CASE(certificates_count_only_in_their_places) {
  auto leaf = leaf_spec();
  leaf.name = "SEV-VLEK";
  BOOST_TEST(with_leaf(leaf) == "chain");
  leaf = leaf_spec();
  leaf.issuer = "SEV-Milan";
  BOOST_TEST(with_leaf(leaf) == "chain");
  leaf = leaf_spec();
  leaf.is_authority = 1; // a leaf that could sign leaves
  BOOST_TEST(with_leaf(leaf) == "chain");
  BOOST_TEST(with_authority(spec("SEV-Milan", "ARK-Simulated", 2, 1)) == "chain");
  BOOST_TEST(with_authority(spec("SEV-VLEK-Genoa", "ARK-Simulated", 2, 1)) == "chain");
  BOOST_TEST(with_authority(spec("SEV-Genoa", "ARK-Simulated", 2, 0)) == "chain");
  BOOST_TEST(with_authority(spec("SEV-Genoa", "ARK-Genoa", 2, 1)) == "chain");
  auto set = snp_set();
  set.items["leaf"] = snp_authority().ask_certificate;
  BOOST_TEST(simulated_outcome(set) == "chain");
}

BOOST_AUTO_TEST_CASE(a_leaf_by_the_root_or_by_a_stranger_is_no_leaf) {
  auto leaf = leaf_spec();
  auto set = snp_set();
  set.items["leaf"] = sim::make_certificate(leaf, snp_authority().vcek, snp_authority().ark);
  BOOST_TEST(simulated_outcome(set) == "chain");
  const auto stranger = sim::SigningKey::generate(sim::SigningKey::Kind::p384);
  set.items["leaf"] = sim::make_certificate(leaf, snp_authority().vcek, stranger);
  BOOST_TEST(simulated_outcome(set) == "chain");
}

BOOST_AUTO_TEST_CASE(a_root_with_the_pinned_name_and_another_key_is_not_pinned) {
  const auto key = sim::SigningKey::generate(sim::SigningKey::Kind::rsa4096);
  auto set = snp_set();
  set.items["root"] = sim::make_certificate(spec("ARK-Simulated", "ARK-Simulated", 1, 1), key, key);
  BOOST_TEST(simulated_outcome(set) == "root-not-pinned");
}

BOOST_AUTO_TEST_CASE(an_unknown_critical_extension_is_refused) {
  auto leaf = leaf_spec();
  leaf.extensions.push_back({"1.3.6.1.4.1.99999.1", {0x05, 0x00}, true});
  BOOST_TEST(with_leaf(leaf) == "chain");
  leaf.extensions.back().critical = false;
  BOOST_TEST(with_leaf(leaf) == "accept");
}

BOOST_AUTO_TEST_CASE(dates_hold_to_the_second_and_skew_looks_forward_only) {
  using std::chrono::seconds;
  BOOST_TEST(simulated_outcome(snp_set(), kMade) == "accept");
  BOOST_TEST(simulated_outcome(snp_set(), kMade - seconds(1)) == "certificate-dates");
  BOOST_TEST(simulated_outcome(snp_set(), kMade - seconds(300), seconds(300)) == "accept");
  BOOST_TEST(simulated_outcome(snp_set(), kMade - seconds(301), seconds(300)) ==
             "certificate-dates");
  BOOST_TEST(simulated_outcome(snp_set(), kMade + kLife) == "accept");
  BOOST_TEST(simulated_outcome(snp_set(), kMade + kLife + seconds(1), seconds(300)) ==
             "certificate-dates");
}

BOOST_AUTO_TEST_CASE(a_revocation_list_must_be_whole_of_this_root_and_in_force) {
  const auto& ark = snp_authority().ark;
  BOOST_TEST(with_list(list_spec(), ark) == "accept");
  BOOST_TEST(with_list(list_spec(), snp_authority().ask) == "crl-signature");
  auto list = list_spec();
  list.issuer = "ARK-Genoa";
  BOOST_TEST(with_list(list, ark) == "crl-signature");
  list = list_spec();
  list.serials = {2};
  BOOST_TEST(with_list(list, ark) == "crl-revoked");
  list.serials = {0, 9}; // the leaf's serial number is 0
  BOOST_TEST(with_list(list, ark) == "crl-revoked");
  list.serials = {1, 3, 9};
  BOOST_TEST(with_list(list, ark) == "accept");
  list = list_spec();
  list.ends = tests::kJudged - std::chrono::seconds(1);
  BOOST_TEST(with_list(list, ark) == "crl-expired");
  list = list_spec();
  list.starts = tests::kJudged + std::chrono::seconds(1);
  BOOST_TEST(with_list(list, ark) == "crl-not-yet-valid");
}

BOOST_AUTO_TEST_CASE(a_delta_or_limited_revocation_list_says_nothing) {
  for (const char* object : {"2.5.29.27", "2.5.29.28", "1.3.6.1.4.1.99999.2"}) {
    auto list = list_spec();
    list.extensions = {{object, {0x30, 0x00}, true}};
    if (std::string(object) == "2.5.29.27") list.extensions[0].content = {0x02, 0x01, 0x01};
    BOOST_TEST(with_list(list, snp_authority().ark) == "crl-scope", object);
  }
  auto set = snp_set();
  set.items["crl"] = tests::bytes_of("no list");
  BOOST_TEST(simulated_outcome(set) == "crl-signature");
}

BOOST_AUTO_TEST_CASE(each_extension_stands_in_the_leaf_once_and_well_formed) {
  const auto change = [](const char* object, const std::vector<u8>& content) {
    auto leaf = leaf_spec();
    for (auto& extension : leaf.extensions)
      if (extension.object == std::string("1.3.6.1.4.1.3704.1.") + object)
        extension.content = content;
    return with_leaf(leaf);
  };
  BOOST_TEST(change("1", {0x02, 0x01, 0x01}) == "leaf-extension");         // another structVersion
  BOOST_TEST(change("3.1", {0x02, 0x01, 0xD9}) == "leaf-extension");       // negative
  BOOST_TEST(change("3.1", {0x02, 0x02, 0x01, 0x00}) == "leaf-extension"); // 256
  BOOST_TEST(change("3.1", {0x02, 0x01, 0x0B}) == "leaf-tcb");
  BOOST_TEST(change("3.4", {0x02, 0x01, 0x01}) == "leaf-tcb"); // a reserved SPL
  BOOST_TEST(change("4", std::vector<u8>(63, 1)) == "leaf-extension");
  BOOST_TEST(change("4", std::vector<u8>(64, 1)) == "chip-id");
  BOOST_TEST(change("2", {0x16, 0x05, 'M', 'i', 'l', 'a', 'n'}) == "product");
  BOOST_TEST(change("2", {0x04, 0x05, 'G', 'e', 'n', 'o', 'a'}) == "leaf-extension");
  auto leaf = leaf_spec();
  leaf.extensions.push_back(leaf.extensions.back());
  BOOST_TEST(with_leaf(leaf) == "leaf-extension");
  leaf = leaf_spec();
  leaf.extensions.push_back({"1.3.6.1.4.1.3704.1.3.9", {0x02, 0x01, 0x00}, false});
  BOOST_TEST(with_leaf(leaf) == "leaf-extension"); // FMC, which Genoa does not have
}

BOOST_AUTO_TEST_CASE(what_a_report_says_is_compared_even_if_it_is_signed) {
  BOOST_TEST(with_report([](auto& r) { r.version = 6; }) == "version");
  BOOST_TEST(with_report([](auto& r) { r.vmpl = 4; }) == "reserved");
  BOOST_TEST(with_report([](auto& r) { r.key_info = 7 << 2; }) == "signer");
  BOOST_TEST(with_report([](auto& r) { r.key_info = 2; }) == "signer");
  BOOST_TEST(with_report([](auto& r) { r.key_info = 1 << 5; }) == "reserved");
  BOOST_TEST(with_report([](auto& r) { r.policy = 0x10000; }) == "reserved");
  BOOST_TEST(with_report([](auto& r) { r.policy |= u64{1} << 26; }) == "reserved");
  BOOST_TEST(with_report([](auto& r) { r.cpuid = {0x19, 0x01, 0}; }) == "product");
  BOOST_TEST(with_report([](auto& r) { r.cpuid = {0x1A, 0x50, 0}; }) == "product");
  BOOST_TEST(with_report([](auto& r) { r.chip_id = {}; }) == "chip-id");
  BOOST_TEST(with_report([](auto& r) { r.svns[3] = 28; }) == "leaf-tcb");
  // The stepping differs between machines that are the same otherwise.
  BOOST_TEST(with_report([](auto& r) { r.cpuid = {0x19, 0xA0, 9}; }) == "accept");
  BOOST_TEST(with_report([](auto& r) { r.platform_info = ~u64{0}; }) == "accept");
}

BOOST_AUTO_TEST_CASE(reserved_bytes_of_every_tcb_are_zero) {
  for (const std::size_t tcb : {0x38u, 0x180u, 0x1E0u, 0x1F0u})
    for (const std::size_t byte : {2u, 5u})
      BOOST_TEST(with_report([&](auto& r) { r.changes[tcb + byte] = {1}; }) == "reserved");
}

BOOST_AUTO_TEST_CASE(the_signature_is_judged_before_tcbs_that_nothing_else_is_compared_with) {
  auto set = snp_set();
  set.items["report"][0x1F0 + 3] = 1;
  BOOST_TEST(simulated_outcome(set) == "signature");
}

BOOST_AUTO_TEST_CASE(mitigation_vectors_exist_from_version_5_on) {
  const auto with_vector = [](u32 version) {
    return with_report([version](auto& r) {
      r.version = version;
      r.changes[0x1F8] = {3};
    });
  };
  BOOST_TEST(with_vector(5) == "accept");
  BOOST_TEST(with_vector(4) == "reserved");
  BOOST_TEST(with_vector(3) == "reserved");
}

BOOST_AUTO_TEST_CASE(all_checks_run_and_the_first_in_order_names_the_verdict) {
  sim::ReportSpec report;
  report.chip_id = {};
  auto set = snp_set(report);
  set.items["crl"][set.items["crl"].size() - 1] ^= 1;
  const auto judgement = attest::verify_evidence(set, tests::simulated_anchors(),
                                                 {kMade + kLife * 2, attest::Seconds(0)});
  std::vector<std::string> failed;
  for (const auto& check : judgement.checks.ordered())
    if (check.result == attest::CheckResult::fail) failed.push_back(check.name);
  const std::vector<std::string> expected{"certificate-dates", "crl-signature", "crl-expired",
                                          "chip-id"};
  BOOST_TEST(failed == expected, boost::test_tools::per_element());
  BOOST_TEST(judgement.checks.passed(attest::Stage::signature, "signature"));
}

BOOST_AUTO_TEST_CASE(garbage_in_place_of_a_certificate_is_a_broken_chain) {
  for (const char* item : {"leaf", "authority", "root"}) {
    auto set = snp_set();
    set.items[item] =
        tests::bytes_of("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----");
    BOOST_TEST(simulated_outcome(set) == "chain", item);
    set.items[item].clear();
    if (std::string(item) != "root")
      BOOST_TEST(simulated_outcome(set) == "collateral-missing", item);
    auto longer = snp_set();
    longer.items[item].push_back(0); // behind the DER
    BOOST_TEST(simulated_outcome(longer) == "chain", item);
    auto twice = snp_set();
    const std::string pem = sim::pem_of(twice.items[item]);
    twice.items[item] = tests::bytes_of(pem + "text between\n" + pem);
    BOOST_TEST(simulated_outcome(twice) == "chain", item);
  }
}

BOOST_AUTO_TEST_SUITE_END()
