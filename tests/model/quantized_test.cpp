#include "arch/decoder_config.hpp"
#include "model/weights/quantized.hpp"
#include "tests/model/weight_format_text.hpp"

#include <boost/test/data/test_case.hpp>

#include <cmath>
#include <limits>

#include "model/weights/oblivious_lookup.hpp"
#include "model/weights/plan_file.hpp"
#include "tests/model/model_folder.hpp"

using namespace talaria;
using namespace talaria::model;
using namespace talaria::test;
namespace bdata = boost::unit_test::data;

namespace {

constexpr WeightFormat kFormats[] = {WeightFormat::int8, WeightFormat::int16};

std::string layer_base(u32 layer) {
  std::string base = "model.layers.";
  base += std::to_string(layer);
  base += '.';
  return base;
}

int largest(WeightFormat format) {
  return format == WeightFormat::int8 ? 127 : 32639;
}

/// Awkward on purpose: no dimension is a multiple of 4 inputs or 16 columns, several panels.
arch::DecoderConfig small_config() {
  arch::DecoderConfig config;
  config.model_type = "llama";
  config.hidden = 13;
  config.intermediate = 75;
  config.layers = 2;
  config.heads = 3;
  config.kv_heads = 1;
  config.head_dim = 10;
  config.vocab = 131;
  config.qkv_bias = true;
  return config;
}

/// Random bf16 values of very different sizes.
std::vector<float> random_values(std::size_t count, Rng& rng) {
  std::vector<float> values(count);
  for (float& x : values) {
    const double mantissa = static_cast<double>(rng.below(20001)) / 10000 - 1;
    x = to_bf16(static_cast<float>(std::ldexp(mantissa, -static_cast<int>(rng.below(6)))));
  }
  return values;
}

TestTensors small_tensors(const arch::DecoderConfig& config) {
  auto rng = seeded_rng(1);
  TestTensors out;
  const auto add = [&](const std::string& name, std::vector<std::size_t> shape) {
    std::size_t count = 1;
    for (const std::size_t dim : shape) count *= dim;
    out[name] = {shape, random_values(count, rng)};
  };
  const std::size_t hidden = config.hidden, inner = config.intermediate;
  const std::size_t q = config.heads * config.head_dim, kv = config.kv_heads * config.head_dim;
  add("model.embed_tokens.weight", {config.vocab, hidden});
  add("lm_head.weight", {config.vocab, hidden});
  add("model.norm.weight", {hidden});
  for (u32 layer = 0; layer < config.layers; ++layer) {
    const auto base = layer_base(layer);
    add(base + "input_layernorm.weight", {hidden});
    add(base + "post_attention_layernorm.weight", {hidden});
    add(base + "self_attn.q_proj.weight", {q, hidden});
    add(base + "self_attn.k_proj.weight", {kv, hidden});
    add(base + "self_attn.v_proj.weight", {kv, hidden});
    add(base + "self_attn.q_proj.bias", {q});
    add(base + "self_attn.k_proj.bias", {kv});
    add(base + "self_attn.v_proj.bias", {kv});
    add(base + "self_attn.o_proj.weight", {hidden, q});
    add(base + "mlp.gate_proj.weight", {inner, hidden});
    add(base + "mlp.up_proj.weight", {inner, hidden});
    add(base + "mlp.down_proj.weight", {hidden, inner});
  }
  return out;
}

/// A model on disk whose tensors a test may change before it is opened.
struct Model {
  arch::DecoderConfig config = small_config();
  TestTensors tensors = small_tensors(config);
  std::string dtype = "F32";
  TemporaryFolder folder;

