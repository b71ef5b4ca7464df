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

constexpr std::size_t kMaxStopSequences = 16;

std::string member_text(const std::string& path, const json& object, const char* key) {
  return text_of(path + "." + key, object.value(key, json()));
}

/// Members of a block, each of which must be known: one that is not might be content.
void check_members(const std::string& path, const json& block,
                   const std::vector<std::string_view>& known) {
  for (const auto& [name, value] : block.items())
    if (std::find(known.begin(), known.end(), name) == known.end() && !is_nothing(value))
      throw bad_field(path + "." + name, path + "." + name + " is not supported");
}

/// One block of a message's content.
/// @param raw  its text: what a tool is called with keeps the order of its fields
void add_block(const std::string& path, const json& block, std::string_view raw, bool by_assistant,
               ChatBuilder& chat) {
  const json type = block.is_object() ? block.value("type", json()) : json();
  const char* role = by_assistant ? "assistant" : "user";
  if (type == "text") {
    check_members(path, block, {"type", "text", "cache_control", "citations"});
    chat.add_text(role, member_text(path, block, "text"), Join::yes);
  } else if (type == "tool_use" && by_assistant) {
    check_members(path, block, {"type", "id", "name", "input", "cache_control", "caller"});
    if (!block.value("input", json()).is_object())
      throw bad_field(path + ".input", path + ".input must be an object");
    chat.add_call(member_text(path, block, "id"), member_text(path, block, "name"),
                  raw_member(raw, "input").value_or("{}"));
  } else if (type == "tool_result" && !by_assistant) {
    check_members(path, block, {"type", "tool_use_id", "content", "is_error", "cache_control"});
    const json content = block.value("content", json());
    chat.add_result(member_text(path, block, "tool_use_id"),
                    content.is_null() ? std::string()
                                      : joined_texts(path + ".content", content, {"text"}));
  } else if (type == "thinking" && by_assistant) {
    chat.add_reasoning(member_text(path, block, "thinking"));
  } else if (type != "redacted_thinking" || !by_assistant) { // which nobody here can read
    throw bad_field(path, path +
                              (by_assistant ? " must be a block of type text, thinking or tool_use"
                                            : " must be a block of type text or tool_result") +
                              "; other kinds of content are not supported");
  }
}

void add_turn(const std::string& path, const json& message, std::string_view raw,
              ChatBuilder& chat) {
  if (!message.is_object()) throw bad_field(path, path + " must be an object");
  const json role = message.value("role", json());
  if (role != "user" && role != "assistant" && role != "system")
    throw bad_field(path + ".role", path + ".role must be user, assistant or system");
  check_members(path, message, {"role", "content"});
  const json content = message.value("content", json());
  const std::string field = path + ".content";
  if (content.is_string()) {
    chat.add_text(role.get<std::string>(), content.get<std::string>(), Join::yes);
    return;
  }
  if (!content.is_array() || content.empty())
    throw bad_field(field, field + " must be a string or a list of blocks");
  if (role == "system") {
    chat.add_text("system", joined_texts(field, content, {"text"}), Join::yes);
    return;
  }
  const auto raw_blocks = raw_elements(raw_member(raw, "content").value_or(""));
  for (std::size_t i = 0; i < content.size(); ++i)
    add_block(fmt::format("{}[{}]", field, i), content[i], raw_blocks.at(i), role == "assistant",
              chat);
}

void read_turns(const std::string& field, const json& value, Draft& draft) {
  if (!value.is_array() || value.empty())
    throw bad_field(field, field + " must be a list of at least one message");
  const auto raw = raw_elements(raw_member(draft.body, field).value_or(""));
  ChatBuilder chat;
  for (std::size_t i = 0; i < value.size(); ++i)
    add_turn(fmt::format("{}[{}]", field, i), value[i], raw.at(i), chat);
  draft.request.messages = chat.take();
  if (draft.request.messages.empty()) throw bad_field(field, field + " holds no text");
  // The answer goes on where a last message of the assistant ends.
  const model::ChatMessage& last = draft.request.messages.back();
  draft.request.chat.continue_final_message = last.role == "assistant" && last.fields.empty();
}

void read_system(const std::string& field, const json& value, Draft& draft) {
  draft.system = joined_texts(field, value, {"text"});
}

void read_user_tools(const std::string& field, const json& value, Draft& draft) {
  static const FlatTools form{
      "input_schema",
      {"", "custom"},
      {"cache_control", "strict", "eager_input_streaming", "input_examples"}};
  for (std::size_t i = 0; value.is_array() && i < value.size(); ++i) {
    const std::string path = fmt::format("{}[{}].input_schema", field, i);
    if (value[i].is_object() && !value[i].value("input_schema", json()).is_object() &&
        value[i].value("type", json("custom")) == "custom")
      throw bad_field(path, path + " must be an object");
  }
  read_flat_tools(field, value, form, draft);
}

