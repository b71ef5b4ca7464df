// The tiny folders of the families, written as GGUF files the way converters do: the file gives the
// matrices, vectors and plan of the folder, bit for bit.
#include <boost/test/data/test_case.hpp>

#include <array>
#include <cmath>
#include <fstream>
#include <functional>

#include "model/weights/gguf_model.hpp"
#include "model/weights/plan_file.hpp"
#include "model/weights/quantized.hpp"
#include "tests/model/gguf_writer.hpp"
#include "tests/model/model_folder.hpp"
#include "tests/support/models.hpp"

using namespace talaria;
using namespace talaria::model;
using namespace talaria::test;
namespace bdata = boost::unit_test::data;
namespace fs = std::filesystem;
using nlohmann::json;

BOOST_AUTO_TEST_SUITE(gguf_families)

namespace {

using Renames = std::vector<std::pair<std::string, std::string>>;

struct FileKind {
  const char* folder;
  const char* architecture;
  bool permuted;
};

std::ostream& operator<<(std::ostream& out, const FileKind& kind) {
  return out << kind.folder;
}

constexpr std::array<FileKind, 17> kKinds{{{"llama_linear", "llama", true},
                                           {"llama_yarn", "llama", true},
                                           {"smollm3", "smollm3", true},
                                           {"granite", "granite", true},
                                           {"qwen2", "qwen2", false},
                                           {"qwen3", "qwen3", false},
                                           {"gemma2", "gemma2", false},
                                           {"gemma3", "gemma3", false},
                                           {"phi3", "phi3", false},
                                           {"olmo2", "olmo2", false},
                                           {"olmo3", "olmo2", false},
                                           {"glm4", "glm4", false},
                                           {"mixtral", "llama", true},
                                           {"qwen2_moe", "qwen2moe", false},
                                           {"qwen3_moe", "qwen3moe", false},
                                           {"olmoe", "olmoe", false},
                                           {"gpt_oss", "gpt-oss", false}}};

Renames renames(const std::string& architecture) {
  Renames out{{"self_attn.q_proj", "attn_q"},
              {"self_attn.k_proj", "attn_k"},
              {"self_attn.v_proj", "attn_v"},
              {"self_attn.o_proj", "attn_output"},
              {"self_attn.qkv_proj", "attn_qkv"},
              {"self_attn.q_norm", "attn_q_norm"},
              {"self_attn.k_norm", "attn_k_norm"},
              {"mlp.gate_proj", "ffn_gate"},
              {"mlp.up_proj", "ffn_up"},
              {"mlp.gate_up_proj", "ffn_up"},
              {"mlp.down_proj", "ffn_down"},
              {"input_layernorm", "attn_norm"},
              {"mlp.gate", "ffn_gate_inp"},
              {"mlp.router", "ffn_gate_inp"},
              {"block_sparse_moe.gate", "ffn_gate_inp"},
              {"mlp.shared_expert_gate", "ffn_gate_inp_shexp"},
              {"mlp.shared_expert.gate_proj", "ffn_gate_shexp"},
              {"mlp.shared_expert.up_proj", "ffn_up_shexp"},
              {"mlp.shared_expert.down_proj", "ffn_down_shexp"}};
  if (architecture == "glm4")
    out.insert(out.end(), {{"post_self_attn_layernorm", "post_attention_norm"},
                           {"post_attention_layernorm", "ffn_norm"},
                           {"post_mlp_layernorm", "post_ffw_norm"}});
  else if (architecture == "gpt-oss")
    out.emplace_back("post_attention_layernorm", "post_attention_norm");
  else if (architecture == "olmo2" || architecture.starts_with("gemma"))
    out.insert(out.end(), {{"post_attention_layernorm", "post_attention_norm"},
                           {"pre_feedforward_layernorm", "ffn_norm"},
                           {"post_feedforward_layernorm", "post_ffw_norm"}});
  else
    out.emplace_back("post_attention_layernorm", "ffn_norm");
  return out;
}

/// "blk.3.attn_q.weight" for "model.layers.3.self_attn.q_proj.weight".
std::string gguf_name(const std::string& name, const Renames& names) {
  if (name == "model.embed_tokens.weight") return "token_embd.weight";
  if (name == "model.norm.weight") return "output_norm.weight";
  if (name == "lm_head.weight") return "output.weight";
  const auto layer_end = name.find('.', 13); // behind "model.layers."
  const auto suffix = name.rfind('.');
  const std::string kind = name.substr(layer_end + 1, suffix - layer_end - 1);
  for (const auto& [theirs, ours] : names)
    if (theirs == kind)
      return "blk." + name.substr(13, layer_end - 12) + ours + name.substr(suffix);
  BOOST_FAIL("no name for " << name);
  return {};
}

/// Rows of each head in the order 0, d/2, 1, d/2 + 1, ...
std::vector<float> permuted(const std::vector<float>& values, std::size_t rows,
                            std::size_t head_dim) {
  const std::size_t width = values.size() / rows;
  std::vector<float> out(values.size());
  for (std::size_t row = 0; row < rows; ++row) {
    const std::size_t head = row / head_dim;
    const std::size_t within = row % head_dim;
    const std::size_t half = head_dim / 2;
    const std::size_t target =
        head * head_dim + (within < half ? 2 * within : 2 * (within - half) + 1);
    std::copy_n(values.begin() + static_cast<std::ptrdiff_t>(row * width), width,
                out.begin() + static_cast<std::ptrdiff_t>(target * width));
  }
  return out;
}

/// A folder's config.json, and a GGUF file that says the same.
class Twin {
public:
  explicit Twin(const FileKind& kind) : kind_(kind), folder_(tests::model_folder(kind.folder)) {
    std::ifstream in(folder_ / "config.json");
    config_ = json::parse(in);
    head_dim_ = config_.value("head_dim", json()).is_number()
                    ? config_["head_dim"].get<u32>()
                    : config_["hidden_size"].get<u32>() / config_["num_attention_heads"].get<u32>();
    // These files do not hold it; llama.cpp takes the length of a head.
    if (config_.contains("query_pre_attn_scalar")) config_["query_pre_attn_scalar"] = head_dim_;
    plan_ = arch::parse_model_plan(config_.dump(), "config.json");
    write_metadata();
    write_tensors();
    path_ = temporary_.write("model.gguf", file_.file());
  }

