// Architectures whose GGUF files hold something in another form than their folders: Ministral 3,
// DeepSeek, Gemma 4. The tiny folders are written as converters write them, from tensors that code
// of the tests reads, and must give the folder's plan, matrices and vectors, bit for bit.
#include <boost/test/data/test_case.hpp>

#include <algorithm>
#include <fstream>

#include "model/weights/gguf_model.hpp"
#include "model/weights/plan_file.hpp"
#include "model/weights/quantized.hpp"
#include "tests/model/gguf_writer.hpp"
#include "tests/model/model_folder.hpp"
#include "tests/support/models.hpp"
#include "tests/support/peft_folder.hpp"

using namespace talaria;
using namespace talaria::model;
using namespace talaria::test;
namespace bdata = boost::unit_test::data;
using nlohmann::json;
using tests::PlainTensor;
using tests::PlainTensors;

BOOST_AUTO_TEST_SUITE(gguf_shapes)

namespace {

using NameMap = std::map<std::string, std::string>;

const NameMap kOutsideNames{{"model.embed_tokens", "token_embd"},
                            {"model.norm", "output_norm"},
                            {"model.embed_tokens_per_layer", "per_layer_token_embd"},
                            {"model.per_layer_model_projection", "per_layer_model_proj"},
                            {"model.per_layer_projection_norm", "per_layer_proj_norm"}};

const NameMap kInsideNames{{"input_layernorm", "attn_norm"},
                           {"self_attn.q_proj", "attn_q"},
                           {"self_attn.k_proj", "attn_k"},
                           {"self_attn.v_proj", "attn_v"},
                           {"self_attn.o_proj", "attn_output"},
                           {"self_attn.q_norm", "attn_q_norm"},
                           {"self_attn.k_norm", "attn_k_norm"},
                           {"self_attn.q_a_proj", "attn_q_a"},
                           {"self_attn.q_a_layernorm", "attn_q_a_norm"},
                           {"self_attn.q_b_proj", "attn_q_b"},
                           {"self_attn.kv_a_proj_with_mqa", "attn_kv_a_mqa"},
                           {"self_attn.kv_a_layernorm", "attn_kv_a_norm"},
                           {"self_attn.kv_b_proj", "attn_kv_b"},
                           {"mlp.gate_proj", "ffn_gate"},
                           {"mlp.up_proj", "ffn_up"},
                           {"mlp.down_proj", "ffn_down"},
                           {"mlp.gate", "ffn_gate_inp"},
                           {"mlp.shared_experts.gate_proj", "ffn_gate_shexp"},
                           {"mlp.shared_experts.up_proj", "ffn_up_shexp"},
                           {"mlp.shared_experts.down_proj", "ffn_down_shexp"},
                           {"per_layer_input_gate", "inp_gate"},
                           {"per_layer_projection", "proj"},
                           {"post_per_layer_input_norm", "post_norm"},
                           {"layer_scalar", "layer_output_scale"}};

struct Written {
  const char* folder;
  const char* architecture;
  bool joined = false; ///< keys and values of latent attention in one tensor, as before 2025
  friend std::ostream& operator<<(std::ostream& out, const Written& file) {
    return out << file.folder << (file.joined ? " joined" : "");
  }
};
const std::vector<Written> kFiles{{"ministral3", "mistral3"},   {"deepseek_v2", "deepseek2"},
                                  {"deepseek_v3", "deepseek2"}, {"deepseek_v3", "deepseek2", true},
                                  {"gemma4_e", "gemma4"},       {"gemma4_31b", "gemma4"}};

class ShapedFile {
public:
  explicit ShapedFile(const Written& kind) : kind_(kind) {
    const auto folder = tests::model_folder(kind.folder);
    std::ifstream in(folder / "config.json");
    json outer = json::parse(in);
    config_ = outer.contains("text_config") ? outer["text_config"] : outer;
    for (auto& [name, tensor] : tests::read_plain(folder)) {
      std::string plain = name;
      for (const char* prefix : {"model.language_model.", "language_model.model."})
        if (name.starts_with(prefix)) plain = "model." + name.substr(std::strlen(prefix));
      if (plain.starts_with("model.layers.") || plain.starts_with("model.embed_tokens") ||
          plain.starts_with("model.norm.") || plain.starts_with("model.per_layer"))
        tensors_.emplace(plain, std::move(tensor));
    }
    write_common();
    if (is("mistral3")) write_mistral3();
    if (is("deepseek2")) write_deepseek2();
    if (is("gemma4")) write_gemma4();
    write_tensors();
    path_ = temporary_.write("model.gguf", file_.file());
  }
  const std::filesystem::path& path() const { return path_; }

private:
  bool is(const char* architecture) const {
    return std::string(kind_.architecture) == architecture;
  }
  std::string key(const std::string& name) const { return kind_.architecture + ("." + name); }
  u32 integer(const char* name) const { return config_.at(name).get<u32>(); }
  void put(const std::string& name, u32 value) { file_.integer(key(name), value); }