  TensorStore open() const {
    folder.write("model.safetensors", safetensors_file(tensors, dtype));
    return TensorStore(folder.path());
  }
  arch::ModelPlan plan() const { return arch::plan_decoder(config); }
  /// The head counts as part of the last layer.
  u32 head_last(u32 layer, LinearKind kind) const {
    return kind == LinearKind::lm_head ? config.layers - 1 : layer;
  }
  QuantizedLinear load(u32 layer, LinearKind kind, WeightFormat format) const {
    const arch::ModelPlan plan = this->plan();
    return load_linear(open(), plan.linears.of(head_last(layer, kind), kind), format);
  }
  /// W[j][i] of the fused matrix by the definition: rows of the parts, gain multiplied in.
  std::vector<std::vector<float>> expected(u32 layer, LinearKind kind) const {
    const auto base = layer_base(layer);
    std::vector<std::string> parts;
    std::string gain;
    switch (kind) {
    case LinearKind::qkv:
      parts = {base + "self_attn.q_proj", base + "self_attn.k_proj", base + "self_attn.v_proj"};
      gain = base + "input_layernorm.weight";
      break;
    case LinearKind::o:
      parts = {base + "self_attn.o_proj"};
      break;
    case LinearKind::gate_up:
      parts = {base + "mlp.gate_proj", base + "mlp.up_proj"};
      gain = base + "post_attention_layernorm.weight";
      break;
    case LinearKind::down:
      parts = {base + "mlp.down_proj"};
      break;
    case LinearKind::per_layer_inputs:
    case LinearKind::heads: // of no Llama
      break;
    case LinearKind::lm_head:
      parts = {config.tied_embeddings ? "model.embed_tokens" : "lm_head"};
      gain = "model.norm.weight";
      break;
    }
    std::vector<std::vector<float>> rows;
    for (const std::string& part : parts) {
      const TestTensor& tensor = tensors.at(part + ".weight");
      const std::size_t width = tensor.shape[1];
      for (std::size_t j = 0; j < tensor.shape[0]; ++j) {
        std::vector<float> row;
        for (std::size_t i = 0; i < width; ++i)
          row.push_back((gain.empty() ? 1.0f : tensors.at(gain).values[i]) *
                        tensor.values[j * width + i]);
        rows.push_back(std::move(row));
      }
    }
    return rows;
  }
};

constexpr LinearKind kKinds[] = {LinearKind::qkv, LinearKind::o, LinearKind::gate_up,
                                 LinearKind::down, LinearKind::lm_head};

/// The integer at input i, output j, halves put together.
int value_at(const QuantizedLinear& linear, std::size_t i, std::size_t j) {
  if (linear.format == WeightFormat::int8) return linear.columns.at(i, j);
  return 256 * linear.columns.at(i, j) + linear.columns.at(i, linear.d_out + j);
}

std::vector<i8> packed(const QuantizedLinear& linear) {
  return {linear.columns.panel(0), linear.columns.panel(0) + linear.columns.bytes()};
}

} // namespace

BOOST_DATA_TEST_CASE(every_column_is_its_weights_over_its_scale,
                     bdata::make(kFormats) * bdata::xrange(2u) * bdata::xrange(5u), format, layer,
                     k) {
  const Model model;
  const LinearKind kind = kKinds[k];
  const auto linear = model.load(layer, kind, format);
  const auto rows = model.expected(layer, kind);
  const int limit = largest(format);
  BOOST_TEST_REQUIRE(linear.d_out == rows.size());
  BOOST_TEST_REQUIRE(linear.d_in == rows[0].size());
  BOOST_TEST_REQUIRE(linear.scale.size() == linear.d_out);
  BOOST_TEST((linear.columns.d_in() == linear.d_in));
  BOOST_TEST(linear.columns.d_out() == linear.d_out * (format == WeightFormat::int16 ? 2 : 1));
  BOOST_TEST(linear.d_in == model.plan().linears.of(model.head_last(0, kind), kind).d_in);
  BOOST_TEST(linear.d_out == model.plan().linears.of(model.head_last(0, kind), kind).d_out);
  for (std::size_t j = 0; j < linear.d_out; ++j) {
    float top = 0;
    for (const float w : rows[j]) top = std::max(top, std::fabs(w));
    const double scale = top / static_cast<float>(limit);
    BOOST_TEST_REQUIRE(linear.scale[j] == static_cast<float>(scale));
    int reached = 0;
    for (std::size_t i = 0; i < linear.d_in; ++i) {
      const int q = value_at(linear, i, j);
      reached = std::max(reached, std::abs(q));
      const bool nearest = std::fabs(rows[j][i] - scale * q) <= scale / 2 * (1 + 1e-9);
      BOOST_TEST_REQUIRE(nearest, "input " << i << " output " << j << " holds " << q);
    }
    BOOST_TEST_REQUIRE(reached == limit); // the largest weight uses the whole range
  }
}

