#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "gateway/json_fields.hpp"
#include "gateway/request_fields.hpp"
#include "model/token_scores.hpp"

namespace talaria::gateway {

using nlohmann::json;

u32 top_scores_of(const std::string& field, const json& value) {
  const u32 top = whole_number_of(field, value, 0);
  if (top > model::kMaxTopScores)
    throw bad_field(
        field, fmt::format("{} must be a whole number from 0 to {}", field, model::kMaxTopScores));
  return top;
}

namespace {

void read_logprobs(const std::string& field, const json& value, Draft& draft) {
  if (value.is_boolean())
    draft.wants_logprobs = value.get<bool>();
  else
    draft.request.logprobs = top_scores_of(field, value);
}

void read_prompt_logprobs(const std::string& field, const json& value, Draft& draft) {
  draft.request.prompt_logprobs = top_scores_of(field, value);
}

FieldReader request_flag(bool ApiRequest::*member) {
  return [member](const std::string& field, const json& value, Draft& draft) {
    draft.request.*member = flag_of(field, value);
  };
}

void accept_label(const std::string& field, const json& value, Draft&) {
  text_of(field, value);
}

void accept_labels(const std::string& field, const json& value, Draft&) {
  if (!value.is_object()) throw bad_field(field, field + " must be an object");
  for (const auto& [name, label] : value.items())
    if (!label.is_primitive()) throw bad_field(field, field + " must hold strings");
}

void accept_flag(const std::string& field, const json& value, Draft&) {
  flag_of(field, value);
}

void accept_number(const std::string& field, const json& value, Draft&) {
  number_of(field, value);
}

void accept_object(const std::string& field, const json& value, Draft&) {
  if (!value.is_object()) throw bad_field(field, field + " must be an object");
}

void add_labels(FieldReaders& readers) {
  for (const char* label :
       {"user", "prompt_cache_key", "safety_identifier", "request_id", "cache_salt"})
    readers[label] = accept_label;
  readers["metadata"] = accept_labels;
  // Guesses at the answer, and where llama.cpp keeps it: they make others faster.
  readers["prediction"] = accept_object;
  readers["cache_prompt"] = accept_flag;
  readers["id_slot"] = accept_number;
  readers["parallel_tool_calls"] = accept_flag;
}

void add_openai_fields(FieldReaders& readers) {
  readers["store"] = only({false}, "nothing is stored here");
  readers["service_tier"] = only({"auto", "default"}, "all requests are served alike");
  readers["prompt_cache_retention"] =
      only({"in_memory", "in-memory"}, "prompts are not kept beyond memory");
  readers["modalities"] = only({json::array({"text"})}, "answers are text");
  readers["audio"] = only({}, "answers are text");
  readers["web_search_options"] = only({}, "the server does not search the web");
  readers["moderation"] = only({}, "the server moderates nothing");
  readers["verbosity"] =
      only({"medium"}, "no template takes it; say in a message how long answers shall be");
}

void add_vllm_fields(FieldReaders& readers) {
  readers["length_penalty"] = only({1}, "it is for beam search");
  readers["early_stopping"] = readers["use_beam_search"] = only({false}, "there is no beam search");
  readers["priority"] = [](const std::string& field, const json& value, Draft& draft) {
    if (!value.is_number_integer()) throw bad_field(field, field + " must be a whole number");
    draft.request.priority = value.get<i64>();
  };
  readers["spaces_between_special_tokens"] = only({true}, "text is what the tokenizer decodes");
  readers["kv_transfer_params"] = readers["mm_processor_kwargs"] =
      only({json::object()}, "caches are not moved between servers, and there is only text");
  readers["vllm_xargs"] = only({json::object()}, "it is for plugins of vLLM");
  readers["detokenize"] = only({true}, "answers are text");
  readers["logits_processors"] = only({json::array()}, "clients bring no code");
}

/// llama.cpp's, with the values that switch them off.
void add_llama_cpp_fields(FieldReaders& readers) {
  for (const char* off : {"mirostat", "xtc_probability", "dry_multiplier", "dynatemp_range",
                          "top_a", "smoothing_factor", "n_keep", "min_keep"})
    readers[off] = only({0}, "this way of sampling is not known here");
  for (const char* off : {"typical_p", "tfs_z", "tfs", "dynatemp_exponent"})
    readers[off] = only({1}, "this way of sampling is not known here");
  readers["timings_per_token"] = only({false}, "timings are in /metrics");
}

} // namespace

FieldReader only(std::vector<json> neutral, const std::string& why) {
  return [neutral = std::move(neutral), why](const std::string& field, const json& value, Draft&) {
    if (std::find(neutral.begin(), neutral.end(), value) == neutral.end())
      throw bad_field(field, fmt::format("this value of {} is not supported: {}", field, why));
  };
}

void add_answer_fields(FieldReaders& readers) {
  readers["n"] = [](const std::string& field, const json& value, Draft& draft) {
    draft.request.choices = whole_number_of(field, value, 1);
  };
  readers["logprobs"] = read_logprobs;
  readers["prompt_logprobs"] = read_prompt_logprobs;
  readers["return_tokens_as_token_ids"] = request_flag(&ApiRequest::tokens_as_ids);
  readers["return_token_ids"] = request_flag(&ApiRequest::return_token_ids);
  readers["skip_special_tokens"] = request_flag(&ApiRequest::skip_special);
  readers["add_special_tokens"] = [](const std::string& field, const json& value, Draft& draft) {
    draft.request.add_special_tokens = flag_of(field, value);
  };
  readers["truncate_prompt_tokens"] = [](const std::string& field, const json& value,
                                         Draft& draft) {
    const bool all = value.is_number_integer() && value == -1;
    draft.request.truncate = all ? 0 : whole_number_of(field, value, 1);
  };
}

void add_fields_without_effect(FieldReaders& readers) {
  add_labels(readers);
  add_openai_fields(readers);
  add_vllm_fields(readers);
  add_llama_cpp_fields(readers);
}

} // namespace talaria::gateway
