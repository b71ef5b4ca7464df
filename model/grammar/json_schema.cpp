#include "model/grammar/json_schema.hpp"

#include <fmt/format.h>

#include "core/error.hpp"
#include "model/grammar/json_text.hpp"
#include "model/grammar/regex.hpp"
#include "model/grammar/schema_compiler.hpp"

namespace talaria::model::grammar {

namespace {

constexpr u32 kMaxCalls = 16;
constexpr std::size_t kLongestChoices = 512 << 10; // a byte is a part of 100 bytes

} // namespace

Rules json_object_rules() {
  Rules rules = rules_of_anything();
  rules.bodies[kTop] = rule(kObject);
  return rules;
}

Rules json_schema_rules(std::string_view schema) {
  Rules rules = rules_of_anything();
  Expression top = SchemaCompiler(schema, rules).root();
  rules.bodies[kTop] = std::move(top);
  return rules;
}

Rules choice_rules(const std::vector<std::string>& texts) {
  if (texts.empty()) throw Error(Errc::usage, "there is no text to choose");
  std::vector<Expression> forms;
  std::size_t bytes = 0;
  for (const std::string& text : texts) {
    bytes += text.size();
    if (bytes > kLongestChoices)
      throw Error(Errc::usage, fmt::format("the texts to choose from are longer than {} bytes",
                                           kLongestChoices));
    forms.push_back(literal(text));
  }
  return {{any_of(std::move(forms))}};
}

Rules regex_rules(std::string_view pattern) {
  return {{parse_regex(pattern, true, plain_characters)}};
}

Rules call_rules(const std::vector<CallForm>& calls, std::string_view before,
                 std::string_view behind, bool several) {
  Rules rules = rules_of_anything();
  std::vector<Expression> forms;
  for (const CallForm& call : calls) {
    Expression arguments =
        call.parameters.empty() ? rule(kObject) : SchemaCompiler(call.parameters, rules).root();
    forms.push_back(sequence({literal(before), literal(R"({"name": )"),
                              literal(SchemaJson(call.name).dump()), literal(R"(, "arguments": )"),
                              std::move(arguments), literal("}"), literal(behind)}));
  }
  const Expression one = any_of(std::move(forms));
  rules.bodies[kTop] =
      several ? sequence({one, repeat(sequence({literal("\n"), one}), 0, kMaxCalls - 1)}) : one;
  return rules;
}

} // namespace talaria::model::grammar
