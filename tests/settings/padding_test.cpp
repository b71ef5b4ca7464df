// `masking.padding`: what is read, and what is refused with which words.
#include <boost/test/unit_test.hpp>

#include <chrono>
#include <string>
#include <vector>

#include "tests/settings/config_fixture.hpp"

using namespace talaria;
using tests::ConfigFolder;

namespace {

std::string with_padding(const std::string& padding, const std::string& rest = "") {
  return "model: model\nmasking:\n  padding: " + padding + "\n" + rest;
}

} // namespace

BOOST_AUTO_TEST_SUITE(padding)

BOOST_AUTO_TEST_CASE(it_is_off_unless_given) {
  const auto config = ConfigFolder().parse("model: model\n");
  BOOST_TEST(config.masking.padding.buckets.empty());
  BOOST_TEST(config.masking.padding.rounds == 1U);
  BOOST_TEST(config.masking.padding.pace.count() == 0);
}

BOOST_AUTO_TEST_CASE(all_of_it_is_read) {
  const auto config =
      ConfigFolder().parse(with_padding("{ buckets: [1, 8, 256], rounds: 16, pace: 50ms }"));
  BOOST_TEST(config.masking.padding.buckets == (std::vector<u32>{1, 8, 256}),
             boost::test_tools::per_element());
  BOOST_TEST(config.masking.padding.rounds == 16U);
  BOOST_CHECK(config.masking.padding.pace == std::chrono::milliseconds(50));
}

BOOST_AUTO_TEST_CASE(mistakes_are_named_with_their_place) {
  const ConfigFolder folder;
  const auto complaint = [&](const std::string& padding, const std::string& rest = "") {
    return folder.complaint(with_padding(padding, rest));
  };
  BOOST_TEST(complaint("{ bukets: [8] }") ==
             "F:3:14: masking.padding.bukets: unknown key; did you mean 'buckets'?");
  BOOST_TEST(complaint("8") == "F:3:12: masking.padding: is '8'; expected a mapping with buckets, "
                               "rounds or pace");
  BOOST_TEST(complaint("{ buckets: 8 }") ==
             "F:3:23: masking.padding.buckets: is '8'; expected a list");
  BOOST_TEST(complaint("{ buckets: [] }") ==
             "F:3:14: masking.padding.buckets: holds 0 buckets; expected 1 to 64, like [8, 64, "
             "256]");
  BOOST_TEST(complaint("{ buckets: [8, x] }") ==
             "F:3:27: masking.padding.buckets[1]: is 'x'; expected a whole number from 1 to 65536");
  BOOST_TEST(complaint("{ buckets: [0] }") ==
             "F:3:24: masking.padding.buckets[0]: is '0'; expected a whole number from 1 to 65536");
  BOOST_TEST(complaint("{ buckets: [8, 8] }") ==
             "F:3:27: masking.padding.buckets[1]: is '8'; expected more than 8, the bucket before "
             "it");
  BOOST_TEST(complaint("{ buckets: [8, 512] }") ==
             "F:3:14: masking.padding.buckets: the largest is 512; expected at most "
             "pipeline.max_rows, which is 256");
  BOOST_TEST(complaint("{ buckets: [8, 512] }", "pipeline: { max_rows: 512 }\n").empty());
  BOOST_TEST(complaint("{ rounds: 0 }") ==
             "F:3:22: masking.padding.rounds: is '0'; expected a whole number from 1 to 4096");
  BOOST_TEST(complaint("{ pace: 50 }") ==
             "F:3:20: masking.padding.pace: is '50'; expected 0s, or a duration from 1ms to 1min, "
             "like 100ms or 2s");
}

BOOST_AUTO_TEST_CASE(drafts_are_read_and_mistakes_named) {
  const ConfigFolder folder;
  const auto complaint = [&](const std::string& speculate, const std::string& rest = "") {
    return folder.complaint("model: model\npipeline: { speculate: " + speculate + " }\n" + rest);
  };
  for (const auto& [text, drafts] : {std::pair{"off", 0U}, {"ngram:1", 1U}, {"ngram:16", 16U}})
    BOOST_TEST(folder.parse("model: model\npipeline: { speculate: " + std::string(text) + " }\n")
                   .pipeline.speculate.drafts == drafts);
  for (const char* wrong :
       {"on", "4", "ngram", "'ngram:'", "ngram:0", "ngram:17", "ngram:4x", "ngram:model:4",
        "model:4", "'model::4'", "model:model", "model:model:0", "model:model:17"})
    BOOST_TEST(complaint(wrong).find("expected off, ngram:N, or model:DIR:N with N from 1 to 16") !=
                   std::string::npos,
               wrong);
  const auto drafted = folder.parse("model: model\npipeline: { speculate: 'model:./model:4' }\n");
  BOOST_TEST(drafted.pipeline.speculate.drafts == 4U);
  BOOST_TEST(drafted.pipeline.speculate.model == drafted.model);
  BOOST_TEST(complaint("model:there:4").find("there' is not there; expected the folder or GGUF") !=
             std::string::npos);
  BOOST_TEST(complaint("ngram:4", "enclave: { oblivious: on }\n") ==
             "F:2:24: pipeline.speculate: has no place beside enclave.oblivious: on, since where "
             "keys are stored shows how many drafts were right");
  BOOST_TEST(complaint("ngram:4", "masking: { padding: { buckets: [1, 4] } }\n") ==
             "F:2:24: pipeline.speculate: 4 drafts make rounds of 5 rows; expected at most 4, the "
             "rows of one micro-batch (pipeline.max_rows, the largest bucket)");
  BOOST_TEST(complaint("ngram:4", "masking: { padding: { buckets: [1, 5] } }\n").empty());
}

BOOST_AUTO_TEST_SUITE_END()
