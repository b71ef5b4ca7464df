// What is installed beside the programs: manual pages and completions, made of what they say
// themselves.
#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <regex>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "tests/support/process.hpp"
#include "tests/support/temporary_folder.hpp"

namespace talaria {

namespace {

namespace fs = std::filesystem;

std::string text_in(const fs::path& file) {
  std::ifstream stream(file);
  return {std::istreambuf_iterator<char>(stream), {}};
}

/// The commands that `talaria --help` lists.
std::vector<std::string> commands() {
  std::istringstream help(tests::run_program({TALARIA_BIN "/talaria", "--help"}).out);
  std::vector<std::string> found;
  bool in_list = false;
  for (std::string line; std::getline(help, line);) {
    if (in_list && line.starts_with("  ") && line.size() > 2 && line[2] != ' ')
      found.push_back(line.substr(2, line.find(' ', 2) - 2));
    in_list = in_list || line == "Subcommands:";
  }
  return found;
}

struct Manual {
  Manual() {
    const auto done = tests::run_program({TALARIA_SOURCE_DIR "/scripts/manual", TALARIA_BIN,
                                          folder.path().string(), "1.2.3", "talaria",
                                          "talaria-worker", "talaria-enclave"});
    BOOST_TEST_REQUIRE(done.status == 0, done.err);
  }
  /// What bash offers behind these words.
  std::set<std::string> completed(const std::string& program, const std::string& words, int word) {
    std::string function = "_" + program;
    std::replace(function.begin(), function.end(), '-', '_');
    const auto done = tests::run_program({"/bin/bash", "-c",
                                          "source '" + (folder.path() / "bash" / program).string() +
                                              "'; COMP_WORDS=(" + words +
                                              "); COMP_CWORD=" + std::to_string(word) + "; " +
                                              function + "; printf '%s\\n' \"${COMPREPLY[@]}\""});
    BOOST_TEST(done.status == 0, done.err);
    std::istringstream lines(done.out);
    std::set<std::string> found;
    for (std::string line; std::getline(lines, line);) found.insert(line);
    return found;
  }
  tests::TemporaryFolder folder;
};

nlohmann::json sbom_of(const std::string& name, const fs::path& out) {
  const auto done =
      tests::run_program({TALARIA_SOURCE_DIR "/scripts/sbom", name, "1.2.3", TALARIA_BIN "/" + name,
                          out.string(), "--data", TALARIA_SOURCE_DIR "/models/talaria-tiny"});
  BOOST_TEST_REQUIRE(done.status == 0, done.err);
  return nlohmann::json::parse(text_in(out));
}

/// Names of the packages that `name` needs at run time.
std::set<std::string> libraries_in(const nlohmann::json& sbom) {
  std::set<std::string> ids, names;
  for (const auto& relation : sbom["relationships"])
    if (relation["relationshipType"] == "DYNAMIC_LINK") ids.insert(relation["relatedSpdxElement"]);
  for (const auto& package : sbom["packages"])
    if (ids.contains(package["SPDXID"])) names.insert(package["name"]);
  return names;
}

bool has_prefix(const std::set<std::string>& names, const std::string& prefix) {
  const auto found = names.lower_bound(prefix);
  return found != names.end() && found->starts_with(prefix);
}

} // namespace

BOOST_FIXTURE_TEST_CASE(every_command_has_a_page_with_its_options, Manual) {
  const auto all = commands();
  BOOST_TEST(all.size() > 15U);
  for (const std::string& command : all) {
    if (command == "serve" || command == "audit") continue; // talaria-enclave.1, talaria-audit.1
    const std::string page = text_in(folder.path() / "man1" / ("talaria-" + command + ".1"));
    BOOST_TEST(page.find("Talaria 1.2.3") != page.npos, command);
    BOOST_TEST(page.find("\\-\\-help") != page.npos, command);
  }
  const std::string certs = text_in(folder.path() / "man1/talaria-certs.1");
  BOOST_TEST(certs.find("CERTS INIT") != certs.npos);
  BOOST_TEST(certs.find("\\-\\-hosts") != certs.npos);
  const std::string worker = text_in(folder.path() / "man1/talaria-worker.1");
  BOOST_TEST(worker.find("\\-\\-listen") != worker.npos);
}

BOOST_FIXTURE_TEST_CASE(bash_completes_commands_and_their_options, Manual) {
  BOOST_TEST(completed("talaria", "talaria cer", 1).contains("certs"));
  BOOST_TEST(completed("talaria", "talaria certs in", 2).contains("init"));
  BOOST_TEST(completed("talaria", "talaria certs init --ho", 3) ==
             std::set<std::string>{"--hosts"});
  BOOST_TEST(completed("talaria", "talaria serve --lis", 2) == std::set<std::string>{"--listen"});
  BOOST_TEST(completed("talaria-worker", "talaria-worker --model-", 1) ==
             std::set<std::string>{"--model-sha256"});
}

BOOST_AUTO_TEST_CASE(a_component_installs_its_program_and_no_other) {
  const tests::TemporaryFolder folder;
  const auto done =
      tests::run_program({"/usr/bin/env", "cmake", "--install", TALARIA_BUILD_DIR, "--prefix",
                          folder.path().string(), "--component", "worker"});
  BOOST_TEST_REQUIRE(done.status == 0, done.err);
  std::set<std::string> programs;
  for (const auto& entry : fs::directory_iterator(folder.path() / "bin"))
    programs.insert(entry.path().filename().string());
  BOOST_TEST(programs == std::set<std::string>{"talaria-worker"});
  BOOST_TEST(fs::exists(folder.path() / "share/man/man1/talaria-worker.1"));
  BOOST_TEST(fs::exists(folder.path() / "share/bash-completion/completions/talaria-worker"));
  BOOST_TEST(fs::exists(folder.path() / "lib/sysusers.d/talaria-worker.conf"));
  const auto sbom = nlohmann::json::parse(
      text_in(folder.path() / "share/doc/talaria-worker/talaria-worker.spdx.json"));
  BOOST_TEST(sbom.dump().find("libcapnp-dev") != std::string::npos); // of what the build recorded
}

/// What SPDX 2.3 asks of every document, package, file and relationship (clauses 6 to 8 and 11).
BOOST_AUTO_TEST_CASE(a_list_of_contents_has_what_spdx_asks_for) {
  const tests::TemporaryFolder folder;
  const auto sbom = sbom_of("talaria-worker", folder.path() / "w.json");
  BOOST_TEST(sbom["spdxVersion"] == "SPDX-2.3");
  BOOST_TEST(sbom["dataLicense"] == "CC0-1.0");
  BOOST_TEST(sbom["SPDXID"] == "SPDXRef-DOCUMENT");
  BOOST_TEST(sbom["name"] == "talaria-worker-1.2.3");
  BOOST_TEST(sbom["documentNamespace"].get<std::string>().starts_with("urn:talaria:spdx:"));
  BOOST_TEST(std::regex_match(sbom["creationInfo"]["created"].get<std::string>(),
                              std::regex(R"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ)")));
  BOOST_TEST(sbom["creationInfo"]["creators"].at(0).get<std::string>().starts_with("Tool: "));
  std::set<std::string> ids{"SPDXRef-DOCUMENT"};
  const std::regex identifier("SPDXRef-[A-Za-z0-9.-]+"), sha1("[0-9a-f]{40}");
  const auto name = [&](const nlohmann::json& element) {
    const std::string id = element["SPDXID"];
    BOOST_TEST(std::regex_match(id, identifier), id);
    BOOST_TEST(ids.insert(id).second, id);
  };
  for (const auto& package : sbom["packages"]) {
    name(package);
    BOOST_TEST(!package["name"].get<std::string>().empty());
    BOOST_TEST(package.contains("downloadLocation"));
    BOOST_TEST(package["filesAnalyzed"].get<bool>() == package.contains("packageVerificationCode"));
  }
  std::set<std::string> files;
  for (const auto& file : sbom["files"]) {
    name(file);
    files.insert(file["fileName"]);
    BOOST_TEST(file["checksums"].at(0)["algorithm"] == "SHA1"); // which has to be there
    BOOST_TEST(std::regex_match(file["checksums"][0]["checksumValue"].get<std::string>(), sha1));
  }
  BOOST_TEST(files.contains("./bin/talaria-worker"));
  BOOST_TEST(files.contains("./share/talaria/talaria-tiny/config.json"));
  std::size_t described = 0;
  for (const auto& relation : sbom["relationships"]) {
    BOOST_TEST(ids.contains(relation["spdxElementId"]));
    BOOST_TEST(ids.contains(relation["relatedSpdxElement"]));
    described += relation["relationshipType"] == "DESCRIBES" ? 1U : 0U;
  }
  BOOST_TEST(described == 1U);
  // The digest is that of the program, by a tool that was not asked to make it.
  const auto digest = tests::run_program({"/usr/bin/sha256sum", TALARIA_BIN "/talaria-worker"});
  BOOST_TEST(sbom.dump().find(digest.out.substr(0, 64)) != std::string::npos);
}

BOOST_AUTO_TEST_CASE(a_list_of_contents_is_that_of_the_program) {
  const tests::TemporaryFolder folder;
  const auto worker = libraries_in(sbom_of("talaria-worker", folder.path() / "w.json"));
  const auto audit = libraries_in(sbom_of("talaria-audit", folder.path() / "a.json"));
  BOOST_TEST(has_prefix(worker, "libssl"));
  BOOST_TEST(has_prefix(worker, "libc6"));
  BOOST_TEST(!has_prefix(worker, "libfplll"));
  BOOST_TEST(has_prefix(audit, "libfplll"));
  sbom_of("talaria-worker", folder.path() / "again.json");
  BOOST_TEST(text_in(folder.path() / "w.json") == text_in(folder.path() / "again.json"));
}

} // namespace talaria
