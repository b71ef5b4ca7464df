#include "gateway/api_request.hpp"

#include <fmt/format.h>

#include <functional>
#include <limits>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>

#include "core/random.hpp"
#include "gateway/client_json.hpp"

namespace talaria::gateway {

using nlohmann::json;

namespace {

constexpr std::size_t kMostStops = 16;
constexpr std::size_t kLongestStop = 1024;   // bytes; the end of an answer is searched for each
constexpr u32 kDefaultCompletionTokens = 16; // OpenAI's default for /v1/completions
constexpr u32 kRestOfContext = ~u32{0};      // the engine cuts it to what fits

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

std::string text_of(const std::string& field, const json& value) {
  if (!value.is_string()) throw bad_field(field, field + " must be a string");
  return value.get<std::string>();
}

bool flag_of(const std::string& field, const json& value) {
  if (!value.is_boolean()) throw bad_field(field, field + " must be true or false");
  return value.get<bool>();
}

u32 whole_number_of(const std::string& field, const json& value, u32 low) {
  constexpr u32 kMost = std::numeric_limits<i32>::max();
  if (value.is_number_unsigned() && value.get<u64>() >= low && value.get<u64>() <= kMost)
    return value.get<u32>();
  throw bad_field(field, fmt::format("{} must be a whole number from {} to {}", field, low, kMost));
}

float number_of(const std::string& field, const json& value) {
  constexpr double kMost = 1e6; // far outside every range, and safe to convert
  if (!value.is_number()) throw bad_field(field, field + " must be a number");
  const auto number = value.get<double>();
  if (!(number >= -kMost && number <= kMost))
    throw bad_field(field, fmt::format("{} is out of range", field));
  return static_cast<float>(number);
}

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

void read_stop(const std::string& field, const json& value, Draft& draft) {
  const std::size_t count = value.is_array() ? value.size() : 1;
  if (count > kMostStops)
    throw bad_field(field, fmt::format("{} has more than {} strings", field, kMostStops));
  for (std::size_t i = 0; i < count; ++i) {
    const json& stop = value.is_array() ? value[i] : value;
    if (!stop.is_string() || stop.get_ref<const std::string&>().empty() ||
        stop.get_ref<const std::string&>().size() > kLongestStop)
      throw bad_field(field, fmt::format("{} must be a string of 1 to {} bytes, or a list of them",
                                         field, kLongestStop));
    draft.request.stops.push_back(stop.get<std::string>());
  }
}

void read_stream_options(const std::string& field, const json& value, Draft& draft) {
  if (!value.is_object()) throw bad_field(field, field + " must be an object");
  draft.has_stream_options = true;
  for (const auto& [name, option] : value.items()) {
    const std::string path = field + "." + name;
    if (name != "include_usage") throw bad_field(path, path + " is not supported");
    draft.request.include_usage = flag_of(path, option);
  }
}

/// Text, or a list of parts of which each is text.
std::string content_of(const std::string& field, const json& value) {
  if (value.is_string()) return value.get<std::string>();
  if (!value.is_array() || value.empty())
    throw bad_field(field, field + " must be a string or a list of text parts");
  std::string text;
  for (std::size_t i = 0; i < value.size(); ++i) {
    const json& part = value[i];
    const std::string path = fmt::format("{}[{}]", field, i);
    if (!part.is_object() || part.size() != 2 || !part.contains("type") || part["type"] != "text" ||
        !part.contains("text"))
      throw bad_field(path, path + " must be {\"type\": \"text\", \"text\": ...}; other kinds of "
                                   "content are not supported");
    if (i > 0) text += '\n'; // as vLLM joins parts
    text += text_of(path + ".text", part["text"]);
  }
  return text;
}

model::ChatMessage message_of(const std::string& path, const json& value) {
  if (!value.is_object()) throw bad_field(path, path + " must be an object");
  model::ChatMessage message;
  for (const auto& [name, item] : value.items()) {
    const std::string field = path + "." + name;
    if (name == "role")
      message.role = text_of(field, item);
    else if (name == "content")
      message.content = content_of(field, item);
    else if (name == "tool_call_id")
      text_of(field, item); // says which call a tool answers; templates have no place for it
    else if (!item.is_null())
      throw bad_field(field, field + " is not supported");
  }
  if (message.role != "system" && message.role != "user" && message.role != "assistant" &&
      message.role != "tool")
    throw bad_field(path + ".role", path + ".role must be system, user, assistant or tool");
  if (!value.contains("content")) throw bad_field(path + ".content", path + ".content is missing");
  return message;
}

void read_messages(const std::string& field, const json& value, Draft& draft) {
  if (!value.is_array() || value.empty())
    throw bad_field(field, field + " must be a list of at least one message");
  for (std::size_t i = 0; i < value.size(); ++i)
    draft.request.messages.push_back(message_of(fmt::format("{}[{}]", field, i), value[i]));
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

/// A field that only means something when it has another value than `neutral`, which it may not.
Reader only(json neutral) {
  return [neutral = std::move(neutral)](const std::string& field, const json& value, Draft&) {
    if (value != neutral)
      throw bad_field(field, fmt::format("{} is not supported; leave it out", field));
  };
}

void accept_text(const std::string& field, const json& value, Draft&) {
  text_of(field, value);
}

void add_length_and_sampling(Readers& readers) {
  using P = model::SamplingParameters;
  readers["max_tokens"] = [](const std::string& field, const json& value, Draft& draft) {
    draft.max_tokens = whole_number_of(field, value, 1);
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
Readers common_readers() {
  Readers readers;
  readers["model"] = read_model;
  add_length_and_sampling(readers);
  readers["stream"] = [](const std::string& field, const json& value, Draft& draft) {
    draft.request.stream = flag_of(field, value);
  };
  readers["stream_options"] = read_stream_options;
  readers["user"] = accept_text; // a label for the caller's own books
  readers["n"] = only(1);
  readers["presence_penalty"] = only(0);
  readers["frequency_penalty"] = only(0);
  readers["logit_bias"] = only(json::object());
  return readers;
}

Readers chat_readers() {
  Readers readers = common_readers();
  readers["messages"] = read_messages;
  readers["max_completion_tokens"] = [](const std::string& field, const json& value, Draft& draft) {
    draft.max_completion_tokens = whole_number_of(field, value, 1);
  };
  readers["tools"] = only(json::array());
  readers["tool_choice"] = only("none");
  readers["logprobs"] = only(false);
  readers["top_logprobs"] = only(0);
  readers["response_format"] = only(json{{"type", "text"}});
  return readers;
}

Readers completion_readers() {
  Readers readers = common_readers();
  readers["prompt"] = read_prompt;
  readers["echo"] = only(false);
  readers["best_of"] = only(1);
  readers["suffix"] = only("");
  readers["response_format"] = only(json{{"type", "text"}});
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
    const auto reader = readers.find(field);
    if (reader == readers.end())
      throw bad_field(field, fmt::format("'{}' is not supported by this endpoint", field));
    if (!value.is_null()) reader->second(field, value, draft);
  }
  if (draft.has_stream_options && !request.stream)
    throw bad_field("stream_options", "stream_options needs stream: true");
  request.max_tokens =
      draft.max_completion_tokens.value_or(draft.max_tokens.value_or(default_tokens));
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
