// `talaria audit` as a user meets it.
#include <boost/test/unit_test.hpp>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tests/support/models.hpp"
#include "tests/support/process.hpp"
#include "tests/support/temporary_folder.hpp"

namespace talaria {

namespace {

tests::Finished audit(std::vector<std::string> arguments) {
  const std::vector<std::string> fixed{TALARIA_BIN "/talaria", "audit", "--quick", "--model",
                                       tests::model_folder("qwen2").string()};
  arguments.insert(arguments.begin(), fixed.begin(), fixed.end());
  return tests::run_program(arguments, {});
}

} // namespace

BOOST_AUTO_TEST_CASE(the_default_scheme_passes_and_the_page_needs_nothing_from_outside) {
  const tests::TemporaryFolder folder;
  const auto page = folder.path() / "report.html";
  const auto done = audit({"--attacks", "nearest,limbs", "--json", "-o", page.string()});
  BOOST_TEST(done.status == 0, done.err);
  const auto report = nlohmann::json::parse(done.out);
  BOOST_TEST(report.at("passed").get<bool>());
  BOOST_TEST(report.at("configured").get<std::string>() == "lattice");
  BOOST_TEST(report.at("alarms").empty());
  bool found = false;
  for (const auto& cell : report.at("cells")) {
    if (cell.at("scheme") != "lattice" || cell.at("attack") != "nearest") continue;
    found = true;
    BOOST_TEST(cell.at("rows").get<int>() > 1'000);
    BOOST_TEST(cell.at("top1").at("interval").at(0).get<double>() <=
               cell.at("top1").at("rate").get<double>());
  }
  BOOST_TEST(found);
  std::ifstream in(page, std::ios::binary);
  const std::string html(std::istreambuf_iterator<char>(in), {});
  BOOST_TEST(html.find("Nearest neighbour") != std::string::npos);
  BOOST_TEST(html.find("src=") == std::string::npos);
  BOOST_TEST(html.find("href=") == std::string::npos);
}

BOOST_AUTO_TEST_CASE(a_scheme_that_leaks_ends_with_status_5_and_says_by_which_attack) {
  const auto done = audit({"--scheme", "clear", "--allow-clear", "--attacks", "nearest"});
  BOOST_TEST(done.status == 5, done.err);
  BOOST_TEST(done.out.find("ALARM: nearest on layers.0.qkv") != std::string::npos, done.out);
}

BOOST_AUTO_TEST_CASE(unknown_attacks_and_missing_prompts_are_mistakes_of_the_command_line) {
  const auto attack = audit({"--attacks", "telepathy"});
  BOOST_TEST(attack.status == 2);
  BOOST_TEST(attack.err.find("telepathy") != std::string::npos);
  const auto prompts = audit({"--prompts", "/nonexistent/prompts.txt"});
  BOOST_TEST(prompts.status == 2);
  BOOST_TEST(prompts.err.find("/nonexistent/prompts.txt") != std::string::npos);
  const auto list = audit({"--attacks", "list"});
  BOOST_TEST(list.status == 0);
  BOOST_TEST(list.out.find("null-space\n") != std::string::npos);
}

} // namespace talaria
