// The stages of a plan, front to back.
#include "pipeline/graph.hpp"

#include <boost/test/unit_test.hpp>

#include "model/weights/synthetic.hpp"

namespace talaria::pipeline {

BOOST_AUTO_TEST_SUITE(graph_test)

namespace {

std::vector<std::string> stages_of(const arch::ModelPlan& plan, bool pools = false) {
  caf::actor_system_config config;
  caf::actor_system system(config);
  GraphParts parts;
  parts.plan = plan;
  parts.tensors.gains.resize(plan.layer_count());
  parts.linears.resize(plan.linears.size());
  if (pools) parts.pooler = std::make_shared<const enclave::PoolerShape>();
  parts.kv = std::make_shared<const kv::Layout>(plan, kv::Format::fp32);
  parts.team = std::make_shared<enclave::AttentionTeam>(1);
  parts.worker = system.spawn([]() -> worker::Worker::behavior_type {
    return {[](const remo::MaskedTensor&) { return remo::WorkerProduct(); },
            [](const worker::Dispute&) { return remo::WorkerProduct(); },
            [](const remo::HintRequest&) { return remo::WorkerProduct(); },
            [](const remo::WeightRequest&) { return remo::WeightPanels(); }};
  });
  const enclave::Overseer overseer = system.spawn([]() -> enclave::Overseer::behavior_type {
    return {[](const enclave::Sampled&) {}, [](const enclave::Failure&) {}};
  });
  const Graph graph = build_graph(system, parts, overseer);
  BOOST_TEST(graph.wiring.attention.size() == plan.layer_count());
  std::vector<std::string> names;
  for (const Graph::Stage& stage : graph.stages) {
    names.push_back(stage.name);
    caf::anon_send_exit(stage.actor, caf::exit_reason::user_shutdown);
  }
  caf::anon_send_exit(caf::actor_cast<caf::actor>(parts.worker), caf::exit_reason::user_shutdown);
  caf::anon_send_exit(caf::actor_cast<caf::actor>(overseer), caf::exit_reason::user_shutdown);
  return names;
}

std::vector<std::string> product(const std::string& name) {
  return {name + ".mask", name + ".outsource", name + ".unmask"};
}

std::vector<std::string> joined(std::initializer_list<std::vector<std::string>> parts) {
  std::vector<std::string> all;
  for (const auto& part : parts) all.insert(all.end(), part.begin(), part.end());
  return all;
}

} // namespace

BOOST_AUTO_TEST_CASE(a_plain_decoder) {
  BOOST_TEST(stages_of(model::shape_plan("tiny", 1)) ==
                 joined({{"embed", "layers.0.attention_norm"},
                         product("layers.0.qkv"),
                         {"layers.0.attention"},
                         product("layers.0.o"),
                         {"layers.0.mlp_norm"},
                         product("layers.0.gate_up"),
                         {"layers.0.activation"},
                         product("layers.0.down"),
                         {"final_norm"},
                         product("lm_head"),
                         {"sampler"}}),
             boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(nothing_goes_out_behind_the_layers_of_a_model_that_does_not_generate) {
  arch::ModelPlan plan = model::shape_plan("tiny", 1);
  plan.logit_soft_cap = 30;
  plan.replace_head(arch::Head::none);
  const auto stages = stages_of(plan, /*pools=*/true);
  BOOST_TEST_REQUIRE(stages.size() > 3U);
  BOOST_TEST(std::vector(stages.end() - 3, stages.end()) ==
                 (std::vector<std::string>{"layers.0.down.unmask", "final_norm", "pooler"}),
             boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(norms_behind_the_blocks_and_a_soft_cap) {
  arch::ModelPlan plan = model::shape_plan("tiny", 2);
  plan.logit_soft_cap = 30;
  for (arch::Layer& layer : plan.layers) {
    layer.attention_out_norm = *layer.attention_norm;
    layer.feed_forward_out_norm = *layer.feed_forward_norm;
    layer.attention_norm.reset();
  }
  plan.layers[1].feed_forward_norm.reset();
  BOOST_TEST(stages_of(plan) == joined({{"embed"},
                                        product("layers.0.qkv"),
                                        {"layers.0.attention"},
                                        product("layers.0.o"),
                                        {"layers.0.attention_out_norm", "layers.0.mlp_norm"},
                                        product("layers.0.gate_up"),
                                        {"layers.0.activation"},
                                        product("layers.0.down"),
                                        {"layers.0.mlp_out_norm"},
                                        product("layers.1.qkv"),
                                        {"layers.1.attention"},
                                        product("layers.1.o"),
                                        {"layers.1.attention_out_norm"},
                                        product("layers.1.gate_up"),
                                        {"layers.1.activation"},
                                        product("layers.1.down"),
                                        {"layers.1.mlp_out_norm", "final_norm"},
                                        product("lm_head"),
                                        {"soft_cap", "sampler"}}),
             boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(a_delta_net_and_per_layer_inputs) {
  arch::ModelPlan plan = model::shape_plan("tiny", 1);
  arch::Layer& layer = plan.layers[0];
  layer.delta_net = arch::DeltaNet{1, 2, 4, 4, 4, "conv", "decay", "step", *layer.attention_norm};
  layer.feed_forward_out_norm = *layer.feed_forward_norm;
  layer.per_layer_input = arch::PerLayerInput{"gate", "projection", *layer.attention_norm};
  plan.per_layer_inputs = arch::PerLayerInputs{3, "table", plan.vocab, 1, plan.final_norm};
  plan.linears = arch::linear_table(plan, arch::TensorNames{});
  BOOST_TEST(stages_of(plan) == joined({{"embed"},
                                        product("per_layer_inputs"),
                                        {"per_layer_inputs", "layers.0.attention_norm"},
                                        product("layers.0.qkv"),
                                        {"layers.0.delta_net"},
                                        product("layers.0.o"),
                                        {"layers.0.mlp_norm"},
                                        product("layers.0.gate_up"),
                                        {"layers.0.activation"},
                                        product("layers.0.down"),
                                        {"layers.0.mlp_out_norm", "layers.0.per_layer_input"},
                                        {"final_norm"},
                                        product("lm_head"),
                                        {"sampler"}}),
             boost::test_tools::per_element());
}

BOOST_AUTO_TEST_SUITE_END()

} // namespace talaria::pipeline
