// What is installed beside the programs: manual pages and completions, made of what they say
// themselves.
#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <filesystem>
#include <fstream>
#include <iterator>
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
}

} // namespace talaria