BOOST_DATA_TEST_CASE(padding_of_the_packed_layout_is_zero, bdata::make(kFormats), format) {
  const auto linear = Model().load(0, LinearKind::gate_up, format);
  const auto& columns = linear.columns;
  std::size_t padding = 0;
  for (std::size_t j = 0; j < columns.panels() * kernels::PackedWeights::kPanel; ++j)
    for (std::size_t i = 0; i < columns.groups() * 4; ++i)
      if (i >= columns.d_in() || j >= columns.d_out()) {
        ++padding;
        BOOST_TEST_REQUIRE(columns.at(i, j) == 0);
      }
  BOOST_TEST(padding > 0u);
}

BOOST_AUTO_TEST_CASE(int16_halves_recombine_over_the_whole_range) {
  Model model;
  auto& weights = model.tensors["model.layers.0.self_attn.o_proj.weight"];
  const std::size_t width = weights.shape[1];
  // Integers over a largest one of 32639 have scale 1 and come back as they are.
  const auto integer = [width](std::size_t j, std::size_t i) {
    if (i == 0) return j % 2 == 0 ? 32639 : -32639;
    return static_cast<int>((j * width + i) * 2654435761u % 65279u) - 32639;
  };
  for (std::size_t j = 0; j < weights.shape[0]; ++j)
    for (std::size_t i = 0; i < width; ++i)
      weights.values[j * width + i] = static_cast<float>(integer(j, i));
  const int borders[] = {127, 128, -128, -129, 255, 256, -256, 0, 32638, -1};
  for (std::size_t i = 0; i < std::size(borders); ++i)
    weights.values[i + 1] = static_cast<float>(borders[i]);
  const auto linear = model.load(0, LinearKind::o, WeightFormat::int16);
  for (std::size_t j = 0; j < linear.d_out; ++j) {
    BOOST_TEST(linear.scale[j] == 1.0f);
    for (std::size_t i = 0; i < width; ++i)
      BOOST_TEST_REQUIRE(value_at(linear, i, j) == static_cast<int>(weights.values[j * width + i]));
  }
}

BOOST_AUTO_TEST_CASE(halves_round_to_even) {
  Model model;
  auto& values = model.tensors["model.layers.0.self_attn.o_proj.weight"].values;
  const float row[] = {127, 0.5f, 1.5f, 2.5f, -0.5f, -1.5f, -126.5f, 0.49f};
  const int expected[] = {127, 0, 2, 2, 0, -2, -126, 0};
  std::fill(values.begin(), values.begin() + 30, 0.0f);
  std::copy(std::begin(row), std::end(row), values.begin());
  const auto linear = model.load(0, LinearKind::o, WeightFormat::int8);
  for (std::size_t i = 0; i < 8; ++i) BOOST_TEST(value_at(linear, i, 0) == expected[i]);
}

BOOST_DATA_TEST_CASE(a_zero_column_has_scale_zero, bdata::make(kFormats), format) {
  Model model;
  auto& values = model.tensors["model.layers.1.mlp.down_proj.weight"].values;
  for (std::size_t i = 0; i < 75; ++i) values[4 * 75 + i] = i % 2 == 0 ? 0.0f : -0.0f;
  const auto linear = model.load(1, LinearKind::down, format);
  BOOST_TEST(linear.scale[4] == 0.0f);
  BOOST_TEST(linear.scale[5] > 0.0f);
  for (std::size_t i = 0; i < 75; ++i) BOOST_TEST(value_at(linear, i, 4) == 0);
}

BOOST_DATA_TEST_CASE(subnormal_and_huge_columns_stay_in_range, bdata::make(kFormats), format) {
  Model model;
  auto& values = model.tensors["model.layers.0.self_attn.o_proj.weight"].values;
  const float tiny = std::numeric_limits<float>::denorm_min();
  const float tops[] = {tiny,
                        60 * tiny,
                        64 * tiny,
                        190 * tiny,
                        45000 * tiny,
                        32639 * tiny,
                        std::numeric_limits<float>::max()};
  for (std::size_t j = 0; j < std::size(tops); ++j)
    for (std::size_t i = 0; i < 30; ++i) values[j * 30 + i] = i % 3 == 0 ? tops[j] : -tops[j] / 2;
  const auto linear = model.load(0, LinearKind::o, format);
  for (std::size_t j = 0; j < std::size(tops); ++j)
    for (std::size_t i = 0; i < 30; ++i) {
      BOOST_TEST(std::abs(value_at(linear, i, j)) <= largest(format));
      BOOST_TEST((linear.scale[j] > 0 || value_at(linear, i, j) == 0));
    }
  // 190 / 127 and 45000 / 32639 subnormal units round down to a scale of one: the column is
  // clamped.
  const std::size_t clamped = format == WeightFormat::int8 ? 3 : 4;
  BOOST_TEST(linear.scale[clamped] == tiny);
  BOOST_TEST(value_at(linear, 0, clamped) == largest(format));
  BOOST_TEST(value_at(linear, 0, std::size(tops) - 1) == largest(format));
}

