#include <nlohmann/json.hpp>
#include <string>

#include "gateway/json_fields.hpp"
#include "gateway/raw_json.hpp"
#include "gateway/request_fields.hpp"

namespace talaria::gateway {

using nlohmann::json;

using FormKind = AnswerForm::Kind;

AnswerForm& new_form(const std::string& field, FormKind kind, Draft& draft) {
  AnswerForm& form = draft.request.form;
  if (form.kind != FormKind::any)
    throw bad_field(field, field + " and " + form.field + " both say what form answers have");
  form.kind = kind;
  form.field = field;
  return form;
}

/// A schema as it is written, or the text of one.
void read_schema(const std::string& field, const json& value, std::string_view raw, Draft& draft) {
  if (!value.is_object() && !value.is_string() && !value.is_boolean())
    throw bad_field(field, field + " must be a JSON schema");
  new_form(field, FormKind::json_schema, draft).text =
      value.is_string() ? value.get<std::string>() : std::string(raw);
}

namespace {

void read_choice(const std::string& field, const json& value, Draft& draft) {
  AnswerForm& form = new_form(field, FormKind::choice, draft);
  if (!value.is_array() || value.empty())
    throw bad_field(field, field + " must be a list of strings");
  for (const json& each : value) {
    form.texts.push_back(text_of(field, each));
    if (form.texts.back().empty()) throw bad_field(field, field + " holds an empty string");
  }
}

void read_regex(const std::string& field, const json& value, Draft& draft) {
  new_form(field, FormKind::regex, draft).text = text_of(field, value);
}

void read_grammar(const std::string& field, const json& value, Draft& draft) {
  if (text_of(field, value).empty()) return; // llama.cpp's clients send it so
  new_form(field, FormKind::grammar, draft).text = value.get<std::string>();
}

void read_response_format(const std::string& field, const json& value, Draft& draft) {
  const json type = value.is_object() ? value.value("type", json()) : json();
  const std::string_view raw = raw_member(draft.body, field).value_or("");
  if (type == "text") return;
  if (type == "json_object") {
    new_form(field, FormKind::json_object, draft);
    return;
  }
  if (type != "json_schema")
    throw bad_field(field + ".type", field + ".type must be text, json_object or json_schema");
  const json inside = value.value("json_schema", json());
  if (!inside.is_object() || !inside.contains("schema"))
    throw bad_field(field + ".json_schema", field + ".json_schema.schema is missing");
  const auto written = raw_member(raw_member(raw, "json_schema").value_or(""), "schema");
  read_schema(field + ".json_schema.schema", inside["schema"], written.value_or(""), draft);
}

/// vLLM's newer form of guided_json and its kind.
void read_structured_outputs(const std::string& field, const json& value, Draft& draft) {
  if (!value.is_object()) throw bad_field(field, field + " must be an object");
  const std::string_view raw = raw_member(draft.body, field).value_or("");
  for (const auto& [name, inside] : value.items()) {
    const std::string path = field + "." + name;
    if (is_nothing(inside)) continue;
    if (name == "json")
      read_schema(path, inside, raw_member(raw, name).value_or(""), draft);
    else if (name == "regex")
      read_regex(path, inside, draft);
    else if (name == "choice")
      read_choice(path, inside, draft);
    else if (name == "grammar")
      read_grammar(path, inside, draft);
    else if (name == "json_object" && inside.is_boolean())
      new_form(path, FormKind::json_object, draft);
    else
      throw bad_field(path,
                      path + " is not supported; json, regex, choice, grammar and json_object are");
  }
}

} // namespace

void add_form_fields(FieldReaders& readers) {
  readers["response_format"] = read_response_format;
  readers["structured_outputs"] = read_structured_outputs;
  readers["guided_json"] = [](const std::string& field, const json& value, Draft& draft) {
    read_schema(field, value, raw_member(draft.body, field).value_or(""), draft);
  };
  readers["guided_regex"] = read_regex;
  readers["guided_choice"] = read_choice;
  readers["guided_grammar"] = readers["grammar"] = read_grammar;
  readers["guided_decoding_backend"] = only({"auto"}, "there is one engine for grammars");
  readers["guided_whitespace_pattern"] = only({}, "blanks in JSON are bounded by the server");
}

} // namespace talaria::gateway
