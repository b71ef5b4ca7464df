#include "model/weights/pooling.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "arch/json_fields.hpp"
#include "core/error.hpp"
#include "model/weights/model_folder.hpp"

namespace talaria::model {

using nlohmann::json;

const char* to_string(Task task) noexcept {
  switch (task) {
  case Task::generate:
    return "generate";
  case Task::embed:
    return "embed";
  case Task::score:
    return "score";
  }
  return "generate";
}

namespace {

constexpr u32 kAnyLength = 1U << 24;

/// "Pooling" of "sentence_transformers.models.Pooling".
std::string last_part(const std::string& type) {
  return type.substr(type.rfind('.') + 1);
}

/// What one module of modules.json asks for.
void read_module(const JsonFields& fields, Pooling& pooling, bool& pools) {
  const std::string kind = last_part(fields.text("type").value_or(""));
  const std::string path = fields.text("path").value_or("");
  if (kind == "Transformer") {
    if (!path.empty()) fields.refuse("path", "\"\": the model in the folder itself");
  } else if (kind == "Pooling") {
    if (path != kPoolingFile.substr(0, kPoolingFile.find('/')))
      fields.refuse("path", "\"1_Pooling\"");
    pools = true;
  } else if (kind == "Normalize") {
    pooling.normalise = true;
  } else {
    fields.refuse("type", "Transformer, Pooling or Normalize: others are not computed");
  }
}

/// Older files have a flag for each way, newer ones name it.
PoolingKind kind_of(const JsonFields& fields, const json& object) {
  constexpr const char* kPrefix = "pooling_mode_";
  if (const auto named = fields.text("pooling_mode")) {
    if (*named == "lasttoken") return PoolingKind::last;
    if (*named != "mean") fields.refuse("pooling_mode", "\"lasttoken\" or \"mean\"");
    return PoolingKind::mean;
  }
  std::vector<std::string> ways;
  for (const auto& [name, value] : object.items())
    if (name.starts_with(kPrefix) && value == true) ways.push_back(name);
  if (ways.size() > 1) fields.refuse(ways[1].c_str(), "one way of pooling, not several");
  if (ways.empty()) fields.refuse("pooling_mode_lasttoken", "true, or pooling_mode_mean_tokens");
  if (ways[0] == "pooling_mode_lasttoken") return PoolingKind::last;
  if (ways[0] != "pooling_mode_mean_tokens")
    fields.refuse(ways[0].c_str(), "pooling_mode_lasttoken or pooling_mode_mean_tokens instead");
  return PoolingKind::mean;
}

void read_pooling(const PrivateFile& file, u32 hidden, Pooling& pooling) {
  const json object = parse_json_object(file.text, file.path.string());
  const JsonFields fields(object, file.path.string());
  pooling.kind = kind_of(fields, object);
  if (!fields.boolean("include_prompt").value_or(true))
    fields.refuse("include_prompt", "true: all tokens of a text count");
  for (const char* name : {"word_embedding_dimension", "embedding_dimension"})
    if (fields.integer(name, 1, kAnyLength).value_or(hidden) != hidden)
      fields.refuse(name, fmt::format("{}, as config.json says", hidden));
}

void read_longest_text(const TextFiles& texts, u32 context, Pooling& pooling) {
  const PrivateFile* file = texts.find("sentence_bert_config.json");
  if (file == nullptr) return;
  const json object = parse_json_object(file->text, file->path.string());
  const JsonFields fields(object, file->path.string());
  if (fields.boolean("do_lower_case").value_or(false))
    fields.refuse("do_lower_case", "false: the tokenizer itself says what it changes");
  const u32 longest = fields.integer("max_seq_length", 1, kAnyLength).value_or(context);
  if (longest < context) pooling.max_tokens = longest;
}

/// The lengths that config.json says an embedding may be cut to, in vLLM's fields.
void read_dimensions(const JsonFields& config, u32 hidden, Pooling& pooling) {
  pooling.dimensions = config.ids("matryoshka_dimensions", hidden + 1);
  pooling.any_dimensions =
      pooling.dimensions.empty() && config.boolean("is_matryoshka").value_or(false);
}

/// By modules.json.
Pooling embedding_modules(const TextFiles& texts, const arch::ModelPlan& plan) {
  const PrivateFile& file = texts.get(kModulesFile);
  const json list = parse_json(file.text, file.path.string());
  if (!list.is_array())
    throw Error(Errc::model, fmt::format("{}: expected a list of modules", file.path.string()));
  Pooling pooling;
  pooling.normalise = false;
  bool pools = false;
  for (std::size_t i = 0; i < list.size(); ++i) {
    const std::string where = fmt::format("{}[{}]", file.path.string(), i);
    if (!list[i].is_object())
      throw Error(Errc::model, fmt::format("{}: expected an object", where));
    read_module(JsonFields(list[i], where), pooling, pools);
  }
  if (!pools)
    throw Error(Errc::model, fmt::format("{}: no module of it is a Pooling", file.path.string()));
  read_pooling(texts.get(kPoolingFile), plan.hidden, pooling);
  read_longest_text(texts, plan.max_position, pooling);
  return pooling;
}

/// The function behind the score, in the fields of sentence-transformers, old and new.
bool wants_sigmoid(const JsonFields& config, const json& object, const std::string& where) {
  const json* inner = config.find("sentence_transformers");
  const JsonFields newer(inner != nullptr && inner->is_object() ? *inner : object,
                         inner != nullptr ? where + ": sentence_transformers" : where);
  for (const auto& [fields, name] : {std::pair{&newer, "activation_fn"},
                                     std::pair{&config, "sbert_ce_default_activation_function"}}) {
    const auto function = fields->text(name);
    if (!function) continue;
    if (last_part(*function) == "Identity") return false;
    if (last_part(*function) != "Sigmoid") fields->refuse(name, "Sigmoid or Identity");
  }
  return true;
}

[[noreturn]] void wrong_task(const TextFiles& texts, Task asked, const char* is,
                             const char* advice) {
  throw Error(Errc::usage, fmt::format("task: {}: {} is a model {}; {}", to_string(asked),
                                       texts.folder().string(), is, advice));
}

/// Of a model that is made for neither.
Pooling by_words(const TextFiles& texts, const arch::ModelPlan& plan) {
  if (plan.logit_soft_cap != 0)
    wrong_task(texts, Task::score, "whose logits are capped",
               "scores by its words are not computed");
  Pooling pooling;
  pooling.task = Task::score;
  const arch::Linear& head = plan.linears.head();
  pooling.words = head.parts.front().base + ".weight";
  pooling.multiplier = head.multiplier;
  return pooling;
}

} // namespace

std::optional<Pooling> pooling_for(std::optional<Task> asked, const TextFiles& texts,
                                   const arch::ModelPlan& plan) {
  const PrivateFile& file = texts.get("config.json");
  const json object = parse_json_object(file.text, file.path.string());
  const JsonFields config(object, file.path.string());
  if (plan.head == arch::Head::label) {
    if (asked.value_or(Task::score) != Task::score)
      wrong_task(texts, *asked, "that scores", "leave the task out");
    Pooling pooling;
    pooling.task = Task::score;
    pooling.sigmoid = wants_sigmoid(config, object, file.path.string());
    return pooling;
  }
  const bool generates = plan.head == arch::Head::tokens;
  if (generates && asked == Task::score) return by_words(texts, plan);
  if (generates && asked.value_or(Task::generate) == Task::generate) return std::nullopt;
  if (!generates && asked.value_or(Task::embed) != Task::embed)
    wrong_task(texts, *asked, "for embeddings",
               "leave the task out (/v1/score compares its embeddings)");
  Pooling pooling =
      texts.find(kModulesFile) != nullptr ? embedding_modules(texts, plan) : Pooling{};
  read_dimensions(config, plan.hidden, pooling);
  return pooling;
}

} // namespace talaria::model
