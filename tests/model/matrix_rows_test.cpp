// Matrices that lie in tensors of several, against the same matrices one by one.
#include "model/weights/matrix_rows.hpp"

#include <boost/test/data/test_case.hpp>

#include <cmath>

#include "model/weights/plan_file.hpp"
#include "model/weights/quantized.hpp"
#include "tests/model/model_folder.hpp"
#include "tests/support/models.hpp"

using namespace talaria;
using namespace talaria::model;
using namespace talaria::test;
namespace bdata = boost::unit_test::data;

BOOST_AUTO_TEST_SUITE(matrix_rows)

namespace {

/// The tensors of a folder; all of them are bf16.
TestTensors tensors_of(const std::string& name) {
  const SafetensorsFile file(tests::model_folder(name) / "model.safetensors");
  TestTensors out;
  for (const auto& [tensor, view] : file.tensors()) {
    std::vector<float> values(view.elements());
    view.read(0, values);
    out[tensor] = {view.shape, std::move(values)};
  }
  return out;
}

struct Mixture {
  const char* folder;
  const char* block; ///< of the folder
  const char* written;
  const char* gate;
  const char* up;
  const char* down;
};
std::ostream& operator<<(std::ostream& out, const Mixture& mixture) {
  return out << mixture.folder << " " << mixture.written;
}

constexpr Mixture kMixtures[] = {
    {"qwen3_moe", "mlp.", "mlp.", "gate_proj", "up_proj", "down_proj"},
    {"deepseek_v2", "mlp.", "mlp.", "gate_proj", "up_proj", "down_proj"},
    {"mixtral", "block_sparse_moe.", "block_sparse_moe.", "w1", "w3", "w2"},
    {"mixtral", "block_sparse_moe.", "mlp.", "w1", "w3", "w2"}};

/// The experts of each layer as transformers 5 writes them: [E, 2 width, hidden], gates first, and
/// [E, hidden, width].
TestTensors stacked(const Mixture& mixture, const arch::ModelPlan& plan) {
  TestTensors tensors = tensors_of(mixture.folder);
  for (const arch::Layer& layer : plan.layers) {
    if (!layer.feed_forward.router) continue;
    const std::size_t experts = layer.feed_forward.routed();
    const std::size_t width = layer.feed_forward.experts[0].width;
    TestTensor gate_up{{experts, 2 * width, plan.hidden}, {}};
    TestTensor down{{experts, plan.hidden, width}, {}};
    const auto move = [&](const std::string& name, TestTensor& to) {
      const std::vector<float>& from = tensors.at(name).values;
      to.values.insert(to.values.end(), from.begin(), from.end());
      tensors.erase(name);
    };
    for (std::size_t e = 0; e < experts; ++e) {
      const std::string base = layer.prefix + mixture.block + "experts." + std::to_string(e) + ".";
      move(base + mixture.gate + ".weight", gate_up);
      move(base + mixture.up + ".weight", gate_up);
      move(base + mixture.down + ".weight", down);
    }
    const std::string block = layer.prefix + mixture.written;
    tensors[block + "experts.gate_up_proj"] = std::move(gate_up);
    tensors[block + "experts.down_proj"] = std::move(down);
    auto router = tensors.extract(layer.prefix + mixture.block + "gate.weight");
    router.key() = block + "gate.weight";
    tensors.insert(std::move(router));
  }
  return tensors;
}

void check_same(const TensorStore& ours, const TensorStore& expected, const arch::ModelPlan& plan) {
  for (const arch::Linear& linear : plan.linears)
    BOOST_TEST((digest(load_linear(ours, linear, WeightFormat::int8)) ==
                digest(load_linear(expected, linear, WeightFormat::int8))),
               linear.name);
  const EnclaveTensors a = load_enclave_tensors(ours, plan);
  const EnclaveTensors b = load_enclave_tensors(expected, plan);
  BOOST_TEST((a.bias == b.bias));
  for (std::size_t l = 0; l < a.gains.size(); ++l) {
    BOOST_TEST((a.gains[l].router == b.gains[l].router));
    BOOST_TEST((a.gains[l].down_bias == b.gains[l].down_bias));
  }
}

} // namespace

