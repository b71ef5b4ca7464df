#include "model/weights/model_config.hpp"

#include <boost/test/data/test_case.hpp>

#include <cmath>
#include <functional>

#include "tests/model/model_folder.hpp"

using namespace talaria;
using namespace talaria::model;
using namespace talaria::test;
namespace bdata = boost::unit_test::data;
using nlohmann::json;

namespace {

const std::string kModels[] = {"tests/data/conformance/llama3", "tests/data/conformance/mistral",
                               "tests/data/conformance/qwen2", "tests/data/conformance/qwen3",
                               "models/talaria-tiny"};

std::filesystem::path model_folder(const std::string& name) {
  return std::filesystem::path(TALARIA_SOURCE_DIR) / name;
}

json minimal(const std::string& type) {
  return {{"model_type", type},      {"hidden_size", 64},        {"intermediate_size", 96},
          {"num_hidden_layers", 2},  {"num_attention_heads", 8}, {"vocab_size", 100},
          {"num_key_value_heads", 4}};
}

ModelConfig load(const json& object) {
  TemporaryFolder folder;
  folder.write("config.json", object.dump());
  return load_model_config(folder.path());
}

/// A minimal config changed by `fields` (null removes) must be refused, naming file and `field`.
void check_refused(const std::string& type, const json& fields, const std::string& field,
                   const std::string& part = "") {
  json object = minimal(type);
  for (const auto& [key, value] : fields.items()) object[key] = value;
  BOOST_TEST_CONTEXT(object.dump()) {
    check_error([&] { load(object); }, Errc::model, {"config.json: ", field, part});
  }
}

} // namespace

BOOST_DATA_TEST_CASE(conformance_models_read_as_their_files_say, bdata::make(kModels), name) {
  std::ifstream in(model_folder(name) / "config.json");
  const json file = json::parse(in);
  const ModelConfig config = load_model_config(model_folder(name));
  const auto integer = [&file](const char* key, u32 otherwise) {
    return file.value(key, otherwise);
  };
  BOOST_TEST(config.model_type == file.at("model_type").get<std::string>());
  BOOST_TEST(config.hidden == file.at("hidden_size").get<u32>());
  BOOST_TEST(config.intermediate == file.at("intermediate_size").get<u32>());
  BOOST_TEST(config.layers == file.at("num_hidden_layers").get<u32>());
  BOOST_TEST(config.heads == file.at("num_attention_heads").get<u32>());
  BOOST_TEST(config.kv_heads == file.at("num_key_value_heads").get<u32>());
  BOOST_TEST(config.head_dim == integer("head_dim", config.hidden / config.heads));
  BOOST_TEST(config.vocab == 4096u);
  BOOST_TEST(config.max_position == file.at("max_position_embeddings").get<u32>());
  BOOST_TEST(config.rms_eps == file.at("rms_norm_eps").get<float>());
  BOOST_TEST(config.rope_theta == file.at("rope_theta").get<float>());
  BOOST_TEST(config.tied_embeddings == file.at("tie_word_embeddings").get<bool>());
  BOOST_TEST(config.bos.value() == 4092u);
  BOOST_TEST(config.qk_norm == (config.model_type == "qwen3"));
  BOOST_TEST(config.qkv_bias == (config.model_type == "qwen2"));
  BOOST_TEST((!config.o_bias && !config.mlp_bias));
  BOOST_TEST(config.sliding_window.value_or(0) == (config.model_type == "mistral" ? 24u : 0u));
  const bool stretched = file.at("rope_scaling").is_object();
  BOOST_TEST((config.rope_scaling.kind ==
              (stretched ? RopeScaling::Kind::llama3 : RopeScaling::Kind::none)));
}

