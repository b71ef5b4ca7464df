#include "arch/model_plan.hpp"

#include <boost/test/data/test_case.hpp>

#include <cmath>
#include <cstdlib>
#include <fstream>
#include <functional>

#include "arch/decoder_config.hpp"
#include "model/weights/plan_file.hpp"
#include "tests/model/model_folder.hpp"

using namespace talaria;
using namespace talaria::arch;
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

ModelPlan load(const json& object) {
  TemporaryFolder folder;
  folder.write("config.json", object.dump());
  return model::load_model_plan(folder.path());
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

const Attention& attention(const ModelPlan& plan) {
  return plan.layers.front().attention;
}
bool has_bias(const ModelPlan& plan, LinearKind kind) {
  return plan.linears.of(0, kind).bias;
}
float rms_eps(const ModelPlan& plan) {
  return plan.final_norm.eps;
}
const std::vector<float>& frequencies_of(const ModelPlan& plan) {
  return plan.ropes.front().frequencies;
}

} // namespace

BOOST_DATA_TEST_CASE(conformance_models_read_as_their_files_say, bdata::make(kModels), name) {
  std::ifstream in(model_folder(name) / "config.json");
  const json file = json::parse(in);
  const ModelPlan plan = model::load_model_plan(model_folder(name));
  const auto integer = [&file](const char* key, u32 otherwise) {
    return file.value(key, otherwise);
  };
  BOOST_TEST(plan.model_type == file.at("model_type").get<std::string>());
  BOOST_TEST(plan.hidden == file.at("hidden_size").get<u32>());
  BOOST_TEST(plan.layers.front().feed_forward.intermediate ==
             file.at("intermediate_size").get<u32>());
  BOOST_TEST(plan.layer_count() == file.at("num_hidden_layers").get<u32>());
  BOOST_TEST(attention(plan).heads == file.at("num_attention_heads").get<u32>());
  BOOST_TEST(attention(plan).kv_heads == file.at("num_key_value_heads").get<u32>());
  BOOST_TEST(attention(plan).head_dim == integer("head_dim", plan.hidden / attention(plan).heads));
  BOOST_TEST(plan.vocab == 4096u);
  BOOST_TEST(plan.max_position == file.at("max_position_embeddings").get<u32>());
  BOOST_TEST(rms_eps(plan) == file.at("rms_norm_eps").get<float>());
  BOOST_TEST(plan.tied_embeddings == file.at("tie_word_embeddings").get<bool>());
  BOOST_TEST(plan.bos.value() == 4092u);
  BOOST_TEST((attention(plan).head_norm == HeadNorm::per_head) == (plan.model_type == "qwen3"));
  BOOST_TEST(has_bias(plan, LinearKind::qkv) == (plan.model_type == "qwen2"));
  BOOST_TEST((!has_bias(plan, LinearKind::o) && !has_bias(plan, LinearKind::down)));
  BOOST_TEST(attention(plan).window == (plan.model_type == "mistral" ? 24u : 0u));
}