BOOST_DATA_TEST_CASE(experts_of_a_layer_in_one_tensor_are_the_same, bdata::make(kMixtures),
                     mixture) {
  const arch::ModelPlan plan = load_model_plan(tests::model_folder(mixture.folder));
  TemporaryFolder folder;
  folder.write("model.safetensors", safetensors_file(stacked(mixture, plan), "BF16"));
  check_same(TensorStore(folder.path()), TensorStore(tests::model_folder(mixture.folder)), plan);
}

// Transposed in one folder, rows of bytes in the other.
BOOST_AUTO_TEST_CASE(mxfp4_gives_the_matrices_that_were_written_out) {
  const arch::ModelPlan plan = load_model_plan(tests::model_folder("gpt_oss"));
  const TensorStore packed(tests::model_folder("gpt_oss_mxfp4"));
  check_same(packed, TensorStore(tests::model_folder("gpt_oss")), plan);
  check_error(
      [&] {
        packed.get("model.layers.0.mlp.experts.down_proj_blocks", {6, 64, 1, 16});
      },
      Errc::model, {"down_proj_blocks", "U8"});
  check_error([&] { packed.get_bytes("model.norm.weight", {64}); }, Errc::model, {"U8"});
  check_error([&] { packed.get_bytes("model.layers.0.mlp.experts.down_proj_blocks", {6}); },
              Errc::model, {"down_proj_blocks", "shape"});
}

BOOST_AUTO_TEST_CASE(the_lower_half_of_a_byte_of_mxfp4_comes_first) {
  std::vector<u8> blocks(32);
  for (std::size_t i = 0; i < 8; ++i) {
    blocks[i] = static_cast<u8>(2 * i | (2 * i + 1) << 4);
    blocks[16 + i] = 0x72; // 1, then 6
  }
  const u8 scales[] = {128, 0};
  std::vector<float> out(64);
  decode_mxfp4(blocks, scales, out);
  const float expected[] = {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};
  for (std::size_t i = 0; i < 16; ++i) BOOST_TEST(out[i] == expected[i]);
  BOOST_TEST((out[32] == 0x1p-127f && out[33] == 6 * 0x1p-127f));
}

// Two blocks in a matrix of which the one has no inputs in common with the other.
BOOST_AUTO_TEST_CASE(inputs_that_a_part_does_not_have_count_zero) {
  const auto folder = tests::model_folder("deepseek_v3");
  const arch::ModelPlan plan = load_model_plan(folder);
  const TensorStore store(folder);
  for (u32 l = 0; l < plan.layer_count(); ++l) {
    const arch::Linear& linear = plan.linears.of(l, arch::LinearKind::heads);
    const QuantizedLinear loaded = load_linear(store, linear, WeightFormat::int8);
    std::size_t column = 0;
    for (const arch::LinearPart& part : linear.parts) {
      std::vector<float> gain(part.inputs), row(part.inputs);
      store.get(part.gain.tensor, {part.inputs}).read(0, gain);
      const TensorView& tensor = store.get(part.base + ".weight", {part.size, part.inputs});
      for (std::size_t r = 0; r < part.size; ++r, ++column) {
        tensor.read(r * part.inputs, row);
        for (std::size_t i = 0; i < linear.d_in; ++i) {
          const bool inside = i >= part.first_input && i < part.first_input + part.inputs;
          const std::size_t own = i - part.first_input;
          const float w = inside ? gain[own] * row[own] : 0;
          const float ours = loaded.scale[column] * loaded.columns.at(i, column);
          BOOST_TEST_REQUIRE(std::abs(ours - w) <= 0.5001f * loaded.scale[column]);
          if (!inside) BOOST_TEST_REQUIRE(loaded.columns.at(i, column) == 0);
        }
      }
    }
    BOOST_TEST(column == linear.d_out);
  }
}

BOOST_AUTO_TEST_CASE(a_missing_expert_is_named) {
  TestTensors tensors = tensors_of("qwen3_moe");
  tensors.erase("model.layers.1.mlp.experts.3.up_proj.weight");
  TemporaryFolder folder;
  folder.write("model.safetensors", safetensors_file(tensors, "BF16"));
  const arch::ModelPlan plan = load_model_plan(tests::model_folder("qwen3_moe"));
  check_error(
      [&] {
        load_linear(TensorStore(folder.path()), plan.linears.of(1, arch::LinearKind::gate_up),
                    WeightFormat::int8);
      },
      Errc::model, {"model.layers.1.mlp.experts.3.up_proj.weight", "missing"});
}

BOOST_AUTO_TEST_SUITE_END()