  void write_common() {
    file_.string("general.architecture", kind_.architecture);
    put("block_count", integer("num_hidden_layers"));
    put("context_length", integer("max_position_embeddings"));
    put("embedding_length", integer("hidden_size"));
    put("attention.head_count", integer("num_attention_heads"));
    file_.number(key("attention.layer_norm_rms_epsilon"), config_["rms_norm_eps"].get<float>());
    file_.integer("tokenizer.ggml.bos_token_id", 4092);
  }

  void write_yarn(const json& rope) {
    file_.number(key("rope.freq_base"),
                 rope.value("rope_theta", config_.value("rope_theta", 10000.0F)));
    file_.string(key("rope.scaling.type"), "yarn");
    file_.number(key("rope.scaling.factor"), rope["factor"].get<float>());
    put("rope.scaling.original_context_length",
        rope["original_max_position_embeddings"].get<u32>());
  }

  void write_mistral3() {
    const json& rope = config_["rope_parameters"];
    write_yarn(rope);
    put("feed_forward_length", integer("intermediate_size"));
    put("attention.head_count_kv", integer("num_key_value_heads"));
    put("attention.key_length", integer("head_dim"));
    put("attention.value_length", integer("head_dim"));
    put("rope.dimension_count", integer("head_dim"));
    file_.number(key("rope.scaling.yarn_log_multiplier"), rope["mscale_all_dim"].get<float>());
    file_.number(key("attention.temperature_scale"), rope["llama_4_scaling_beta"].get<float>());
  }

  void write_deepseek2() {
    const json& rope = config_["rope_scaling"];
    write_yarn(rope);
    const u32 turned = integer("qk_rope_head_dim");
    const u32 keys = integer("qk_nope_head_dim") + turned;
    const u32 rank = integer("kv_lora_rank");
    put("feed_forward_length", integer("intermediate_size"));
    put("rope.dimension_count", turned);
    put("attention.kv_lora_rank", rank);
    if (!config_.value("q_lora_rank", json()).is_null())
      put("attention.q_lora_rank", integer("q_lora_rank"));
    if (kind_.joined) {
      put("attention.head_count_kv", integer("num_attention_heads"));
      put("attention.key_length", keys);
      put("attention.value_length", integer("v_head_dim"));
    } else {
      put("attention.head_count_kv", 1);
      put("attention.key_length", rank + turned);
      put("attention.value_length", rank);
      put("attention.key_length_mla", keys);
      put("attention.value_length_mla", integer("v_head_dim"));
    }
    file_.number(key("rope.scaling.yarn_log_multiplier"),
                 0.1F * rope["mscale_all_dim"].get<float>());
    put("leading_dense_block_count", integer("first_k_dense_replace"));
    put("expert_count", integer("n_routed_experts"));
    put("expert_used_count", integer("num_experts_per_tok"));
    put("expert_shared_count", integer("n_shared_experts"));
    file_.number(key("expert_weights_scale"), config_["routed_scaling_factor"].get<float>());
    const bool sigmoid = config_.value("scoring_func", "") == "sigmoid";
    put("expert_gating_func", sigmoid ? 2 : 1);
    if (config_.value("norm_topk_prob", false)) file_.boolean(key("expert_weights_norm"), true);
    if (!sigmoid) return;
    put("expert_group_count", integer("n_group"));
    put("expert_group_used_count", integer("topk_group"));
  }

