#include "model/weights/synthetic.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <charconv>
#include <map>
#include <span>
#include <utility>
#include <vector>

#include "arch/decoder_config.hpp"
#include "core/error.hpp"
#include "core/matrix.hpp"
#include "model/weights/quantized.hpp"
#include "model/weights/tensor_names.hpp"

namespace talaria::model {

using arch::DecoderConfig;

namespace {

constexpr std::string_view kRandom = "random:";
constexpr std::size_t kShift = 1021; // elements between the beginnings of two tensors
constexpr std::size_t kLargestShift = 1 << 16;
constexpr float kUnit = 0x1p-21f; // weights lie in [-2^-4, 2^-4)
constexpr u16 kOne = 0x3f80;      // as bf16

DecoderConfig llama(u32 hidden, u32 intermediate, u32 layers, u32 heads, u32 head_dim, bool tied) {
  DecoderConfig c;
  c.model_type = "llama";
  c.hidden = hidden;
  c.intermediate = intermediate;
  c.layers = layers;
  c.heads = heads;
  c.kv_heads = 8;
  c.head_dim = head_dim;
  c.vocab = 128256;
  c.max_position = 131072;
  c.rms_eps = 1e-5f;
  c.rope_theta = 500000;
  c.tied_embeddings = tied;
  return c;
}

DecoderConfig llama_32(u32 hidden, u32 layers, u32 heads, u32 head_dim) {
  DecoderConfig c = llama(hidden, 8192, layers, heads, head_dim, /*tied=*/true);
  c.rope_scaling = arch::RopeScaling::llama3(32, 1, 4, 8192);
  return c;
}

DecoderConfig llama_3_8b() {
  DecoderConfig c = llama(4096, 14336, 32, 32, 128, /*tied=*/false);
  c.max_position = 8192;
  return c;
}

DecoderConfig llama_3_70b() {
  DecoderConfig c = llama(8192, 28672, 80, 64, 128, /*tied=*/false);
  c.max_position = 8192;
  return c;
}

DecoderConfig qwen_25_05b() {
  DecoderConfig c = llama(896, 4864, 24, 14, 64, /*tied=*/true);
  c.model_type = "qwen2";
  c.kv_heads = 2;
  c.vocab = 151936;
  c.max_position = 32768;
  c.rms_eps = 1e-6f;
  c.rope_theta = 1e6f;
  c.qkv_bias = true;
  return c;
}

DecoderConfig tiny() {
  DecoderConfig c = llama(256, 704, 6, 8, 32, /*tied=*/true);
  c.kv_heads = 4;
  c.vocab = 4096;
  c.max_position = 1024;
  c.rope_theta = 10000;
  return c;
}

DecoderConfig named_shape(std::string_view name) {
  if (name == "llama-3.2-1b") return llama_32(2048, 16, 32, 64);
  if (name == "llama-3.2-3b") return llama_32(3072, 28, 24, 128);
  if (name == "llama-3-8b") return llama_3_8b();
  if (name == "llama-3-70b") return llama_3_70b();
  if (name == "qwen2.5-0.5b") return qwen_25_05b();
  if (name == "tiny") return tiny();
  throw Error(Errc::usage, fmt::format("unknown shape '{}'; use one of llama-3.2-1b, llama-3.2-3b, "
                                       "llama-3-8b, llama-3-70b, qwen2.5-0.5b, tiny",
                                       name));
}

using Shapes = std::map<std::string, std::vector<std::size_t>>;

/// Name and shape of every tensor that the readers of a model look for.
Shapes tensor_shapes(const arch::ModelPlan& plan) {
  Shapes shapes;
  for (const KeptTensor& kept : kept_tensors(plan)) shapes[kept.name] = kept.shape;
  for (const arch::Linear& linear : plan.linears) {
    for (const arch::LinearPart& part : linear.parts) {
      const std::size_t inputs = part.inputs != 0 ? part.inputs : linear.d_in;
      shapes[part.base + ".weight"] = linear.by_inputs
                                          ? std::vector<std::size_t>{linear.d_out, part.size}
                                          : std::vector<std::size_t>{part.size, inputs};
      if (!part.gain.tensor.empty()) shapes[part.gain.tensor] = {inputs};
    }
    if (!linear.gain.tensor.empty()) shapes[linear.gain.tensor] = {linear.d_in};
  }
  return shapes;
}

bool is_gain(const std::string& name) {
  return name.ends_with("norm.weight");
}

/// Numbers as bf16, from a fixed sequence (splitmix64). Each is a sum of four uniform ones, so that
/// quantised columns have the norms of trained ones (docs/protocol.md, Noise and range): uniform
/// weights would have nearly twice as much, and fewer bits for activations.
AlignedBuffer<u16> random_block(std::size_t elements) {
  AlignedBuffer<u16> block(elements);
  u64 state = 0;
  for (u16& out : block) {
    u64 z = (state += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    z ^= z >> 31;
    i32 sum = 0;
    for (unsigned k = 0; k < 4; ++k) sum += static_cast<i16>(z >> (16 * k));
    out = static_cast<u16>(std::bit_cast<u32>(static_cast<float>(sum) * kUnit) >> 16);
  }
  return block;
}

struct Blocks {
  AlignedBuffer<u16> random;
  AlignedBuffer<u16> ones;
};

std::span<const u8> bytes_of(const AlignedBuffer<u16>& block, std::size_t first,
                             std::size_t elements) {
  return {reinterpret_cast<const u8*>(block.data() + first), elements * sizeof(u16)};
}

} // namespace

DecoderConfig shape_decoder(std::string_view name, u32 layers) {
  DecoderConfig config = named_shape(name);
  if (layers > config.layers)
    throw Error(Errc::usage,
                fmt::format("--layers {}: {} has {} layers", layers, name, config.layers));
  if (layers > 0) config.layers = layers;
  return config;
}

arch::ModelPlan shape_plan(std::string_view name, u32 layers) {
  return arch::plan_decoder(shape_decoder(name, layers));
}

std::optional<arch::ModelPlan> random_model(const std::filesystem::path& path) {
  const std::string text = path.string();
  if (!text.starts_with(kRandom)) return std::nullopt;
  const std::string_view shape = std::string_view(text).substr(kRandom.size());
  const auto slash = shape.find('/');
  if (slash == std::string_view::npos) return shape_plan(shape, 0);
  u32 layers = 0;
  const std::string_view number = shape.substr(slash + 1);
  const auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), layers);
  if (error != std::errc() || end != number.data() + number.size() || layers == 0)
    throw Error(Errc::usage, text + ": expected a layer count after '/'");
  return shape_plan(shape.substr(0, slash), layers);
}

