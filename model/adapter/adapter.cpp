#include "model/adapter/adapter.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <optional>
#include <set>
#include <utility>

#include "arch/json_fields.hpp"
#include "core/error.hpp"
#include "model/adapter/peft_config.hpp"
#include "model/weights/tensor_names.hpp"

namespace talaria::model {

namespace fs = std::filesystem;

namespace {

constexpr const char* kConfigFile = "adapter_config.json";
constexpr const char* kWeightsFile = "adapter_model.safetensors";
constexpr std::string_view kRoot = "base_model.model.";
constexpr std::string_view kA = ".lora_A.weight";
constexpr std::string_view kB = ".lora_B.weight";
constexpr u64 kMostBytes = u64{16} << 30;

/// A file in private memory that is wiped, and its digest.
struct AdapterBytes {
  SecretBuffer<u8> bytes;
  Sha256Digest digest{};
};

AdapterBytes read_weights(const fs::path& path) {
  if (!is_there(path))
    throw Error(Errc::model,
                fmt::format("{}: no such file; a PEFT folder holds {} and {} (adapter_model.bin is "
                            "not read: save with safe_serialization)",
                            path.string(), kConfigFile, kWeightsFile));
  LargeFile file(path);
  if (file.size() > kMostBytes)
    throw Error(Errc::model, fmt::format("{}: {} bytes; an adapter has at most {}", path.string(),
                                         file.size(), kMostBytes));
  AdapterBytes out;
  out.bytes = SecretBuffer<u8>(static_cast<std::size_t>(file.size()), Unwritten{});
  SealingPass pass(file);
  pass.read(out.bytes.span());
  out.digest = pass.finish();
  return out;
}

Sha256Digest digest_of(const PrivateFile& config, const AdapterBytes& weights) {
  const std::string text = fmt::format("talaria adapter 1\n{} {} {}\n{} {} {}\n",
                                       to_hex(config.digest), config.text.size(), kConfigFile,
                                       to_hex(weights.digest), weights.bytes.size(), kWeightsFile);
  return sha256({reinterpret_cast<const u8*>(text.data()), text.size()});
}

/// A module of the model that may have a pair of matrices.
struct Module {
  const arch::Linear* linear = nullptr;
  std::size_t part = 0;
  std::string path; ///< as checkpoints without a wrapper have it
};

/// "model.layers.0.self_attn.q_proj" of a path with whatever stands before "model." or "layers.".
std::string canonical_module(const std::string& path) {
  std::string name = canonical_name(path + ".");
  name.pop_back();
  return name;
}

std::map<std::string, Module> modules_of(const arch::ModelPlan& plan) {
  std::map<std::string, Module> out;
  for (const arch::Linear& linear : plan.linears)
    for (std::size_t part = 0; part < linear.parts.size(); ++part) {
      const bool is_head = linear.kind == arch::LinearKind::lm_head; // maybe the embedding's tensor
      const std::string path = is_head ? "lm_head" : linear.parts[part].base;
      out.emplace(canonical_module(path), Module{&linear, part, path});
    }
  return out;
}

} // namespace

/// Puts together what both files say.
class AdapterReader {
public:
  AdapterReader(Adapter& adapter, const fs::path& folder, const arch::ModelPlan& plan,
                const TensorStore& store)
      : adapter_(adapter), plan_(plan), store_(store), file_((folder / kWeightsFile).string()),
        config_file_((folder / kConfigFile).string()), modules_(modules_of(plan)) {}