BOOST_DATA_TEST_CASE(a_bf16_file_and_an_f32_file_of_the_same_values_give_the_same_bits,
                     bdata::make(kFormats) * bdata::xrange(5u), format, k) {
  Model model;
  const auto wide = model.load(1, kKinds[k], format);
  model.dtype = "BF16";
  const auto narrow = model.load(1, kKinds[k], format);
  BOOST_TEST(wide.scale == narrow.scale, boost::test_tools::per_element());
  BOOST_TEST((packed(wide) == packed(narrow)));
  BOOST_TEST((digest(wide) == digest(narrow)));
}

BOOST_AUTO_TEST_CASE(the_digest_depends_on_id_format_and_every_weight) {
  Model model;
  model.tensors["model.layers.1.mlp.down_proj.weight"] =
      model.tensors["model.layers.0.mlp.down_proj.weight"];
  const auto linear = model.load(0, LinearKind::down, WeightFormat::int8);
  BOOST_TEST((digest(linear) == digest(model.load(0, LinearKind::down, WeightFormat::int8))));
  BOOST_TEST((packed(linear) == packed(model.load(1, LinearKind::down, WeightFormat::int8))));
  BOOST_TEST((digest(linear) != digest(model.load(1, LinearKind::down, WeightFormat::int8))));
  BOOST_TEST((digest(linear) != digest(model.load(0, LinearKind::down, WeightFormat::int16))));
  auto changed = model.load(0, LinearKind::down, WeightFormat::int8);
  changed.columns.at(74, 12) ^= 1;
  BOOST_TEST((digest(linear) != digest(changed)));
  changed.columns.at(74, 12) ^= 1;
  BOOST_TEST((digest(linear) == digest(changed)));
}

BOOST_AUTO_TEST_CASE(the_digest_is_sha256_of_the_documented_bytes) {
  const Model model;
  const auto linear = model.load(1, LinearKind::o, WeightFormat::int16);
  Bytes bytes{5, 0, 0, 0, 1, 30, 0, 0, 0, 0, 0, 0, 0, 13, 0, 0, 0, 0, 0, 0, 0};
  const auto weights = packed(linear);
  bytes.insert(bytes.end(), weights.begin(), weights.end());
  BOOST_TEST((digest(linear) == sha256(bytes)));
}

BOOST_AUTO_TEST_CASE(a_tied_head_is_the_embedding_matrix) {
  Model model;
  model.config.tied_embeddings = true;
  const auto rows = model.expected(0, LinearKind::lm_head);
  const auto linear = model.load(0, LinearKind::lm_head, WeightFormat::int8);
  float top = 0;
  for (const float w : rows[130]) top = std::max(top, std::fabs(w));
  BOOST_TEST(linear.scale[130] == top / 127.0f);

  model.tensors.erase("lm_head.weight");
  BOOST_TEST((digest(model.load(0, LinearKind::lm_head, WeightFormat::int8)) == digest(linear)));
  model.config.tied_embeddings = false;
  check_error([&] { model.load(0, LinearKind::lm_head, WeightFormat::int8); }, Errc::model,
              {"lm_head.weight", "missing", model.folder.path().string()});
}