std::filesystem::path random_model_path(std::string_view name, u32 layers) {
  return layers == 0 ? fmt::format("{}{}", kRandom, name)
                     : fmt::format("{}{}/{}", kRandom, name, layers);
}

std::shared_ptr<const TensorStore> synthetic_tensors(const arch::ModelPlan& plan) {
  std::vector<TensorView> tensors;
  std::size_t largest = 0;
  std::size_t longest_gain = 0;
  for (auto& [name, shape] : tensor_shapes(plan)) {
    TensorView& tensor = tensors.emplace_back();
    tensor.name = name;
    tensor.dtype = Dtype::bf16;
    tensor.shape = shape;
    tensor.file = "random weights";
    std::size_t& most = is_gain(name) ? longest_gain : largest;
    most = std::max(most, tensor.elements());
  }
  auto blocks = std::make_shared<Blocks>();
  blocks->random = random_block(largest + kLargestShift);
  blocks->ones = AlignedBuffer<u16>(longest_gain);
  std::fill(blocks->ones.begin(), blocks->ones.end(), kOne);
  std::size_t shift = 0;
  for (TensorView& tensor : tensors) {
    const bool gain = is_gain(tensor.name);
    tensor.bytes =
        bytes_of(gain ? blocks->ones : blocks->random, gain ? 0 : shift, tensor.elements());
    shift = (shift + kShift) % kLargestShift;
  }
  return std::make_shared<const TensorStore>("random weights", std::move(tensors),
                                             std::move(blocks));
}

} // namespace talaria::model