  void write_gemma4() {
    const auto types = config_["layer_types"].get<std::vector<std::string>>();
    const u32 shared = integer("num_kv_shared_layers");
    const bool wide = config_["use_double_wide_mlp"].get<bool>();
    const json& global = config_["num_global_key_value_heads"];
    std::string slides;
    std::vector<u32> kv;
    std::vector<u32> widths;
    for (std::size_t l = 0; l < types.size(); ++l) {
      const bool near = types[l] == "sliding_attention";
      slides += near ? '\1' : '\0';
      kv.push_back(near || global.is_null() ? integer("num_key_value_heads") : global.get<u32>());
      widths.push_back(integer("intermediate_size") * (wide && l + shared >= types.size() ? 2 : 1));
    }
    file_.key(key("attention.sliding_window_pattern"), GgufWriter::kArray,
              GgufWriter::raw<u32>(GgufWriter::kBool) + GgufWriter::raw<u64>(slides.size()) +
                  slides);
    if (global.is_null())
      put("attention.head_count_kv", kv[0]);
    else
      file_.list(key("attention.head_count_kv"), GgufWriter::kU32, kv);
    if (wide)
      file_.list(key("feed_forward_length"), GgufWriter::kU32, widths);
    else
      put("feed_forward_length", widths[0]);
    put("attention.sliding_window", integer("sliding_window"));
    put("attention.shared_kv_layers", shared);
    put("embedding_length_per_layer_input", integer("hidden_size_per_layer_input"));
    const u32 full = integer("global_head_dim");
    const u32 near = integer("head_dim");
    for (const char* which :
         {"attention.key_length", "attention.value_length", "rope.dimension_count"}) {
      put(which, full);
      put(which + std::string("_swa"), near);
    }
    file_.number(key("rope.freq_base"), 1e6F).number(key("rope.freq_base_swa"), 1e4F);
    file_.number(key("final_logit_softcapping"), config_["final_logit_softcapping"].get<float>());
    std::vector<float> factors(full / 2, 1e30F);
    std::fill_n(factors.begin(), full / 8, 1.0F); // a quarter of the pairs turns
    file_.floats("rope_freqs.weight", {factors.size()}, factors);
  }

  void write_tensors() {
    for (const auto& [name, tensor] : tensors_) {
      const auto suffix = name.ends_with("layer_scalar") ? name.size() : name.rfind('.');
      const std::string stem = name.substr(0, suffix);
      if (const auto at = kOutsideNames.find(stem); at != kOutsideNames.end()) {
        write(at->second + ".weight", tensor);
        continue;
      }
      const auto dot = stem.find('.', std::strlen("model.layers."));
      const std::string block =
          "blk." + stem.substr(std::strlen("model.layers."), dot - std::strlen("model.layers.")) +
          ".";
      write_inside(block, stem.substr(dot + 1), name.substr(suffix), tensor);
    }
  }

  void write_inside(const std::string& block, const std::string& kind, const std::string& suffix,
                    const PlainTensor& tensor) {
    const NameMap around{
        {"post_attention_layernorm", is("gemma4") ? "post_attention_norm" : "ffn_norm"},
        {"pre_feedforward_layernorm", "ffn_norm"},
        {"post_feedforward_layernorm", "post_ffw_norm"}};
    if (kind == "mlp.gate" && suffix == ".e_score_correction_bias")
      return write(block + "exp_probs_b.bias", tensor);
    if (kind.starts_with("mlp.experts.")) return write_expert(block, kind, tensor);
    if (kind == "self_attn.kv_b_proj" && !kind_.joined) return write_split(block, tensor);
    const bool turns = kind == "self_attn.q_proj" || kind == "self_attn.k_proj";
    const auto at = around.find(kind);
    const std::string name = at != around.end() ? at->second : kInsideNames.at(kind);
    write(block + name + ".weight", is("mistral3") && turns ? interleaved(tensor) : tensor);
  }

  /// The first expert of a layer brings all.
  void write_expert(const std::string& block, const std::string& kind, const PlainTensor& first) {
    const std::string which = kind.substr(kind.rfind('.') + 1);
    if (kind.find(".0.") == std::string::npos) return;
    const u32 experts = integer("n_routed_experts");
    PlainTensor all{{experts, first.shape[0], first.shape[1]}, {}};
    const std::string layer = block.substr(4, block.size() - 5);
    for (u32 e = 0; e < experts; ++e) {
      const auto& each = tensors_.at("model.layers." + layer + ".mlp.experts." + std::to_string(e) +
                                     "." + which + ".weight");
      all.values.insert(all.values.end(), each.values.begin(), each.values.end());
    }
    write(block + "ffn_" + which.substr(0, which.find('_')) + "_exps.weight", all);
  }

  /// Keys [heads, rank, key], turned; values [heads, value, rank].
  void write_split(const std::string& block, const PlainTensor& tensor) {
    const std::size_t heads = integer("num_attention_heads");
    const std::size_t key_dim = integer("qk_nope_head_dim");
    const std::size_t value_dim = integer("v_head_dim");
    const std::size_t rank = tensor.shape[1];
    PlainTensor keys{{heads, rank, key_dim}, std::vector<float>(heads * rank * key_dim)};
    PlainTensor values{{heads, value_dim, rank}, {}};
    for (std::size_t h = 0; h < heads; ++h)
      for (std::size_t r = 0; r < key_dim + value_dim; ++r)
        for (std::size_t i = 0; i < rank; ++i) {
          const float x = tensor.values[(h * (key_dim + value_dim) + r) * rank + i];
          if (r < key_dim)
            keys.values[(h * rank + i) * key_dim + r] = x;
          else
            values.values.push_back(x);
        }
    write(block + "attn_k_b.weight", keys);
    write(block + "attn_v_b.weight", values);
  }

