#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "gateway/chat_builder.hpp"
#include "gateway/chat_messages.hpp"
#include "gateway/json_fields.hpp"
#include "gateway/raw_json.hpp"
#include "gateway/request_fields.hpp"

namespace talaria::gateway {

using nlohmann::json;

namespace {

using Join = ChatBuilder::Join;

constexpr const char* kNothingStored = "nothing is stored here; send the whole conversation as "
                                       "input";

std::string string_member(const std::string& path, const json& object, const char* key) {
  return text_of(path + "." + key, object.value(key, json()));
}

std::string input_role(const std::string& path, const json& item) {
  const std::string role = string_member(path, item, "role");
  if (role == "developer") return "system"; // the newer name of the same thing
  if (role != "system" && role != "user" && role != "assistant")
    throw bad_field(path + ".role", path + ".role must be system, developer, user or assistant");
  return role;
}

void add_message(const std::string& path, const json& item, ChatBuilder& chat) {
  const std::string role = input_role(path, item);
  const auto types = role == "assistant"
                         ? std::vector<std::string_view>{"output_text", "input_text", "text"}
                         : std::vector<std::string_view>{"input_text", "text"};
  const json content = item.value("content", json());
  const bool is_refusal = role == "assistant" && content.is_array() && content.size() == 1 &&
                          content[0].is_object() && content[0].value("type", json()) == "refusal";
  chat.add_text(role,
                is_refusal ? string_member(path + ".content[0]", content[0], "refusal")
                           : joined_texts(path + ".content", content, types),
                role == "system" ? Join::yes : Join::no);
}

/// What a model thought; summaries are all that is kept of the reasoning of some.
void add_thoughts(const std::string& path, const json& item, ChatBuilder& chat) {
  const json content = item.value("content", json());
  const json summary = item.value("summary", json());
  std::string text;
  if (content.is_array() && !content.empty())
    text = joined_texts(path + ".content", content, {"reasoning_text"});
  else if (summary.is_array() && !summary.empty())
    text = joined_texts(path + ".summary", summary, {"summary_text"});
  if (!text.empty()) chat.add_reasoning(std::move(text));
}

void add_item(const std::string& path, const json& item, ChatBuilder& chat) {
  if (!item.is_object()) throw bad_field(path, path + " must be an object");
  const json type = item.value("type", json("message"));
  if (type == "message") {
    add_message(path, item, chat);
  } else if (type == "function_call") {
    chat.add_call(string_member(path, item, "call_id"), string_member(path, item, "name"),
                  call_arguments(path + ".arguments", item));
  } else if (type == "function_call_output") {
    chat.add_result(string_member(path, item, "call_id"),
                    joined_texts(path + ".output", item.value("output", json()),
                                 {"input_text", "output_text", "text"}));
  } else if (type == "reasoning") {
    add_thoughts(path, item, chat);
  } else if (type == "item_reference") {
    throw bad_field(path, path + " refers to another item: " + kNothingStored);
  } else {
    throw bad_field(path + ".type", path + ".type must be message, function_call, "
                                           "function_call_output or reasoning; other items are not "
                                           "supported");
  }
}

void read_input(const std::string& field, const json& value, Draft& draft) {
  ChatBuilder chat;
  if (value.is_string()) {
    chat.add_text("user", value.get<std::string>(), Join::no);
  } else {
    if (!value.is_array() || value.empty())
      throw bad_field(field, field + " must be a string or a list of at least one item");
    for (std::size_t i = 0; i < value.size(); ++i)
      add_item(fmt::format("{}[{}]", field, i), value[i], chat);
  }
  draft.request.messages = chat.take();
  if (draft.request.messages.empty()) throw bad_field(field, field + " holds no message");
}

void read_instructions(const std::string& field, const json& value, Draft& draft) {
  draft.system = text_of(field, value);
}

void read_text(const std::string& field, const json& value, Draft& draft) {
  if (!value.is_object()) throw bad_field(field, field + " must be an object");
  for (const auto& [name, inside] : value.items()) {
    const std::string path = field + "." + name;
    if (inside.is_null()) continue;
    if (name == "verbosity") {
      if (inside != "medium")
        throw bad_field(path, path + ": no template takes it; say in a message how long answers "
                                     "shall be");
    } else if (name != "format") {
      throw bad_field(path, path + " is not supported");
    }
  }
  const json format = value.value("format", json());
  if (format.is_null()) return;
  const std::string path = field + ".format";
  const json type = format.is_object() ? format.value("type", json()) : json();
  if (type == "json_object") {
    new_form(path, AnswerForm::Kind::json_object, draft);
  } else if (type == "json_schema") {
    const auto raw = raw_member(raw_member(draft.body, field).value_or(""), "format");
    read_schema(path + ".schema", format.value("schema", json()),
                raw_member(raw.value_or(""), "schema").value_or(""), draft);
  } else if (type != "text") {
    throw bad_field(path + ".type", path + ".type must be text, json_object or json_schema");
  }
}

void read_function_tools(const std::string& field, const json& value, Draft& draft) {
  static const FlatTools form{"parameters", {"function"}, {"strict"}};
  read_flat_tools(field, value, form, draft);
}

std::string name_of_allowed(const std::string& path, const json& tool) {
  if (!tool.is_object() || tool.value("type", json()) != "function")
    throw bad_field(path, path + " must name a function");
  return string_member(path, tool, "name");
}

void read_tool_choice_of_responses(const std::string& field, const json& value, Draft& draft) {
  if (value == "none")
    draft.chooses_no_tool = true;
  else if (value == "required")
    force_call(field, {}, draft);
  else if (value.is_object() && value.value("type", json()) == "function")
    force_call(field, string_member(field, value, "name"), draft);
  else if (value.is_object() && value.value("type", json()) == "allowed_tools")
    allow_tools(field, value, name_of_allowed, draft);
  else if (value != "auto")
    throw bad_field(field, field + " must be none, auto, required, the name of a function or "
                                   "allowed_tools");
}

void read_reasoning(const std::string& field, const json& value, Draft& draft) {
  if (!value.is_object()) throw bad_field(field, field + " must be an object");
  for (const auto& [name, inside] : value.items()) {
    const std::string path = field + "." + name;
    if (inside.is_null()) continue;
    if (name == "effort")
      draft.request.reasoning_effort = text_of(path, inside);
    else if (name == "summary" || name == "generate_summary") // whole reasoning is given, if any
      text_of(path, inside);
    else
      throw bad_field(path, path + " is not supported");
  }
}

/// What answers hold besides: of tools that do not exist here, nothing.
void read_include(const std::string& field, const json& value, Draft& draft) {
  if (!value.is_array()) throw bad_field(field, field + " must be a list of strings");
  for (const json& each : value)
    draft.wants_logprobs |= text_of(field, each) == "message.output_text.logprobs";
}

void read_top_logprobs(const std::string& field, const json& value, Draft& draft) {
  draft.top_logprobs = top_scores_of(field, value);
  draft.wants_logprobs |= *draft.top_logprobs > 0;
}

void read_truncation(const std::string& field, const json& value, Draft& draft) {
  if (value != "auto" && value != "disabled")
    throw bad_field(field, field + " must be auto or disabled");
  draft.request.drop_oldest = value == "auto";
}

FieldReaders responses_readers() {
  FieldReaders readers;
  add_fields_without_effect(readers);
  add_sampling_fields(readers);
  add_template_fields(readers);
  readers["model"] = read_model;
  readers["input"] = read_input;
  readers["instructions"] = read_instructions;
  readers["max_output_tokens"] = token_count(&Draft::max_tokens, 1);
  readers["stream"] = read_stream;
  readers["stream_options"] = read_stream_options;
  readers["text"] = read_text;
  readers["tools"] = read_function_tools;
  readers["tool_choice"] = read_tool_choice_of_responses;
  readers["reasoning"] = read_reasoning;
  readers["include"] = read_include;
  readers["top_logprobs"] = read_top_logprobs;
  readers["truncation"] = read_truncation;
  readers["background"] = only({false}, "answers are made while their client waits");
  readers["max_tool_calls"] = token_count(&Draft::ignored, 1); // of tools that a server runs
  readers["previous_response_id"] = readers["conversation"] = only({}, kNothingStored);
  readers["prompt"] = only({}, "no templates of prompts are stored here");
  for (const char* chats :
       {"functions", "function_call", "documents", "continue_final_message",
        "add_generation_prompt", "reasoning_effort", "modalities", "prediction"})
    readers.erase(chats);
  return readers;
}

/// Members of the answer that repeat the request: what it says, or their defaults.
std::string repeated_members(const Draft& draft) {
  constexpr std::pair<const char*, const char*> kMembers[] = {
      {"background", "false"},
      {"instructions", "null"},
      {"max_output_tokens", "null"},
      {"max_tool_calls", "null"},
      {"metadata", "{}"},
      {"parallel_tool_calls", "true"},
      {"prompt_cache_key", "null"},
      {"reasoning", R"({"effort":null,"summary":null})"},
      {"safety_identifier", "null"},
      {"text", R"({"format":{"type":"text"}})"},
      {"tool_choice", R"("auto")"},
      {"tools", "[]"},
      {"top_logprobs", "0"},
      {"truncation", R"("disabled")"},
      {"user", "null"}};
  const auto& sampling = draft.request.sampling;
  std::string out = fmt::format(
      R"("previous_response_id":null,"store":false,"service_tier":"default","temperature":{},"top_p":{})",
      sampling.temperature, sampling.top_p);
  for (const auto& [name, otherwise] : kMembers) {
    const auto written = raw_member(draft.body, name);
    const bool is_told = written && *written != "null";
    out += fmt::format(",\"{}\":{}", name, is_told ? compact_json(*written) : otherwise);
  }
  return out;
}

} // namespace

ApiRequest parse_responses_request(std::string_view body, const ApiDefaults& defaults) {
  static const FieldReaders readers = responses_readers();
  Draft draft = read_draft(body, defaults, readers, kRestOfContext);
  if (draft.request.messages.empty()) throw bad_field("input", "input is missing");
  prepend_system(draft);
  draft.request.dialect = Dialect::responses;
  draft.request.repeated = repeated_members(draft);
  return std::move(draft.request);
}

} // namespace talaria::gateway
