// A model whose GGUF file holds it in another order answers as the folder that the file was made
// of.
#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>
#include <span>

#include "model/weights/gguf_model.hpp"
#include "model/weights/plan_file.hpp"
#include "model/weights/tensor_store.hpp"
#include "tests/model/gguf_writer.hpp"
#include "tests/support/collect.hpp"
#include "tests/support/models.hpp"
#include "tests/support/temporary_folder.hpp"

BOOST_AUTO_TEST_SUITE(gguf_twins)

using namespace talaria;
using test::GgufWriter;
using Dims = std::vector<std::size_t>;
using Values = std::vector<float>;

/// Blocks of `length` values in the order [key head][value head of it] become [value head][key
/// head].
Values by_turns(const Values& values, std::size_t first, std::size_t key_heads, std::size_t each,
                std::size_t length) {
  Values out = values;
  for (std::size_t k = 0; k < key_heads; ++k)
    for (std::size_t v = 0; v < each; ++v)
      std::copy_n(values.begin() + static_cast<std::ptrdiff_t>(first + (k * each + v) * length),
                  length,
                  out.begin() + static_cast<std::ptrdiff_t>(first + (v * key_heads + k) * length));
  return out;
}

/// Qwen3.5 as its converter writes it: value heads by turns, gains with their 1, -exp(A).
class Qwen35File {
public:
  Qwen35File()
      : folder_(tests::model_folder("qwen3_5")), store_(folder_),
        plan_(model::load_model_plan(folder_)), net_(*plan_.layers[0].delta_net),
        each_(net_.value_heads / net_.key_heads) {
    write_metadata();
    copy("token_embd.weight", plan_.embedding, {plan_.vocab, plan_.hidden});
    gain("output_norm.weight", plan_.final_norm.tensor, plan_.hidden);
    for (u32 l = 0; l < plan_.layer_count(); ++l) write_layer(l);
    // A block that predicts ahead, which nothing computes.
    const std::string ahead = "blk." + std::to_string(plan_.layer_count()) + ".";
    file_.floats(ahead + "nextn.enorm.weight", {plan_.hidden}, Values(plan_.hidden, 1.0F));
    path_ = temporary_.path() / "model.gguf";
    std::ofstream(path_, std::ios::binary) << file_.file();
  }
  const std::filesystem::path& path() const { return path_; }

private:
  void write_metadata() {
    const auto number = [&](const char* name, std::size_t value) {
      file_.integer("qwen35." + std::string(name), static_cast<u32>(value));
    };
    const arch::Attention& attention = plan_.layers[3].attention;
    file_.string("general.architecture", "qwen35");
    number("context_length", plan_.max_position);
    number("embedding_length", plan_.hidden);
    number("block_count", plan_.layers.size() + 1);
    number("nextn_predict_layers", 1);
    number("feed_forward_length", plan_.layers[0].feed_forward.intermediate);
    number("attention.head_count", attention.heads);
    number("attention.head_count_kv", attention.kv_heads);
    number("attention.key_length", attention.head_dim);
    number("attention.value_length", attention.head_dim);
    number("rope.dimension_count", 2 * plan_.ropes[0].frequencies.size());
    file_.number("qwen35.rope.freq_base", 1e7F);
    file_.number("qwen35.attention.layer_norm_rms_epsilon", 1e-6F);
    number("full_attention_interval", 4);
    number("ssm.conv_kernel", net_.taps);
    number("ssm.inner_size", net_.value_dim());
    number("ssm.state_size", net_.key_head_dim);
    number("ssm.time_step_rank", net_.value_heads);
    number("ssm.group_count", net_.key_heads);
    std::vector<std::string> tokens;
    for (u32 id = 0; id < plan_.vocab; ++id) tokens.push_back("t" + std::to_string(id));
    file_.string("tokenizer.ggml.model", "gpt2").string("tokenizer.ggml.pre", "gpt-2");
    file_.strings("tokenizer.ggml.tokens", tokens).strings("tokenizer.ggml.merges", {});
    file_.integer("tokenizer.ggml.eos_token_id", plan_.eos.at(0));
  }

  Values values(const std::string& name, const Dims& dims) const {
    const model::TensorView& tensor = store_.get(name, dims);
    Values out(tensor.elements());
    tensor.read(0, out);
    return out;
  }
  void put(const std::string& name, const Dims& dims, const Values& values) {
    file_.floats(name, {dims.begin(), dims.end()}, values);
  }
  void copy(const std::string& name, const std::string& from, const Dims& dims) {
    put(name, dims, values(from, dims));
  }
  void gain(const std::string& name, const std::string& from, std::size_t size) {
    Values gains = values(from, {size});
    for (float& x : gains) x += 1;
    put(name, {size}, gains);
  }

