#include <boost/test/data/test_case.hpp>
#include <boost/test/unit_test.hpp>

#include "core/declassify.hpp"
#include "model/weights/synthetic.hpp"
#include "pipeline/engine.hpp"
#include "pipeline/model_loader.hpp"
#include "tests/oblivious/poison.hpp"

using namespace talaria;
using namespace talaria::pipeline;
using namespace talaria::tests;
namespace bdata = boost::unit_test::data;

namespace {

/// As small as a model can be: valgrind is some fifty times slower than the CPU.
arch::ModelPlan smallest() {
  arch::DecoderConfig config = model::shape_decoder("tiny", 1);
  config.hidden = 32;
  config.intermediate = 32;
  config.heads = 2;
  config.kv_heads = 1;
  config.head_dim = 16;
  config.vocab = 96;
  config.eos = {90, 91};
  return arch::plan_decoder(config);
}

/// What leaves the enclave is public from there on: masked, it looks uniform.
worker::Worker declassifying(caf::actor_system& system, worker::Worker worker) {
  return system.spawn([worker](worker::Worker::pointer self) -> worker::Worker::behavior_type {
    return {[=](const remo::MaskedTensor& tensor) {
              declassify(tensor.bytes->data(), tensor.bytes->size());
              return self->delegate(worker, tensor);
            },
            [=](const worker::Dispute& dispute) { return self->delegate(worker, dispute); },
            [=](const remo::HintRequest& request) { return self->delegate(worker, request); },
            [=](const remo::WeightRequest& request) { return self->delegate(worker, request); }};
  });
}

EngineOptions options_for(bool oblivious) {
  const arch::ModelPlan plan = smallest();
  EngineOptions options;
  options.model = std::make_shared<const ModelLoader>(plan, model::synthetic_tensors(plan),
                                                      model::WeightFormat::int8);
  options.threads = 1;
  options.pool.rows_ahead = 0;
  options.pool.threads = 0;
  options.oblivious = oblivious;
  options.decorate_worker = declassifying;
  return options;
}

Request question() {
  Request request;
  request.prompt = {5, 80, 33, 7, 95};
  request.max_tokens = 3;
  request.sampling = {.temperature = 1, .top_p = 0.9f, .repetition_penalty = 1.2f, .seed = 1};
  return request;
}

std::vector<u32> answer(Engine& engine, bool secret) {
  Request request = question();
  if (secret) poison(request.prompt);
  auto tokens = run_to_end(engine, std::move(request)).tokens;
  cure(tokens);
  return tokens;
}

} // namespace

BOOST_AUTO_TEST_SUITE(secrets_of_the_engine)

// From the ids that are submitted, through embedding, norms, masks, attention and sampling, to
// the ids that are sampled and embedded again.
BOOST_DATA_TEST_CASE(no_branch_and_no_address_depends_on_tokens, bdata::make(targets()), target) {
  kernels::set_active_kernels(kernels::select_kernels(target));
  SilentProgress progress;
  std::vector<u32> expected;
  {
    Engine engine(options_for(true), progress);
    BOOST_TEST(leaks_of([&] { expected = answer(engine, false); }) == 0u);
    std::vector<u32> tokens;
    BOOST_TEST(leaks_of([&] { tokens = answer(engine, true); }) == 0u);
    BOOST_TEST(tokens == expected, boost::test_tools::per_element());
  }
  Engine engine(options_for(false), progress);
  std::vector<u32> tokens;
  BOOST_TEST(leaks_of([&] { tokens = answer(engine, true); }) > 0u,
             "the ordinary engine is not seen to leak");
  BOOST_TEST(tokens == expected, boost::test_tools::per_element());
}

BOOST_AUTO_TEST_SUITE_END()