BOOST_AUTO_TEST_CASE(nan_and_infinity_are_errors_naming_tensor_and_element) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const float infinity = std::numeric_limits<float>::infinity();
  const std::string up = "model.layers.1.mlp.up_proj.weight";
  const std::string gain = "model.layers.1.post_attention_layernorm.weight";
  const auto check = [](const Model& model, std::vector<std::string> parts) {
    parts.push_back((model.folder.path() / "model.safetensors").string());
    check_error([&] { model.load(1, LinearKind::gate_up, WeightFormat::int8); }, Errc::model,
                parts);
  };
  for (const float bad : {nan, infinity, -infinity})
    for (const char* dtype : {"F32", "BF16"}) {
      Model model;
      model.dtype = dtype;
      model.tensors[up].values[973] = bad;
      check(model, {up, "element 973 is", std::isnan(bad) ? "NaN" : "infinite"});
      BOOST_CHECK_NO_THROW(model.load(0, LinearKind::gate_up, WeightFormat::int8));
    }
  Model hidden_by_zero;
  hidden_by_zero.tensors[up].values[13] = infinity;
  hidden_by_zero.tensors[gain].values[0] = 0;
  check(hidden_by_zero, {up, "element 13 is infinite"});
  Model bad_gain;
  bad_gain.tensors[gain].values[12] = nan;
  check(bad_gain, {gain, "element 12 is NaN"});
  Model overflow;
  overflow.tensors[up].values[14] = 3e38f;
  overflow.tensors[gain].values[1] = 2;
  check(overflow, {up, gain, "element 14 overflows"});
}

BOOST_AUTO_TEST_CASE(missing_tensors_and_wrong_shapes_are_errors) {
  const std::string names[] = {"model.layers.0.self_attn.v_proj.weight",
                               "model.layers.0.input_layernorm.weight"};
  for (const std::string& name : names) {
    Model model;
    model.tensors.erase(name);
    check_error([&] { model.load(0, LinearKind::qkv, WeightFormat::int8); }, Errc::model,
                {name, "missing"});
  }
  Model model;
  model.tensors[names[0]].shape = {13, 10};
  check_error([&] { model.load(0, LinearKind::qkv, WeightFormat::int8); }, Errc::model,
              {names[0], "[13, 10]", "[10, 13]"});
}

BOOST_AUTO_TEST_CASE(ids_name_every_matrix_once) {
  const arch::ModelPlan plan = arch::plan_decoder(small_config());
  BOOST_TEST(plan.linears.size() == 9u);
  std::map<std::string, u32> names;
  for (u32 value = 0; value < 9; ++value) {
    const LinearId id{value};
    ++names[plan.linears[id].name];
    BOOST_TEST((plan.linears.of(plan.linears[id].layer, plan.linears[id].kind).id == id));
  }
  BOOST_TEST(names.size() == 9u);
  BOOST_TEST(plan.linears[LinearId{6}].name == "layers.1.gate_up");
  BOOST_TEST(plan.linears[LinearId{8}].name == "lm_head");
  check_error([&] { plan.linears.at(LinearId{9}); }, Errc::internal, {"9"});
  check_error([&] { plan.linears.of(2, LinearKind::o); }, Errc::internal, {"2"});
}

BOOST_AUTO_TEST_CASE(weight_formats_are_parsed_by_name) {
  for (const WeightFormat format : kFormats)
    BOOST_TEST((parse_weight_format(to_string(format)) == format));
  check_error([] { parse_weight_format("int4"); }, Errc::usage, {"int4", "int8 or int16"});
}

BOOST_AUTO_TEST_CASE(biases_are_concatenated_by_id) {
  const Model model;
  const auto enclave = load_enclave_tensors(model.open(), model.plan());
  BOOST_TEST_REQUIRE(enclave.bias.size() == 9u);
  std::vector<float> expected;
  for (const char* part : {"q", "k", "v"}) {
    const auto name = std::string("model.layers.1.self_attn.") + part + "_proj.bias";
    const auto& values = model.tensors.at(name).values;
    expected.insert(expected.end(), values.begin(), values.end());
  }
  BOOST_TEST(enclave.bias[4] == expected, boost::test_tools::per_element());
  for (const u32 id : {1u, 2u, 3u, 5u, 6u, 7u, 8u}) BOOST_TEST(enclave.bias[id].empty());
  for (const LayerGains& gains : enclave.gains)
    BOOST_TEST((gains.q.empty() && gains.k.empty() && gains.attention_out.empty()));
}

