// GGUF files given to the programs where a model folder may stand.
#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <fstream>
#include <nlohmann/json.hpp>

#include "tests/support/models.hpp"
#include "tests/support/process.hpp"
#include "tests/support/temporary_folder.hpp"

namespace talaria {

using nlohmann::json;
using tests::Finished;

namespace {

const std::string kFile = (tests::kSource / "tests/data/gguf/wide-q4_k_m.gguf").string();

std::string output_of(std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), TALARIA_BIN "/talaria");
  const Finished done = tests::run_program(arguments);
  BOOST_TEST_REQUIRE(done.status == 0, done.err);
  return done.out;
}

} // namespace

BOOST_AUTO_TEST_CASE(every_command_takes_a_file) {
  const std::string root = json::parse(output_of({"inspect", kFile, "--json"}))["model"]["sha256"];
  BOOST_TEST(output_of({"inspect", "--model", kFile, "--plan"}).starts_with("llama: hidden 256"));
  BOOST_TEST(output_of({"tokenize", "--model", kFile, "--add-special", "a"}).starts_with("4092,"));
  const auto logits = [&](const std::string& model) {
    return output_of({"logits", "--model", model, "--tokens", "4092,13,643,442", "--json"});
  };
  const std::string expected = logits(kFile);
  BOOST_TEST(json::parse(expected).is_object());
  BOOST_TEST(!output_of({"run", "--model", kFile, "--model-sha256", root, "--prompt", "In the",
                         "--max-tokens", "4"})
                  .empty());
  const tests::TemporaryFolder folder;
  const std::string prepared = (folder.path() / "prepared").string();
  output_of({"prepare", kFile, prepared});
  BOOST_TEST(logits(prepared) == expected);
}

BOOST_AUTO_TEST_CASE(a_worker_takes_a_file) {
  const Finished done = tests::run_program({TALARIA_BIN "/talaria-worker", "--model", kFile});
  BOOST_TEST(done.status == 0, done.err);
}

BOOST_AUTO_TEST_CASE(what_is_no_file_is_refused_in_one_line) {
  for (const char* name : {"missing.gguf", "empty.gguf"}) {
    const tests::TemporaryFolder folder;
    const auto path = folder.path() / name;
    if (std::string(name) == "empty.gguf") std::ofstream(path).flush();
    const Finished done = tests::run_program(
        {TALARIA_BIN "/talaria", "logits", "--model", path.string(), "--tokens", "1"});
    BOOST_TEST(done.status == 3, done.err);
    BOOST_TEST(std::count(done.err.begin(), done.err.end(), '\n') == 1, done.err);
    BOOST_TEST(done.err.find(name) != std::string::npos, done.err);
  }
}

} // namespace talaria
