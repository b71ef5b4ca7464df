#include "gateway/api_request.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "core/random.hpp"
#include "gateway/chat_messages.hpp"
#include "gateway/client_json.hpp"
#include "gateway/json_fields.hpp"
#include "gateway/raw_json.hpp"
#include "gateway/request_fields.hpp"

namespace talaria::gateway {

using nlohmann::json;

namespace {

constexpr u32 kDefaultCompletionTokens = 16; // OpenAI's default for /v1/completions

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

FieldReaders common_readers(u32 least_tokens) {
  FieldReaders readers;
  add_fields_without_effect(readers);
  add_sampling_fields(readers);
  add_answer_fields(readers);
  add_form_fields(readers);
  readers["model"] = read_model;
  readers["max_tokens"] = token_count(&Draft::max_tokens, least_tokens);
  readers["max_completion_tokens"] = token_count(&Draft::max_completion_tokens, least_tokens);
  readers["stream"] = read_stream;
  readers["stream_options"] = read_stream_options;
  return readers;
}

FieldReaders chat_readers() {
  FieldReaders readers = common_readers(1);
  add_template_fields(readers);
  readers["messages"] = read_messages;
  readers["prompt_token_ids"] = [](const std::string& field, const json& value, Draft& draft) {
    if (!value.is_array() || value.empty())
      throw bad_field(field, field + " must be a list of token ids");
    draft.request.prompts.emplace_back(tokens_of(field, value));
  };
  readers["echo"] = only({false}, "a chat's prompt is not text that a client wrote");
  const FieldReader logprobs = readers["logprobs"];
  readers["logprobs"] = [logprobs](const std::string& field, const json& value, Draft& draft) {
    flag_of(field, value);
    logprobs(field, value, draft);
  };
  readers["top_logprobs"] = [logprobs](const std::string& field, const json& value, Draft& draft) {
    whole_number_of(field, value, 0);
    logprobs(field, value, draft);
    draft.top_logprobs = std::exchange(draft.request.logprobs, std::nullopt);
  };
  return readers;
}

FieldReaders completion_readers() {
  FieldReaders readers = common_readers(0);
  readers["prompt"] = read_prompt;
  readers["n_predict"] = token_count(&Draft::max_tokens, 0); // llama.cpp's name
  readers["echo"] = [](const std::string& field, const json& value, Draft& draft) {
    draft.request.echo = flag_of(field, value);
  };
  readers["best_of"] = token_count(&Draft::best_of, 1);
  readers["suffix"] = [](const std::string& field, const json& value, Draft& draft) {
    draft.request.suffix = text_of(field, value);
  };
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

/// What fields say together.
void settle_answers(Draft& draft) {
  ApiRequest& request = draft.request;
  if (draft.top_logprobs.value_or(0) > 0 && !draft.wants_logprobs)
    throw bad_field("top_logprobs", "top_logprobs needs logprobs: true");
  if (draft.wants_logprobs) request.logprobs = draft.top_logprobs.value_or(0);
  request.best_of = draft.best_of.value_or(request.choices);
  if (request.best_of < request.choices) throw bad_field("best_of", "best_of must be at least n");
  if (request.best_of > request.choices && request.stream)
    throw bad_field("best_of", "which answers are best is known at their end: leave out stream, or "
                               "let best_of be n");
  const std::size_t answers = std::size_t{request.best_of} * request.prompt_count();
  if (answers > draft.defaults.prompts)
    throw bad_field(draft.best_of ? "best_of" : "n",
                    fmt::format("the request asks for {} answers; at most {} run at once", answers,
                                draft.defaults.prompts));
  if (request.form.kind != AnswerForm::Kind::any && request.ignore_eos)
    throw bad_field("ignore_eos", "an answer of a given form ends where it is complete");
  if (request.max_tokens < request.sampling.min_tokens)
    throw bad_field("min_tokens", "min_tokens is more than max_tokens");
  if (request.echo && request.logprobs && !request.prompt_logprobs)
    request.prompt_logprobs = request.logprobs;
  if (request.stream && request.prompt_logprobs)
    throw bad_field("stream", "the prompt's logprobs cannot be streamed; leave out stream");
  if (request.stream && request.return_token_ids)
    throw bad_field("stream", "token ids cannot be streamed; leave out stream");
}

/// Definitions of the tools that may be called, in their order: a model that does not know of the
/// others does not call them.
std::string allowed_of(const std::string& tools, std::vector<std::string> names) {
  std::string out;
  for (const std::string_view tool : raw_elements(tools)) {
    const auto name =
        json::parse(raw_member(raw_member(tool, "function").value_or(""), "name").value_or("null"));
    const auto found = std::find(names.begin(), names.end(), name);
    if (found == names.end()) continue;
    names.erase(found);
    out += (out.empty() ? "" : ", ") + std::string(tool);
  }
  if (!names.empty())
    throw bad_field("tool_choice", "tool_choice allows a tool that is not among tools");
  return "[" + out + "]";
}

void settle_template(Draft& draft) {
  model::ChatOptions& chat = draft.request.chat;
  if (chat.continue_final_message && draft.add_generation_prompt.value_or(false))
    throw bad_field("continue_final_message",
                    "continue_final_message and add_generation_prompt exclude each other");
  chat.add_generation_prompt = draft.add_generation_prompt.value_or(!chat.continue_final_message);
  if (draft.chooses_no_tool) chat.tools.clear();
  if (draft.allowed_tools) chat.tools = allowed_of(chat.tools, *draft.allowed_tools);
  draft.request.tools.expected = !chat.tools.empty();
  if (draft.request.form.kind == AnswerForm::Kind::calls && chat.tools.empty())
    throw bad_field("tool_choice", "tool_choice asks for a call, and there are no tools");
}

void read_fields(const json& object, const FieldReaders& readers, Draft& draft) {
  for (const auto& [field, value] : object.items()) {
    if (value.is_null()) continue; // asks for nothing, whatever the field
    const auto reader = readers.find(field);
    if (reader == readers.end())
      throw bad_field(field, fmt::format("'{}' is not supported by this endpoint", field));
    reader->second(field, value, draft);
  }
}

Draft draft_of(std::string_view body, const ApiDefaults& defaults) {
  return {defaults, body, {}, {}, {}, {}, {}, {}, {}};
}

ApiRequest in_dialect(Dialect dialect, Draft draft) {
  draft.request.dialect = dialect;
  return std::move(draft.request);
}

} // namespace

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

void read_model(const std::string& field, const json& value, Draft& draft) {
  const std::string name = text_of(field, value);
  if (name == draft.defaults.model) return;
  if (draft.defaults.adapters.find(name) == nullptr)
    throw ApiError(404, fmt::format("this model is not served here; '{}' is", draft.defaults.model),
                   field, "model_not_found");
  draft.request.adapter = name;
}

FieldReader token_count(std::optional<u32> Draft::*member, u32 least) {
  return [member, least](const std::string& field, const json& value, Draft& draft) {
    draft.*member = whole_number_of(field, value, least);
  };
}

void read_stream(const std::string& field, const json& value, Draft& draft) {
  draft.request.stream = flag_of(field, value);
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

std::string joined_texts(const std::string& field, const json& value,
                         const std::vector<std::string_view>& types) {
  if (value.is_string()) return value.get<std::string>();
  if (!value.is_array()) throw bad_field(field, field + " must be a string or a list of parts");
  std::string text;
  for (std::size_t i = 0; i < value.size(); ++i) {
    const std::string path = fmt::format("{}[{}]", field, i);
    const json type = value[i].is_object() ? value[i].value("type", json()) : json();
    if (!type.is_string() || std::find(types.begin(), types.end(), type) == types.end())
      throw bad_field(path, fmt::format("{} must be a part of type {}; other kinds of content are "
                                        "not supported",
                                        path, fmt::join(types, " or ")));
    for (const auto& [name, member] : value[i].items())
      if (!may_stand_beside_text(name) && !member.is_null())
        throw bad_field(path + "." + name, path + "." + name + " is not supported");
    if (i > 0) text += '\n';
    text += text_of(path + ".text", value[i].value("text", json()));
  }
  return text;
}

void prepend_system(Draft& draft) {
  if (draft.system.empty()) return;
  auto& messages = draft.request.messages;
  if (!messages.empty() && messages.front().role == "system")
    messages.front().content = draft.system + "\n" + messages.front().content;
  else
    messages.insert(messages.begin(), {"system", draft.system});
}

Draft read_draft(std::string_view body, const ApiDefaults& defaults, const FieldReaders& readers,
                 u32 default_tokens) {
  const ClientJson parsed = parse_object(body, defaults);
  if (body.starts_with("\xEF\xBB\xBF")) body.remove_prefix(3); // which a parser may skip
  Draft draft = draft_of(body, defaults);
  ApiRequest& request = draft.request;
  request.sampling = model_defaults(defaults.generation);
  read_fields(parsed.value, readers, draft);
  if (draft.has_stream_options && !request.stream)
    throw bad_field("stream_options", "stream_options needs stream: true");
  const auto asked = draft.max_completion_tokens ? draft.max_completion_tokens : draft.max_tokens;
  request.max_tokens = asked.value_or(default_tokens);
  if (draft.seed)
    request.sampling.seed = *draft.seed;
  else if (request.sampling.temperature > 0)
    request.sampling.seed = ChaChaRng::from_system().below(~u64{0});
  settle_template(draft);
  settle_answers(draft);
  return draft;
}

ApiRequest parse_chat_request(std::string_view body, const ApiDefaults& defaults) {
  static const FieldReaders readers = chat_readers();
  ApiRequest request =
      in_dialect(Dialect::chat, read_draft(body, defaults, readers, kRestOfContext));
  if (request.messages.empty() && request.prompts.empty())
    throw bad_field("messages", "messages is missing");
  if (!request.messages.empty() && !request.prompts.empty())
    throw bad_field("prompt_token_ids", "give messages, or the prompt_token_ids made of them");
  return request;
}

ApiRequest parse_completion_request(std::string_view body, const ApiDefaults& defaults) {
  static const FieldReaders readers = completion_readers();
  ApiRequest request = in_dialect(Dialect::completions,
                                  read_draft(body, defaults, readers, kDefaultCompletionTokens));
  if (request.prompts.empty()) throw bad_field("prompt", "prompt is missing");
  return request;
}

ApiRequest parse_request(Dialect dialect, std::string_view body, const ApiDefaults& defaults) {
  switch (dialect) {
  case Dialect::completions:
    return parse_completion_request(body, defaults);
  case Dialect::responses:
    return parse_responses_request(body, defaults);
  case Dialect::messages:
    return parse_messages_request(body, defaults);
  case Dialect::embeddings:
  case Dialect::score:
  case Dialect::rerank:
    return parse_pooling_request(dialect, body, defaults);
  default:
    return parse_chat_request(body, defaults);
  }
}

namespace {

FieldReaders tokenize_readers() {
  FieldReaders readers;
  add_template_fields(readers);
  readers["model"] = read_model;
  readers["messages"] = read_messages;
  readers["prompt"] = read_prompt;
  readers["add_special_tokens"] = [](const std::string& field, const json& value, Draft& draft) {
    draft.request.add_special_tokens = flag_of(field, value);
  };
  readers["return_token_strs"] = [](const std::string& field, const json& value, Draft& draft) {
    draft.with_strings = flag_of(field, value);
  };
  return readers;
}

FieldReaders detokenize_readers() {
  FieldReaders readers;
  readers["model"] = read_model;
  readers["tokens"] = [](const std::string& field, const json& value, Draft& draft) {
    if (!value.is_array()) throw bad_field(field, field + " must be a list of token ids");
    draft.request.prompts.emplace_back(tokens_of(field, value));
  };
  return readers;
}

} // namespace

TokenizeRequest parse_tokenize_request(std::string_view body, const ApiDefaults& defaults) {
  static const FieldReaders readers = tokenize_readers();
  const ClientJson parsed = parse_object(body, defaults);
  Draft draft = draft_of(body, defaults);
  read_fields(parsed.value, readers, draft);
  settle_template(draft);
  if (draft.request.prompts.size() + draft.request.messages.size() == 0)
    throw bad_field("prompt", "prompt or messages is missing");
  if (draft.request.prompts.size() > 1 ||
      draft.request.prompts.empty() == draft.request.messages.empty())
    throw bad_field("prompt", "give one prompt, or messages");
  return {std::move(draft.request), draft.with_strings};
}

std::vector<u32> parse_detokenize_request(std::string_view body, const ApiDefaults& defaults) {
  static const FieldReaders readers = detokenize_readers();
  const ClientJson parsed = parse_object(body, defaults);
  Draft draft = draft_of(body, defaults);
  read_fields(parsed.value, readers, draft);
  if (draft.request.prompts.empty()) throw bad_field("tokens", "tokens is missing");
  return std::get<std::vector<u32>>(std::move(draft.request.prompts.front()));
}

} // namespace talaria::gateway
