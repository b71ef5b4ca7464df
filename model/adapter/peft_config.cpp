#include "model/adapter/peft_config.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <nlohmann/json.hpp>
#include <span>
#include <string_view>

#include "arch/json_fields.hpp"
#include "core/error.hpp"

namespace talaria::model {

namespace {

using nlohmann::json;
using nlohmann::ordered_json;

/// Fields that are read, or that change nothing of what an adapter computes once it is trained.
constexpr std::string_view kRead[] = {"peft_type",        "task_type",     "r",
                                      "lora_alpha",       "use_rslora",    "target_modules",
                                      "rank_pattern",     "alpha_pattern", "exclude_modules",
                                      "layers_pattern",   "bias",          "layers_to_transform",
                                      "init_lora_weights"};
constexpr std::string_view kWithoutEffect[] = {"auto_mapping",      "base_model_name_or_path",
                                               "revision",          "peft_version",
                                               "inference_mode",    "lora_dropout",
                                               "megatron_core",     "runtime_config",
                                               "loftq_config",      "eva_config",
                                               "corda_config",      "lora_ga_config",
                                               "qalora_group_size", "ensure_weight_tying"};

/// Fields that make more of an adapter than W + scale B A, and what that would be.
struct Refused {
  std::string_view field;
  const char* why;
};
constexpr Refused kRefused[] = {
    {"use_dora", "DoRA scales the columns of the merged weights"},
    {"fan_in_fan_out", "weights are stored transposed"},
    {"modules_to_save", "whole modules were trained beside the adapter"},
    {"lora_bias", "the adapter has biases of its own"},
    {"use_qalora", "QALoRA pools the inputs"},
    {"layer_replication", "layers are repeated"},
    {"megatron_config", "modules are Megatron's"},
    {"trainable_token_indices", "rows of the embedding were trained"},
    {"target_parameters", "parameters that are no linear modules have matrices"},
    {"alora_invocation_tokens", "the adapter begins behind certain tokens"},
    {"arrow_config", "several adapters are mixed"}};

bool says_nothing(const json& value) {
  return value.is_null() || value == false || value == 0 || value == "" ||
         (value.is_structured() && value.empty());
}

bool is_one_of(std::string_view name, std::span<const std::string_view> names) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

void refuse_what_is_more(const json& object, const JsonFields& fields) {
  for (const auto& [name, value] : object.items()) {
    if (is_one_of(name, kRead) || is_one_of(name, kWithoutEffect) || says_nothing(value)) continue;
    const auto known = std::find_if(std::begin(kRefused), std::end(kRefused),
                                    [&](const Refused& each) { return each.field == name; });
    if (known == std::end(kRefused))
      fields.refuse(name.c_str(), "no such field, or one that says nothing: what it would change "
                                  "is not known");
    fields.refuse(name.c_str(),
                  fmt::format("a plain LoRA: {}, which is not computed; merge such an adapter into "
                              "the model's weights",
                              known->why));
  }
}

void require_lora(const JsonFields& fields) {
  const auto type = fields.text("peft_type");
  if (type != "LORA") fields.refuse("peft_type", "LORA, the only kind of adapter that is computed");
  const auto task = fields.text("task_type");
  if (task && *task != "CAUSAL_LM" && *task != "FEATURE_EXTRACTION")
    fields.refuse("task_type", "CAUSAL_LM, FEATURE_EXTRACTION or null: others train a head");
  if (fields.text("bias").value_or("none") != "none")
    fields.refuse("bias", "none: biases of the model that were trained are not read; merge such an "
                          "adapter into the model's weights");
}

/// Some starts take a part out of the model's own weights, which the adapter then goes with.
void require_own_weights(const JsonFields& fields) {
  const json* start = fields.find("init_lora_weights");
  if (start == nullptr || start->is_boolean()) return;
  for (const char* harmless : {"gaussian", "eva", "orthogonal"})
    if (*start == harmless) return;
  fields.refuse("init_lora_weights",
                "true, false, gaussian, eva or orthogonal: other starts change the model's own "
                "weights; save the adapter with path_initial_model_for_weight_conversion");
}

std::set<std::string> name_list(const JsonFields& fields, const char* field, const json& value) {
  std::set<std::string> names;
  const auto require = [&](bool good) {
    if (!good) fields.refuse(field, "a list of names of modules, or an expression");
  };
  require(value.is_array() && !value.empty());
  for (const json& each : value) {
    require(each.is_string());
    names.insert(each.get<std::string>());
  }
  return names;
}

ModuleSelection selection(const JsonFields& fields, const char* field, const std::string& file) {
  const json* value = fields.find(field);
  if (value == nullptr || says_nothing(*value)) return {};
  if (value->is_string())
    return ModuleSelection::expression(value->get<std::string>(),
                                       fmt::format("{}: {}", file, field));
  return ModuleSelection::names(name_list(fields, field, *value));
}

std::string file_of(const PrivateFile& file) {
  return file.path.string();
}

/// Patterns of a field {"pattern": value}, in the order of the file, which decides. As PEFT does, a
/// pattern has to match the end of a path from a dot on, or all of it.
template <class T, class Read>
std::vector<std::pair<ModulePattern, T>> patterns_of(const PrivateFile& file, const char* field,
                                                     Read read) {
  std::vector<std::pair<ModulePattern, T>> out;
  const ordered_json object = ordered_json::parse(file.text); // parse_json() has been over it
  const auto at = object.find(field);
  if (at == object.end() || at->is_null()) return out;
  const std::string where = fmt::format("{}: {}", file_of(file), field);
  if (!at->is_object()) throw Error(Errc::model, where + " is no object of patterns and numbers");
  for (const auto& [pattern, value] : at->items())
    out.emplace_back(ModulePattern("(.*\\.)?(" + pattern + ")", where),
                     read(value, fmt::format("{}: \"{}\"", where, printable(pattern))));
  return out;
}

u32 read_rank(const ordered_json& value, const std::string& where) {
  if (!value.is_number_unsigned() || value.get<u64>() == 0 ||
      value.get<u64>() > PeftConfig::kMaxRank)
    throw Error(Errc::model, fmt::format("{} is no rank; expected an integer from 1 to {}", where,
                                         PeftConfig::kMaxRank));
  return value.get<u32>();
}

template <class Json>
double read_alpha(const Json& value, const std::string& where) {
  if (!value.is_number() || std::fabs(value.template get<double>()) > 1e9)
    throw Error(Errc::model, fmt::format("{} is no number within 1e9", where));
  return value.template get<double>();
}

} // namespace

ModuleSelection ModuleSelection::names(std::set<std::string> names) {
  ModuleSelection out;
  out.names_ = std::move(names);
  return out;
}

ModuleSelection ModuleSelection::expression(const std::string& expression,
                                            const std::string& where) {
  ModuleSelection out;
  out.expression_.emplace(expression, where);
  return out;
}

bool ModuleSelection::contains(const std::string& module) const {
  if (expression_) return expression_->matches(module);
  return std::any_of(names_.begin(), names_.end(), [&module](const std::string& name) {
    return module == name || module.ends_with("." + name);
  });
}

PeftConfig PeftConfig::parse(const PrivateFile& file) {
  const json object = parse_json_object(file.text, file_of(file));
  const JsonFields fields(object, file_of(file));
  require_lora(fields);
  refuse_what_is_more(object, fields);
  require_own_weights(fields);
  PeftConfig out;
  out.rank_ = fields.required_integer("r", 1, kMaxRank);
  const json* alpha = fields.find("lora_alpha");
  if (alpha == nullptr) fields.refuse("lora_alpha", "a number");
  out.alpha_ = read_alpha(*alpha, file_of(file) + ": lora_alpha");
  out.rslora_ = fields.boolean("use_rslora").value_or(false);
  out.read_targets(object, file_of(file));
  out.read_patterns(file);
  return out;
}

void PeftConfig::read_targets(const json& object, const std::string& file) {
  const JsonFields fields(object, file);
  const json* targets = fields.find("target_modules");
  if (targets == nullptr || says_nothing(*targets))
    fields.refuse("target_modules", "a list of names of modules, an expression or all-linear");
  all_linear_ = *targets == "all-linear";
  if (!all_linear_) targets_ = selection(fields, "target_modules", file);
  excluded_ = selection(fields, "exclude_modules", file);
  read_layers(object, file);
}

void PeftConfig::read_layers(const json& object, const std::string& file) {
  const JsonFields fields(object, file);
  const auto add = [&](const json& layer) {
    constexpr u32 kMaxLayer = 65535;
    if (!layer.is_number_unsigned() || layer.get<u64>() > kMaxLayer)
      fields.refuse("layers_to_transform", "the number of a layer, or a list of such");
    layers_.insert(layer.get<u32>());
  };
  const json* layers = fields.find("layers_to_transform");
  if (layers == nullptr) return;
  if (layers->is_array())
    for (const json& each : *layers) add(each);
  else
    add(*layers);
  if (layers_.empty()) return;
  if (all_linear_ || !targets_.is_names())
    fields.refuse("layers_to_transform", "null where target_modules is no list, as in PEFT");
  std::set<std::string> names{"[^.]*"};
  const json* patterns = fields.find("layers_pattern");
  if (patterns != nullptr && !says_nothing(*patterns))
    names = patterns->is_string() ? std::set<std::string>{patterns->get<std::string>()}
                                  : name_list(fields, "layers_pattern", *patterns);
  for (const std::string& name : names)
    layer_patterns_.emplace_back(".*\\." + name + "\\.(\\d+)\\..*", file + ": layers_pattern");
}

void PeftConfig::read_patterns(const PrivateFile& file) {
  ranks_ = patterns_of<u32>(file, "rank_pattern", read_rank);
  alphas_ = patterns_of<double>(file, "alpha_pattern", read_alpha<ordered_json>);
}

/// By the first pattern that matches, as PEFT does.
bool PeftConfig::is_of_layers(const std::string& module) const {
  if (layers_.empty()) return true;
  for (const ModulePattern& pattern : layer_patterns_)
    if (const auto digits = pattern.group(module, 1)) {
      u32 layer = 0;
      const auto [stop, error] =
          std::from_chars(digits->data(), digits->data() + digits->size(), layer);
      return error == std::errc() && layers_.contains(layer);
    }
  return false;
}

bool PeftConfig::targets(const std::string& module) const {
  if (excluded_.contains(module)) return false;
  const bool is_head = module == "lm_head" || module.ends_with(".lm_head");
  if (all_linear_) return !is_head;
  return targets_.contains(module) && is_of_layers(module);
}

u32 PeftConfig::rank_of(const std::string& module) const {
  for (const auto& [pattern, rank] : ranks_)
    if (pattern.matches(module)) return rank;
  return rank_;
}

double PeftConfig::scale_of(const std::string& module) const {
  double alpha = alpha_;
  for (const auto& [pattern, own] : alphas_)
    if (pattern.matches(module)) {
      alpha = own;
      break;
    }
  const double rank = rank_of(module);
  return alpha / (rslora_ ? std::sqrt(rank) : rank);
}

} // namespace talaria::model
