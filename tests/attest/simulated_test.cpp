// The simulated platform from its folder to the verdict, as `talaria attest` does it.
#include <boost/test/unit_test.hpp>

#include <cstdlib>
#include <fstream>
#include <iterator>
#include <sys/stat.h>

#include <fmt/format.h>

#include "attest/command/attest_command.hpp"
#include "attest/policy/policy_file.hpp"
#include "attest/policy/verdict.hpp"
#include "attest/simulated/platform_folder.hpp"
#include "core/error.hpp"
#include "tests/attest/simulation.hpp"
#include "tests/attest/vector_files.hpp"
#include "tests/support/temporary_folder.hpp"

using namespace talaria;
namespace fs = std::filesystem;
namespace sim = attest::simulated;

namespace {

/// One folder for all cases: its keys take seconds.
struct Site {
  Site() {
    attest::simulate_platform(folder.path() / "sim");
    roots = folder.path() / "sim/roots.pem";
  }
  static const Site& get() {
    static const Site site;
    return site;
  }

  fs::path evidence(const std::string& name,
                    const std::function<void(attest::SimulateOptions&)>& change = {}) const {
    attest::SimulateOptions options;
    options.folder = folder.path() / "sim";
    options.output = folder.path() / (name + ".json");
    options.measurement = std::string(96, '5');
    if (change) change(options);
    BOOST_TEST(attest::simulate_evidence(options) == 0);
    return options.output;
  }
  fs::path policy_for(const fs::path& evidence) const {
    attest::PolicyOptions options;
    options.evidence = evidence;
    options.output = evidence;
    options.output.replace_extension(".yaml");
    options.simulated_root = roots;
    BOOST_TEST(attest::write_policy(options) == 0);
    return options.output;
  }

  tests::TemporaryFolder folder;
  fs::path roots;
};

int verify(const fs::path& policy, const fs::path& evidence, bool allow = true,
           const std::string& report_data = {}) {
  attest::VerifyOptions options;
  options.policy = policy;
  options.evidence = evidence;
  options.allow_simulated = allow;
  options.report_data = report_data;
  options.json = true;
  return attest::verify_evidence_file(options);
}

void write(const fs::path& file, const std::string& text) {
  std::ofstream(file, std::ios::binary) << text;
}

} // namespace

BOOST_AUTO_TEST_SUITE(attest_simulated)

BOOST_AUTO_TEST_CASE(keys_are_for_their_owner_and_nothing_is_overwritten) {
  const fs::path folder = Site::get().folder.path() / "sim";
  for (const char* key : {"ark.key", "ask.key", "vcek.key", "root.key", "pck.key"}) {
    struct stat status {};
    BOOST_TEST_REQUIRE(::stat((folder / key).c_str(), &status) == 0);
    BOOST_TEST((status.st_mode & 0777) == 0600u, key);
  }
  BOOST_CHECK_THROW(attest::simulate_platform(folder), Error);
}

BOOST_AUTO_TEST_CASE(accepted_simulation_ends_with_status_10_and_never_0) {
  const Site& site = Site::get();
  for (const bool tdx : {false, true}) {
    const auto evidence =
        site.evidence(tdx ? "tdx" : "snp", [tdx](auto& options) { options.tdx = tdx; });
    const auto policy = site.policy_for(evidence);
    BOOST_TEST(verify(policy, evidence) == 10);
    BOOST_TEST(verify(policy, evidence, false) == 8);
  }
}

BOOST_AUTO_TEST_CASE(a_policy_for_hardware_refuses_it_whatever_the_command_line_says) {
  const Site& site = Site::get();
  const auto evidence = site.evidence("hardware");
  const fs::path policy = site.folder.path() / "hardware.yaml";
  write(policy, "version: 1\nname: x\nevidence: [snp]\nimages:\n  - name: a\n    snp: { "
                "measurement: [" +
                    std::string(96, '5') + "] }\n");
  BOOST_TEST(verify(policy, evidence) == 7); // its root is not pinned
}

BOOST_AUTO_TEST_CASE(a_policy_for_a_simulation_refuses_hardware) {
  const Site& site = Site::get();
  const auto policy = attest::read_policy(site.policy_for(site.evidence("own")));
  const auto real = tests::genoa();
  attest::JudgeOptions options;
  options.now = real.when;
  options.allow_simulated = true;
  const auto verdict = attest::judge(real.set, policy, attest::trust_anchors(policy), options);
  BOOST_TEST(verdict.status == 7);
}

BOOST_AUTO_TEST_CASE(roots_of_hardware_cannot_be_passed_off_as_those_of_a_simulation) {
  attest::Policy policy;
  policy.simulated = true;
  policy.simulated_root = tests::vector_folder() / "amd/genoa-ark.pem";
  BOOST_CHECK_THROW(attest::trust_anchors(policy), Error);
}