  const arch::ModelPlan& plan() const { return plan_; }
  TensorStore tensors() const { return TensorStore(folder_); }
  const fs::path& gguf() const { return path_; }

private:
  std::string key(const char* name) const { return std::string(kind_.architecture) + "." + name; }
  void integer(const char* name, const char* as) {
    if (config_.contains(name) && config_[name].is_number())
      file_.integer(key(as), config_[name].get<u32>());
  }
  void number(const char* name, const char* as) {
    if (config_.contains(name) && config_[name].is_number())
      file_.number(key(as), config_[name].get<float>());
  }

  void write_metadata() {
    file_.string("general.architecture", kind_.architecture);
    integer("max_position_embeddings", "context_length");
    integer("hidden_size", "embedding_length");
    integer("num_hidden_layers", "block_count");
    integer("intermediate_size", "feed_forward_length");
    integer("num_attention_heads", "attention.head_count");
    integer("num_key_value_heads", "attention.head_count_kv");
    file_.integer(key("attention.key_length"), head_dim_);
    file_.integer(key("attention.value_length"), head_dim_);
    number("rms_norm_eps", "attention.layer_norm_rms_epsilon");
    number("rope_theta", "rope.freq_base");
    number("rope_local_base_freq", "rope.freq_base_swa");
    file_.integer(key("rope.dimension_count"),
                  static_cast<u32>(2 * plan_.ropes[0].frequencies.size()));
    if (config_.value("use_sliding_window", true))
      integer("sliding_window", "attention.sliding_window");
    number("attn_logit_softcapping", "attn_logit_softcapping");
    number("final_logit_softcapping", "final_logit_softcapping");
    number("attention_multiplier", "attention.scale");
    number("embedding_multiplier", "embedding_scale");
    number("residual_multiplier", "residual_scale");
    number("logits_scaling", "logit_scale");
    integer("num_experts", "expert_count");
    integer("num_local_experts", "expert_count");
    integer("num_experts_per_tok", "expert_used_count");
    file_.integer("tokenizer.ggml.bos_token_id", *plan_.bos);
    file_.integer("tokenizer.ggml.eos_token_id", plan_.eos.at(0));
    for (const char* name : {"rope_scaling", "rope_parameters"}) {
      if (!config_.value(name, json()).is_object()) continue;
      write_scaling(config_[name]);
      number_of(config_[name], "rope_theta", "rope.freq_base");
    }
  }