BOOST_AUTO_TEST_CASE(llama3_reads_its_scaling_and_both_end_tokens) {
  const ModelPlan plan = model::load_model_plan(model_folder(kModels[0]));
  const auto scaling = RopeScaling::llama3(8, 1, 4, 256);
  BOOST_TEST(frequencies_of(plan) ==
                 make_rope("", 500000, attention(plan).head_dim, scaling).frequencies,
             boost::test_tools::per_element());
  BOOST_TEST(plan.eos == (std::vector<u32>{4095, 4093}), boost::test_tools::per_element());
  BOOST_TEST(model::load_model_plan(model_folder(kModels[1])).eos == std::vector<u32>{4095},
             boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(absent_fields_take_the_defaults_of_transformers) {
  const ModelPlan llama = load(minimal("llama"));
  BOOST_TEST(attention(llama).head_dim == 8u);
  BOOST_TEST(llama.max_position == 2048u);
  BOOST_TEST(rms_eps(llama) == 1e-6f);
  BOOST_TEST(frequencies_of(llama) == make_rope("", 10000, 8, {}).frequencies,
             boost::test_tools::per_element());
  BOOST_TEST(
      (!llama.tied_embeddings && attention(llama).window == 0 && !llama.bos && llama.eos.empty()));
  for (const LinearKind kind : {LinearKind::qkv, LinearKind::o, LinearKind::down})
    BOOST_TEST(!has_bias(llama, kind));
  BOOST_TEST((attention(llama).head_norm == HeadNorm::none));

  BOOST_TEST(attention(load(minimal("mistral"))).window == 4096u);
  BOOST_TEST(load(minimal("mistral")).max_position == 131072u);
  BOOST_TEST(has_bias(load(minimal("qwen2")), LinearKind::qkv));
  BOOST_TEST(!has_bias(load(minimal("qwen2")), LinearKind::o));
  BOOST_TEST(attention(load(minimal("qwen3"))).head_dim == 128u);
  BOOST_TEST((attention(load(minimal("qwen3"))).head_norm == HeadNorm::per_head));

  json without_kv = minimal("llama");
  without_kv.erase("num_key_value_heads");
  BOOST_TEST(attention(load(without_kv)).kv_heads == 8u);
  without_kv["num_key_value_heads"] = nullptr;
  BOOST_TEST(attention(load(without_kv)).kv_heads == 8u);
  without_kv["model_type"] = "mistral";
  BOOST_TEST(attention(load(without_kv)).kv_heads == 8u);
}

// As the 4B model of Gemma 3 is published: an inner object says what its class does not.
BOOST_AUTO_TEST_CASE(an_inner_object_leaves_out_what_is_as_its_class_has_it) {
  const json gemma3{{"architectures", {"Gemma3ForConditionalGeneration"}},
                    {"eos_token_id", {1, 106}},
                    {"model_type", "gemma3"},
                    {"text_config",
                     {{"hidden_size", 2560},
                      {"intermediate_size", 10240},
                      {"model_type", "gemma3_text"},
                      {"num_hidden_layers", 34},
                      {"rope_scaling", {{"factor", 8.0}, {"rope_type", "linear"}}},
                      {"sliding_window", 1024}}},
                    {"vision_config", {{"hidden_size", 1152}}}};
  const ModelPlan plan = load(gemma3);
  BOOST_TEST(plan.vocab == 262208u);
  BOOST_TEST((plan.layer_count() == 34 && plan.hidden == 2560 && plan.tied_embeddings));
  const Attention& near = attention(plan);
  BOOST_TEST((near.heads == 8 && near.kv_heads == 4 && near.head_dim == 256));
  BOOST_TEST((near.window == 1024 && plan.layers[5].attention.window == 0));
  BOOST_TEST(near.scale == 1.0F / 16);
  BOOST_TEST(plan.ropes[1].frequencies == make_rope("", 10000, 256, {}).frequencies,
             boost::test_tools::per_element());
  BOOST_TEST(frequencies_of(plan) == make_rope("", 1e6F, 256, RopeScaling::linear(8)).frequencies,
             boost::test_tools::per_element());

  for (const char* type : {"mistral", "ministral3", "qwen3_5_text", "gemma4_text"}) {
    json outer{{"model_type", "outer"}, {"text_config", {{"model_type", type}}}};
    if (std::string(type) == "gemma4_text") outer["text_config"]["hidden_size_per_layer_input"] = 0;
    BOOST_TEST(load(outer).hidden != 0U, type);
    // By itself a file says its dimensions.
    check_error([&] { load(outer["text_config"]); }, Errc::model, {"hidden_size"});
    outer["text_config"]["hidden_size"] = nullptr;
    check_error([&] { load(outer); }, Errc::model, {"text_config", "hidden_size"});
  }
}

// Mistral Small 3.1 and 3.2 are a Mistral inside the wrapper that Ministral 3 has.
BOOST_AUTO_TEST_CASE(mistral_is_read_inside_its_wrapper) {
  json outer{{"architectures", {"Mistral3ForConditionalGeneration"}},
             {"model_type", "mistral3"},
             {"text_config", minimal("mistral")}};
  outer["text_config"]["sliding_window"] = nullptr;
  const ModelPlan plan = load(outer);
  BOOST_TEST((attention(plan).window == 0 && !plan.tied_embeddings));
  BOOST_TEST(rms_eps(plan) == 1e-6F);
}

BOOST_AUTO_TEST_CASE(absent_fields_of_newer_families_take_the_defaults_of_transformers) {
  const ModelPlan glm4 = load(minimal("glm4"));
  BOOST_TEST((has_bias(glm4, LinearKind::qkv) && !has_bias(glm4, LinearKind::o)));
  BOOST_TEST(attention(glm4).head_dim == 128U);
  BOOST_TEST(frequencies_of(glm4).size() == 32U); // half of the head turns
  BOOST_TEST(rms_eps(glm4) == 1.5625e-7F);

  json gemma2 = minimal("gemma2");
  gemma2.erase("num_key_value_heads");
  const ModelPlan plan = load(gemma2);
  BOOST_TEST((plan.logit_soft_cap == 30 && attention(plan).soft_cap == 50));
  BOOST_TEST((attention(plan).window == 4096 && attention(plan).kv_heads == 4));
  gemma2["attn_logit_softcapping"] = gemma2["final_logit_softcapping"] = nullptr;
  BOOST_TEST((load(gemma2).logit_soft_cap == 0 && attention(load(gemma2)).soft_cap == 0));
  BOOST_TEST(load(minimal("gemma3_text")).logit_soft_cap == 0);

  BOOST_TEST(attention(load(minimal("olmo3"))).window == 4096U);
  for (const char* type : {"phi3", "olmo2", "olmo3"})
    BOOST_TEST(rms_eps(load(minimal(type))) == 1e-5F, type);
}

BOOST_AUTO_TEST_CASE(biases_are_those_of_the_family) {
  json llama = minimal("llama");
  llama["attention_bias"] = true;
  BOOST_TEST((has_bias(load(llama), LinearKind::qkv) && has_bias(load(llama), LinearKind::o) &&
              !has_bias(load(llama), LinearKind::down)));
  llama["mlp_bias"] = true;
  BOOST_TEST(has_bias(load(llama), LinearKind::down));
  json qwen3 = minimal("qwen3");
  qwen3["attention_bias"] = true;
  BOOST_TEST((has_bias(load(qwen3), LinearKind::qkv) && has_bias(load(qwen3), LinearKind::o)));
  check_refused("mistral", {{"attention_bias", true}}, "attention_bias");
  check_refused("qwen2", {{"mlp_bias", true}}, "mlp_bias");
}

BOOST_AUTO_TEST_CASE(the_window_is_read_as_each_family_means_it) {
  json mistral = minimal("mistral");
  mistral["sliding_window"] = nullptr;
  BOOST_TEST(attention(load(mistral)).window == 0u);
  mistral["sliding_window"] = 7;
  BOOST_TEST(attention(load(mistral)).window == 7u);

  for (const char* type : {"qwen2", "qwen3"}) {
    json qwen = minimal(type);
    qwen["sliding_window"] = 16;
    BOOST_TEST(attention(load(qwen)).window == 0u);
    qwen["use_sliding_window"] = true; // max_window_layers is 28 by default: none of two layers
    BOOST_TEST(attention(load(qwen)).window == 0u);
    qwen["max_window_layers"] = 0;
    BOOST_TEST(attention(load(qwen)).window == 16u);
    qwen["layer_types"] = {"sliding_attention", "sliding_attention"};
    BOOST_TEST(attention(load(qwen)).window == 16u);
    qwen["layer_types"] = {"full_attention", "sliding_attention"};
    BOOST_TEST(attention(load(qwen)).window == 0u);
    BOOST_TEST(load(qwen).layers[1].attention.window == 16u);
    qwen.erase("layer_types");
    qwen["max_window_layers"] = 1;
    BOOST_TEST(attention(load(qwen)).window == 0u);
    BOOST_TEST(load(qwen).layers[1].attention.window == 16u);
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
      const ModelPlan plan = load(object);
      BOOST_TEST(frequencies_of(plan) ==
                     make_rope("", 5e5f, 8, RopeScaling::llama3(4, 1, 3, 512)).frequencies,
                 boost::test_tools::per_element());
    }
  }
  json linear = minimal("llama");
  linear["rope_scaling"] = {{"type", "linear"}, {"factor", 2.5}};
  BOOST_TEST(frequencies_of(load(linear)) ==
                 make_rope("", 10000, 8, RopeScaling::linear(2.5f)).frequencies,
             boost::test_tools::per_element());
  json plain = minimal("llama");
  plain["rope_parameters"] = {{"rope_type", "default"}, {"rope_theta", 1e6}};
  BOOST_TEST(frequencies_of(load(plain)) == make_rope("", 1e6f, 8, {}).frequencies,
             boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(rope_objects_may_say_what_transformers_5_adds_to_them) {
  json dynamic = minimal("llama");
  dynamic["rope_parameters"] = {{"rope_type", "dynamic"}, {"rope_theta", 10000}, {"factor", 2}};
  const ModelPlan plain = load(dynamic);
  dynamic["rope_parameters"]["original_max_position_embeddings"] = 64;
  BOOST_TEST(load(dynamic).ropes[0].dynamic_length == plain.ropes[0].dynamic_length);
  BOOST_TEST(load(dynamic).max_position == plain.max_position);

  json both = minimal("llama");
  both["rope_parameters"] =
      both["rope_scaling"] = {{"rope_type", "linear"}, {"rope_theta", 10000}, {"factor", 2}};
  BOOST_TEST(frequencies_of(load(both)) ==
                 make_rope("", 10000, 8, RopeScaling::linear(2)).frequencies,
             boost::test_tools::per_element());
  both["rope_scaling"]["factor"] = 4;
  check_error([&] { load(both); }, Errc::model, {"rope_scaling", "rope_parameters"});

  json swish = minimal("llama");
  swish["hidden_act"] = "swish";
  BOOST_TEST((load(swish).layers[0].feed_forward.activation == Activation::silu));
}

BOOST_AUTO_TEST_CASE(rope_that_is_not_computed_is_refused_by_name) {
  for (const char* kind : {"mrope", "proportional", "YARN", ""})
    check_refused("llama", {{"rope_scaling", {{"rope_type", kind}, {"factor", 2}}}}, "rope_type",
                  "\"longrope\" or \"llama3\"");
  for (const char* kind : {"longrope", "su"})
    check_refused("llama", {{"rope_scaling", {{"rope_type", kind}, {"factor", 2}}}},
                  "short_factor");
  check_refused("llama",
                {{"rope_scaling",
                  {{"type", "longrope"}, {"short_factor", {1, 1}}, {"long_factor", {1, 1, 1, 1}}}}},
                "short_factor");
  check_refused("llama", {{"rope_scaling", {{"type", "dynamic"}}}}, "factor", "missing");
  check_refused("llama", {{"rope_scaling", {{"type", "yarn"}, {"beta_fast", 1}, {"beta_slow", 2}}}},
                "beta_fast");
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
  const json other{{"type", "linear"}, {"factor", 3}};
  check_refused("llama", {{"rope_scaling", linear}, {"rope_parameters", other}}, "rope_scaling");
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
  for (const char* type : {"gemma", "mamba", "gpt2", "", "LLAMA"})
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
  check_error([&] { model::load_model_plan(folder.path()); }, Errc::model, {path.string()});
  for (const std::string& text :
       {std::string(), std::string("{"), std::string("[]"), std::string("null"),
        std::string(5, '\0'), std::string(100000, '['), std::string("{\"vocab_size\":1e999}"),
        minimal("llama").dump().substr(1), minimal("llama").dump() + "x"}) {
    folder.write("config.json", text);
    check_error([&] { model::load_model_plan(folder.path()); }, Errc::model, {path.string()});
  }
  const std::string twice = R"({"vocab_size": 1, "vocab_size": 2})";
  folder.write("config.json", twice);
  check_error([&] { model::load_model_plan(folder.path()); }, Errc::model, {"vocab_size", "twice"});
}

BOOST_DATA_TEST_CASE(rope_frequencies_match_the_formula_in_long_double, bdata::make(kModels),
                     name) {
  const ModelPlan plan = model::load_model_plan(model_folder(name));
  std::ifstream in(model_folder(name) / "config.json");
  const json file = json::parse(in);
  const auto frequencies = frequencies_of(plan);
  BOOST_TEST_REQUIRE(frequencies.size() == attention(plan).head_dim / 2);
  BOOST_TEST(frequencies[0] == 1.0f);
  const json& s = file.at("rope_scaling");
  const bool stretched = s.is_object();
  const long double pi = std::acos(-1.0L);
  int kept = 0, divided = 0;
  for (std::size_t i = 0; i < frequencies.size(); ++i) {
    const long double fraction = 2.0L * i / attention(plan).head_dim;
    long double x = std::exp(-fraction * std::log(file.at("rope_theta").get<long double>()));
    if (stretched) {
      // The blend of transformers, written as a clamp: 1 keeps, 0 divides by the factor.
      const auto low = s.at("low_freq_factor").get<long double>();
      const auto high = s.at("high_freq_factor").get<long double>();
      const long double turns =
          s.at("original_max_position_embeddings").get<long double>() * x / (2 * pi);
      const long double blend = std::clamp((turns - low) / (high - low), 0.0L, 1.0L);
      kept += blend == 1;
      divided += blend == 0;
      x = x * (blend + (1 - blend) / s.at("factor").get<long double>());
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
  const auto plain = frequencies_of(load(object));
  BOOST_TEST_REQUIRE(plain.size() == 8u);
  for (std::size_t i = 0; i < 8; ++i) BOOST_TEST(plain[i] == expected[i]);
  object["rope_scaling"] = {{"type", "linear"}, {"factor", 4}};
  const auto linear = frequencies_of(load(object));
  for (std::size_t i = 0; i < 8; ++i) BOOST_TEST(linear[i] == expected[i] / 4);
}

BOOST_AUTO_TEST_CASE(newer_spellings_say_the_same) {
  const auto conformance = std::filesystem::path(TALARIA_SOURCE_DIR) / "tests/data/conformance";
  for (const char* name : {"gemma3", "glm4", "olmo3", "phi3", "smollm3", "deepseek_v3"})
    BOOST_TEST_CONTEXT(name) {
      TemporaryFolder folder;
      std::filesystem::copy_file(conformance / name / "config.v5.json",
                                 folder.path() / "config.json");
      const ModelPlan older = model::load_model_plan(conformance / name);
      const ModelPlan newer = model::load_model_plan(folder.path());
      BOOST_TEST(plan_text(newer) == plan_text(older));
      for (std::size_t r = 0; r < older.ropes.size(); ++r)
        BOOST_TEST(newer.ropes.at(r).frequencies == older.ropes[r].frequencies,
                   boost::test_tools::per_element());
    }
}

// Values that no shipped family combines yet: the plan and its matrices follow them all the same.
BOOST_AUTO_TEST_CASE(a_plan_follows_its_layers) {
  DecoderConfig config;
  config.hidden = 12;
  config.intermediate = 20;
  config.layers = 2;
  config.heads = 3;
  config.kv_heads = 1;
  config.head_dim = 4;
  config.vocab = 50;
  config.max_position = 64;
  config.rms_eps = 1e-5f;
  config.rope_theta = 1e4f;
  ModelPlan plan = plan_layers(config, "decoder.");
  plan.layers[1].attention.heads = 6; // another width in the second layer
  plan.layers[1].attention.kv_heads = 2;
  plan.layers[1].feed_forward.intermediate = 8;
  plan.layers[1].attention_norm.reset();
  plan.layers[0].multiplier = 0.5f;
  TensorNames names;
  names.root = "decoder.";
  names.head = "output";
  names.fused_qkv = true;
  names.o_bias = true;
  names.logit_multiplier = 0.25f;
  const LinearTable table = linear_table(plan, names);

  BOOST_TEST_REQUIRE(table.size() == 9u);
  BOOST_TEST(table.of(1, LinearKind::qkv).d_out == 40u);
  BOOST_TEST(table.of(1, LinearKind::qkv).gain.tensor.empty());
  BOOST_TEST(table.of(0, LinearKind::qkv).gain.tensor == "decoder.layers.0.input_layernorm.weight");
  BOOST_TEST(table.of(0, LinearKind::qkv).parts.front().base ==
             "decoder.layers.0.self_attn.qkv_proj");
  BOOST_TEST(table.of(1, LinearKind::o).d_in == 24u);
  BOOST_TEST(table.of(1, LinearKind::o).bias);
  BOOST_TEST(table.of(0, LinearKind::down).multiplier == 0.5f);
  BOOST_TEST(table.of(1, LinearKind::down).d_in == 8u);
  BOOST_TEST(table.head().parts.front().base == "output");
  BOOST_TEST(table.head().multiplier == 0.25f);
  BOOST_TEST(table.head().layer == 1u);
  for (u32 i = 0; i < table.size(); ++i) BOOST_TEST(table[{i}].id.value == i);
  check_error([&] { table.at({9}); }, Errc::internal, {"9"});
}

const char* const kPlanned[] = {
    "llama3",     "mistral", "qwen2",         "qwen3",       "smollm3",     "phi3",
    "olmo2",      "olmo3",   "gemma2",        "gemma3",      "ministral3",  "llama_yarn",
    "granite",    "glm4",    "llama_dynamic", "mixtral",     "qwen2_moe",   "qwen3_moe",
    "olmoe",      "gpt_oss", "gpt_oss_mxfp4", "deepseek_v2", "deepseek_v3", "qwen3_5",
    "gemma4_31b", "gemma4_e"};

// Golden text, which a reader can check against the family's paper: tests/data/plans. To accept a
// change: TALARIA_WRITE_PLANS=1 build/tests/arch_test
BOOST_DATA_TEST_CASE(plans_of_the_conformance_models, bdata::make(kPlanned), name) {
  const std::filesystem::path source = TALARIA_SOURCE_DIR;
  const auto golden = source / "tests/data/plans" / (std::string(name) + ".txt");
  const std::string text =
      plan_text(model::load_model_plan(source / "tests/data/conformance" / name));
  if (std::getenv("TALARIA_WRITE_PLANS") != nullptr) std::ofstream(golden) << text;
  std::ifstream in(golden);
  BOOST_TEST(text == std::string(std::istreambuf_iterator<char>(in), {}));
}

BOOST_AUTO_TEST_CASE(mixtures_that_cannot_be_one_matrix_are_refused_by_name) {
  json mixtral = minimal("mixtral");
  mixtral["num_local_experts"] = 8;
  BOOST_TEST(load(mixtral).layers[0].feed_forward.intermediate == 8 * 96u);
  BOOST_TEST(load(mixtral).linears.of(0, LinearKind::down).d_in == 8 * 96u);
  BOOST_TEST(load(mixtral).linears.of(0, LinearKind::gate_up).d_out == 2 * 8 * 96u);
  check_refused("mixtral", {{"num_local_experts", 4096}}, "num_local_experts", "131071");
  check_refused("qwen2_moe",
                {{"num_experts", 100},
                 {"moe_intermediate_size", 1000},
                 {"shared_expert_intermediate_size", 31072}},
                "num_experts", "131071");
  check_refused("mixtral", {{"num_local_experts", 0}}, "num_local_experts");
  check_refused("mixtral", {{"num_local_experts", 4}, {"num_experts_per_tok", 5}},
                "num_experts_per_tok", "num_local_experts");
  check_refused("mixtral", {}, "num_local_experts", "missing");
  check_refused("qwen3_moe", {{"num_experts", 4}}, "moe_intermediate_size", "missing");
  json olmoe = minimal("olmoe");
  olmoe["num_experts"] = 8;
  BOOST_TEST(attention(load(olmoe)).clip == 0.0f);
  olmoe["clip_qkv"] = 2.5;
  BOOST_TEST(attention(load(olmoe)).clip == 2.5f);
  check_refused("olmoe", {{"num_experts", 8}, {"clip_qkv", -1}}, "clip_qkv");
}

BOOST_AUTO_TEST_CASE(gpt_oss_takes_the_defaults_of_transformers) {
  json object = minimal("gpt_oss");
  object["num_local_experts"] = 8;
  const ModelPlan plan = load(object);
  BOOST_TEST(attention(plan).head_dim == 64u);
  BOOST_TEST(attention(plan).window == 128u);
  BOOST_TEST(plan.layers[1].attention.window == 0u);
  BOOST_TEST(attention(plan).sinks == "model.layers.0.self_attn.sinks");
  BOOST_TEST(plan.layers[0].feed_forward.limit == 7.0f);
  BOOST_TEST(plan.layers[0].feed_forward.router->chosen == 4u);
  BOOST_TEST((has_bias(plan, LinearKind::qkv) && has_bias(plan, LinearKind::o) &&
              has_bias(plan, LinearKind::gate_up) && !has_bias(plan, LinearKind::down)));
  // YaRN, 32 times 4096, limits not rounded.
  BOOST_TEST(plan.ropes[0].magnitude == static_cast<float>(0.1 * std::log(32.0) + 1));
  object["rope_scaling"] = nullptr;
  BOOST_TEST(load(object).ropes[0].magnitude == 1.0f);
  object["layer_types"] = {"full_attention", "sliding_attention"};
  object["sliding_window"] = 9;
  object["attention_bias"] = false;
  object["swiglu_limit"] = 5;
  object["num_experts_per_tok"] = 2;
  object["quantization_config"] = {{"quant_method", "mxfp4"}, {"modules_to_not_convert", {"x"}}};
  const ModelPlan other = load(object);
  BOOST_TEST((attention(other).window == 0 && other.layers[1].attention.window == 9));
  BOOST_TEST(!has_bias(other, LinearKind::qkv));
  BOOST_TEST(other.layers[1].feed_forward.limit == 5.0f);
  BOOST_TEST(other.layers[1].feed_forward.router->chosen == 2u);
}

BOOST_AUTO_TEST_CASE(what_gpt_oss_does_not_have_is_refused_by_name) {
  const auto refused = [](json fields, const std::string& field, const std::string& part = "") {
    fields["num_local_experts"] = 8;
    check_refused("gpt_oss", fields, field, part);
  };
  refused({{"quantization_config", {{"quant_method", "gptq"}}}}, "quantization_config", "mxfp4");
  refused({{"quantization_config", "mxfp4"}}, "quantization_config");
  refused({{"sliding_window", nullptr}}, "sliding_window");
  refused({{"swiglu_limit", 0}}, "swiglu_limit");
  refused({{"hidden_act", "gelu"}}, "hidden_act");
  refused({{"num_experts_per_tok", 9}}, "num_experts_per_tok");
  check_refused("qwen3_moe",
                {{"num_experts", 4},
                 {"moe_intermediate_size", 8},
                 {"quantization_config", {{"quant_method", "mxfp4"}}}},
                "quantization_config");
}

namespace {

json small_deepseek(const std::string& type) {
  json object = minimal(type);
  object["num_key_value_heads"] = 8;
  object["n_routed_experts"] = 16;
  object["moe_intermediate_size"] = 12;
  object["first_k_dense_replace"] = 1;
  return object;
}

void deepseek_refused(const std::string& type, const json& fields, const std::string& field) {
  json object = small_deepseek(type);
  object.update(fields);
  BOOST_TEST_CONTEXT(object.dump()) {
    check_error([&] { load(object); }, Errc::model, {"config.json: ", field});
  }
}

} // namespace

BOOST_AUTO_TEST_CASE(latent_attention_is_two_matrices_before_the_scores) {
  json object = small_deepseek("deepseek_v3");
  object.update({{"q_lora_rank", 40},
                 {"kv_lora_rank", 24},
                 {"qk_nope_head_dim", 20},
                 {"qk_rope_head_dim", 12},
                 {"v_head_dim", 36}});
  const ModelPlan plan = load(object);
  BOOST_TEST(attention(plan).head_dim == 32u);
  BOOST_TEST(attention(plan).v_head_dim() == 36u);
  BOOST_TEST((plan.ropes[0].frequencies.size() == 6 && plan.ropes[0].neighbours));
  const Linear& first = plan.linears.of(0, LinearKind::qkv);
  const Linear& second = plan.linears.of(0, LinearKind::heads);
  BOOST_TEST((first.d_in == 64 && first.d_out == 40 + 24 + 12));
  BOOST_TEST((second.d_in == 40 + 24 && second.d_out == 8 * 32 + 8 * (20 + 36)));
  BOOST_TEST((second.parts[1].first_input == 40 && second.parts[1].inputs == 24));
  BOOST_TEST(second.parts[1].gain.tensor == "model.layers.0.self_attn.kv_a_layernorm.weight");
  BOOST_TEST(plan.linears.of(0, LinearKind::o).d_in == 8u * 36);

  object["q_lora_rank"] = nullptr;
  object["rope_interleave"] = false;
  object["attention_bias"] = true;
  const ModelPlan plain = load(object);
  BOOST_TEST(!plain.ropes[0].neighbours);
  BOOST_TEST(plain.linears.of(0, LinearKind::qkv).d_out == 8u * 32 + 24 + 12);
  BOOST_TEST(!plain.linears.of(0, LinearKind::qkv).parts[0].has_bias);
  BOOST_TEST(plain.linears.of(0, LinearKind::qkv).parts[1].has_bias);
  BOOST_TEST(plain.linears.of(0, LinearKind::heads).d_in == 24u);
}

BOOST_AUTO_TEST_CASE(routers_of_deepseek_are_those_of_their_version) {
  json object = small_deepseek("deepseek_v3");
  object["n_shared_experts"] = 2;
  const ModelPlan v3 = load(object);
  BOOST_TEST(!v3.layers[0].feed_forward.router.has_value());
  const FeedForward& sparse = v3.layers[1].feed_forward;
  BOOST_TEST((sparse.router->sigmoid && sparse.router->normalise && sparse.router->shared));
  BOOST_TEST((sparse.router->groups == 8 && sparse.router->groups_chosen == 4));
  BOOST_TEST((sparse.router->group_by_two && sparse.router->scale == 2.5f));
  BOOST_TEST((sparse.routed() == 16 && sparse.experts.size() == 17));
  BOOST_TEST(sparse.intermediate == 16 * 12 + 24u);

  object = small_deepseek("deepseek_v2");
  object["n_group"] = 4; // of no meaning to greedy
  BOOST_TEST(load(object).layers[1].feed_forward.experts.back().width == 24U); // two, as the class
  object["n_shared_experts"] = nullptr;
  const Router greedy = *load(object).layers[1].feed_forward.router;
  BOOST_TEST((!greedy.sigmoid && !greedy.normalise && !greedy.shared && greedy.groups == 1));
  object["topk_method"] = "group_limited_greedy";
  object["topk_group"] = 3;
  const Router grouped = *load(object).layers[1].feed_forward.router;
  BOOST_TEST((grouped.groups == 4 && grouped.groups_chosen == 3 && !grouped.group_by_two));
}

BOOST_AUTO_TEST_CASE(what_deepseek_does_not_have_is_refused_by_name) {
  deepseek_refused("deepseek_v2", {{"topk_method", "noaux_tc"}}, "topk_method");
  deepseek_refused("deepseek_v2", {{"scoring_func", "sigmoid"}}, "scoring_func");
  deepseek_refused("deepseek_v2", {{"num_key_value_heads", 4}}, "num_key_value_heads");
  deepseek_refused("deepseek_v2", {{"moe_layer_freq", 2}}, "moe_layer_freq");
  deepseek_refused("deepseek_v2", {{"kv_lora_rank", 0}}, "kv_lora_rank");
  deepseek_refused("deepseek_v2", {{"qk_rope_head_dim", 7}}, "qk_rope_head_dim");
  deepseek_refused("deepseek_v3", {{"topk_method", "greedy"}}, "topk_method");
  deepseek_refused("deepseek_v3", {{"scoring_func", "softmax"}}, "scoring_func");
  deepseek_refused("deepseek_v3", {{"n_group", 5}}, "n_group");
  deepseek_refused("deepseek_v3", {{"n_group", 16}}, "n_group");
  deepseek_refused("deepseek_v3", {{"topk_group", 9}}, "topk_group");
  deepseek_refused("deepseek_v3", {{"quantization_config", {{"quant_method", "fp8"}}}},
                   "quantization_config");
  deepseek_refused("deepseek_v3", {{"n_routed_experts", 4096}, {"moe_intermediate_size", 2048}},
                   "n_routed_experts");
}

BOOST_AUTO_TEST_CASE(qwen3_5_reads_its_variants_and_refuses_the_rest_by_name) {
  json qwen = minimal("qwen3_5_text");
  ModelPlan plan = load(qwen); // class defaults: the fourth layer of four attends
  BOOST_TEST(bool(plan.layers[0].delta_net && plan.layers[1].delta_net));
  BOOST_TEST(plan.layers[0].delta_net->channels() == 2 * 16 * 128 + 32 * 128u);
  BOOST_TEST(plan.layers[0].delta_net->taps == 4u);
  qwen["full_attention_interval"] = 2;
  plan = load(qwen);
  BOOST_TEST(bool(plan.layers[0].delta_net && !plan.layers[1].delta_net));
  BOOST_TEST(plan.layers[1].attention.head_dim == 256u);
  BOOST_TEST(plan.ropes[0].frequencies.size() == 32u); // a quarter of 256, in pairs
  BOOST_TEST(plan.layers[1].attention.columns() == 2 * 8 * 256 + 2 * 4 * 256u);
  BOOST_TEST(plan.linears.of(0, LinearKind::qkv).d_out ==
             2 * 16 * 128 + 32 * 128 + 32 * 128 + 2 * 32u);
  BOOST_TEST(plan.linears.of(0, LinearKind::o).d_in == 32 * 128u);
  qwen["attn_output_gate"] = false;
  qwen["attention_bias"] = true;
  qwen["layer_types"] = {"full_attention", "linear_attention"};
  plan = load(qwen);
  BOOST_TEST(bool(!plan.layers[0].delta_net && plan.layers[1].delta_net));
  BOOST_TEST(plan.layers[0].attention.columns() == 8 * 256 + 2 * 4 * 256u);
  BOOST_TEST(plan.linears.of(0, LinearKind::qkv).bias);
  BOOST_TEST(!plan.linears.of(1, LinearKind::qkv).bias);
  const char* const type = "qwen3_5_text";
  check_refused(type, {{"linear_num_key_heads", 5}}, "linear_num_value_heads", "multiple");
  check_refused(type, {{"linear_conv_kernel_dim", 0}}, "linear_conv_kernel_dim");
  check_refused(type, {{"mamba_ssm_dtype", "bfloat16"}}, "mamba_ssm_dtype", "float32");
  check_refused(type, {{"output_gate_type", "sigmoid"}}, "output_gate_type", "swish");
  check_refused(type, {{"num_experts", 8}}, "num_experts");
  check_refused(type, {{"hidden_act", "gelu"}}, "hidden_act");
  check_refused(type, {{"layer_types", {"linear_attention", "sliding_attention"}}}, "layer_types",
                "linear_attention");
  check_refused(type, {{"rope_parameters", {{"rope_type", "default"}, {"mrope", 1}}}}, "mrope");
}

BOOST_AUTO_TEST_CASE(gemma4_reads_its_variants_and_refuses_the_rest_by_name) {
  json gemma = minimal("gemma4_text");
  gemma["hidden_size_per_layer_input"] = 0;
  ModelPlan plan = load(gemma); // class defaults; the last layer is full
  BOOST_TEST(plan.layers[0].attention.window == 512u);
  BOOST_TEST(plan.layers[0].attention.head_dim == 256u);
  BOOST_TEST(plan.layers[1].attention.window == 0u);
  BOOST_TEST(plan.layers[1].attention.head_dim == 512u);
  BOOST_TEST(plan.layers[1].attention.kv_heads == 4u);
  const auto& full = plan.ropes[*plan.layers[1].attention.rope].frequencies;
  BOOST_TEST_REQUIRE(full.size() == 256u);
  BOOST_TEST(full[63] > 0);
  BOOST_TEST(full[64] == 0);
  BOOST_TEST(std::abs(full[1] - std::pow(1e6, -2.0 / 512)) < 1e-6);
  BOOST_TEST(plan.ropes[*plan.layers[0].attention.rope].frequencies.back() > 0);
  gemma["num_global_key_value_heads"] = 2; // looked at only where keys are values
  BOOST_TEST(load(gemma).layers[1].attention.kv_heads == 4u);
  gemma["attention_k_eq_v"] = true;
  plan = load(gemma);
  BOOST_TEST(plan.layers[1].attention.kv_heads == 2u);
  BOOST_TEST(plan.linears.of(1, LinearKind::qkv).d_out == (8 + 2) * 512u);
  BOOST_TEST(plan.linears.of(0, LinearKind::qkv).d_out == (8 + 2 * 4) * 256u);
  gemma["num_hidden_layers"] = 4;
  gemma["layer_types"] = {"full_attention", "sliding_attention", "sliding_attention",
                          "sliding_attention"};
  gemma["num_kv_shared_layers"] = 2;
  gemma["use_double_wide_mlp"] = true;
  gemma["hidden_size_per_layer_input"] = 3;
  plan = load(gemma);
  BOOST_TEST(*plan.layers[2].attention.reads_layer == 1u);
  BOOST_TEST(*plan.layers[3].attention.reads_layer == 0u); // the last one is full all the same
  BOOST_TEST(plan.layers[1].feed_forward.intermediate == 96u);
  BOOST_TEST(plan.layers[2].feed_forward.intermediate == 192u);
  BOOST_TEST(plan.linears.of(2, LinearKind::qkv).d_out == 8 * 256u);
  BOOST_TEST(plan.linears.begin()->d_out == 4 * 3u);
  BOOST_TEST(plan.linears.size() == 1 + 4 * 4 + 1u);
  gemma["use_bidirectional_attention"] = "vision";
  gemma["rope_parameters"] = {{"full_attention", {{"rope_type", "proportional"}, {"factor", 2}}},
                              {"sliding_attention", {{"rope_theta", 100}}}};
  BOOST_TEST(load(gemma).ropes[0].frequencies.back() > 0); // all pairs turn
  BOOST_TEST(load(gemma).ropes[0].frequencies[0] == 0.5f);
  const char* const type = "gemma4_text";
  check_refused(type, {{"enable_moe_block", true}}, "enable_moe_block", "26B");
  check_refused(type, {{"use_bidirectional_attention", "all"}}, "use_bidirectional_attention");
  check_refused(type, {{"num_kv_shared_layers", 1}, {"hidden_size_per_layer_input", 0}},
                "num_kv_shared_layers"); // no full layer before it
  check_refused(type, {{"num_kv_shared_layers", 2}}, "num_kv_shared_layers");
  check_refused(type, {{"vocab_size_per_layer_input", 50}}, "vocab_size_per_layer_input", "100");
  check_refused(type, {{"attention_k_eq_v", true}, {"num_global_key_value_heads", 3}},
                "num_global_key_value_heads", "divisor");
  check_refused(type, {{"global_head_dim", 33}}, "global_head_dim");
  check_refused(type, {{"sliding_window", 0}}, "sliding_window");
  check_refused(type, {{"rope_parameters", {{"rope_type", "dynamic"}, {"factor", 2}}}},
                "rope_parameters");
}