BOOST_AUTO_TEST_CASE(head_norms_are_read_by_layer) {
  Model model;
  model.config.qk_norm = true;
  std::vector<float> expected;
  for (u32 layer = 0; layer < 2; ++layer)
    for (const char* name : {"q_norm", "k_norm"}) {
      auto& tensor = model.tensors[layer_base(layer) + "self_attn." + name + ".weight"];
      tensor.shape = {10};
      for (u32 i = 0; i < 10; ++i)
        tensor.values.push_back(static_cast<float>(100 * layer + i) + (name[0] == 'q' ? 0 : 0.5f));
      if (name[0] == 'k' && layer == 1) expected = tensor.values;
    }
  const auto enclave = load_enclave_tensors(model.open(), model.plan());
  BOOST_TEST(enclave.gains[1].k == expected, boost::test_tools::per_element());
  BOOST_TEST(enclave.gains[1].q[9] == 109.0f);
  model.tensors.erase("model.layers.1.self_attn.q_norm.weight");
  check_error([&] { load_enclave_tensors(model.open(), model.plan()); }, Errc::model,
              {"model.layers.1.self_attn.q_norm.weight"});
}

// y = W x grows by the multiplier, and so does its bias; what goes to the worker stays.
BOOST_AUTO_TEST_CASE(a_multiplier_is_part_of_scales_and_biases) {
  Model model;
  model.config.o_bias = true;
  for (u32 layer = 0; layer < 2; ++layer)
    model.tensors[layer_base(layer) + "self_attn.o_proj.bias"] = {{13}, std::vector<float>(13, 3)};
  arch::ModelPlan plan = arch::plan_layers(model.config);
  for (arch::Layer& layer : plan.layers) layer.multiplier = 0.25f;
  plan.linears = linear_table(plan, model.config.names());
  const auto store = model.open();
  const auto plain =
      load_linear(store, model.plan().linears.of(1, LinearKind::o), WeightFormat::int8);
  const auto scaled = load_linear(store, plan.linears.of(1, LinearKind::o), WeightFormat::int8);
  BOOST_TEST((digest(plain) == digest(scaled)));
  for (std::size_t j = 0; j < 13; ++j) BOOST_TEST(scaled.scale[j] == plain.scale[j] * 0.25f);
  BOOST_TEST(load_enclave_tensors(store, plan).bias[5] == std::vector<float>(13, 0.75f),
             boost::test_tools::per_element());
}