  void write_scaling(const json& scaling) {
    const std::string type = scaling.value("rope_type", scaling.value("type", ""));
    const auto original = scaling.value("original_max_position_embeddings",
                                        config_.value("original_max_position_embeddings", 0u));
    if (original != 0) file_.integer(key("rope.scaling.original_context_length"), original);
    if (type == "longrope") {
      for (const char* set : {"short", "long"}) {
        const auto factors = scaling.at(std::string(set) + "_factor").get<std::vector<float>>();
        file_.floats(std::string("rope_factors_") + set + ".weight", {factors.size()}, factors);
      }
      file_.number(key("rope.scaling.attn_factor"), plan_.ropes[0].magnitude);
      return;
    }
    file_.string(key("rope.scaling.type"), type);
    number_of(scaling, "factor", "rope.scaling.factor");
    number_of(scaling, "beta_fast", "rope.scaling.yarn_beta_fast");
    number_of(scaling, "beta_slow", "rope.scaling.yarn_beta_slow");
  }
  void number_of(const json& object, const char* name, const char* as) {
    if (object.contains(name)) file_.number(key(as), object[name].get<float>());
  }

  void write_tensors() {
    const TensorStore store(folder_);
    const Renames names = renames(kind_.architecture);
    std::vector<std::pair<std::string, std::vector<std::size_t>>> wanted;
    const auto norm = [&](const std::optional<arch::Norm>& n, std::size_t size) {
      if (n && !n->tensor.empty()) wanted.push_back({n->tensor, {size}});
    };
    wanted.push_back({plan_.embedding, {plan_.vocab, plan_.hidden}});
    norm(plan_.final_norm, plan_.hidden);
    for (const arch::Layer& layer : plan_.layers) {
      for (const auto* n : {&layer.attention_norm, &layer.attention_out_norm,
                            &layer.feed_forward_norm, &layer.feed_forward_out_norm})
        norm(*n, plan_.hidden);
      const arch::Attention& a = layer.attention;
      const bool all = a.head_norm == arch::HeadNorm::all_heads;
      if (a.head_norm == arch::HeadNorm::none) continue;
      norm(a.q_norm, all ? a.q_dim() : a.head_dim);
      norm(a.k_norm, all ? a.kv_dim() : a.head_dim);
    }
    for (u32 l = 0; l < plan_.layer_count(); ++l) write_experts(store, l, wanted);
    for (const arch::Linear& linear : plan_.linears)
      for (const arch::LinearPart& part : linear.parts) {
        if (part.base + ".weight" == plan_.embedding) continue;
        if (part.base.find("expert") != std::string::npos) continue;
        wanted.push_back({part.base + ".weight", {part.size, linear.d_in}});
        if (linear.bias) wanted.push_back({part.base + ".bias", {part.size}});
      }
    for (const auto& [name, shape] : wanted) {
      const TensorView& tensor = store.get(name, shape);
      std::vector<float> values(tensor.elements());
      tensor.read(0, values);
      const bool is_norm = name.find("norm.weight") != std::string::npos;
      if (is_norm && std::string(kind_.architecture).starts_with("gemma"))
        for (float& x : values) x += 1;
      if (kind_.permuted &&
          (name.find("q_proj") != std::string::npos || name.find("k_proj") != std::string::npos))
        values = permuted(values, shape[0], head_dim_);
      file_.floats(gguf_name(name, names), {shape.begin(), shape.end()}, values);
    }
  }

