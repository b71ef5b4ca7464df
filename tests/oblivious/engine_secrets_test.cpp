#include <boost/test/data/test_case.hpp>
#include <boost/test/unit_test.hpp>

#include "core/declassify.hpp"
#include "model/weights/synthetic.hpp"
#include "pipeline/engine.hpp"
#include "pipeline/model_loader.hpp"
#include "pipeline/worker_decorator.hpp"
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

arch::Layer with_delta_net(arch::Layer layer) {
  layer.feed_forward.router.reset();
  layer.feed_forward.experts.clear();
  layer.delta_net = arch::DeltaNet{1,
                                   2,
                                   4,
                                   4,
                                   3,
                                   "delta.conv",
                                   "delta.decay",
                                   "delta.step",
                                   {"delta.norm.weight", 1e-5F, false}};
  return layer;
}

/// Whatever families add to a plan, in one: a mixture with a shared expert, GELU, caps, norms
/// behind blocks and over all heads, neighbours that turn together, multipliers, per-layer inputs,
/// normed values, gates; and a DeltaNet in a second layer.
arch::ModelPlan everything() {
  arch::ModelPlan plan = smallest();
  plan.embedding_multiplier = 2;
  plan.logit_soft_cap = 15;
  plan.ropes[0].neighbours = true;
  arch::Layer& layer = plan.layers[0];
  const auto norm = [&](const char* name) {
    return arch::Norm{layer.prefix + name + "norm.weight", 1e-5F, true};
  };
  layer.attention_out_norm = norm("attention_out_");
  layer.feed_forward_out_norm = norm("feed_forward_out_");
  layer.attention.head_norm = arch::HeadNorm::all_heads;
  layer.attention.q_norm = norm("q_");
  layer.attention.k_norm = norm("k_");
  layer.attention.soft_cap = 3;
  layer.feed_forward.activation = arch::Activation::gelu_tanh;
  layer.feed_forward.router =
      arch::Router{layer.prefix + "router.weight", 2, true, layer.prefix + "shared_gate.weight"};
  for (const char* e : {"0", "1", "2", "3", "4"})
    layer.feed_forward.experts.push_back(
        {layer.prefix + "gate." + e, layer.prefix + "up." + e, layer.prefix + "down." + e, 8});
  layer.feed_forward.intermediate = 5 * 8;
  layer.multiplier = 0.5F;
  layer.attention.value_eps = 1e-5F;
  layer.attention.values_are_keys = true;
  layer.attention.output_gate = true;
  layer.scalar = layer.prefix + "scalar.norm.weight";
  layer.per_layer_input =
      arch::PerLayerInput{layer.prefix + "in", layer.prefix + "out", norm("per_layer_")};
  plan.per_layer_inputs =
      arch::PerLayerInputs{3, "per_layer_table", plan.vocab, 1.7F, norm("per_layer_inputs_")};
  plan.layers.push_back(with_delta_net(layer));
  plan.linears = arch::linear_table(plan, arch::TensorNames{});
  return plan;
}

/// What gpt-oss and DeepSeek add: latent attention with sinks, groups of experts chosen by sigmoids
/// and biases, the clamped activation, what experts add besides their matrices.
arch::ModelPlan the_rest() {
  arch::ModelPlan plan = smallest();
  arch::Layer& layer = plan.layers[0];
  arch::Attention& attention = layer.attention;
  const auto norm = [&](const char* name) {
    return arch::Norm{layer.prefix + name + "norm.weight", 1e-6F, false};
  };
  attention.kv_heads = attention.heads;
  attention.value_dim = 12;
  attention.latent = arch::Latent{8, 12, 4, norm("q_"), norm("kv_")};
  attention.sinks = layer.prefix + "sinks";
  plan.ropes[0] = arch::make_rope("rope", 10000, 4, {});
  arch::Router router{layer.prefix + "router.weight", 2, true, ""};
  router.shared = true;
  router.sigmoid = true;
  router.bias = layer.prefix + "router.bias";
  router.choice_bias = layer.prefix + "router.choice";
  router.groups = 3;
  router.groups_chosen = 2;
  router.group_by_two = true;
  layer.feed_forward.router = router;
  layer.feed_forward.activation = arch::Activation::clamped_swiglu;
  layer.feed_forward.limit = 0.01F;
  layer.feed_forward.down_bias = layer.prefix + "down_bias";
  for (const char* e : {"0", "1", "2", "3", "4", "5", "6"})
    layer.feed_forward.experts.push_back(
        {layer.prefix + "gate." + e, layer.prefix + "up." + e, layer.prefix + "down." + e, 8});
  layer.feed_forward.intermediate = 7 * 8;
  plan.linears = arch::linear_table(plan, arch::TensorNames{});
  return plan;
}

EngineOptions options_for(bool oblivious, const arch::ModelPlan& plan = smallest(),
                          const char* parameters = "S48") {
  EngineOptions options;
  options.scheme.parameters = &remo::lattice_parameters(parameters);
  options.model = std::make_shared<const ModelLoader>(plan, model::synthetic_tensors(plan),
                                                      model::WeightFormat::int8);
  options.threads = 1;
  options.pool.rows_ahead = 0;
  options.pool.threads = 0;
  options.oblivious = oblivious;
  options.decorate_worker = pipeline::decorate_worker(declassifying);
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

// A router that branched on what it chooses would be seen here, and so would a cap or a GELU.
BOOST_DATA_TEST_CASE(nothing_that_families_add_depends_on_tokens, bdata::make(targets()), target) {
  kernels::set_active_kernels(kernels::select_kernels(target));
  for (const bool rest : {false, true}) { // and, with the rest, what is masked in rounded words
    SilentProgress progress;
    Engine engine(options_for(true, rest ? the_rest() : everything(), rest ? "R43" : "S48"),
                  progress);
    std::vector<u32> expected;
    std::vector<u32> tokens;
    BOOST_TEST(leaks_of([&] { expected = answer(engine, false); }) == 0u);
    BOOST_TEST(leaks_of([&] { tokens = answer(engine, true); }) == 0u);
    BOOST_TEST(tokens == expected, boost::test_tools::per_element());
  }
}

BOOST_AUTO_TEST_SUITE_END()
