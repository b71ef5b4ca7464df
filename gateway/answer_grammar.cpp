#include "gateway/answer_grammar.hpp"

#include <nlohmann/json.hpp>

#include "gateway/raw_json.hpp"
#include "model/grammar/gbnf.hpp"
#include "model/grammar/json_schema.hpp"

namespace talaria::gateway {

namespace {

/// In the way of Hermes, whatever the model's own: the grammar writes what is around the values.
model::grammar::Rules forced_calls(const ApiRequest& request) {
  std::vector<model::grammar::CallForm> forms;
  for (const std::string_view tool : raw_elements(request.chat.tools)) {
    const std::string_view function = raw_member(tool, "function").value_or("");
    const auto name =
        nlohmann::json::parse(raw_member(function, "name").value_or("null")).get<std::string>();
    if (!request.form.text.empty() && name != request.form.text) continue;
    const std::string_view parameters = raw_member(function, "parameters").value_or("null");
    forms.push_back({name, parameters == "null" ? std::string() : std::string(parameters)});
  }
  if (forms.empty()) throw bad_field("tool_choice", "tool_choice names no tool of this request");
  const bool several = request.form.text.empty() && request.tools.parallel;
  return model::grammar::call_rules(forms, "<tool_call>\n", "\n</tool_call>", several);
}

} // namespace

model::grammar::Rules answer_rules(const ApiRequest& request) {
  const AnswerForm& form = request.form;
  try {
    switch (form.kind) {
    case AnswerForm::Kind::json_schema:
      return model::grammar::json_schema_rules(form.text);
    case AnswerForm::Kind::regex:
      return model::grammar::regex_rules(form.text);
    case AnswerForm::Kind::choice:
      return model::grammar::choice_rules(form.texts);
    case AnswerForm::Kind::grammar:
      return model::grammar::gbnf_rules(form.text);
    case AnswerForm::Kind::calls:
      return forced_calls(request);
    default:
      return model::grammar::json_object_rules();
    }
  } catch (const Error& error) {
    if (error.code() != Errc::usage) throw;
    throw bad_field(form.field, error.what());
  }
}

} // namespace talaria::gateway
