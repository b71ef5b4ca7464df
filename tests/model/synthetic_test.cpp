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
    const ModelConfig config = shape_config(name, 0);
    double count = config.tied_embeddings ? 0 : static_cast<double>(config.vocab) * config.hidden;
    for (u32 i = 0; i < linear_count(config); ++i) {
      const LinearKind kind = linear_kind(config, {i});
      count += static_cast<double>(linear_inputs(config, kind) * linear_outputs(config, kind));
    }
    return count / 1e9;
  };
  BOOST_TEST(std::fabs(parameters("llama-3.2-1b") - 1.236) < 0.001);
  BOOST_TEST(std::fabs(parameters("llama-3.2-3b") - 3.213) < 0.001);
  BOOST_TEST(std::fabs(parameters("llama-3-8b") - 8.030) < 0.001);
  BOOST_TEST(std::fabs(parameters("qwen2.5-0.5b") - 0.494) < 0.001);
  BOOST_TEST(shape_config("llama-3-8b", 3).layers == 3U);
}

BOOST_AUTO_TEST_CASE(an_unknown_shape_and_too_many_layers_are_usage_errors) {
  const auto is_usage = [](const Error& error) { return error.code() == Errc::usage; };
  BOOST_CHECK_EXCEPTION(shape_config("gpt-7", 0), Error, is_usage);
  BOOST_CHECK_EXCEPTION(shape_config("tiny", 7), Error, is_usage);
}

BOOST_AUTO_TEST_CASE(a_path_can_name_a_shape_and_no_folder_is_taken_for_one) {
  for (const u32 layers : {0U, 2U}) {
    const auto config = random_model(random_model_path("tiny", layers));
    BOOST_TEST_REQUIRE(config.has_value());
    BOOST_TEST(config->layers == shape_config("tiny", layers).layers);
    BOOST_TEST(config->hidden == shape_config("tiny", 0).hidden);
  }
  BOOST_TEST(!random_model("models/random:tiny").has_value());
  const auto is_usage = [](const Error& error) { return error.code() == Errc::usage; };
  for (const char* path : {"random:", "random:gpt-7", "random:tiny/", "random:tiny/0",
                           "random:tiny/7", "random:tiny/2x", "random:tiny/-1"})
    BOOST_CHECK_EXCEPTION(random_model(path), Error, is_usage);
}

BOOST_AUTO_TEST_CASE(random_models_have_every_tensor_the_readers_ask_for) {
  ModelConfig qwen = shape_config("qwen2.5-0.5b", 1);
  qwen.vocab = 1000;
  ModelConfig untied = shape_config("tiny", 2);
  untied.tied_embeddings = false;
  untied.qk_norm = true;
  for (const ModelConfig& config : {shape_config("tiny", 0), qwen, untied}) {
    const auto tensors = synthetic_tensors(config);
    const EnclaveTensors enclave = load_enclave_tensors(*tensors, config);
    BOOST_TEST(enclave.bias[0].empty() == !config.qkv_bias);
    BOOST_TEST(enclave.q_norm.empty() == !config.qk_norm);
    BOOST_CHECK_NO_THROW(EmbeddingTable(*tensors, config));
    for (u32 i = 0; i < linear_count(config); ++i) {
      const QuantizedLinear linear = load_linear(*tensors, config, {i}, WeightFormat::int8);
      BOOST_TEST(std::all_of(linear.scale.begin(), linear.scale.end(),
                             [](float s) { return s > 0x1p-13f && s < 0x1p-11f; }));
    }
  }
}

BOOST_AUTO_TEST_CASE(equal_configs_have_equal_weights_and_layers_differ) {
  const ModelConfig config = shape_config("tiny", 2);
  const auto a = synthetic_tensors(config);
  const auto b = synthetic_tensors(config);
  const auto weights = [&](const auto& store, u32 id) {
    return load_linear(*store, config, {id}, WeightFormat::int8);
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