BOOST_AUTO_TEST_CASE(the_verdict_says_simulated_in_text_and_json) {
  const Site& site = Site::get();
  const auto policy = attest::read_policy(site.policy_for(site.evidence("said")));
  const sim::PlatformFolder platform(site.folder.path() / "sim");
  sim::ReportSpec report;
  report.measurement.fill(0x55);
  attest::EvidenceSet set{attest::EvidenceKind::snp, {}};
  for (const auto& [name, bytes] : platform.snp(report)) set.items[name] = bytes;
  attest::JudgeOptions options;
  options.now = std::chrono::floor<attest::Seconds>(std::chrono::system_clock::now());
  options.allow_simulated = true;
  const auto verdict = attest::judge(set, policy, attest::trust_anchors(policy), options);
  BOOST_TEST(verdict.status == 10);
  BOOST_TEST(to_text(verdict).starts_with(std::string(attest::kSimulationWarning)));
  BOOST_TEST(to_text(verdict).find("accepted, SIMULATED") != std::string::npos);
  BOOST_TEST(to_json(verdict).find("\"simulated\":true") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(each_wrong_thing_has_its_status) {
  const Site& site = Site::get();
  const auto evidence = site.evidence("right");
  const auto policy = site.policy_for(evidence);
  const auto status = [&](const char* name, auto change) {
    return verify(policy, site.evidence(name, change));
  };
  BOOST_TEST(status("image", [](auto& o) { o.measurement = std::string(96, '6'); }) == 8);
  BOOST_TEST(status("debug", [](auto& o) { o.policy_bits = "0xb0000"; }) == 8);
  BOOST_TEST(status("vmpl", [](auto& o) { o.vmpl = 2; }) == 8);
  BOOST_TEST(status("tcb", [](auto& o) { o.tcb = {9, 0, 27, 27}; }) == 7); // not the VCEK's
  BOOST_TEST(verify(policy, evidence, true, std::string(128, '0')) == 10);
  BOOST_TEST(verify(policy, evidence, true, std::string(128, '1')) == 9);
  const fs::path broken = site.folder.path() / "broken.json";
  write(broken, "{\"v\":1}");
  BOOST_TEST(verify(policy, broken) == 7);
}

BOOST_AUTO_TEST_CASE(files_and_flags_that_cannot_be_used_end_with_status_2) {
  const Site& site = Site::get();
  const auto evidence = site.evidence("flags");
  const auto policy = site.policy_for(evidence);
  const auto status = [](auto&& run) {
    try {
      run();
    } catch (const Error& error) {
      return exit_status(error.code());
    }
    return 0;
  };
  BOOST_TEST(status([&] { verify("nowhere.yaml", evidence); }) == 2);
  BOOST_TEST(status([&] { verify(policy, "nowhere.json"); }) == 2);
  BOOST_TEST(status([&] { verify(policy, evidence, true, "12"); }) == 2);
  BOOST_TEST(status([&] {
               attest::VerifyOptions options{policy, evidence, {}, "yesterday", {}, {}, true, true};
               attest::verify_evidence_file(options);
             }) == 2);
}

BOOST_AUTO_TEST_CASE(a_bundle_stands_in_for_collateral_that_was_not_stapled) {
  const Site& site = Site::get();
  const auto evidence = site.evidence("stapled");
  const auto policy = site.policy_for(evidence);
  attest::BundleOptions packing;
  packing.evidence = {evidence};
  packing.output = site.folder.path() / "bundle.tar";
  BOOST_TEST(attest::write_bundle(packing) == 0);
  std::ifstream stream(evidence);
  std::string text(std::istreambuf_iterator<char>(stream), {});
  text = text.substr(0, text.find(",\"collateral\"")) + "}";
  const fs::path bare = site.folder.path() / "bare.json";
  write(bare, text);
  BOOST_TEST(verify(policy, bare) == 6); // no chain at all
  attest::VerifyOptions options{policy, bare, packing.output, {}, {}, {}, true, true};
  BOOST_TEST(attest::verify_evidence_file(options) == 10);
}

// The Python program was written apart from both this verifier and this generator. It needs the
// package `cryptography`, which building does not: skipped aloud where it is missing.
BOOST_AUTO_TEST_CASE(another_verifier_agrees_about_what_the_simulation_signs) {
  if (std::system("python3 -c 'import cryptography' >/dev/null 2>&1") != 0) {
    BOOST_TEST_MESSAGE("skipped: python3 has no package cryptography");
    return;
  }
  const Site& site = Site::get();
  const fs::path folder = site.folder.path() / "vectors";
  fs::create_directories(folder);
  for (const char* name : {"amd", "collateral"})
    fs::copy(tests::vector_folder() / name, folder / name, fs::copy_options::recursive);
  const sim::PlatformFolder platform(site.folder.path() / "sim");
  std::string cases;
  const auto add = [&](const std::string& name, const char* verdict, const sim::ReportSpec& spec,
                       const char* policy = "{}") {
    for (const auto& [item, bytes] : platform.snp(spec))
      write(folder / (name + "." + item), std::string(bytes.begin(), bytes.end()));
    cases += fmt::format(
        R"({}{{"name":"{}","kind":"snp","report":"{}.report","leaf":"{}.leaf",)"
        R"("ask":"{}.authority","ark":"{}.root","pin_ark":"{}.root",)"
        R"("product":"Genoa","crl":"{}.crl","now":"{}","verdict":"{}",)"
        R"("policy":{}}})",
        cases.empty() ? "" : ",", name, name, name, name, name, name, name,
        attest::to_text(std::chrono::floor<attest::Seconds>(std::chrono::system_clock::now())),
        verdict, policy);
  };
  sim::ReportSpec spec;
  add("good", "accept", spec);
  add("floor", "tcb", spec, R"({"min_tcb":{"snp":28}})");
  spec.policy = 0xB0000;
  add("debug", "debug", spec);
  spec = {};
  spec.vmpl = 2;
  add("vmpl", "vmpl", spec);
  spec = {};
  spec.chip_id = {};
  add("masked", "chip-id", spec);
  spec = {};
  spec.svns[2] = 26;
  add("tcb", "leaf-tcb", spec);
  write(folder / "manifest.json", "{\"cases\":[" + cases + "]}");
  const std::string command = "python3 " + std::string(TALARIA_SOURCE_DIR) +
                              "/tests/attest/check_vectors.py " + folder.string() + " >&2";
  BOOST_TEST(std::system(command.c_str()) == 0);
}

BOOST_AUTO_TEST_SUITE_END()
