#pragma once

#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <random>
#include <string>
#include <vector>

#include "core/integers.hpp"
#include "tests/support/model_copy.hpp"
#include "tests/support/temporary_folder.hpp"

namespace talaria::tests {

/// A tensor of fp32 as a test has it.
struct PlainTensor {
  std::vector<std::size_t> shape;
  std::vector<float> values;
};
using PlainTensors = std::map<std::string, PlainTensor>;

inline std::string safetensors_of(const PlainTensors& tensors) {
  nlohmann::json header = nlohmann::json::object();
  std::string data;
  for (const auto& [name, tensor] : tensors) {
    const std::size_t bytes = tensor.values.size() * sizeof(float);
    header[name] = {{"dtype", "F32"},
                    {"shape", tensor.shape},
                    {"data_offsets", {data.size(), data.size() + bytes}}};
    data.append(reinterpret_cast<const char*>(tensor.values.data()), bytes);
  }
  const std::string text = header.dump();
  const u64 length = text.size();
  std::string out(sizeof length, '\0');
  std::memcpy(out.data(), &length, sizeof length);
  return out + text + data;
}

/// The tensors of a model's files, by code that is not the program's: bf16 and fp32.
inline PlainTensors read_plain(const std::filesystem::path& folder) {
  PlainTensors out;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    if (entry.path().extension() != ".safetensors") continue;
    std::ifstream in(entry.path(), std::ios::binary);
    const std::string bytes(std::istreambuf_iterator<char>(in), {});
    u64 length = 0;
    std::memcpy(&length, bytes.data(), sizeof length);
    const char* const data = bytes.data() + sizeof length + length;
    const auto header = nlohmann::json::parse(bytes.substr(sizeof length, length));
    for (const auto& [name, each] : header.items()) {
      if (name == "__metadata__") continue;
      PlainTensor tensor{each.at("shape").get<std::vector<std::size_t>>(), {}};
      const auto at = each.at("data_offsets").get<std::vector<std::size_t>>();
      const std::size_t width = each.at("dtype") == "F32" ? 4 : 2;
      for (std::size_t i = at[0]; i < at[1]; i += width) {
        u32 word = 0;
        std::memcpy(reinterpret_cast<char*>(&word) + (4 - width), data + i, width);
        float value = 0;
        std::memcpy(&value, &word, sizeof value);
        tensor.values.push_back(value);
      }
      out.emplace(name, std::move(tensor));
    }
  }
  return out;
}

/// A PEFT folder with a pair of random matrices for each of some modules of a model.
class PeftFolder {
public:
  using json = nlohmann::json;

  json config{{"peft_type", "LORA"}, {"task_type", "CAUSAL_LM"}, {"r", 4},
              {"lora_alpha", 8},     {"bias", "none"},           {"target_modules", json::array()}};
  PlainTensors tensors;

  const std::filesystem::path& path() const noexcept { return folder_.path(); }

  /// A module of `outputs` times `inputs` numbers, by its path in the model.
  void add(const std::string& module, std::size_t outputs, std::size_t inputs, u32 seed,
           std::size_t rank = 4) {
    std::mt19937 random(seed);
    tensors[name_of(module, "A")] = uniform({rank, inputs}, random);
    tensors[name_of(module, "B")] = uniform({outputs, rank}, random);
    config["target_modules"].push_back(module);
  }
  void write() const {
    std::ofstream(path() / "adapter_config.json") << config.dump();
    std::ofstream(path() / "adapter_model.safetensors", std::ios::binary)
        << safetensors_of(tensors);
  }
  static std::string name_of(const std::string& module, const std::string& half) {
    return "base_model.model." + module + ".lora_" + half + ".weight";
  }

  /// W + scale B A in double, for every module that has matrices here.
  void merge_into(PlainTensors& model, double scale) const {
    for (auto& [name, tensor] : model) {
      if (!name.ends_with(".weight")) continue;
      const std::string module = name.substr(0, name.size() - std::strlen(".weight"));
      const auto a = tensors.find(name_of(module, "A"));
      if (a == tensors.end()) continue;
      const PlainTensor& b = tensors.at(name_of(module, "B"));
      const std::size_t rank = a->second.shape[0];
      const std::size_t inputs = a->second.shape[1];
      for (std::size_t i = 0; i < tensor.values.size(); ++i) {
        double sum = 0;
        for (std::size_t p = 0; p < rank; ++p)
          sum += double{b.values[i / inputs * rank + p]} *
                 double{a->second.values[p * inputs + i % inputs]};
        tensor.values[i] = static_cast<float>(double{tensor.values[i]} + scale * sum);
      }
    }
  }

private:
  static PlainTensor uniform(std::vector<std::size_t> shape, std::mt19937& random) {
    constexpr float kLargest = 0.1F;
    PlainTensor out{shape, std::vector<float>(shape[0] * shape[1])};
    for (float& x : out.values)
      x = kLargest * (static_cast<float>(random() % 20001) / 10000.0F - 1.0F);
    return out;
  }

  TemporaryFolder folder_;
};

} // namespace talaria::tests
