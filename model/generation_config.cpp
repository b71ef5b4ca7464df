#include "model/generation_config.hpp"

#include <cmath>
#include <nlohmann/json.hpp>

#include "arch/json_fields.hpp"
#include "core/error.hpp"
#include "model/weights/private_file.hpp"

namespace talaria::model {

namespace {

constexpr std::string_view kFile = "generation_config.json";
constexpr u32 kMaxId = (1u << 24) - 1; // the largest vocabulary a config.json may name

} // namespace

GenerationConfig load_generation_config(const std::filesystem::path& model_dir) {
  static constexpr std::string_view kNames[] = {kFile};
  return load_generation_config(TextFiles(model_dir, kNames));
}

GenerationConfig load_generation_config(const TextFiles& files) {
  GenerationConfig out;
  const PrivateFile* const file = files.find(kFile);
  if (file == nullptr) return out;
  const std::string path = file->path.string();
  const nlohmann::json object = parse_json_object(file->text, path);
  const JsonFields fields(object, path);
  out.do_sample = fields.boolean("do_sample");
  out.temperature = fields.number(
      "temperature", [](float x) { return x >= 0 && x <= 100; }, "a number from 0 to 100");
  out.top_p = fields.number(
      "top_p", [](float x) { return x > 0 && x <= 1; }, "a number above 0, at most 1");
  out.top_k = fields.integer("top_k", 0, ~0u);
  out.repetition_penalty = fields.number(
      "repetition_penalty", [](float x) { return x > 0 && x <= 100; },
      "a number above 0, at most 100");
  if (const auto bos = fields.ids("bos_token_id", kMaxId + 1); !bos.empty()) out.bos = bos.front();
  out.eos = fields.ids("eos_token_id", kMaxId + 1);
  return out;
}

} // namespace talaria::model