  PlainTensor interleaved(const PlainTensor& tensor) const {
    const std::size_t head = integer("head_dim");
    const std::size_t width = tensor.shape[1];
    PlainTensor out = tensor;
    for (std::size_t row = 0; row < tensor.shape[0]; ++row) {
      const std::size_t within = row % head;
      const std::size_t to =
          row - within + (within < head / 2 ? 2 * within : 2 * (within - head / 2) + 1);
      std::copy_n(tensor.values.begin() + static_cast<std::ptrdiff_t>(row * width), width,
                  out.values.begin() + static_cast<std::ptrdiff_t>(to * width));
    }
    return out;
  }

  void write(const std::string& name, const PlainTensor& tensor) {
    file_.floats(name, {tensor.shape.begin(), tensor.shape.end()}, tensor.values);
  }

  Written kind_;
  json config_;
  PlainTensors tensors_;
  GgufWriter file_;
  TemporaryFolder temporary_;
  std::filesystem::path path_;
};

std::string printed(const arch::ModelPlan& plan) {
  const std::string text = arch::plan_text(plan);
  return text.substr(0, text.rfind("    sample")); // which ids end an answer differs
}

void check_vectors(const LayerGains& ours, const LayerGains& theirs) {
  for (const auto vector :
       {&LayerGains::q, &LayerGains::k, &LayerGains::attention_in, &LayerGains::feed_forward_in,
        &LayerGains::attention_out, &LayerGains::feed_forward_out, &LayerGains::router,
        &LayerGains::choice_bias})
    BOOST_TEST((ours.*vector == theirs.*vector));
  BOOST_TEST(ours.scalar == theirs.scalar);
  BOOST_TEST((ours.per_layer.gate == theirs.per_layer.gate));
  BOOST_TEST((ours.per_layer.projection == theirs.per_layer.projection));
  BOOST_TEST((ours.per_layer.gain == theirs.per_layer.gain));
}

} // namespace

BOOST_DATA_TEST_CASE(a_file_of_another_form_is_the_folder_it_was_made_of, bdata::make(kFiles),
                     kind) {
  const ShapedFile twin(kind);
  const auto path = tests::model_folder(kind.folder);
  const arch::ModelPlan plan = load_model_plan(twin.path());
  const arch::ModelPlan expected = load_model_plan(path);
  BOOST_TEST(printed(plan) == printed(expected));
  BOOST_TEST_REQUIRE(plan.ropes.size() == expected.ropes.size());
  for (std::size_t i = 0; i < plan.ropes.size(); ++i) {
    BOOST_TEST(plan.ropes[i].frequencies == expected.ropes[i].frequencies,
               boost::test_tools::per_element());
    BOOST_TEST(std::abs(plan.ropes[i].magnitude - expected.ropes[i].magnitude) <= 1e-6F);
  }
  BOOST_TEST_REQUIRE(plan.linears.size() == expected.linears.size());
  const TensorStore file(twin.path());
  const TensorStore folder(path);
  for (u32 i = 0; i < plan.linears.size(); ++i) {
    const auto ours = load_linear(file, plan.linears[{i}], WeightFormat::int16);
    const auto theirs = load_linear(folder, expected.linears[{i}], WeightFormat::int16);
    BOOST_TEST(to_hex(digest(ours)) == to_hex(digest(theirs)), plan.linears[{i}].name);
    BOOST_TEST(ours.scale == theirs.scale, boost::test_tools::per_element());
  }
  const EnclaveTensors ours = load_enclave_tensors(file, plan);
  const EnclaveTensors theirs = load_enclave_tensors(folder, expected);
  BOOST_TEST((ours.final_gain == theirs.final_gain));
  BOOST_TEST((ours.per_layer_gain == theirs.per_layer_gain));
  for (std::size_t l = 0; l < ours.gains.size(); ++l) check_vectors(ours.gains[l], theirs.gains[l]);
  if (!plan.per_layer_inputs) return;
  const auto& inputs = *plan.per_layer_inputs;
  const std::size_t width = plan.layers.size() * inputs.width;
  std::vector<float> row(width);
  std::vector<float> expected_row(width);
  EmbeddingTable(file, inputs.table, inputs.tokens, width).lookup(77, row);
  EmbeddingTable(folder, inputs.table, inputs.tokens, width).lookup(77, expected_row);
  BOOST_TEST(row == expected_row, boost::test_tools::per_element());
}

