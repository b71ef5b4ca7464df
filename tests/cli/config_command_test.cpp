// `talaria config` as users meet it.
#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <filesystem>
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

using nlohmann::json;
using tests::Finished;

struct ConfigFile {
  tests::TemporaryFolder folder;
  std::string path = (folder.path() / "pipeline.yaml").string();

  void write(const std::string& more) const {
    std::ofstream(path) << "model: " << tests::model_folder("talaria-tiny").string() << "\n"
                        << more;
  }
  Finished config(const std::string& what, std::vector<std::string> flags = {}) const {
    std::vector<std::string> words{TALARIA_BIN "/talaria", "config", what, path};
    words.insert(words.end(), flags.begin(), flags.end());
    return tests::run_program(words);
  }
};

json row(const json& all, const std::string& key) {
  for (const json& each : all.at("settings"))
    if (each.at("key") == key) return each;
  return {};
}

} // namespace

BOOST_FIXTURE_TEST_SUITE(config_command, ConfigFile)

BOOST_AUTO_TEST_CASE(a_file_without_mistakes_is_in_order) {
  write("pipeline: { max_rows: 64 }\n");
  const Finished done = config("check");
  BOOST_TEST(done.status == 0, done.err);
  BOOST_TEST(done.out == path + ": in order\n");
}

BOOST_AUTO_TEST_CASE(all_mistakes_of_file_and_flags_are_told_at_once) {
  write("pipeline: { max_row: 64, threads: 2000 }\nfaults: { heartbeat: 2s, silence: 1s }\n");
  const Finished done = config("check", {"--micro-batches", "0"});
  BOOST_TEST(done.status == 2);
  BOOST_TEST(done.out.empty(), done.out);
  for (const char* part :
       {"command line: --micro-batches: is '0'; expected a whole number from 1 to 64",
        ":2:13: pipeline.max_row: unknown key; did you mean 'max_rows'?",
        ":2:35: pipeline.threads: is '2000'", ":3:1: faults: silence is 1s and heartbeat 2s"})
    BOOST_TEST(done.err.find(part) != std::string::npos, part << " is not in " << done.err);
}

BOOST_AUTO_TEST_CASE(what_serving_would_refuse_is_a_note) {
  write("masking: { integrity: none }\n");
  const Finished done = config("check");
  BOOST_TEST(done.status == 0, done.err);
  BOOST_TEST(done.out.find("note: masking.integrity is none") != std::string::npos, done.out);
  BOOST_TEST(done.out.find("--allow-unverified") != std::string::npos, done.out);
  BOOST_TEST(config("check", {"--allow-unverified"}).out == path + ": in order\n");
}

BOOST_AUTO_TEST_CASE(keys_that_cannot_be_used_are_told_before_serving) {
  write("serve: { listen: 127.0.0.1:1, keys: none-such.keys }\n");
  const Finished done = config("check");
  BOOST_TEST(done.status == 2);
  BOOST_TEST(done.err.find("none-such.keys") != std::string::npos, done.err);
}

BOOST_AUTO_TEST_CASE(every_value_is_explained_with_its_source) {
  write("pipeline: { max_rows: 64, threads: 1 }\n");
  std::vector<std::string> words{"/usr/bin/env",
                                 "TALARIA_WEIGHTS=int16",
                                 TALARIA_BIN "/talaria",
                                 "config",
                                 "explain",
                                 path,
                                 "--json",
                                 "--threads",
                                 "2"};
  const Finished done = tests::run_program(words);
  BOOST_TEST_REQUIRE(done.status == 0, done.err);
  const json all = json::parse(done.out);
  const json rows = row(all, "pipeline.max_rows");
  BOOST_TEST(rows.at("value") == "64");
  BOOST_TEST(rows.at("source") == "file");
  BOOST_TEST(rows.at("where") == path + ":2:23");
  BOOST_TEST(rows.at("line") == 2);
  BOOST_TEST(rows.at("column") == 23);
  BOOST_TEST(row(all, "pipeline.threads").at("where") == "--threads");
  BOOST_TEST(row(all, "pipeline.threads").at("value") == "2");
  BOOST_TEST(row(all, "masking.weights").at("source") == "environment");
  BOOST_TEST(row(all, "masking.weights").at("where") == "TALARIA_WEIGHTS");
  BOOST_TEST(row(all, "masking.scheme").at("source") == "default");
  BOOST_TEST(row(all, "serve.keys").at("value").is_null());
  const Finished text = config("explain");
  BOOST_TEST(text.status == 0, text.err);
  BOOST_TEST(text.out.find(path + ":2:23\n") != std::string::npos, text.out);
}

BOOST_AUTO_TEST_CASE(a_model_alone_is_explained_as_well) {
  const std::string model = tests::model_folder("talaria-tiny").string();
  const Finished done =
      tests::run_program({TALARIA_BIN "/talaria", "config", "explain", model, "--json"});
  BOOST_TEST_REQUIRE(done.status == 0, done.err);
  BOOST_TEST(row(json::parse(done.out), "model").at("where") == "--model");
}

BOOST_AUTO_TEST_CASE(the_reference_is_the_page_in_docs) {
  const Finished done = tests::run_program({TALARIA_BIN "/talaria", "config", "reference"});
  std::ifstream file(std::filesystem::path(TALARIA_SOURCE_DIR) / "docs/configuration.md",
                     std::ios::binary);
  BOOST_TEST(done.status == 0, done.err);
  BOOST_TEST((done.out == std::string(std::istreambuf_iterator<char>(file), {})));
}

BOOST_AUTO_TEST_SUITE_END()

} // namespace talaria
