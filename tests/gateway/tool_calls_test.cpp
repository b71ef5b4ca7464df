// Calls that models write, found in their answers however these are cut.
#include "gateway/tool_calls.hpp"

#include <boost/test/unit_test.hpp>

#include "gateway/answer_parser.hpp"
#include "gateway/raw_json.hpp"
#include "gateway/tool_prompt.hpp"

namespace talaria::gateway {

BOOST_AUTO_TEST_SUITE(tool_calls)

namespace {

struct Found {
  std::string text;
  std::string reasoning;
  std::vector<std::pair<std::string, std::string>> calls;
  std::vector<std::string> ids;
  std::size_t pieces = 0; ///< that calls came in
};

Found find(ToolSyntax syntax, const std::string& answer, std::size_t step, bool parallel = true) {
  ToolCallFinder finder(syntax, parallel);
  Found out;
  std::vector<ToolCall> calls;
  bool open = false;
  const auto take = [&](AnswerParts parts) {
    out.text += parts.text;
    out.reasoning += parts.reasoning;
    for (CallPiece& piece : parts.calls) {
      BOOST_TEST(piece.begins != open); // each begins once, and ends
      open = !piece.ends;
      ++out.pieces;
      add_piece(calls, std::move(piece));
    }
  };
  for (std::size_t at = 0; at < answer.size(); at += step)
    take(finder.push(std::string_view(answer).substr(at, step)));
  take(finder.finish());
  BOOST_TEST(!open);
  for (const ToolCall& call : calls) {
    out.calls.emplace_back(call.name, call.arguments);
    out.ids.push_back(call.id);
  }
  return out;
}

struct Example {
  ToolSyntax syntax;
  std::string answer;
  std::string text;
  std::vector<std::pair<std::string, std::string>> calls;
};

const Example kExamples[] = {
    {ToolSyntax::hermes, "Nothing to call.", "Nothing to call.", {}},
    {ToolSyntax::hermes,
     "<tool_call>\n{\"name\": \"f\", \"arguments\": {\"b\": 1, \"a\": \"}\"}}\n</tool_call>",
     "",
     {{"f", "{\"b\": 1, \"a\": \"}\"}"}}},
    {ToolSyntax::hermes,
     "Let me see. <tool_call>{\"name\":\"f\",\"arguments\":{}}</tool_call>\n<tool_call>\n{\"name\":"
     "\"g\", \"arguments\": {\"x\": [1, {\"y\": null}]}}</tool_call>",
     "Let me see. ",
     {{"f", "{}"}, {"g", "{\"x\": [1, {\"y\": null}]}"}}},
    {ToolSyntax::hermes, "a < b <tool <tool_call", "a < b <tool <tool_call", {}},
    // What is no call stays text.
    {ToolSyntax::hermes,
     "<tool_call>not JSON</tool_call>!",
     "<tool_call>not JSON</tool_call>!",
     {}},
    {ToolSyntax::hermes,
     "<tool_call>{\"name\": 7}</tool_call>",
     "<tool_call>{\"name\": 7}</tool_call>",
     {}},
    // The end of the answer closes a call, if it is whole.
    {ToolSyntax::hermes, "<tool_call>\n{\"name\": \"f\", \"arguments\": {}}", "", {{"f", "{}"}}},
    {ToolSyntax::hermes,
     "<tool_call>\n{\"name\": \"f\", \"argum",
     "<tool_call>\n{\"name\": \"f\", \"argum",
     {}},
    {ToolSyntax::llama,
     "{\"name\": \"f\", \"parameters\": {\"q\": \"a;b\"}}",
     "",
     {{"f", "{\"q\": \"a;b\"}"}}},
    {ToolSyntax::llama,
     "<|python_tag|>{\"name\": \"f\", \"parameters\": {}}; {\"name\": \"g\", \"parameters\": "
     "{\"n\": "
     "2}}",
     "",
     {{"f", "{}"}, {"g", "{\"n\": 2}"}}},
    {ToolSyntax::llama,
     "Hello {\"name\": \"f\", \"parameters\": {}}",
     "Hello {\"name\": \"f\", \"parameters\": {}}",
     {}},
    {ToolSyntax::llama, "{\"answer\": 42}", "{\"answer\": 42}", {}},
    {ToolSyntax::pythonic,
     "[f(city='Ulm', days=3), g.h(x=[1, None, {'k': True}], y=-1.5)]",
     "",
     {{"f", R"({"city":"Ulm","days":3})"}, {"g.h", R"({"x":[1,null,{"k":true}],"y":-1.5})"}}},
    {ToolSyntax::pythonic, "[f()]", "", {{"f", "{}"}}},
    {ToolSyntax::pythonic, "[1, 2]", "[1, 2]", {}},
    {ToolSyntax::pythonic, "[f(x=open('/etc/passwd'))]", "[f(x=open('/etc/passwd'))]", {}},
    {ToolSyntax::pythonic, "A list: [f()]", "A list: [f()]", {}},
    {ToolSyntax::mistral,
     "[TOOL_CALLS][{\"name\": \"f\", \"arguments\": {\"a\": \"]\"}}, {\"name\": \"g\", "
     "\"arguments\": {}}]",
     "",
     {{"f", "{\"a\": \"]\"}"}, {"g", "{}"}}},
    {ToolSyntax::mistral,
     "Yes.[TOOL_CALLS]f[ARGS]{\"a\": 1}[TOOL_CALLS]g{}",
     "Yes.",
     {{"f", "{\"a\": 1}"}, {"g", "{}"}}},
    {ToolSyntax::mistral, "[TOOL_CALLS] nothing", "[TOOL_CALLS] nothing", {}},
    {ToolSyntax::mistral, "[TOOL", "[TOOL", {}},
    // What has begun is a call, also if its end does not come.
    {ToolSyntax::hermes,
     "<tool_call>\n{\"name\": \"f\", \"arguments\": {\"a\": \"b",
     "",
     {{"f", "{\"a\": \"b"}}},
    // Another order of fields.
    {ToolSyntax::hermes,
     "<tool_call>{\"arguments\": {\"a\": 1}, \"name\": \"f\"}</tool_call> Bye",
     " Bye",
     {{"f", "{\"a\": 1}"}}},
    {ToolSyntax::hermes,
     "<tool_call>{\"name\":\"f\",\"arguments\":{\"a\":\"\\\"}{\"}}</tool_call>",
     "",
     {{"f", "{\"a\":\"\\\"}{\"}"}}},
    {ToolSyntax::llama,
     "[{\"name\": \"f\", \"parameters\": {}}, {\"name\": \"g\", \"parameters\": {\"a\": [1]}}]",
     "",
     {{"f", "{}"}, {"g", "{\"a\": [1]}"}}},
    {ToolSyntax::deepseek,
     "I look.<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>f\n```json\n{\"a\": "
     "1}\n"
     "```<｜tool▁call▁end｜>\n<｜tool▁call▁begin｜>function<｜tool▁sep｜>g\n```json\n{}\n```"
     "<｜tool▁call▁end｜><｜tool▁calls▁end｜>",
     "I look.",
     {{"f", "{\"a\": 1}"}, {"g", "{}"}}},
    {ToolSyntax::deepseek,
     "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>f<｜tool▁sep｜>{\"a\": \"}\"}<｜tool▁call▁end｜>"
     "<｜tool▁calls▁end｜>",
     "",
     {{"f", "{\"a\": \"}\"}"}}},
    {ToolSyntax::deepseek, "a <｜too", "a <｜too", {}},
    {ToolSyntax::harmony,
     "<|channel|>final<|message|>Hello < there<|return|>",
     "Hello < there",
     {}},
    {ToolSyntax::harmony,
     "<|channel|>analysis<|message|>Hm.<|end|><|start|>assistant<|channel|>commentary "
     "to=functions.f <|constrain|>json<|message|>{\"a\": 1}<|call|>",
     "",
     {{"f", "{\"a\": 1}"}}},
    {ToolSyntax::harmony,
     " to=functions.f<|channel|>commentary json<|message|>{}<|call|><|start|>assistant<|channel|>"
     "final<|message|>Bye",
     "Bye",
     {{"f", "{}"}}},
    {ToolSyntax::harmony, "{\"a\": 1}", "{\"a\": 1}", {}},
    // Blanks within a text behind a call, whichever piece they come in.
    {ToolSyntax::hermes,
     "<tool_call>{\"name\":\"f\",\"arguments\":{}}</tool_call>\n One \n\n two "
     "\n<tool_call>{\"name\":\"g\","
     "\"arguments\":{}}</tool_call> \n",
     "\n One \n\n two \n",
     {{"f", "{}"}, {"g", "{}"}}},
    {ToolSyntax::llama,
     "{\"name\": \"f\", \"parameters\": {}} one \n\n two \n",
     "one \n\n two \n",
     {{"f", "{}"}}},
    // As a header begins, until it does not.
    {ToolSyntax::harmony, "<|chaos|> is no <|message|>", "<|chaos|> is no <|message|>", {}},
    {ToolSyntax::harmony, "to be or not", "to be or not", {}},
};

} // namespace

BOOST_AUTO_TEST_CASE(calls_are_found_wherever_the_pieces_end) {
  for (const Example& example : kExamples)
    for (const std::size_t step : {1U, 2U, 3U, 7U, 1000U}) {
      const Found found = find(example.syntax, example.answer, step);
      BOOST_TEST_CONTEXT(example.answer << ", in steps of " << step) {
        BOOST_TEST(found.text == example.text);
        BOOST_TEST((found.calls == example.calls));
      }
    }
}

BOOST_AUTO_TEST_CASE(arguments_come_as_they_are_written) {
  ToolCallFinder finder(ToolSyntax::hermes, true);
  BOOST_TEST(finder.push("<tool_call>\n{\"name\": \"f\", \"argu").calls.empty());
  auto calls = finder.push("ments\": {\"city\"").calls;
  BOOST_TEST_REQUIRE(calls.size() == 1u);
  BOOST_TEST(calls[0].name == "f");
  BOOST_TEST(calls[0].arguments == "{\"city\"");
  BOOST_TEST(!calls[0].ends);
  calls = finder.push(": \"Ulm\"").calls;
  BOOST_TEST_REQUIRE(calls.size() == 1u);
  BOOST_TEST(calls[0].arguments == ": \"Ulm\"");
  BOOST_TEST(!calls[0].begins);
  calls = finder.push("}}\n</tool").calls;
  BOOST_TEST_REQUIRE(calls.size() == 1u);
  BOOST_TEST(calls[0].arguments == "}");
  BOOST_TEST(calls[0].ends);
  BOOST_TEST(finder.push("_call>").text.empty());
  BOOST_TEST(finder.finish().text.empty());
  const std::string named = "[TOOL_CALLS]f{\"a\": [1, 2, 3, 4]}";
  BOOST_TEST(find(ToolSyntax::mistral, named, 1).pieces > 5u);
}

BOOST_AUTO_TEST_CASE(what_a_model_thinks_is_no_text) {
  const std::string answer = "<|channel|>analysis<|message|>Let me think.<|end|><|start|>assistant"
                             "<|channel|>commentary<|message|>I look.<|end|><|start|>assistant"
                             "<|channel|>commentary to=python<|message|>1+1<|call|><|start|>"
                             "assistant<|channel|>final<|message|>Two.<|return|>";
  for (const std::size_t step : {1U, 4U, 1000U}) {
    const Found found = find(ToolSyntax::harmony, answer, step);
    BOOST_TEST(found.reasoning == "Let me think.");
    BOOST_TEST(found.text == "I look.Two.");
    BOOST_TEST(found.calls.empty());
  }
}

BOOST_AUTO_TEST_CASE(thoughts_stand_between_tags_at_the_beginning) {
  struct Case {
    bool inside; ///< the prompt has opened the tag
    std::string answer, reasoning, text;
    std::size_t calls = 0;
  };
  const std::string call = "<tool_call>{\"name\":\"f\",\"arguments\":{}}</tool_call>";
  const Case cases[] = {
      {false, "<think>\nHm, so.\n</think>\n\nTwo.\n", "Hm, so.", "Two.\n"},
      {false, "\n<think>a < b</thin </think>x", "a < b</thin", "x"},
      {false, "<think>\n\n</think>\n\nTwo.", "", "Two."},
      {false, "Two <think>no</think>", "", "Two <think>no</think>"},
      {false, "<thin", "", "<thin"},
      {false, "</think>Two.", "", "</think>Two."},
      {false, "<think>cut  ", "cut", ""},
      {false, "<think>cut</thi", "cut</thi", ""},
      {false, "", "", ""},
      {true, "Hm.</think>Two.", "Hm.", "Two."},
      {true, "\nHm.\n", "Hm.", ""},
      // A call among thoughts is a thought.
      {true, "I call " + call + ".\n</think>\n" + call, "I call " + call + ".", "", 1},
  };
  for (const Case& each : cases)
    for (const std::size_t step : {1U, 3U, 1000U})
      BOOST_TEST_CONTEXT(each.answer << " by " << step) {
        AnswerParser parser({ToolSyntax::hermes, true, true}, each.inside);
        BOOST_TEST(parser.thinks() == each.inside);
        AnswerParts all;
        const auto take = [&](AnswerParts parts) {
          all.text += parts.text;
          all.reasoning += parts.reasoning;
          for (const CallPiece& piece : parts.calls)
            if (piece.begins) all.calls.push_back(piece);
        };
        for (std::size_t at = 0; at < each.answer.size(); at += step)
          take(parser.push(std::string_view(each.answer).substr(at, step)));
        take(parser.finish());
        BOOST_TEST(all.reasoning == each.reasoning);
        BOOST_TEST(all.text == each.text);
        BOOST_TEST(all.calls.size() == each.calls);
      }
  BOOST_TEST(ends_in_thoughts("<|assistant|><think>\n"));
  BOOST_TEST(!ends_in_thoughts("<think>\n\n</think>\n\n"));
  BOOST_TEST(thinks_in_tags("{{ content.split('</think>') }}"));
  BOOST_TEST(!thinks_in_tags("I think."));
}

BOOST_AUTO_TEST_CASE(text_before_a_call_is_given_at_once) {
  ToolCallFinder finder(ToolSyntax::hermes, true);
  BOOST_TEST(finder.push("Hello").text == "Hello");
  BOOST_TEST(finder.push(" <to").text == " ");
  BOOST_TEST(finder.push("p>").text == "<top>");
  BOOST_TEST(finder.push("<tool_call>{").text.empty());
}

BOOST_AUTO_TEST_CASE(without_parallel_calls_the_first_is_given) {
  const std::string two = "<tool_call>{\"name\":\"f\",\"arguments\":{}}</tool_call>"
                          "<tool_call>{\"name\":\"g\",\"arguments\":{}}</tool_call>";
  BOOST_TEST(find(ToolSyntax::hermes, two, 5).calls.size() == 2u);
  BOOST_TEST(find(ToolSyntax::hermes, two, 5, false).calls.size() == 1u);
}

BOOST_AUTO_TEST_CASE(ids_have_the_form_that_templates_take) {
  const auto call = [](ToolSyntax syntax, const char* answer) {
    return find(syntax, answer, 100).ids.at(0);
  };
  const char* hermes = "<tool_call>{\"name\":\"f\",\"arguments\":{}}</tool_call>";
  BOOST_TEST(call(ToolSyntax::hermes, hermes).starts_with("call_"));
  BOOST_TEST(call(ToolSyntax::hermes, hermes) != call(ToolSyntax::hermes, hermes));
  BOOST_TEST(call(ToolSyntax::mistral, "[TOOL_CALLS]f{}").size() == 9u);
}

BOOST_AUTO_TEST_CASE(the_template_says_how_its_model_writes) {
  BOOST_TEST((tool_syntax_of("... <tool_call>\n ...") == ToolSyntax::hermes));
  BOOST_TEST((tool_syntax_of("{{ \"[TOOL_CALLS]\" }}") == ToolSyntax::mistral));
  BOOST_TEST((tool_syntax_of("Environment: ipython") == ToolSyntax::llama));
  BOOST_TEST((tool_syntax_of("<|channel|>analysis") == ToolSyntax::harmony));
  BOOST_TEST((tool_syntax_of("<｜tool▁calls▁begin｜>") == ToolSyntax::deepseek));
  BOOST_TEST((tool_syntax_of("") == ToolSyntax::hermes));
}

BOOST_AUTO_TEST_CASE(a_template_without_tools_gets_them_in_messages) {
  std::vector<model::ChatMessage> messages{
      {"user", "Hi", ""},
      {"assistant", "",
       R"({"tool_calls":[{"type":"function","function":{"name":"f","arguments":{"b":1,"a":2}}}]})"}};
  model::ChatOptions options;
  options.tools = R"([{"type":"function","function":{"name":"f"}}])";
  auto own = messages;
  model::ChatOptions own_options = options;
  write_tools_by_hand("{% for t in tools %} tool_calls", own, own_options);
  BOOST_TEST(own.size() == 2u);
  BOOST_TEST(own_options.tools == options.tools);
  write_tools_by_hand("{{ messages[0].content }}", messages, options);
  BOOST_TEST_REQUIRE(messages.size() == 3u);
  BOOST_TEST(messages[0].role == "system");
  BOOST_TEST(messages[0].content.find(R"({"type":"function","function":{"name":"f"}})") !=
             std::string::npos);
  BOOST_TEST(messages[2].content ==
             "<tool_call>\n{\"name\": \"f\", \"arguments\": {\"b\":1,\"a\":2}}\n</tool_call>");
  BOOST_TEST(options.tools.empty());
}

BOOST_AUTO_TEST_CASE(members_are_found_as_they_are_written) {
  const char* text = R"( { "a" : [1, "\"}", {"b":2}] , "b":{"a":7},"c":-1e5 ,"d\u0065":"x"} )";
  BOOST_TEST(raw_member(text, "a").value() == R"([1, "\"}", {"b":2}])");
  BOOST_TEST(raw_member(text, "b").value() == R"({"a":7})");
  BOOST_TEST(raw_member(text, "c").value() == "-1e5");
  BOOST_TEST(raw_member(text, "de").value() == R"("x")");
  BOOST_TEST(!raw_member(text, "e"));
  BOOST_TEST(!raw_member("[1]", "a"));
  for (const char* broken :
       {"", "{", "{\"a", "{\"a\":", "{\"a\":[", "{\"a\":\"", "{\"a\":1,", "}", "{\"a\"}", "{\"\\"})
    raw_member(broken, "b");
  BOOST_TEST((raw_elements(" [1, [2,3] ,\"],\"]") ==
              std::vector<std::string_view>{"1", "[2,3]", "\"],\""}));
  BOOST_TEST(raw_elements("[]").empty());
  BOOST_TEST(raw_elements("{}").empty());
}

BOOST_AUTO_TEST_SUITE_END()

} // namespace talaria::gateway