BOOST_AUTO_TEST_CASE(llama3_reads_its_scaling_and_both_end_tokens) {
  const ModelConfig config = load_model_config(model_folder(kModels[0]));
  BOOST_TEST(config.rope_scaling.factor == 8.0f);
  BOOST_TEST(config.rope_scaling.low_freq_factor == 1.0f);
  BOOST_TEST(config.rope_scaling.high_freq_factor == 4.0f);
  BOOST_TEST(config.rope_scaling.original_max_position == 256u);
  BOOST_TEST(config.eos == (std::vector<u32>{4095, 4093}), boost::test_tools::per_element());
  BOOST_TEST(load_model_config(model_folder(kModels[1])).eos == std::vector<u32>{4095},
             boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(absent_fields_take_the_defaults_of_transformers) {
  const ModelConfig llama = load(minimal("llama"));
  BOOST_TEST(llama.head_dim == 8u);
  BOOST_TEST(llama.max_position == 2048u);
  BOOST_TEST(llama.rms_eps == 1e-6f);
  BOOST_TEST(llama.rope_theta == 10000.0f);
  BOOST_TEST((!llama.tied_embeddings && !llama.sliding_window && !llama.bos && llama.eos.empty()));
  BOOST_TEST((!llama.qkv_bias && !llama.o_bias && !llama.mlp_bias && !llama.qk_norm));

  BOOST_TEST(load(minimal("mistral")).sliding_window.value() == 4096u);
  BOOST_TEST(load(minimal("mistral")).max_position == 131072u);
  BOOST_TEST(load(minimal("qwen2")).qkv_bias);
  BOOST_TEST(!load(minimal("qwen2")).o_bias);
  BOOST_TEST(load(minimal("qwen3")).head_dim == 128u);
  BOOST_TEST(load(minimal("qwen3")).qk_norm);

  json without_kv = minimal("llama");
  without_kv.erase("num_key_value_heads");
  BOOST_TEST(load(without_kv).kv_heads == 8u);
  without_kv["num_key_value_heads"] = nullptr;
  BOOST_TEST(load(without_kv).kv_heads == 8u);
  without_kv["model_type"] = "mistral";
  BOOST_TEST(load(without_kv).kv_heads == 8u);
}

BOOST_AUTO_TEST_CASE(biases_are_those_of_the_family) {
  json llama = minimal("llama");
  llama["attention_bias"] = true;
  BOOST_TEST((load(llama).qkv_bias && load(llama).o_bias && !load(llama).mlp_bias));
  llama["mlp_bias"] = true;
  BOOST_TEST(load(llama).mlp_bias);
  json qwen3 = minimal("qwen3");
  qwen3["attention_bias"] = true;
  BOOST_TEST((load(qwen3).qkv_bias && load(qwen3).o_bias));
  check_refused("mistral", {{"attention_bias", true}}, "attention_bias");
  check_refused("qwen2", {{"mlp_bias", true}}, "mlp_bias");
}

BOOST_AUTO_TEST_CASE(the_window_is_read_as_each_family_means_it) {
  json mistral = minimal("mistral");
  mistral["sliding_window"] = nullptr;
  BOOST_TEST(!load(mistral).sliding_window);
  mistral["sliding_window"] = 7;
  BOOST_TEST(load(mistral).sliding_window.value() == 7u);

  for (const char* type : {"qwen2", "qwen3"}) {
    json qwen = minimal(type);
    qwen["sliding_window"] = 16;
    BOOST_TEST(!load(qwen).sliding_window);
    qwen["use_sliding_window"] = true; // max_window_layers is 28 by default: none of two layers
    BOOST_TEST(!load(qwen).sliding_window);
    qwen["max_window_layers"] = 0;
    BOOST_TEST(load(qwen).sliding_window.value() == 16u);
    qwen["layer_types"] = {"sliding_attention", "sliding_attention"};
    BOOST_TEST(load(qwen).sliding_window.value() == 16u);
    check_refused(type, {{"use_sliding_window", true}, {"max_window_layers", 1}},
                  "max_window_layers");
    check_refused(type, {{"layer_types", {"full_attention", "sliding_attention"}}}, "layer_types");
    check_refused(type, {{"layer_types", {"full_attention"}}}, "layer_types");
  }
  check_refused("mistral", {{"sliding_window", 0}}, "sliding_window");
}

BOOST_AUTO_TEST_CASE(rope_is_read_from_older_and_newer_files_alike) {
  const json llama3{{"factor", 4},
                    {"low_freq_factor", 1},
                    {"high_freq_factor", 3},
                    {"original_max_position_embeddings", 512}};
  for (const char* kind_key : {"type", "rope_type"}) {
    json older = minimal("llama");
    older["rope_theta"] = 5e5;
    older["rope_scaling"] = llama3;
    older["rope_scaling"][kind_key] = "llama3";
    json newer = minimal("llama");
    newer["rope_parameters"] = older["rope_scaling"];
    newer["rope_parameters"]["rope_theta"] = 5e5;
    for (const json& object : {older, newer}) {
      const ModelConfig config = load(object);
      BOOST_TEST(config.rope_theta == 5e5f);
      BOOST_TEST((config.rope_scaling.kind == RopeScaling::Kind::llama3));
      BOOST_TEST(config.rope_scaling.high_freq_factor == 3.0f);
    }
  }
  json linear = minimal("llama");
  linear["rope_scaling"] = {{"type", "linear"}, {"factor", 2.5}};
  BOOST_TEST((load(linear).rope_scaling.kind == RopeScaling::Kind::linear));
  BOOST_TEST(load(linear).rope_scaling.factor == 2.5f);
  json plain = minimal("llama");
  plain["rope_parameters"] = {{"rope_type", "default"}, {"rope_theta", 1e6}};
  BOOST_TEST((load(plain).rope_scaling.kind == RopeScaling::Kind::none));
  BOOST_TEST(load(plain).rope_theta == 1e6f);
}

BOOST_AUTO_TEST_CASE(rope_that_is_not_computed_is_refused_by_name) {
  for (const char* kind : {"yarn", "dynamic", "longrope", "su", "mrope", ""})
    check_refused("llama", {{"rope_scaling", {{"rope_type", kind}, {"factor", 2}}}}, "rope_type",
                  "\"linear\" or \"llama3\"");
  check_refused("llama", {{"rope_scaling", {{"type", "linear"}}}}, "factor", "missing");
  check_refused("llama", {{"rope_scaling", {{"type", "linear"}, {"factor", 0}}}}, "factor");
  check_refused("llama", {{"rope_scaling", {{"type", "linear"}, {"factor", 1e300}}}}, "factor");
  check_refused("llama", {{"rope_scaling", {{"type", "linear"}, {"rope_type", "llama3"}}}}, "type");
  check_refused("llama", {{"rope_scaling", {{"type", "default"}, {"mrope_section", {1}}}}},
                "mrope_section");
  check_refused("llama", {{"rope_scaling", {{"type", "default"}, {"partial_rotary_factor", 0.5}}}},
                "partial_rotary_factor");
  check_refused("llama", {{"rope_scaling", "linear"}}, "rope_scaling");
  check_refused("llama", {{"rope_theta", -1}}, "rope_theta");
  check_refused("llama", {{"rope_theta", 5}, {"rope_parameters", {{"rope_theta", 6}}}},
                "rope_theta");
  const json linear{{"type", "linear"}, {"factor", 2}};
  check_refused("llama", {{"rope_scaling", linear}, {"rope_parameters", linear}}, "rope_scaling");
  json llama3{{"rope_type", "llama3"},
              {"factor", 4},
              {"low_freq_factor", 4},
              {"high_freq_factor", 4},
              {"original_max_position_embeddings", 512}};
  check_refused("llama", {{"rope_scaling", llama3}}, "high_freq_factor");
  llama3["low_freq_factor"] = 1;
  llama3.erase("original_max_position_embeddings");
  check_refused("llama", {{"rope_scaling", llama3}}, "original_max_position_embeddings");
}

BOOST_AUTO_TEST_CASE(what_is_not_computed_is_refused_by_name) {
  for (const char* type : {"gemma", "phi3", "mixtral", "qwen2_moe", "gpt2", "", "LLAMA"})
    check_refused("llama", {{"model_type", type}}, "model_type", "qwen3");
  check_refused("llama", {{"model_type", nullptr}}, "model_type");
  check_refused("llama", {{"architectures", {"MistralForCausalLM"}}}, "architectures",
                "LlamaForCausalLM");
  check_refused("llama", {{"architectures", json::array()}}, "architectures");
  check_refused("llama", {{"architectures", "LlamaForCausalLM"}}, "architectures");
  check_refused("llama", {{"hidden_act", "gelu"}}, "hidden_act", "silu");
  check_refused("llama", {{"quantization_config", {{"bits", 4}}}}, "quantization_config");
  check_refused("llama", {{"num_experts", 8}}, "num_experts");
  check_refused("llama", {{"num_local_experts", 8}}, "num_local_experts");
  check_refused("llama", {{"partial_rotary_factor", 0.5}}, "partial_rotary_factor");
}

BOOST_AUTO_TEST_CASE(dimensions_that_make_no_sense_are_refused_by_name) {
  for (const char* field : {"hidden_size", "intermediate_size", "num_hidden_layers",
                            "num_attention_heads", "vocab_size"})
    for (const json& value : {json(nullptr), json(0), json(-1), json(1.5), json("64"), json(true),
                              json(4294967296u), json(~u64{0}), json(json::array({64}))})
      check_refused("llama", {{field, value}}, field);
  check_refused("llama", {{"num_key_value_heads", 3}}, "num_key_value_heads", "8");
  check_refused("llama", {{"num_key_value_heads", 0}}, "num_key_value_heads");
  check_refused("llama", {{"head_dim", 7}}, "head_dim");
  check_refused("llama", {{"head_dim", 0}}, "head_dim");
  check_refused("llama", {{"hidden_size", 60}}, "head_dim");
  check_refused("llama", {{"hidden_size", 8}}, "head_dim");
  check_refused("llama", {{"max_position_embeddings", 0}}, "max_position_embeddings");
  check_refused("llama", {{"rms_norm_eps", 0}}, "rms_norm_eps");
  check_refused("llama", {{"rms_norm_eps", "1e-5"}}, "rms_norm_eps");
  check_refused("llama", {{"tie_word_embeddings", 1}}, "tie_word_embeddings");
  check_refused("llama", {{"eos_token_id", 100}}, "eos_token_id");
  check_refused("llama", {{"eos_token_id", {1, -1}}}, "eos_token_id");
  check_refused("llama", {{"bos_token_id", "1"}}, "bos_token_id");
}

BOOST_AUTO_TEST_CASE(a_damaged_config_file_is_an_error_naming_it) {
  TemporaryFolder folder;
  const auto path = folder.path() / "config.json";
  check_error([&] { load_model_config(folder.path()); }, Errc::model, {path.string()});
  for (const std::string& text :
       {std::string(), std::string("{"), std::string("[]"), std::string("null"),
        std::string(5, '\0'), std::string(100000, '['), std::string("{\"vocab_size\":1e999}"),
        minimal("llama").dump().substr(1), minimal("llama").dump() + "x"}) {
    folder.write("config.json", text);
    check_error([&] { load_model_config(folder.path()); }, Errc::model, {path.string()});
  }
  const std::string twice = R"({"vocab_size": 1, "vocab_size": 2})";
  folder.write("config.json", twice);
  check_error([&] { load_model_config(folder.path()); }, Errc::model, {"vocab_size", "twice"});
}

BOOST_DATA_TEST_CASE(rope_frequencies_match_the_formula_in_long_double, bdata::make(kModels),
                     name) {
  const ModelConfig config = load_model_config(model_folder(name));
  const auto frequencies = config.rope_frequencies();
  BOOST_TEST_REQUIRE(frequencies.size() == config.head_dim / 2);
  BOOST_TEST(frequencies[0] == 1.0f);
  const RopeScaling& s = config.rope_scaling;
  const bool stretched = s.kind == RopeScaling::Kind::llama3;
  const long double pi = std::acos(-1.0L);
  int kept = 0, divided = 0;
  for (std::size_t i = 0; i < frequencies.size(); ++i) {
    const long double fraction = 2.0L * i / config.head_dim;
    long double x = std::exp(-fraction * std::log(static_cast<long double>(config.rope_theta)));
    if (stretched) {
      // The blend of transformers, written as a clamp: 1 keeps, 0 divides by the factor.
      const long double turns = s.original_max_position * x / (2 * pi);
      const long double blend = std::clamp(
          (turns - s.low_freq_factor) / (s.high_freq_factor - s.low_freq_factor), 0.0L, 1.0L);
      kept += blend == 1;
      divided += blend == 0;
      x = x * (blend + (1 - blend) / s.factor);
    }
    // Exponent, power and quotient are rounded to fp32 one after another; the exponent's error
    // grows with log theta.
    BOOST_TEST(std::fabs(frequencies[i] / static_cast<double>(x) - 1) < 1.5e-6,
               "frequency " << i << " is " << frequencies[i]);
  }
  BOOST_TEST((!stretched || (kept > 0 && divided > 0)));
}

BOOST_AUTO_TEST_CASE(rope_frequencies_round_as_torch_does) {
  // 1.0 / (theta ** (torch.arange(0, 16, 2, dtype=torch.int64).float() / 16)), theta 10000
  const float expected[] = {0x1p+0f,        0x1.43d136p-2f, 0x1.99999ap-4f,  0x1.030dc6p-5f,
                            0x1.47ae14p-7f, 0x1.9e7c70p-9f, 0x1.0624dep-10f, 0x1.4b96c0p-12f};
  json object = minimal("llama");
  object["head_dim"] = 16;
  const auto plain = load(object).rope_frequencies();
  BOOST_TEST_REQUIRE(plain.size() == 8u);
  for (std::size_t i = 0; i < 8; ++i) BOOST_TEST(plain[i] == expected[i]);
  object["rope_scaling"] = {{"type", "linear"}, {"factor", 4}};
  const auto linear = load(object).rope_frequencies();
  for (std::size_t i = 0; i < 8; ++i) BOOST_TEST(linear[i] == expected[i] / 4);
}