  using Wanted = std::vector<std::pair<std::string, std::vector<std::size_t>>>;
  /// Matrices of all experts behind each other; `wanted` gets what is written as it is.
  void write_experts(const TensorStore& store, u32 l, Wanted& wanted) {
    const arch::FeedForward& shape = plan_.layers[l].feed_forward;
    if (!shape.router) return;
    if (std::string(kind_.architecture) == "gpt-oss") return write_gpt_oss(store, l, wanted);
    wanted.push_back({shape.router->tensor, {shape.routed(), plan_.hidden}});
    if (!shape.router->shared_gate.empty()) {
      const arch::Expert& shared = shape.experts.back();
      std::vector<float> gate(plan_.hidden);
      store.get(shape.router->shared_gate, {1, plan_.hidden}).read(0, gate);
      file_.floats("blk." + std::to_string(l) + ".ffn_gate_inp_shexp.weight", {plan_.hidden}, gate);
      wanted.push_back({shared.gate + ".weight", {shared.width, plan_.hidden}});
      wanted.push_back({shared.up + ".weight", {shared.width, plan_.hidden}});
      wanted.push_back({shared.down + ".weight", {plan_.hidden, shared.width}});
    }
    const std::size_t width = shape.experts[0].width;
    const auto stack = [&](const char* name, std::string arch::Expert::*tensor, std::size_t rows,
                           std::size_t columns) {
      std::vector<float> all(shape.routed() * rows * columns);
      for (std::size_t e = 0; e < shape.routed(); ++e)
        store.get(shape.experts[e].*tensor + ".weight", {rows, columns})
            .read(0, std::span(all).subspan(e * rows * columns, rows * columns));
      file_.floats("blk." + std::to_string(l) + "." + name + ".weight",
                   {shape.routed(), rows, columns}, all);
    };
    stack("ffn_gate_exps", &arch::Expert::gate, width, plan_.hidden);
    stack("ffn_up_exps", &arch::Expert::up, width, plan_.hidden);
    stack("ffn_down_exps", &arch::Expert::down, plan_.hidden, width);
  }

  /// Outputs of gate and up take turns in the folder, and are behind their inputs.
  void write_gpt_oss(const TensorStore& store, u32 l, Wanted& wanted) {
    const arch::FeedForward& shape = plan_.layers[l].feed_forward;
    const std::size_t experts = shape.routed();
    const std::size_t width = shape.experts[0].width;
    const std::size_t hidden = plan_.hidden;
    const std::string mlp = "model.layers." + std::to_string(l) + ".mlp.";
    const std::string block = "blk." + std::to_string(l) + ".";
    wanted.push_back({mlp + "router.weight", {experts, hidden}});
    wanted.push_back({mlp + "router.bias", {experts}});
    const auto values = [&](const std::string& name, const std::vector<std::size_t>& dims) {
      const TensorView& tensor = store.get(name, dims);
      std::vector<float> out(tensor.elements());
      tensor.read(0, out);
      return out;
    };
    const auto gate_up = values(mlp + "experts.gate_up_proj", {experts, hidden, 2 * width});
    const auto gate_up_bias = values(mlp + "experts.gate_up_proj_bias", {experts, 2 * width});
    for (std::size_t which : {0u, 1u}) {
      std::vector<float> matrix(experts * width * hidden);
      std::vector<float> bias(experts * width);
      for (std::size_t e = 0; e < experts; ++e)
        for (std::size_t o = 0; o < width; ++o) {
          bias[e * width + o] = gate_up_bias[e * 2 * width + 2 * o + which];
          for (std::size_t i = 0; i < hidden; ++i)
            matrix[(e * width + o) * hidden + i] =
                gate_up[(e * hidden + i) * 2 * width + 2 * o + which];
        }
      const std::string name = block + (which == 0 ? "ffn_gate_exps" : "ffn_up_exps");
      file_.floats(name + ".weight", {experts, width, hidden}, matrix);
      file_.floats(name + ".bias", {experts, width}, bias);
    }
    const auto down = values(mlp + "experts.down_proj", {experts, width, hidden});
    std::vector<float> turned(down.size());
    for (std::size_t e = 0; e < experts; ++e)
      for (std::size_t i = 0; i < width; ++i)
        for (std::size_t o = 0; o < hidden; ++o)
          turned[(e * hidden + o) * width + i] = down[(e * width + i) * hidden + o];
    file_.floats(block + "ffn_down_exps.weight", {experts, hidden, width}, turned);
    file_.floats(block + "ffn_down_exps.bias", {experts, hidden},
                 values(mlp + "experts.down_proj_bias", {experts, hidden}));
    const std::size_t heads = plan_.layers[l].attention.heads;
    file_.floats(block + "attn_sinks.weight", {heads},
                 values("model.layers." + std::to_string(l) + ".self_attn.sinks", {heads}));
  }