  void read(const fs::path& folder) {
    const PrivateFile config_text = read_private_file(folder / kConfigFile);
    config_.emplace(PeftConfig::parse(config_text));
    const AdapterBytes weights = read_weights(folder / kWeightsFile);
    adapter_.digest_ = digest_of(config_text, weights);
    std::map<std::string, std::string> other_dtypes;
    tensors_ = parse_safetensors(weights.bytes.span(), file_, &other_dtypes);
    if (!other_dtypes.empty())
      refuse(other_dtypes.begin()->first,
             "has dtype " + other_dtypes.begin()->second + "; expected F32, F16 or BF16");
    for (const auto& [name, tensor] : tensors_) path_of(name); // what they are comes first
    for (const auto& [name, tensor] : tensors_) take(name);
    if (done_.empty()) throw Error(Errc::model, file_ + ": holds no lora_A and lora_B");
    require_all();
  }

private:
  [[noreturn]] void refuse(const std::string& tensor, const std::string& why) const {
    throw Error(Errc::model, fmt::format("{}: tensor {} {}", file_, printable(tensor), why));
  }

  /// The path of the module that the tensor `name` belongs to.
  std::string path_of(const std::string& name) const {
    const bool known = name.ends_with(kA) || name.ends_with(kB);
    if (!name.starts_with(kRoot) || !known)
      refuse(name, "is not computed; expected base_model.model.MODULE.lora_A.weight and "
                   ".lora_B.weight, as PEFT names those of linear modules");
    return name.substr(kRoot.size(), name.size() - kRoot.size() - kA.size());
  }

  void take(const std::string& name) {
    const std::string path = path_of(name);
    const auto found = modules_.find(canonical_module(path));
    if (found == modules_.end())
      refuse(name, "belongs to a module that is none of this model's outsourced matrices "
                   "(`talaria inspect --plan` prints them); embeddings, routers, convolutions and "
                   "what sees or hears take no adapter");
    const Module& module = found->second;
    if (!done_.insert(found->first).second) return; // with its other half
    if (!config_->targets(path))
      refuse(name, fmt::format("belongs to a module that {} does not target", config_file_));
    const auto& delta_net = plan_.layers[module.linear->layer].delta_net;
    if (delta_net && delta_net->turns && module.linear->kind <= arch::LinearKind::o)
      refuse(name,
             "belongs to a Gated DeltaNet of a GGUF file, which has the value heads in another "
             "order than the model that adapters are trained on; serve the published folder");
    const std::string tail = tail_of(found->first);
    if (path != tail && path.ends_with(tail)) root_ = path.substr(0, path.size() - tail.size());
    read_pair(path, module);
  }

  /// What all checkpoints call it: from the layer on.
  static std::string tail_of(const std::string& canonical) {
    constexpr std::string_view kModel = "model.";
    return canonical.starts_with(kModel) ? canonical.substr(kModel.size()) : canonical;
  }

  const TensorView& tensor(const std::string& path, std::string_view half,
                           std::vector<std::size_t> shape) const {
    const std::string name = std::string(kRoot) + path + std::string(half);
    const auto found = tensors_.find(name);
    if (found == tensors_.end()) refuse(name, "is missing");
    if (found->second.shape != shape)
      refuse(name,
             fmt::format("has shape [{}]; expected [{}, {}] of the model and {}",
                         fmt::join(found->second.shape, ", "), shape[0], shape[1], config_file_));
    return found->second;
  }

  void read_pair(const std::string& path, const Module& module) {
    const arch::Linear& linear = *module.linear;
    auto& parts = adapter_.parts_[linear.id.value];
    const auto places = part_places(linear);
    if (parts.empty())
      for (const PartPlace& place : places) parts.emplace_back().place = place;
    LowRank& out = parts[module.part];
    const PartPlace& place = out.place;
    out.rank = config_->rank_of(path);
    const TensorView& a = tensor(path, kA, {out.rank, place.inputs});
    const TensorView& b = tensor(path, kB, {place.outputs, out.rank});
    out.scale = static_cast<float>(config_->scale_of(path) * double{linear.multiplier});
    out.a = SecretBuffer<float>(out.rank * place.inputs, Unwritten{});
    a.read(0, out.a.span());
    require_finite(out.a.span(), a, 0);
    fold_gain(module, out, a);
    out.b = SecretBuffer<float>(out.rank * place.outputs, Unwritten{});
    SecretBuffer<float> row(out.rank);
    for (std::size_t j = 0; j < place.outputs; ++j) {
      b.read(j * out.rank, row.span());
      require_finite(row.span(), b, j * out.rank);
      for (std::size_t p = 0; p < out.rank; ++p) out.b[p * place.outputs + j] = row[p];
    }
  }

