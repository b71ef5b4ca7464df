#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "gateway/json_fields.hpp"
#include "gateway/raw_json.hpp"
#include "gateway/request_fields.hpp"

namespace talaria::gateway {

using nlohmann::json;

namespace {

constexpr std::size_t kMaxTools = 128;
constexpr std::size_t kLongestToolName = 64;

bool is_name(const std::string& text) {
  return !text.empty() && text.size() <= kLongestToolName &&
         std::all_of(text.begin(), text.end(), [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                  c == '_' || c == '-' || c == '.';
         });
}

void check_tool_name(const std::string& path, const json& name) {
  if (!name.is_string() || !is_name(name.get<std::string>()))
    throw bad_field(path, fmt::format("{} must be 1 to {} letters, digits, '_', '-' or '.'", path,
                                      kLongestToolName));
}

void check_tool_count(const std::string& field, const json& value) {
  if (!value.is_array() || value.size() > kMaxTools)
    throw bad_field(field, fmt::format("{} must be a list of at most {} tools", field, kMaxTools));
}

void check_tool(const std::string& path, const json& tool) {
  if (!tool.is_object() || tool.value("type", json()) != "function")
    throw bad_field(path, path + " must be {\"type\": \"function\", \"function\": {...}}; tools of "
                                 "other types are not supported");
  const json function = tool.value("function", json());
  const std::string inside = path + ".function";
  if (!function.is_object()) throw bad_field(inside, inside + " must be an object");
  check_tool_name(inside + ".name", function.value("name", json()));
  for (const char* text : {"description"})
    if (const json value = function.value(text, json()); !value.is_null())
      text_of(inside + "." + text, value);
  const json parameters = function.value("parameters", json());
  if (!parameters.is_null() && !parameters.is_object())
    throw bad_field(inside + ".parameters", inside + ".parameters must be an object");
}

void read_tools(const std::string& field, const json& value, Draft& draft) {
  check_tool_count(field, value);
  for (std::size_t i = 0; i < value.size(); ++i)
    check_tool(fmt::format("{}[{}]", field, i), value[i]);
  // As they are written: the order of fields is a part of the prompt.
  if (!value.empty()) draft.request.chat.tools = raw_member(draft.body, field).value();
}

bool is_named_tool(const json& value) {
  return value.is_object() && value.value("type", json()) == "function" &&
         value.value("function", json()).is_object();
}

/// {"type": "function", "function": {"name": ...}}
std::string name_of_function(const std::string& path, const json& tool) {
  if (!is_named_tool(tool)) throw bad_field(path, path + " must name a function");
  return text_of(path + ".function.name", tool["function"].value("name", json()));
}

void read_tool_choice(const std::string& field, const json& value, Draft& draft) {
  if (value == "none")
    draft.chooses_no_tool = true;
  else if (value == "required" || is_named_tool(value))
    force_call(field, value.is_object() ? name_of_function(field, value) : std::string(), draft);
  else if (value.is_object() && value.value("type", json()) == "allowed_tools")
    allow_tools(field + ".allowed_tools", value.value("allowed_tools", json()), name_of_function,
                draft);
  else if (value != "auto")
    throw bad_field(field, field + " must be none, auto, required, the name of a function or "
                                   "allowed_tools");
}

void read_reasoning_effort(const std::string& field, const json& value, Draft& draft) {
  text_of(field, value);
  draft.request.reasoning_effort = value.get<std::string>();
}

FieldReader raw_option(std::string model::ChatOptions::*member, bool is_list) {
  return [member, is_list](const std::string& field, const json& value, Draft& draft) {
    if (is_list ? !value.is_array() : !value.is_object())
      throw bad_field(field, field + (is_list ? " must be a list" : " must be an object"));
    if (!value.empty()) draft.request.chat.*member = raw_member(draft.body, field).value();
  };
}

} // namespace

void force_call(const std::string& field, const std::string& name, Draft& draft) {
  new_form(field, AnswerForm::Kind::calls, draft).text = name;
}

void allow_tools(const std::string& field, const json& choice,
                 const std::function<std::string(const std::string& path, const json&)>& name_of,
                 Draft& draft) {
  if (!choice.is_object() || !choice.value("tools", json()).is_array() || choice["tools"].empty())
    throw bad_field(field, field + " must have a mode, and tools, a list of functions");
  const json mode = choice.value("mode", json());
  if (mode != "auto" && mode != "required")
    throw bad_field(field + ".mode", field + ".mode must be auto or required");
  std::vector<std::string>& names = draft.allowed_tools.emplace();
  for (const json& tool : choice["tools"])
    names.push_back(name_of(fmt::format("{}.tools[{}]", field, names.size()), tool));
  if (mode == "required") force_call(field, {}, draft);
}

namespace {

bool holds(const std::vector<std::string_view>& texts, std::string_view text) {
  return std::find(texts.begin(), texts.end(), text) != texts.end();
}

/// One definition, in the order in which a chat's are mostly written.
std::string flat_tool(const std::string& path, const json& tool, std::string_view raw,
                      const FlatTools& form) {
  if (!tool.is_object()) throw bad_field(path, path + " must be an object");
  const json type = tool.value("type", json(""));
  if (!type.is_string() || !holds(form.types, type.get<std::string>()))
    throw bad_field(path + ".type", path + ".type: tools that are not functions of the client's "
                                           "are not supported");
  check_tool_name(path + ".name", tool.value("name", json()));
  std::string out = R"({"type":"function","function":{"name":)" + tool["name"].dump();
  for (const auto& [name, value] : tool.items()) {
    const std::string field = path + "." + name;
    if (name == "type" || name == "name" || value.is_null()) continue;
    if (name == "description")
      text_of(field, value);
    else if (name == form.schema && !value.is_object())
      throw bad_field(field, field + " must be an object");
    else if (name != form.schema && !holds(form.without_effect, name) && !is_nothing(value))
      throw bad_field(field, field + " is not supported");
  }
  if (const auto text = raw_member(raw, "description"); text && *text != "null")
    out += ",\"description\":" + std::string(*text);
  if (const auto schema = raw_member(raw, form.schema); schema && *schema != "null")
    out += ",\"parameters\":" + std::string(*schema);
  return out + "}}";
}

} // namespace

void read_flat_tools(const std::string& field, const json& value, const FlatTools& form,
                     Draft& draft) {
  check_tool_count(field, value);
  const auto raw = raw_elements(raw_member(draft.body, field).value_or(""));
  std::string tools;
  for (std::size_t i = 0; i < value.size(); ++i)
    tools += (i == 0 ? "" : ", ") +
             flat_tool(fmt::format("{}[{}]", field, i), value[i], raw.at(i), form);
  if (!value.empty()) draft.request.chat.tools = "[" + tools + "]";
}

void add_template_fields(FieldReaders& readers) {
  readers["tools"] = read_tools;
  readers["tool_choice"] = read_tool_choice;
  readers["functions"] = only({json::array()}, "it is the older form of tools; send those");
  readers["function_call"] =
      only({"none", "auto"}, "it is the older form of tool_choice; send that");
  readers["parallel_tool_calls"] = [](const std::string& field, const json& value, Draft& draft) {
    draft.request.tools.parallel = flag_of(field, value);
  };
  readers["reasoning_effort"] = read_reasoning_effort;
  readers["documents"] = raw_option(&model::ChatOptions::documents, true);
  readers["chat_template_kwargs"] = raw_option(&model::ChatOptions::variables, false);
  readers["chat_template"] =
      only({}, "the template decides which text becomes special tokens, and is the server's");
  readers["add_generation_prompt"] = [](const std::string& field, const json& value, Draft& draft) {
    draft.add_generation_prompt = flag_of(field, value);
  };
  readers["continue_final_message"] = [](const std::string& field, const json& value,
                                         Draft& draft) {
    draft.request.chat.continue_final_message = flag_of(field, value);
  };
}

} // namespace talaria::gateway