  FileKind kind_;
  fs::path folder_;
  json config_;
  u32 head_dim_ = 0;
  arch::ModelPlan plan_;
  GgufWriter file_;
  TemporaryFolder temporary_;
  fs::path path_;
};

/// The printed plan, in which a gain is a gain.
std::string comparable(const arch::ModelPlan& plan) {
  std::string text = arch::plan_text(plan);
  const std::string plus = "gain 1 + ";
  for (std::size_t at = 0; (at = text.find(plus, at)) != std::string::npos;)
    text.replace(at, plus.size(), "gain ");
  const auto end = text.rfind("    sample"); // which ids end an answer differs
  return text.substr(0, end);
}

} // namespace

BOOST_DATA_TEST_CASE(a_file_is_the_folder_it_was_made_of, bdata::make(kKinds), kind) {
  const Twin twin(kind);
  const arch::ModelPlan plan = load_model_plan(twin.gguf());
  BOOST_TEST(comparable(plan) == comparable(twin.plan()));
  BOOST_TEST_REQUIRE(plan.ropes.size() == twin.plan().ropes.size());
  for (std::size_t i = 0; i < plan.ropes.size(); ++i) {
    const arch::Rope& ours = plan.ropes[i];
    const arch::Rope& theirs = twin.plan().ropes[i];
    BOOST_TEST(ours.frequencies == theirs.frequencies, boost::test_tools::per_element());
    BOOST_TEST(std::abs(ours.magnitude - theirs.magnitude) <= 1e-6f);
    BOOST_TEST(ours.original_length == theirs.original_length);
    if (ours.original_length != 0)
      BOOST_TEST(ours.long_frequencies == theirs.long_frequencies,
                 boost::test_tools::per_element());
  }
  const TensorStore folder = twin.tensors();
  const TensorStore file(twin.gguf());
  for (u32 i = 0; i < plan.linears.size(); ++i) {
    const auto ours = load_linear(file, plan.linears[{i}], WeightFormat::int16);
    const auto theirs = load_linear(folder, twin.plan().linears[{i}], WeightFormat::int16);
    BOOST_TEST(to_hex(digest(ours)) == to_hex(digest(theirs)), plan.linears[{i}].name);
    BOOST_TEST(ours.scale == theirs.scale, boost::test_tools::per_element());
  }
  const EnclaveTensors ours = load_enclave_tensors(file, plan);
  const EnclaveTensors theirs = load_enclave_tensors(folder, twin.plan());
  BOOST_TEST((ours.bias == theirs.bias));
  for (std::size_t l = 0; l < ours.gains.size(); ++l) {
    BOOST_TEST((ours.gains[l].q == theirs.gains[l].q && ours.gains[l].k == theirs.gains[l].k));
    BOOST_TEST((ours.gains[l].attention_out == theirs.gains[l].attention_out));
    BOOST_TEST((ours.gains[l].feed_forward_out == theirs.gains[l].feed_forward_out));
    BOOST_TEST((ours.gains[l].router == theirs.gains[l].router));
    BOOST_TEST((ours.gains[l].shared_gate == theirs.gains[l].shared_gate));
    BOOST_TEST((ours.gains[l].router_bias == theirs.gains[l].router_bias));
    BOOST_TEST((ours.gains[l].down_bias == theirs.gains[l].down_bias));
    BOOST_TEST((ours.gains[l].sinks == theirs.gains[l].sinks));
  }
  const EmbeddingTable table(file, plan);
  const EmbeddingTable expected(folder, twin.plan());
  std::vector<float> row(plan.hidden);
  std::vector<float> expected_row(plan.hidden);
  for (const u32 token : {0u, 1u, 4095u}) {
    table.lookup(token, row);
    expected.lookup(token, expected_row);
    BOOST_TEST(row == expected_row, boost::test_tools::per_element());
  }
}

BOOST_AUTO_TEST_SUITE_END()
