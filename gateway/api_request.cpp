#include "gateway/api_request.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>

#include "core/random.hpp"
#include "gateway/chat_messages.hpp"
#include "gateway/client_json.hpp"
#include "gateway/json_fields.hpp"

namespace talaria::gateway {

using nlohmann::json;

namespace {

constexpr std::size_t kMostStops = 16;
constexpr std::size_t kLongestStop = 1024;   // bytes; the end of an answer is searched for each
constexpr u32 kDefaultCompletionTokens = 16; // OpenAI's default for /v1/completions

/// A request being read.
struct Draft {
  const ApiDefaults& defaults;
  ApiRequest request;
  std::optional<u32> max_tokens;
  std::optional<u32> max_completion_tokens;
  std::optional<u64> seed;
  bool has_stream_options = false;
};

/// Puts a field that is not null into the draft.
using Reader = std::function<void(const std::string& field, const json& value, Draft& draft)>;
using Readers = std::map<std::string, Reader, std::less<>>;

/// Into a member of the sampling parameters, whose own rules decide about the range.
Reader sampling_number(float model::SamplingParameters::*member) {
  return [member](const std::string& field, const json& value, Draft& draft) {
    model::SamplingParameters alone;
    alone.*member = draft.request.sampling.*member = number_of(field, value);
    try {
      alone.validate();
    } catch (const Error& error) {
      throw bad_field(field, error.what());
    }
  };
}

void read_model(const std::string& field, const json& value, Draft& draft) {
  if (text_of(field, value) != draft.defaults.model)
    throw ApiError(404, fmt::format("this model is not served here; '{}' is", draft.defaults.model),
                   field, "model_not_found");
}

void read_top_k(const std::string& field, const json& value, Draft& draft) {
  const bool all = value.is_number_integer() && value == -1; // as vLLM's clients write it
  draft.request.sampling.top_k = all ? 0 : whole_number_of(field, value, 0);
}

void read_seed(const std::string& field, const json& value, Draft& draft) {
  if (!value.is_number_integer()) throw bad_field(field, field + " must be a whole number");
  draft.seed = value.is_number_unsigned() ? value.get<u64>() : static_cast<u64>(value.get<i64>());
}

void read_one_stop(const std::string& field, const json& value, Draft& draft) {
  if (!value.is_string() || value.get_ref<const std::string&>().empty() ||
      value.get_ref<const std::string&>().size() > kLongestStop)
    throw bad_field(field, fmt::format("{} must be a string of 1 to {} bytes, or a list of them",
                                       field, kLongestStop));
  draft.request.stops.push_back(value.get<std::string>());
}

void read_stop(const std::string& field, const json& value, Draft& draft) {
  if (!value.is_array()) return read_one_stop(field, value, draft);
  if (value.size() > kMostStops)
    throw bad_field(field, fmt::format("{} has more than {} strings", field, kMostStops));
  for (const json& stop : value) read_one_stop(field, stop, draft);
}

void read_stream_options(const std::string& field, const json& value, Draft& draft) {
  if (!value.is_object()) throw bad_field(field, field + " must be an object");
  draft.has_stream_options = !value.empty();
  for (const auto& [name, option] : value.items()) {
    const std::string path = field + "." + name;
    if (option.is_null()) continue;
    if (name == "include_usage")
      draft.request.include_usage = flag_of(path, option);
    else if (name == "include_obfuscation")
      draft.request.obfuscation = flag_of(path, option);
    else if (!is_nothing(option))
      throw bad_field(path, path + " is not supported");
  }
}

void read_messages(const std::string& field, const json& value, Draft& draft) {
  draft.request.messages = chat_messages(field, value);
}

std::vector<u32> tokens_of(const std::string& field, const json& value) {
  std::vector<u32> tokens;
  tokens.reserve(value.size());
  for (const json& token : value) tokens.push_back(whole_number_of(field, token, 0));
  return tokens;
}

Prompt prompt_of(const std::string& field, const json& value) {
  if (value.is_string()) {
    auto text = value.get<std::string>();
    if (text.empty()) throw bad_field(field, field + " is empty");
    return text;
  }
  if (value.is_array() && !value.empty()) return tokens_of(field, value);
  throw bad_field(field, field + " must be a string, token ids, or a list of these");
}

/// A string, token ids, or a list of strings or of lists of token ids.
void read_prompt(const std::string& field, const json& value, Draft& draft) {
  auto& prompts = draft.request.prompts;
  if (!value.is_array() || value.empty() || value[0].is_number()) {
    prompts.push_back(prompt_of(field, value));
    return;
  }
  if (value.size() > draft.defaults.prompts)
    throw bad_field(field,
                    fmt::format("{} has more than {} prompts", field, draft.defaults.prompts));
  for (std::size_t i = 0; i < value.size(); ++i)
    prompts.push_back(prompt_of(fmt::format("{}[{}]", field, i), value[i]));
}

/// A field that asks for something only with other values than these, which it may not have.
Reader only(std::vector<json> neutral) {
  return [neutral = std::move(neutral)](const std::string& field, const json& value, Draft&) {
    if (std::find(neutral.begin(), neutral.end(), value) == neutral.end())
      throw bad_field(field, fmt::format("this value of {} is not supported; leave it out", field));
  };
}

/// Labels for the caller's own books, and hints about caches that do not exist here.
void accept_text(const std::string& field, const json& value, Draft&) {
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

void add_length_and_sampling(Readers& readers) {
  using P = model::SamplingParameters;
  readers["max_tokens"] = [](const std::string& field, const json& value, Draft& draft) {
    draft.max_tokens = whole_number_of(field, value, 1);
  };
  readers["max_completion_tokens"] = [](const std::string& field, const json& value, Draft& draft) {
    draft.max_completion_tokens = whole_number_of(field, value, 1);
  };
  readers["ignore_eos"] = [](const std::string& field, const json& value, Draft& draft) {
    draft.request.ignore_eos = flag_of(field, value);
  };
  readers["temperature"] = sampling_number(&P::temperature);
  readers["top_p"] = sampling_number(&P::top_p);
  readers["repetition_penalty"] = sampling_number(&P::repetition_penalty);
  readers["top_k"] = read_top_k;
  readers["seed"] = read_seed;
  readers["stop"] = read_stop;
}

/// What both endpoints know.
/// OpenAI's fields with the values that ask for nothing, and vLLM's.
void add_fields_without_effect(Readers& readers) {
  for (const char* label : {"user", "prompt_cache_key", "safety_identifier", "request_id"})
    readers[label] = accept_text;
  readers["metadata"] = accept_labels;
  readers["store"] = only({false});
  readers["service_tier"] = only({"auto", "default"});
  readers["prompt_cache_retention"] = only({"in_memory", "in-memory"});
  readers["response_format"] = only({json{{"type", "text"}}});
  readers["n"] = readers["length_penalty"] = only({1});
  readers["presence_penalty"] = readers["frequency_penalty"] = only({0});
  readers["logit_bias"] = only({json::object()});
  for (const char* amount : {"min_p", "min_tokens", "priority"}) readers[amount] = only({0});
  for (const char* list : {"stop_token_ids", "bad_words"}) readers[list] = only({json::array()});
  for (const char* flag : {"include_stop_str_in_output", "use_beam_search", "return_token_ids",
                           "return_tokens_as_token_ids"})
    readers[flag] = only({false});
  for (const char* flag : {"skip_special_tokens", "spaces_between_special_tokens"})
    readers[flag] = only({true});
}

Readers common_readers() {
  Readers readers;
  readers["model"] = read_model;
  add_length_and_sampling(readers);
  readers["stream"] = [](const std::string& field, const json& value, Draft& draft) {
    draft.request.stream = flag_of(field, value);
  };
  readers["stream_options"] = read_stream_options;
  add_fields_without_effect(readers);
  return readers;
}

Readers chat_readers() {
  Readers readers = common_readers();
  readers["messages"] = read_messages;
  readers["tools"] = readers["functions"] = only({json::array()});
  // Without tools a model can only choose none.
  readers["tool_choice"] = readers["function_call"] = only({"none", "auto"});
  readers["parallel_tool_calls"] = accept_flag;
  readers["logprobs"] = only({false});
  readers["top_logprobs"] = only({0});
  readers["modalities"] = only({json::array({"text"})});
  readers["reasoning_effort"] = only({"none"});
  readers["verbosity"] = only({"medium"});
  readers["add_generation_prompt"] = only({true});
  readers["continue_final_message"] = readers["add_special_tokens"] = only({false});
  readers["documents"] = only({json::array()});
  readers["chat_template_kwargs"] = only({json::object()});
  return readers;
}

Readers completion_readers() {
  Readers readers = common_readers();
  readers["prompt"] = read_prompt;
  readers["echo"] = only({false});
  readers["best_of"] = only({1});
  readers["suffix"] = only({""});
  readers["add_special_tokens"] = only({true});
  return readers;
}

ClientJson parse_object(std::string_view body, const ApiDefaults& defaults) {
  ClientJson parsed = parse_client_json(body, defaults.parsing);
  if (!parsed.value.is_object()) throw ApiError(400, "the body must be a JSON object");
  return parsed;
}

model::SamplingParameters model_defaults(const model::GenerationConfig& defaults) {
  model::SamplingParameters sampling;
  if (defaults.do_sample.value_or(false)) {
    sampling.temperature = defaults.temperature.value_or(1);
    sampling.top_p = defaults.top_p.value_or(1);
    sampling.top_k = defaults.top_k.value_or(0);
  }
  sampling.repetition_penalty = defaults.repetition_penalty.value_or(1);
  return sampling;
}

ApiRequest parse(std::string_view body, const ApiDefaults& defaults, const Readers& readers,
                 u32 default_tokens) {
  const ClientJson parsed = parse_object(body, defaults);
  const json& object = parsed.value;
  Draft draft{defaults, {}, {}, {}, {}, false};
  ApiRequest& request = draft.request;
  request.sampling = model_defaults(defaults.generation);
  for (const auto& [field, value] : object.items()) {
    if (value.is_null()) continue; // asks for nothing, whatever the field
    const auto reader = readers.find(field);
    if (reader == readers.end())
      throw bad_field(field, fmt::format("'{}' is not supported by this endpoint", field));
    reader->second(field, value, draft);
  }
  if (draft.has_stream_options && !request.stream)
    throw bad_field("stream_options", "stream_options needs stream: true");
  const auto asked = draft.max_completion_tokens ? draft.max_completion_tokens : draft.max_tokens;
  request.max_tokens = asked.value_or(default_tokens);
  if (draft.seed)
    request.sampling.seed = *draft.seed;
  else if (request.sampling.temperature > 0)
    request.sampling.seed = ChaChaRng::from_system().below(~u64{0});
  return std::move(draft.request);
}

} // namespace

ApiRequest parse_chat_request(std::string_view body, const ApiDefaults& defaults) {
  static const Readers readers = chat_readers();
  ApiRequest request = parse(body, defaults, readers, kRestOfContext);
  if (request.messages.empty()) throw bad_field("messages", "messages is missing");
  return request;
}

ApiRequest parse_completion_request(std::string_view body, const ApiDefaults& defaults) {
  static const Readers readers = completion_readers();
  ApiRequest request = parse(body, defaults, readers, kDefaultCompletionTokens);
  if (request.prompts.empty()) throw bad_field("prompt", "prompt is missing");
  return request;
}

} // namespace talaria::gateway