  void write_layer(u32 l) {
    const arch::Layer& layer = plan_.layers[l];
    const std::string to = "blk." + std::to_string(l) + ".";
    const std::string& from = layer.prefix;
    const std::size_t hidden = plan_.hidden;
    const std::size_t inner = layer.feed_forward.intermediate;
    gain(to + "attn_norm.weight", layer.attention_norm->tensor, hidden);
    gain(to + "post_attention_norm.weight", layer.feed_forward_norm->tensor, hidden);
    copy(to + "ffn_gate.weight", from + "mlp.gate_proj.weight", {inner, hidden});
    copy(to + "ffn_up.weight", from + "mlp.up_proj.weight", {inner, hidden});
    copy(to + "ffn_down.weight", from + "mlp.down_proj.weight", {hidden, inner});
    if (layer.delta_net) return write_delta_net(to, from + "linear_attn.");
    const arch::Attention& a = layer.attention;
    const std::string self = from + "self_attn.";
    copy(to + "attn_q.weight", self + "q_proj.weight", {std::size_t{2} * a.q_dim(), hidden});
    copy(to + "attn_k.weight", self + "k_proj.weight", {a.kv_dim(), hidden});
    copy(to + "attn_v.weight", self + "v_proj.weight", {a.kv_dim(), hidden});
    copy(to + "attn_output.weight", self + "o_proj.weight", {hidden, a.q_dim()});
    gain(to + "attn_q_norm.weight", a.q_norm.tensor, a.head_dim);
    gain(to + "attn_k_norm.weight", a.k_norm.tensor, a.head_dim);
  }

  /// The rows of value heads behind `first` others, each head `rows` of `width`.
  Values turned(const std::string& name, const Dims& dims, std::size_t first, std::size_t rows,
                std::size_t width) const {
    return by_turns(values(name, dims), first * width, net_.key_heads, each_, rows * width);
  }
  void write_delta_net(const std::string& to, const std::string& from) {
    const std::size_t hidden = plan_.hidden;
    const std::size_t heads = net_.value_heads;
    const std::size_t head = net_.value_head_dim;
    const std::size_t keys = std::size_t{2} * net_.key_dim();
    const std::size_t channels = net_.channels();
    put(to + "attn_qkv.weight", {channels, hidden},
        turned(from + "in_proj_qkv.weight", {channels, hidden}, keys, head, hidden));
    put(to + "attn_gate.weight", {heads * head, hidden},
        turned(from + "in_proj_z.weight", {heads * head, hidden}, 0, head, hidden));
    put(to + "ssm_beta.weight", {heads, hidden},
        turned(from + "in_proj_b.weight", {heads, hidden}, 0, 1, hidden));
    put(to + "ssm_alpha.weight", {heads, hidden},
        turned(from + "in_proj_a.weight", {heads, hidden}, 0, 1, hidden));
    put(to + "ssm_conv1d.weight", {channels, net_.taps},
        turned(from + "conv1d.weight", {channels, 1, net_.taps}, keys, head, net_.taps));
    put(to + "ssm_dt.bias", {heads}, turned(from + "dt_bias", {heads}, 0, 1, 1));
    Values rate = turned(from + "A_log", {heads}, 0, 1, 1);
    for (float& x : rate) x = -static_cast<float>(std::exp(double{x}));
    put(to + "ssm_a", {heads}, rate);
    copy(to + "ssm_norm.weight", from + "norm.weight", {head});
    const Values out = values(from + "out_proj.weight", {hidden, heads * head});
    Values columns;
    for (std::size_t row = 0; row < hidden; ++row) {
      const auto begin = out.begin() + static_cast<std::ptrdiff_t>(row * heads * head);
      const Values turned_row =
          by_turns(Values(begin, begin + static_cast<std::ptrdiff_t>(heads * head)), 0,
                   net_.key_heads, each_, head);
      columns.insert(columns.end(), turned_row.begin(), turned_row.end());
    }
    put(to + "ssm_out.weight", {hidden, heads * head}, columns);
  }

  std::filesystem::path folder_;
  model::TensorStore store_;
  arch::ModelPlan plan_;
  arch::DeltaNet net_;
  std::size_t each_;
  GgufWriter file_;
  tests::TemporaryFolder temporary_;
  std::filesystem::path path_;
};

std::vector<Values> logits_of(const std::filesystem::path& model) {
  pipeline::EngineOptions options;
  options.model_dir = model;
  options.weights = model::WeightFormat::int16;
  options.scheme.kind = remo::SchemeKind::clear;
  pipeline::Request request;
  for (u32 i = 0; i < 40; ++i) request.prompt.push_back(37 * i % 4000);
  request.logits = pipeline::LogitsWanted::all;
  SilentProgress progress;
  pipeline::Engine engine(options, progress);
  return tests::run_together(engine, {request})[0].logits;
}

// The norm of a row, which its quantization scale comes from, is summed up in the order of the
// heads: the same but for rounding. Heads that are mixed up change every logit in its first digit.
BOOST_AUTO_TEST_CASE(value_heads_by_turns_are_the_same_model) {
  const Qwen35File file;
  const auto ours = logits_of(file.path());
  const auto theirs = logits_of(tests::model_folder("qwen3_5"));
  BOOST_TEST_REQUIRE(ours.size() == theirs.size());
  float largest = 0;
  float difference = 0;
  for (std::size_t i = 0; i < ours.size(); ++i)
    for (std::size_t j = 0; j < ours[i].size(); ++j) {
      largest = std::max(largest, std::abs(theirs[i][j]));
      difference = std::max(difference, std::abs(ours[i][j] - theirs[i][j]));
    }
  BOOST_TEST(difference <= 1e-4F * largest);
}

BOOST_AUTO_TEST_SUITE_END()
