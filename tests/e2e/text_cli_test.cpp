// Text on its way in and out, as a user of the programs meets it.
#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <fstream>
#include <functional>
#include <nlohmann/json.hpp>

#include "tests/support/models.hpp"
#include "tests/support/padded_vocabulary.hpp"
#include "tests/support/process.hpp"
#include "tests/support/temporary_folder.hpp"

namespace talaria {

using nlohmann::json;
using tests::Finished;
namespace fs = std::filesystem;

namespace {

const std::string kTiny = tests::model_folder("talaria-tiny").string();

Finished talaria(std::vector<std::string> arguments, const std::string& input = {}) {
  arguments.insert(arguments.begin(), TALARIA_BIN "/talaria");
  return tests::run_program(arguments, input);
}

void check_refused(const Finished& done, int status, const std::string& culprit) {
  BOOST_TEST(done.status == status, "status " << done.status << ", stderr: " << done.err);
  BOOST_TEST(done.out.empty(), done.out);
  BOOST_TEST(std::count(done.err.begin(), done.err.end(), '\n') == 1, done.err);
  BOOST_TEST(done.err.find(culprit) != std::string::npos, done.err);
}

} // namespace

// Qwen2, Qwen2.5 and Qwen3 all have rows in their matrices that no token stands for.
BOOST_AUTO_TEST_CASE(a_sampled_row_without_a_token_is_the_empty_text) {
  const tests::TemporaryFolder folder;
  const std::string padded = (folder.path() / "padded").string();
  tests::write_padded_vocabulary(tests::model_folder("mistral"), padded);
  const auto one = talaria({"run", "--model", padded, "--prompt", "Hello", "--max-tokens", "3",
                            "--ignore-eos", "--json"});
  BOOST_TEST_REQUIRE(one.status == 0, one.err);
  const json answer = json::parse(one.out);
  const auto ids = answer.at("token_ids").get<std::vector<u32>>();
  BOOST_TEST(ids.size() == 3U);
  BOOST_TEST(std::count_if(ids.begin(), ids.end(), [](u32 id) { return id >= 4096; }) > 0);

  std::ofstream(folder.path() / "prompts") << "Hello\nGoodbye\nWho are you?\n";
  const auto all =
      talaria({"run", "--model", padded, "--prompt-file", (folder.path() / "prompts").string(),
               "--max-tokens", "4", "--temperature", "100", "--seed", "1", "--json"});
  BOOST_TEST(all.status == 0, all.err);
}

BOOST_AUTO_TEST_CASE(ids_of_the_model_without_a_token_decode_and_ids_beyond_it_do_not) {
  const tests::TemporaryFolder folder;
  const std::string padded = (folder.path() / "padded").string();
  tests::write_padded_vocabulary(tests::model_folder("mistral"), padded);
  const auto decoded =
      talaria({"tokenize", "--model", padded, "--decode", "--json", "4100,4132,4159"});
  BOOST_TEST_REQUIRE(decoded.status == 0, decoded.err);
  BOOST_TEST(json::parse(decoded.out).at("text").get<std::string>() == "");
  check_refused(talaria({"tokenize", "--model", padded, "--decode", "4160"}), 2, "end at 4159");
  check_refused(talaria({"tokenize", "--model", kTiny, "--decode", "4096"}), 2, "end at 4095");
}

BOOST_AUTO_TEST_CASE(what_tokenize_prints_it_also_reads) {
  const std::string text = "naïve 🙂  tokens\n";
  const auto encoded = talaria({"tokenize", "--model", kTiny, "-", "--json"}, text);
  BOOST_TEST_REQUIRE(encoded.status == 0, encoded.err);
  const auto decode = [&](const std::string& input) {
    const auto done = talaria({"tokenize", "--model", kTiny, "--decode", "--json", "-"}, input);
    BOOST_TEST_REQUIRE(done.status == 0, done.err);
    return json::parse(done.out).at("text").get<std::string>();
  };
  BOOST_TEST(decode(encoded.out) == text);
  BOOST_TEST(decode(json::parse(encoded.out).at("ids").dump()) == text);
  for (const char* damaged : {"[1,2", "{\"ids\":3}", "[1,-2]", "[4294967296]", "{}", "[\"a\"]"})
    check_refused(talaria({"tokenize", "--model", kTiny, "--decode", damaged}), 2, "TEXT");
}

} // namespace talaria
