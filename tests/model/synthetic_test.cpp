#include "model/weights/synthetic.hpp"

#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <cmath>
#include <string>

#include "core/error.hpp"
#include "model/weights/quantized.hpp"

namespace talaria::model {

BOOST_AUTO_TEST_SUITE(synthetic)

BOOST_AUTO_TEST_CASE(shapes_have_the_numbers_of_parameters_of_their_names) {
  const auto parameters = [](const char* name) {
    const arch::ModelPlan plan = shape_plan(name, 0);
    double count = plan.tied_embeddings ? 0 : static_cast<double>(plan.vocab) * plan.hidden;
    for (const arch::Linear& linear : plan.linears) {
      count += static_cast<double>(linear.d_in * linear.d_out);
    }
    return count / 1e9;
  };
  BOOST_TEST(std::fabs(parameters("llama-3.2-1b") - 1.236) < 0.001);
  BOOST_TEST(std::fabs(parameters("llama-3.2-3b") - 3.213) < 0.001);
  BOOST_TEST(std::fabs(parameters("llama-3-8b") - 8.030) < 0.001);
  BOOST_TEST(std::fabs(parameters("qwen2.5-0.5b") - 0.494) < 0.001);
  BOOST_TEST(shape_plan("llama-3-8b", 3).layer_count() == 3U);
}

BOOST_AUTO_TEST_CASE(an_unknown_shape_and_too_many_layers_are_usage_errors) {
  const auto is_usage = [](const Error& error) { return error.code() == Errc::usage; };
  BOOST_CHECK_EXCEPTION(shape_plan("gpt-7", 0), Error, is_usage);
  BOOST_CHECK_EXCEPTION(shape_plan("tiny", 7), Error, is_usage);
}

BOOST_AUTO_TEST_CASE(a_path_can_name_a_shape_and_no_folder_is_taken_for_one) {
  for (const u32 layers : {0U, 2U}) {
    const auto plan = random_model(random_model_path("tiny", layers));
    BOOST_TEST_REQUIRE(plan.has_value());
    BOOST_TEST(plan->layer_count() == shape_plan("tiny", layers).layer_count());
    BOOST_TEST(plan->hidden == shape_plan("tiny", 0).hidden);
  }
  BOOST_TEST(!random_model("models/random:tiny").has_value());
  const auto is_usage = [](const Error& error) { return error.code() == Errc::usage; };
  for (const char* path : {"random:", "random:gpt-7", "random:tiny/", "random:tiny/0",
                           "random:tiny/7", "random:tiny/2x", "random:tiny/-1"})
    BOOST_CHECK_EXCEPTION(random_model(path), Error, is_usage);
}

BOOST_AUTO_TEST_CASE(random_models_have_every_tensor_the_readers_ask_for) {
  arch::DecoderConfig qwen = shape_decoder("qwen2.5-0.5b", 1);
  qwen.vocab = 1000;
  arch::DecoderConfig untied = shape_decoder("tiny", 2);
  untied.tied_embeddings = false;
  untied.qk_norm = true;
  for (const arch::DecoderConfig& config : {shape_decoder("tiny", 0), qwen, untied}) {
    const arch::ModelPlan plan = plan_decoder(config);
    const auto tensors = synthetic_tensors(plan);
    const EnclaveTensors enclave = load_enclave_tensors(*tensors, plan);
    BOOST_TEST(enclave.bias[0].empty() == !config.qkv_bias);
    BOOST_TEST(enclave.gains[0].q.empty() == !config.qk_norm);
    BOOST_CHECK_NO_THROW(EmbeddingTable(*tensors, plan));
    for (const arch::Linear& wanted : plan.linears) {
      const QuantizedLinear linear = load_linear(*tensors, wanted, WeightFormat::int8);
      BOOST_TEST(std::all_of(linear.scale.begin(), linear.scale.end(),
                             [](float s) { return s > 0x1p-13f && s < 0x1p-11f; }));
    }
  }
}

BOOST_AUTO_TEST_CASE(equal_configs_have_equal_weights_and_layers_differ) {
  const arch::ModelPlan plan = shape_plan("tiny", 2);
  const auto a = synthetic_tensors(plan);
  const auto b = synthetic_tensors(plan);
  const auto weights = [&](const auto& store, u32 id) {
    return load_linear(*store, plan.linears[{id}], WeightFormat::int8);
  };
  BOOST_TEST((digest(weights(a, 0)) == digest(weights(b, 0))));
  BOOST_TEST(weights(a, 0).columns.at(3, 5) == weights(b, 0).columns.at(3, 5));
  std::size_t equal = 0;
  const QuantizedLinear first = weights(a, 0), second = weights(a, 4);
  for (std::size_t i = 0; i < first.d_in; ++i)
    equal += first.columns.at(i, 9) == second.columns.at(i, 9);
  BOOST_TEST(equal < first.d_in / 4);
}

BOOST_AUTO_TEST_SUITE_END()

} // namespace talaria::model
