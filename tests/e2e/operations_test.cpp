// docs/operations.md as somebody follows it: every block that is marked "sh run" in the order of
// the page, in one shell and one empty folder. Commands outside of marked blocks are a mistake.
#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "tests/support/free_port.hpp"
#include "tests/support/models.hpp"
#include "tests/support/process.hpp"
#include "tests/support/temporary_folder.hpp"

namespace talaria {

BOOST_AUTO_TEST_SUITE(operations)

namespace {

const std::filesystem::path kPage =
    std::filesystem::path(TALARIA_SOURCE_DIR) / "docs/operations.md";

std::string content(const std::filesystem::path& file) {
  std::ifstream in(file);
  return {std::istreambuf_iterator<char>(in), {}};
}

struct Block {
  std::string mark;    ///< what stands behind the fence
  std::string section; ///< "Day 1: from nothing to an answer"
  int line = 0;
  std::string text;
};

/// The fenced blocks of a page; `outside` is everything else, line by line, with its number.
std::vector<Block> blocks_of(const std::string& page,
                             std::vector<std::pair<int, std::string>>& outside) {
  std::vector<Block> blocks;
  std::istringstream lines(page);
  std::string section;
  bool inside = false;
  int number = 0;
  for (std::string line; std::getline(lines, line);) {
    ++number;
    if (line.starts_with("```")) {
      if (!inside) blocks.push_back({line.substr(3), section, number, {}});
      inside = !inside;
    } else if (inside) {
      blocks.back().text += line + "\n";
    } else {
      if (line.starts_with("## ")) section = line.substr(3);
      outside.emplace_back(number, line);
    }
  }
  BOOST_TEST(!inside, "a block is not closed");
  return blocks;
}

bool is_command(const std::string& line) {
  const std::string word = line.substr(0, line.find_first_of(" \t"));
  static const std::set<std::string> kPrograms{"talaria",
                                               "talaria-worker",
                                               "talaria-enclave",
                                               "talaria-audit",
                                               "curl",
                                               "kill",
                                               "kubectl",
                                               "helm",
                                               "systemctl",
                                               "scancel",
                                               "tar",
                                               "cp",
                                               "mv",
                                               "rm",
                                               "sed",
                                               "grep",
                                               "cat",
                                               "openssl",
                                               "sha256sum",
                                               "scontrol",
                                               "journalctl",
                                               "prometheus",
                                               "ssh"};
  return kPrograms.contains(word);
}

void replace_all(std::string& text, const std::string& what, const std::string& with) {
  for (auto at = text.find(what); at != std::string::npos; at = text.find(what, at + with.size()))
    text.replace(at, what.size(), with);
}

/// Other ports than those of the page, which somebody else on this machine may have.
std::string with_free_ports(std::string script) {
  const std::vector<std::string> ports{"7600", "7601", "7602", "8443", "9091"};
  for (std::size_t i = 0; i < ports.size(); ++i) // by way of words that no port is a part of
    replace_all(script, ports[i], "@" + std::to_string(i) + "@");
  std::set<u16> taken;
  for (std::size_t i = 0; i < ports.size(); ++i) {
    u16 free = tests::free_port();
    while (!taken.insert(free).second) free = tests::free_port();
    replace_all(script, "@" + std::to_string(i) + "@", std::to_string(free));
  }
  return script;
}

} // namespace

BOOST_AUTO_TEST_CASE(every_command_of_the_page_is_run_or_says_why_not) {
  std::vector<std::pair<int, std::string>> outside;
  std::size_t run = 0;
  for (const Block& block : blocks_of(content(kPage), outside)) {
    if (block.mark == "sh run") {
      ++run;
    } else if (block.mark.starts_with("sh")) {
      constexpr std::string_view kNot = "sh not run: ";
      BOOST_TEST((block.mark.starts_with(kNot) && block.mark.size() > kNot.size() + 5),
                 "line " << block.line << ": neither run nor a reason");
    } else {
      BOOST_TEST(block.mark == "text", "line " << block.line << ": a block of no kind");
    }
  }
  BOOST_TEST(run > 10U);
  for (const auto& [number, line] : outside)
    if (line.starts_with("    "))
      BOOST_TEST(!is_command(line.substr(line.find_first_not_of(' '))),
                 "line " << number << ": a command in a block without a mark");
}

BOOST_AUTO_TEST_CASE(every_alert_that_is_shipped_is_an_incident_of_the_page) {
  const std::string page = content(kPage);
  const auto begin = page.find("\n## Incidents");
  BOOST_TEST_REQUIRE(begin != std::string::npos);
  const std::string incidents = page.substr(begin, page.find("\n## ", begin + 1) - begin);
  std::istringstream rules(
      content(std::filesystem::path(TALARIA_SOURCE_DIR) / "cli/dashboards/prometheus-rules.yaml"));
  std::size_t alerts = 0;
  for (std::string line; std::getline(rules, line);) {
    const auto at = line.find("- alert: ");
    if (at == std::string::npos) continue;
    ++alerts;
    const std::string name = line.substr(at + 9);
    BOOST_TEST(incidents.find("| `" + name + "` |") != std::string::npos, name);
  }
  BOOST_TEST(alerts > 5U);
}

BOOST_AUTO_TEST_CASE(the_page_can_be_followed_from_the_first_day_to_the_last) {
  std::vector<std::pair<int, std::string>> outside;
  const tests::TemporaryFolder folder;
  std::ostringstream script;
  // Whatever goes wrong, nothing is left running, and what the programs said is shown.
  script << "set -euo pipefail\n"
            "cd "
         << folder.path().string()
         << "\n"
            "export PATH=" TALARIA_BIN ":$PATH XDG_RUNTIME_DIR=$PWD/run XDG_CACHE_HOME=$PWD/cache\n"
            "mkdir -m 700 run\n"
            "ln -s "
         << tests::model_folder("talaria-tiny").string()
         << " model\n"
            "section=nothing\n"
            "at_exit() {\n"
            "  status=$?\n"
            "  if [[ $status != 0 ]]; then echo \"failed in: $section\" >&2; tail -n 5 ./*.log "
            ">&2; fi\n"
            "  for pid in $(jobs -p); do kill -9 $pid 2>/dev/null || true; done\n"
            "  exit $status\n"
            "}\n"
            "trap at_exit EXIT\n";
  for (const Block& block : blocks_of(content(kPage), outside))
    if (block.mark == "sh run") script << "section='line " << block.line << "'\n" << block.text;
  script << "[[ -z $(jobs -pr) ]] || { echo 'something still runs' >&2; exit 1; }\n";
  const auto file = folder.path() / "follow.sh";
  std::ofstream(file) << with_free_ports(script.str());
  const auto done = tests::run_program({"/usr/bin/timeout", "300", "/bin/bash", file.string()});
  BOOST_TEST(done.status == 0, done.out << done.err);
}

BOOST_AUTO_TEST_SUITE_END()

} // namespace talaria