void read_choice_of_tool(const std::string& field, const json& value, Draft& draft) {
  const json type = value.is_object() ? value.value("type", json()) : json();
  if (type == "none")
    draft.chooses_no_tool = true;
  else if (type == "any")
    force_call(field, {}, draft);
  else if (type == "tool")
    force_call(field, member_text(field, value, "name"), draft);
  else if (type != "auto")
    throw bad_field(field + ".type", field + ".type must be auto, any, tool or none");
  check_members(field, value, {"type", "name", "disable_parallel_tool_use"});
  if (const json alone = value.value("disable_parallel_tool_use", json()); !alone.is_null())
    draft.request.tools.parallel = !flag_of(field + ".disable_parallel_tool_use", alone);
}

void read_stop_sequences(const std::string& field, const json& value, Draft& draft) {
  if (!value.is_array() || value.size() > kMaxStopSequences)
    throw bad_field(
        field, fmt::format("{} must be a list of at most {} strings", field, kMaxStopSequences));
  for (const json& each : value) draft.request.stops.push_back(stop_string_of(field, each));
}

/// For templates that can switch reasoning; there is no other budget than max_tokens.
void read_thinking(const std::string& field, const json& value, Draft& draft) {
  const json type = value.is_object() ? value.value("type", json()) : json();
  if (type != "enabled" && type != "disabled" && type != "adaptive")
    throw bad_field(field + ".type", field + ".type must be enabled, adaptive or disabled");
  std::string& effort = draft.request.reasoning_effort;
  if (type == "disabled")
    effort = "none";
  else if (effort.empty())
    effort = "medium";
}

/// {"effort": ..., "format": {"type": "json_schema", "schema": ...}}
void read_output_config(const std::string& field, const json& value, Draft& draft) {
  if (!value.is_object()) throw bad_field(field, field + " must be an object");
  check_members(field, value, {"effort", "format"});
  if (const json effort = value.value("effort", json()); !effort.is_null()) {
    const std::string wanted = text_of(field + ".effort", effort);
    if (draft.request.reasoning_effort != "none")
      draft.request.reasoning_effort = wanted == "max" || wanted == "xhigh" ? "high" : wanted;
  }
  const json format = value.value("format", json());
  if (format.is_null()) return;
  const std::string path = field + ".format";
  if (!format.is_object() || format.value("type", json()) != "json_schema")
    throw bad_field(path + ".type", path + ".type must be json_schema");
  const auto raw = raw_member(raw_member(draft.body, field).value_or(""), "format");
  read_schema(path + ".schema", format.value("schema", json()),
              raw_member(raw.value_or(""), "schema").value_or(""), draft);
}

void read_who(const std::string& field, const json& value, Draft&) {
  if (!value.is_object()) throw bad_field(field, field + " must be an object");
}

FieldReaders messages_readers() {
  FieldReaders readers;
  add_sampling_fields(readers);
  readers.erase("stop");
  readers["model"] = read_model;
  readers["messages"] = read_turns;
  readers["system"] = read_system;
  readers["max_tokens"] = token_count(&Draft::max_tokens, 1);
  readers["stop_sequences"] = read_stop_sequences;
  readers["stream"] = read_stream;
  readers["tools"] = read_user_tools;
  readers["tool_choice"] = read_choice_of_tool;
  readers["thinking"] = read_thinking;
  readers["output_config"] = read_output_config;
  readers["metadata"] = readers["cache_control"] = read_who;
  readers["service_tier"] = only({"auto", "standard_only"}, "all requests are served alike");
  readers["inference_geo"] = only({}, "requests are answered where this server is");
  readers["container"] = only({}, "there are no containers here");
  readers["mcp_servers"] = only({json::array()}, "the server calls no other servers");
  readers["context_management"] = only({}, "nothing is removed from conversations");
  return readers;
}

} // namespace

ApiRequest parse_messages_request(std::string_view body, const ApiDefaults& defaults, bool counts) {
  static const FieldReaders readers = messages_readers();
  Draft draft = read_draft(body, defaults, readers, kRestOfContext);
  if (draft.request.messages.empty()) throw bad_field("messages", "messages is missing");
  if (!counts && !draft.max_tokens) throw bad_field("max_tokens", "max_tokens is missing");
  prepend_system(draft);
  draft.request.dialect = Dialect::messages;
  return std::move(draft.request);
}

} // namespace talaria::gateway