namespace {

GgufWriter decoder(const std::string& architecture) {
  GgufWriter out;
  out.string("general.architecture", architecture);
  for (const auto& [name, value] : {std::pair{"block_count", 2u},
                                    {"context_length", 64u},
                                    {"embedding_length", 32u},
                                    {"attention.head_count", 4u},
                                    {"rope.scaling.original_context_length", 32u}})
    if (architecture != "mistral3" || std::string(name).find("original") == std::string::npos)
      out.integer(architecture + "." + name, value);
  out.number(architecture + ".attention.layer_norm_rms_epsilon", 1e-5F);
  return out;
}

/// What the metadata become, if the tensors have what these architectures look at.
std::string config_of(const GgufWriter& file) {
  const std::string bytes = file.file();
  const GgufHeader header =
      parse_gguf_header({reinterpret_cast<const u8*>(bytes.data()), bytes.size()}, "shapes.gguf");
  GgufTensors tensors;
  tensors.shapes = {{"token_embd.weight", {100, 32}}, {"blk.1.ffn_gate_exps.weight", {2, 8, 32}}};
  tensors.values = [](const std::string&) { return std::vector<float>{1, 1e30F, 1e30F, 1e30F}; };
  return gguf_config(GgufFields(header.metadata, "shapes.gguf"), tensors);
}

void check_refused(const GgufWriter& file, const std::string& key) {
  check_error([&] { config_of(file); }, Errc::model, {"shapes.gguf: ", key});
}

} // namespace

BOOST_AUTO_TEST_CASE(what_makes_another_model_of_another_form_is_refused_by_key) {
  GgufWriter mistral = decoder("mistral3");
  mistral.integer("mistral3.feed_forward_length", 64);
  BOOST_TEST(config_of(mistral).find("llama_4_scaling_beta") == std::string::npos);
  mistral.number("mistral3.attention.temperature_scale", 0.1F);
  check_refused(mistral, "mistral3.rope.scaling.original_context_length");

  GgufWriter latent = decoder("deepseek2");
  for (const auto& [name, value] : {std::pair{"feed_forward_length", 64u},
                                    {"attention.key_length", 24u},
                                    {"attention.value_length", 16u},
                                    {"attention.kv_lora_rank", 16u},
                                    {"rope.dimension_count", 8u},
                                    {"expert_count", 2u},
                                    {"expert_used_count", 1u}})
    latent.integer(std::string("deepseek2.") + name, value);
  BOOST_TEST(json::parse(config_of(latent))["qk_nope_head_dim"] == 16);
  GgufWriter gated = latent;
  check_refused(gated.integer("deepseek2.expert_gating_func", 3), "expert_gating_func");
  GgufWriter stretched = latent;
  stretched.string("deepseek2.rope.scaling.type", "yarn");
  stretched.number("deepseek2.rope.scaling.factor", 4);
  check_refused(stretched, "yarn_log_multiplier");

  const auto shared = [](const std::vector<u32>& widths, u32 sharing) {
    GgufWriter gemma = decoder("gemma4");
    gemma.list("gemma4.feed_forward_length", GgufWriter::kU32, widths);
    for (const auto& [name, value] : {std::pair{"attention.key_length", 8u},
                                      {"attention.key_length_swa", 4u},
                                      {"attention.sliding_window", 16u},
                                      {"attention.head_count_kv", 2u},
                                      {"attention.shared_kv_layers", sharing}})
      gemma.integer(std::string("gemma4.") + name, value);
    return gemma;
  };
  const json config = json::parse(config_of(shared({32, 64}, 1)));
  BOOST_TEST((config["use_double_wide_mlp"] == true && config["intermediate_size"] == 32));
  BOOST_TEST(config["rope_parameters"]["full_attention"]["partial_rotary_factor"] == 0.25);
  check_refused(shared({32, 64}, 0), "gemma4.feed_forward_length");
  check_refused(shared({32, 48}, 1), "gemma4.feed_forward_length");
  check_refused(shared({32}, 1), "gemma4.feed_forward_length");
  check_refused(shared({32, 32}, 2), "gemma4.attention.shared_kv_layers");
}

BOOST_AUTO_TEST_SUITE_END()
