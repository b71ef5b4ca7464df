#include "gateway/chat_messages.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <string_view>

#include "gateway/client_json.hpp"
#include "gateway/json_fields.hpp"

namespace talaria::gateway {

using nlohmann::json;

namespace {

/// The string under `key`, or nothing.
std::string_view string_at(const json& object, const char* key) {
  const auto found = object.find(key);
  if (found == object.end() || !found->is_string()) return {};
  return found->get_ref<const std::string&>();
}

/// The text of one part: {"type": "text", "text": ...}, or an assistant's refusal.
std::string part_of(const std::string& path, const json& part, bool by_assistant) {
  const std::string_view type = part.is_object() ? string_at(part, "type") : std::string_view();
  const bool refusal = by_assistant && type == "refusal";
  const char* key = refusal ? "refusal" : "text";
  if ((type != "text" && !refusal) || !part.contains(key))
    throw bad_field(path, path + " must be {\"type\": \"text\", \"text\": ...}; other kinds of "
                                 "content are not supported");
  for (const auto& [name, value] : part.items())
    if (!may_stand_beside_text(name) && !value.is_null())
      throw bad_field(path + "." + name, path + "." + name + " is not supported");
  return text_of(path + "." + key, part[key]);
}

/// Text, or a list of parts of which each is text.
std::string content_of(const std::string& field, const json& value, bool by_assistant) {
  if (value.is_string()) return value.get<std::string>();
  if (!value.is_array() || value.empty())
    throw bad_field(field, field + " must be a string or a list of text parts");
  std::string text;
  for (std::size_t i = 0; i < value.size(); ++i) {
    if (i > 0) text += '\n'; // as vLLM joins parts
    text += part_of(fmt::format("{}[{}]", field, i), value[i], by_assistant);
  }
  return text;
}

std::string role_of(const std::string& path, const json& message) {
  const std::string_view role = string_at(message, "role");
  if (role == "developer") return "system"; // the newer name of the same thing
  for (const std::string_view known : {"system", "user", "assistant", "tool"})
    if (role == known) return std::string(role);
  throw bad_field(path + ".role",
                  path + ".role must be system, developer, user, assistant or tool");
}

/// The JSON text of a string.
std::string json_string(std::string_view text) {
  return json(text).dump();
}

/// A call that the assistant made, as templates take it.
std::string call_of(const std::string& path, const json& call) {
  const json function = call.is_object() ? call.value("function", json()) : json();
  if (!function.is_object() || call.value("type", json("function")) != "function")
    throw bad_field(path, path + " must be a call of a function");
  std::string out = "{";
  if (const json id = call.value("id", json()); !id.is_null())
    out += "\"id\":" + json_string(text_of(path + ".id", id)) + ",";
  const std::string name = text_of(path + ".function.name", function.value("name", json()));
  return out + fmt::format(R"("type":"function","function":{{"name":{},"arguments":{}}}}})",
                           json_string(name),
                           call_arguments(path + ".function.arguments", function));
}

std::string calls_of(const std::string& field, const json& value) {
  if (!value.is_array()) throw bad_field(field, field + " must be a list of calls");
  std::string out;
  for (std::size_t i = 0; i < value.size(); ++i)
    out += (i > 0 ? "," : "") + call_of(fmt::format("{}[{}]", field, i), value[i]);
  return "[" + out + "]";
}

/// Everything beside role and content: for the template, as the text of an object.
std::string other_fields(const std::string& path, const json& message, bool by_assistant) {
  std::string out;
  const auto add = [&](const std::string& name, const std::string& value) {
    out += (out.empty() ? "" : ",") + json_string(name) + ":" + value;
  };
  for (const auto& [name, value] : message.items()) {
    const std::string field = path + "." + name;
    if (name == "role" || name == "content" || value.is_null()) continue;
    if (name == "name" || name == "tool_call_id" ||
        (by_assistant && (name == "reasoning_content" || name == "reasoning"))) {
      add(name, json_string(text_of(field, value)));
    } else if (name == "id" || name == "refusal") {
      text_of(field, value);
    } else if (name == "annotations") {
      if (!value.is_array()) throw bad_field(field, field + " must be a list");
    } else if (name == "tool_calls" && by_assistant && !is_nothing(value)) {
      add(name, calls_of(field, value));
    } else if (name != "cache_control" && !is_nothing(value)) {
      throw bad_field(field, field + " is not supported");
    }
  }
  return out.empty() ? out : "{" + out + "}";
}

model::ChatMessage message_of(const std::string& path, const json& value) {
  if (!value.is_object()) throw bad_field(path, path + " must be an object");
  model::ChatMessage message;
  message.role = role_of(path, value);
  const bool by_assistant = message.role == "assistant";
  message.fields = other_fields(path, value, by_assistant);
  const auto content = value.find("content");
  const bool absent = content == value.end() || content->is_null();
  if (absent && !by_assistant) throw bad_field(path + ".content", path + ".content is missing");
  message.content = absent ? std::string(string_at(value, "refusal"))
                           : content_of(path + ".content", *content, by_assistant);
  return message;
}

} // namespace

bool may_stand_beside_text(const std::string& key) {
  constexpr std::string_view kOtherKinds[] = {
      "image",     "image_url", "input_image", "audio", "input_audio",
      "audio_url", "file",      "input_file",  "video", "video_url"};
  return std::find(std::begin(kOtherKinds), std::end(kOtherKinds), key) == std::end(kOtherKinds);
}

/// Templates write them as one object, as it came.
std::string call_arguments(const std::string& path, const json& object) {
  const auto found = object.find("arguments");
  if (found == object.end() || found->is_null()) return "{}";
  if (found->is_object()) return found->dump();
  const std::string text = text_of(path, *found);
  if (text.find_first_not_of(" \t\r\n") == std::string::npos) return "{}";
  try {
    if (parse_client_json(text, nullptr).value.is_object()) return text;
  } catch (const ApiError&) { // its places are those of a text inside the body
  }
  throw bad_field(path, path + " must be the text of a JSON object");
}

std::vector<model::ChatMessage> chat_messages(const std::string& field, const json& value) {
  if (!value.is_array() || value.empty())
    throw bad_field(field, field + " must be a list of at least one message");
  std::vector<model::ChatMessage> messages;
  messages.reserve(value.size());
  for (std::size_t i = 0; i < value.size(); ++i)
    messages.push_back(message_of(fmt::format("{}[{}]", field, i), value[i]));
  return messages;
}

} // namespace talaria::gateway
