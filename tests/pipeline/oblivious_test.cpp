#include <boost/test/data/test_case.hpp>
#include <boost/test/unit_test.hpp>

#include "pipeline/engine.hpp"
#include "tests/support/collect.hpp"
#include "tests/support/models.hpp"

namespace talaria::pipeline {

namespace {

std::vector<tests::Collected> answers(const std::string& model, bool oblivious) {
  EngineOptions options;
  options.model_dir = tests::model_folder(model);
  options.threads = 2;
  options.oblivious = oblivious;
  options.batch.prefill_chunk = 5;
  SilentProgress progress;
  Engine engine(options, progress);
  std::vector<Request> requests(3);
  requests[0].prompt = engine.tokenizer().encode("Once upon a time, in a far country", true);
  requests[0].sampling = {.temperature = 0.9f, .top_p = 0.95f, .repetition_penalty = 1.2f};
  requests[1].prompt = {7};
  requests[1].sampling = {.temperature = 2, .top_k = 40, .seed = 5};
  requests[1].ignore_eos = true;
  requests[2].prompt = {9, 9, 8, 200, 9};
  for (Request& request : requests) request.max_tokens = 8;
  return tests::run_together(engine, requests);
}

} // namespace

BOOST_AUTO_TEST_SUITE(oblivious_lookups)

BOOST_DATA_TEST_CASE(change_no_answer, boost::unit_test::data::make(tests::kModels), model) {
  const auto plain = answers(model, false);
  const auto oblivious = answers(model, true);
  for (std::size_t i = 0; i < plain.size(); ++i) {
    BOOST_TEST(oblivious[i].completion.tokens == plain[i].completion.tokens,
               boost::test_tools::per_element());
    BOOST_TEST(oblivious[i].completion.text == plain[i].completion.text);
  }
}

BOOST_AUTO_TEST_CASE(an_unknown_token_is_refused_either_way) {
  for (const bool oblivious : {false, true}) {
    EngineOptions options;
    options.model_dir = tests::model_folder("llama3");
    options.oblivious = oblivious;
    SilentProgress progress;
    Engine engine(options, progress);
    Request request;
    request.prompt = {1, engine.plan().vocab, 2};
    request.max_tokens = 1;
    BOOST_CHECK_THROW(run_to_end(engine, request), Error);
    request.prompt[1] = engine.plan().vocab - 1;
    BOOST_TEST(run_to_end(engine, request).tokens.size() == 1u);
  }
}

BOOST_AUTO_TEST_SUITE_END()

} // namespace talaria::pipeline