  /// Rows come to a matrix without the gain of the norm before it where that is folded in.
  void fold_gain(const Module& module, LowRank& out, const TensorView& a) const {
    const arch::LinearPart& part = module.linear->parts[module.part];
    const arch::FoldedGain& gain = part.inputs != 0 ? part.gain : module.linear->gain;
    if (gain.tensor.empty()) return;
    if (!store_.contains(gain.tensor))
      throw Error(Errc::model,
                  fmt::format("adapter {}: the prepared model has no {}, which adapters need; "
                              "prepare the model again: earlier versions did not keep it",
                              adapter_.name_, gain.tensor));
    const auto values = read_gain(store_, gain.tensor, gain.plus_one, out.place.inputs);
    for (std::size_t i = 0; i < out.a.size(); ++i) out.a[i] *= values[i % values.size()];
    const auto overflow = std::find_if(out.a.span().begin(), out.a.span().end(),
                                       [](float x) { return !std::isfinite(x); });
    if (overflow != out.a.span().end())
      refuse(a.name, fmt::format("overflows fp32 when {} is folded in", gain.tensor));
  }

  static bool is_expert(const Module& module) {
    return module.linear->parts[module.part].stacked.has_value();
  }

  /// A module that is targeted and has no matrices was lost. Experts are modules in some versions
  /// of transformers only: all of a layer's, or none.
  void require_all() const {
    std::set<u32> with_experts;
    for (const std::string& name : done_)
      if (is_expert(modules_.at(name))) with_experts.insert(modules_.at(name).linear->id.value);
    for (const auto& [name, module] : modules_) {
      if (done_.contains(name)) continue;
      const bool may_lack = is_expert(module) && !with_experts.contains(module.linear->id.value);
      const std::string path = name == "lm_head" ? name : root_ + tail_of(name);
      if (!may_lack && config_->targets(path))
        refuse(std::string(kRoot) + path + std::string(kA),
               fmt::format("is missing, and {} targets its module", config_file_));
    }
  }

  Adapter& adapter_;
  const arch::ModelPlan& plan_;
  const TensorStore& store_;
  std::string file_;
  std::string config_file_;
  std::map<std::string, Module> modules_; ///< by canonical path
  std::optional<PeftConfig> config_;
  std::map<std::string, TensorView> tensors_;
  std::set<std::string> done_;
  std::string root_; ///< what stands before the tails of paths in this file: "model."
};

std::vector<PartPlace> part_places(const arch::Linear& linear) {
  std::vector<PartPlace> out;
  std::size_t at = 0;
  for (const arch::LinearPart& part : linear.parts) {
    if (linear.by_inputs)
      out.push_back({at, part.size, 0, linear.d_out});
    else
      out.push_back(
          {part.first_input, part.inputs != 0 ? part.inputs : linear.d_in, at, part.size});
    at += part.size;
  }
  return out;
}

Adapter::Adapter(std::string name, const fs::path& folder, const arch::ModelPlan& plan,
                 const TensorStore& store)
    : name_(std::move(name)) {
  AdapterReader(*this, folder, plan, store).read(folder);
}

std::span<const LowRank> Adapter::of(arch::LinearId linear) const {
  const auto found = parts_.find(linear.value);
  if (found == parts_.end()) return {};
  return found->second;
}

std::size_t Adapter::bytes() const noexcept {
  std::size_t numbers = 0;
  for (const auto& [linear, parts] : parts_)
    for (const LowRank& part : parts) numbers += part.a.size() + part.b.size();
  return numbers * sizeof(float);
}

} // namespace talaria::model