// Gemma's gains are stored minus one.
BOOST_AUTO_TEST_CASE(one_is_added_to_a_gain_in_fp32) {
  Model model;
  arch::ModelPlan plan = model.plan();
  const std::string norm = "model.layers.0.input_layernorm.weight";
  const auto plain = load_linear(model.open(), plan.linears[{0}], WeightFormat::int8);
  for (float& gain : model.tensors[norm].values) gain -= 1; // values of few bits: exact
  arch::Linear wanted = plan.linears[{0}];
  wanted.gain.plus_one = true;
  const auto again = load_linear(model.open(), wanted, WeightFormat::int8);
  BOOST_TEST((digest(again) == digest(plain)));
  BOOST_TEST(again.scale == plain.scale, boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(a_bias_the_config_denies_or_lacks_is_an_error) {
  Model model;
  model.config.qkv_bias = false;
  check_error([&] { load_enclave_tensors(model.open(), model.plan()); }, Errc::model,
              {"model.layers.0.self_attn.q_proj.bias", "no bias"});
  model.config.qkv_bias = true;
  model.config.o_bias = true;
  check_error([&] { load_enclave_tensors(model.open(), model.plan()); }, Errc::model,
              {"model.layers.0.self_attn.o_proj.bias", "missing"});
}

BOOST_AUTO_TEST_CASE(embedding_rows_are_those_of_the_file) {
  Model model;
  model.dtype = "BF16";
  const auto store = model.open();
  const EmbeddingTable table(store, model.plan());
  std::vector<float> row(13);
  for (const u32 token : {0u, 1u, 77u, 130u}) {
    table.lookup(token, row);
    const auto& values = model.tensors["model.embed_tokens.weight"].values;
    BOOST_TEST(std::equal(row.begin(), row.end(), values.begin() + token * 13));
  }
  check_error([&] { table.lookup(131, row); }, Errc::internal, {"embedding"});
  check_error([&] { table.lookup(0, std::span(row).first(12)); }, Errc::internal, {"embedding"});
}

BOOST_AUTO_TEST_CASE(an_embedding_table_is_a_private_copy) {
  Model model;
  model.dtype = "BF16";
  const auto store = model.open();
  const EmbeddingTable table(store, model.plan());
  BOOST_TEST(table.rows() == 131u);
  BOOST_TEST(table.hidden() == 13u);
  BOOST_TEST((table.dtype() == Dtype::bf16));
  BOOST_TEST(table.row_bytes() == 26u);
  BOOST_TEST(table.bytes().size() == 131u * 26u);
  const Bytes stored = bf16_bytes(model.tensors["model.embed_tokens.weight"].values);
  BOOST_TEST(std::equal(stored.begin(), stored.end(), table.bytes().begin()));
  // As much on the disk, and another model.
  model.tensors["model.embed_tokens.weight"].values.assign(131 * 13, 7);
  const auto file = model.folder.path() / "model.safetensors";
  const Bytes other = safetensors_file(model.tensors, model.dtype);
  BOOST_REQUIRE(std::filesystem::file_size(file) == other.size());
  std::fstream(file, std::ios::binary | std::ios::in | std::ios::out)
      .write(reinterpret_cast<const char*>(other.data()), static_cast<long>(other.size()));
  BOOST_TEST(std::equal(stored.begin(), stored.end(), table.bytes().begin()));
  std::filesystem::resize_file(file, 0);
  std::vector<float> row(13);
  table.lookup(130, row);
  BOOST_TEST((row != std::vector<float>(13, 7)));
}

BOOST_DATA_TEST_CASE(oblivious_lookups_give_the_rows_of_ordinary_ones,
                     bdata::make({"BF16", "F16", "F32"}) * bdata::make({1u, 2u, 5u}), dtype,
                     threads) {
  Model model;
  model.dtype = dtype;
  const auto store = model.open();
  const EmbeddingTable table(store, model.plan());
  ThreadTeam team(threads);
  for (const std::size_t count : {0u, 1u, 2u, 7u, 8u, 9u, 40u, 131u}) {
    std::vector<u32> tokens(count);
    for (std::size_t i = 0; i < count; ++i) tokens[i] = static_cast<u32>((i * 67 + count) % 131);
    Matrix<float> rows(count + 1, 13);
    lookup_obliviously(table, tokens, rows.view(), team);
    std::vector<float> row(13);
    for (std::size_t i = 0; i < count; ++i) {
      table.lookup(tokens[i], row);
      BOOST_TEST(std::equal(row.begin(), row.end(), rows.row(i)), "token " << tokens[i]);
    }
    BOOST_TEST(std::count(rows.row(count), rows.row(count) + 13, 0.0f) == 13);
  }
  Matrix<float> rows(2, 13);
  check_error(
      [&] {
        lookup_obliviously(table, std::vector<u32>{130, 131}, rows.view(), team);
      },
      Errc::internal, {"embedding"});
  check_error(
      [&] {
        lookup_obliviously(table, std::vector<u32>{1, 2, 3}, rows.view(), team);
      },
      Errc::internal, {"embedding"});
}

BOOST_AUTO_TEST_CASE(an_embedding_table_with_nan_is_refused_at_load) {
  Model model;
  model.tensors["model.embed_tokens.weight"].values[1702] = std::numeric_limits<float>::quiet_NaN();
  const auto store = model.open();
  check_error([&] { EmbeddingTable(store, model.plan()); }, Errc::model,
              {"model.embed_tokens.weight", "element 1702 is NaN"});
}

BOOST_DATA_TEST_CASE(shipped_models_load_whole,
                     bdata::make({"tests/data/conformance/llama3", "tests/data/conformance/mistral",
                                  "tests/data/conformance/qwen2", "tests/data/conformance/qwen3",
                                  "models/talaria-tiny"}),
                     name) {
  const auto folder = std::filesystem::path(TALARIA_SOURCE_DIR) / name;
  const arch::ModelPlan plan = load_model_plan(folder);
  const TensorStore store(folder);
  for (const arch::Linear& wanted : plan.linears) {
    const auto linear = load_linear(store, wanted, WeightFormat::int8);
    BOOST_TEST(std::count(linear.scale.begin(), linear.scale.end(), 0.0f) == 0);
  }
  const auto enclave = load_enclave_tensors(store, plan);
  const arch::Linear& qkv = plan.linears[{0}];
  BOOST_TEST(enclave.bias[0].size() == (qkv.bias ? qkv.d_out : 0));
  const EmbeddingTable table(store, plan);
  std::vector<float> row(plan.hidden);
  table.lookup(plan.vocab - 1, row);
  BOOST_TEST(std::any_of(row.begin(), row.end(), [](float x) { return x != 0; }));
}
