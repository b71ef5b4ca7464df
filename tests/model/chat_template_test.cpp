#include "model/chat_template.hpp"

#include <fstream>
#include <iterator>

#include <boost/test/data/test_case.hpp>
#include <boost/test/unit_test.hpp>
#include <nlohmann/json.hpp>

#include "core/error.hpp"
#include "model/tokenizer.hpp"

using namespace talaria;
using namespace talaria::model;
using Json = nlohmann::json;
namespace bdata = boost::unit_test::data;

namespace {

const std::string source_dir = TALARIA_SOURCE_DIR;

std::string read_text(const std::string& path) {
  std::ifstream file(source_dir + path, std::ios::binary);
  BOOST_TEST_REQUIRE(file.good(), path);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

std::vector<ChatMessage> messages_in(const Json& list) {
  std::vector<ChatMessage> out;
  for (const Json& one : list) out.push_back({one["role"], one["content"]});
  return out;
}

const std::vector<ChatMessage> hello = {{"user", "Hello"}};

std::string render(const std::string& text, const std::vector<ChatMessage>& messages = hello) {
  return ChatTemplate::parse(text, "chat.jinja", {{"bos_token", "<s>"}, {"eos_token", "</s>"}})
      .render(messages, true);
}

/// A folder that is gone when the test is over.
class TemporaryDir {
public:
  TemporaryDir() {
    std::string name = (std::filesystem::temp_directory_path() / "talaria-XXXXXX").string();
    BOOST_TEST_REQUIRE(mkdtemp(name.data()) != nullptr);
    path_ = name;
  }
  ~TemporaryDir() { std::filesystem::remove_all(path_); }
  const std::filesystem::path& path() const { return path_; }
  void write(const std::string& name, const std::string& text) const {
    std::ofstream(path_ / name) << text;
  }

private:
  std::filesystem::path path_;
};

} // namespace

BOOST_AUTO_TEST_CASE(the_shipped_template_reproduces_the_reference_prompts) {
  const Json vectors = Json::parse(read_text("/tests/data/references/tokenizer_vectors.json"));
  for (const char* dir : {"/models/talaria-tiny", "/tests/data/conformance/qwen3"}) {
    const Tokenizer tokenizer = Tokenizer::load(source_dir + dir);
    const auto chat = ChatTemplate::load(source_dir + dir);
    BOOST_TEST_REQUIRE(chat.has_value());
    for (const Json& one : vectors["chat"]) {
      const std::string prompt =
          chat->render(messages_in(one["messages"]), one["add_generation_prompt"]);
      BOOST_TEST(prompt == one["rendered"].get<std::string>());
      BOOST_TEST(tokenizer.encode(prompt, false) == one["ids"].get<std::vector<u32>>(),
                 boost::test_tools::per_element());
    }
  }
}

BOOST_AUTO_TEST_CASE(every_template_renders_as_jinja2_renders_it) {
  using Ordered = nlohmann::ordered_json; // the order of fields is a part of prompts
  const Ordered vectors = Ordered::parse(read_text("/tests/golden/chat_vectors.json"));
  BOOST_TEST_REQUIRE(vectors.size() > 250u);
  const auto conversation = [](const Ordered& list) {
    std::vector<ChatMessage> out;
    for (Ordered message : list) {
      ChatMessage next{message["role"], message["content"]};
      message.erase("role");
      message.erase("content");
      if (!message.empty()) next.fields = message.dump();
      out.push_back(next);
    }
    return out;
  };
  for (const Ordered& one : vectors) {
    const bool in_file = one.contains("file");
    const std::string name = in_file ? one["file"] : one["name"];
    const std::string text = in_file ? read_text("/tests/data/chat_templates/" + name)
                                     : one["template"].get<std::string>();
    ChatOptions options;
    options.add_generation_prompt = one["add_generation_prompt"];
    if (one.contains("tools")) options.tools = one["tools"].dump();
    const auto rendered = [&] {
      return ChatTemplate::parse(text, name, {{"bos_token", "<s>"}, {"eos_token", "</s>"}})
          .prompt(conversation(one["messages"]), options)
          .text();
    };
    BOOST_TEST_CONTEXT(name << " " << one["messages"].dump()) {
      if (one.contains("rendered"))
        BOOST_TEST(rendered() == one["rendered"].get<std::string>());
      else
        BOOST_CHECK_THROW(rendered(), Error);
    }
  }
}

BOOST_AUTO_TEST_CASE(known_models_get_the_prompt_they_were_trained_with) {
  const std::vector<ChatMessage> turns = {
      {"system", "Be brief."}, {"user", " Hi "}, {"assistant", "Hello!"}, {"user", "Bye"}};
  const auto prompt = [&](const std::string& file, const std::vector<ChatMessage>& messages) {
    return render(read_text("/tests/data/chat_templates/" + file), messages);
  };
  BOOST_TEST(prompt("llama-3.jinja", turns) ==
             "<s><|start_header_id|>system<|end_header_id|>\n\nBe brief.<|eot_id|>"
             "<|start_header_id|>user<|end_header_id|>\n\nHi<|eot_id|>"
             "<|start_header_id|>assistant<|end_header_id|>\n\nHello!<|eot_id|>"
             "<|start_header_id|>user<|end_header_id|>\n\nBye<|eot_id|>"
             "<|start_header_id|>assistant<|end_header_id|>\n\n");
  BOOST_TEST(prompt("llama-3.2.jinja", hello) ==
             "<s><|start_header_id|>system<|end_header_id|>\n\n"
             "Cutting Knowledge Date: December 2023\nToday Date: 26 Jul 2024\n\n<|eot_id|>"
             "<|start_header_id|>user<|end_header_id|>\n\nHello<|eot_id|>"
             "<|start_header_id|>assistant<|end_header_id|>\n\n");
  BOOST_TEST(prompt("qwen2.jinja", hello) ==
             "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n"
             "<|im_start|>user\nHello<|im_end|>\n<|im_start|>assistant\n");
  BOOST_TEST(prompt("qwen3.jinja",
                    {{"user", "a"}, {"assistant", "<think>\nx\n</think>\n\ny"}, {"user", "b"}}) ==
             "<|im_start|>user\na<|im_end|>\n<|im_start|>assistant\ny<|im_end|>\n"
             "<|im_start|>user\nb<|im_end|>\n<|im_start|>assistant\n");
  BOOST_TEST(prompt("mistral-v0.1.jinja", {{"user", "a"}, {"assistant", "b"}, {"user", "c"}}) ==
             "<s>[INST] a [/INST]b</s>[INST] c [/INST]");
  BOOST_TEST(prompt("mistral-v0.3.jinja", turns) ==
             "<s>[INST]  Hi [/INST] Hello!</s>[INST] Be brief.\n\nBye[/INST]");
}

BOOST_AUTO_TEST_CASE(a_prompt_may_end_where_the_last_message_does) {
  ChatOptions options;
  options.add_generation_prompt = false;
  options.continue_final_message = true;
  const auto prompt = [&](const std::string& text, const std::string& last) {
    return ChatTemplate::parse(text, "t", {})
        .prompt({{"user", "ab"}, {"assistant", last}}, options)
        .text();
  };
  const std::string plain = "{% for m in messages %}<{{ m.content }}>{% endfor %}";
  const std::string trimmed = "{% for m in messages %}<{{ m.content | trim }}>{% endfor %}";
  BOOST_TEST(prompt(plain, "ab") == "<ab><ab");
  BOOST_TEST(prompt(plain, " ab \n") == "<ab>< ab \n");
  BOOST_TEST(prompt(trimmed, " ab \n") == "<ab><ab");
  BOOST_CHECK_THROW(prompt("{{ messages[0].content }}", "cd"), Error);
  BOOST_CHECK_THROW(prompt(plain, " "), Error);
}

BOOST_AUTO_TEST_CASE(variables_of_a_request_are_no_more_than_that) {
  const auto chat = ChatTemplate::parse(
      "{{ bos_token }}{% if think %}{{ think.deep[1] }}{% endif %}", "t", {{"bos_token", "<s>"}});
  ChatOptions options;
  BOOST_TEST(chat.prompt(hello, options).text() == "<s>");
  options.variables = R"({"think":{"deep":[1,"<s>"]}})";
  const MarkedText prompt = chat.prompt(hello, options);
  BOOST_TEST(prompt.text() == "<s><s>");
  BOOST_TEST((prompt.origin(0, 3) == Origin::author));
  BOOST_TEST((prompt.origin(3, 6) == Origin::input));
  for (const char* own : {R"({"bos_token":"x"})", R"({"messages":[]})", R"({"tools":[]})",
                          R"({"unk_token":"x"})", R"({"add_generation_prompt":true})"}) {
    options.variables = own;
    BOOST_CHECK_EXCEPTION(chat.prompt(hello, options), Error,
                          [](const Error& error) { return error.code() == Errc::usage; });
  }
}

BOOST_AUTO_TEST_CASE(tools_and_calls_are_text_of_the_client) {
  const std::string text = "{{ tools | tojson }}{% for m in messages %}{{ m.content }}"
                           "{{ m.tool_calls[0].function.arguments.x }}{% endfor %}";
  ChatOptions options;
  options.tools = R"([{"<end>":"<end>"}])";
  const MarkedText prompt =
      ChatTemplate::parse(text, "t", {})
          .prompt(
              {{"assistant", "!", R"({"tool_calls":[{"function":{"arguments":{"x":"<end>"}}}]})"}},
              options);
  BOOST_TEST(prompt.text() == R"([{"<end>": "<end>"}]!<end>)");
  for (std::size_t at = prompt.text().find("<end>"); at != std::string::npos;
       at = prompt.text().find("<end>", at + 1))
    BOOST_TEST((prompt.origin(at, at + 5) == Origin::input));
}

BOOST_AUTO_TEST_CASE(a_template_may_refuse_in_its_own_words) {
  const std::string mistral = read_text("/tests/data/chat_templates/mistral-v0.1.jinja");
  BOOST_CHECK_EXCEPTION(
      render(mistral, {{"user", "a"}, {"user", "b"}}), Error, [](const Error& error) {
        return error.code() == Errc::usage &&
               std::string(error.what()).find("Conversation roles must alternate") !=
                   std::string::npos;
      });
}

namespace {

struct Refusal {
  const char* text;
  const char* message;
};

std::ostream& operator<<(std::ostream& out, const Refusal& refusal) {
  return out << refusal.text;
}

const Refusal refusals[] = {
    // not the grammar
    {"a\n{% if x %}", "chat.jinja:2: the template ends where elif was expected"},
    {"a\n\n{{ x", "chat.jinja:3: a tag has no end"},
    {"{# x", "a comment has no end"},
    {"{{ 'x }}", "a string has no end"},
    {"{{ (1 }}", "unexpected"},
    {"{{ }}", "expected an expression"},
    {"{{ 1 2 }}", "expected }}"},
    {"{{ a.'b' }}", "expected a name"},
    {"{% endfor %}", "the tag endfor is not supported"},
    {"{% for x messages %}{% endfor %}", "expected in"},
    {"{% set 1 = 2 %}", "expected a name"},
    {"{% set true = 2 %}", "cannot assign to true"},
    {"{% break %}", "outside of a loop"},
    {"{{ $ }}", "code 36"},
    {"{{ x[] }}", "subscript is empty"},
    // not in the subset
    {"\n{% include 'x' %}", "chat.jinja:2: the tag include is not supported"},
    {"{% raw %}{{ x }}", "a raw block has no end"},
    {"{% call f() %}{% endcall %}", "a call block calls undefined"},
    {"{% filter nonsense %}a{% endfilter %}", "the filter nonsense"},
    {"{% do messages.append(1) %}", "the tag do"},
    {"{% extends 'a' %}", "the tag extends"},
    {"{% for x in [1] recursive %}{% endfor %}", "recursive"},
    {"{{ 1x }}", "neither decimal digits nor a float"},
    {"{{ 1e999 }}", "a float is too large"},
    {"{{ 'a' | groupby }}", "the filter groupby is not supported"},
    {"{{ 'a' is filter }}", "the test filter is not supported"},
    {"{{ ('<' | safe) + '<' }}", "what safe or escape has made"},
    {"{{ ('<' | safe).upper() }}", "what safe or escape has made"},
    {"{{ ['<' | safe] }}", "holds markup"},
    {"{{ '1_0' | int }}", "in another way than 1, 1.5 or 1e3"},
    {"{{ 'a' is sameas 'a' }}", "sameas between"},
    {"{{ '{0.x}'.format(1) }}", "more than a name in braces"},
    {"{{ '%c' % 65 }}", "%c in a format"},
    {"{{ 'a'.swapcase() }}", "the attribute swapcase"},
    {"{{ 'a %s' % ('b', 'c') }}", "not all arguments"},
    {"{{ f(*x) }}", "* before an argument"},
    {"{{ cycler('a') }}", "the name cycler"},
    {"{{ messages.append(1) }}", "the attribute append"},
    {"{{ messages.__class__ }}", "__class__"},
    {"{{ '\\N{DASH}' }}", "escape sequence"},
    {"{% for i in [1] %}{% macro m() %}{% endmacro %}{% endfor %}", "a macro inside"},
    {"{% for i in [1] %}{{ loop.cycle }}{% endfor %}", "loop.cycle"},
    {"{% for i in [1] recursive %}{% endfor %}", "recursive"},
    // has no meaning
    {"a\n{{ strftime_now('%Y') }}", "chat.jinja:2: strftime_now is called"},
    {"{{ nothing.role }}", "nothing is undefined and has no attribute role"},
    {"{{ nothing[0] }}", "nothing is undefined"},
    {"{{ messages[0].nothing.deeper }}", "nothing is undefined"},
    {"{{ nothing() }}", "nothing is called"},
    {"{{ nothing + 'a' }}", "+ between undefined and a string"},
    {"{{ 'a' + 1 }}", "+ between a string and an integer"},
    {"{{ 'a' + none }}", "+ between a string and none"},
    {"{{ 1 < 'a' }}", "< between"},
    {"{{ 1 // 0 }}", "division by zero"},
    {"{{ 1 / 0 }}", "division by zero"},
    {"{{ 0 ** -1 }}", "division by zero"},
    {"{{ 10 ** 30 }}", "beyond 64 bits"},
    {"{{ [1, 'a'] | sort }}", "between"},
    {"{{ 'a' * 'b' }}", "* between"},
    {"{{ 1 in 2 }}", "in between"},
    {"{% for x in none %}{% endfor %}", "iterates over none"},
    {"{% for x in 3 %}{% endfor %}", "iterates over an integer"},
    {"{% for a, b in [(1,)] %}{% endfor %}", "1 values for 2 names"},
    {"{% set x.y = 1 %}", "only a namespace can change"},
    {"{{ 'a'() }}", "not a function"},
    {"{{ namespace() }}", "prints a namespace"},
    {"{{ range(3) }}", "prints an iterator or a range"},
    {"{{ {}.items() }}", "prints an iterator"},
    {"{% set x = messages | map(attribute='role') %}", "an iterator cannot be kept"},
    {"{{ 9223372036854775807 + 1 }}", "an integer is too large"},
    {"{{ 999999999999999999 * 999999999999999999 }}", "beyond 64 bits"},
    {"{% macro m(a) %}{% endmacro %}{{ m(1, 2) }}", "takes 1 arguments"},
    {"{% macro m(a) %}{% endmacro %}{{ m(b=2) }}", "takes no b"},
    // does not end
    {"{% for i in range(100000) %}{% for j in range(100000) %}{% endfor %}{% endfor %}", "steps"},
    {"{% set ns = namespace(x='aaaaaaaa') %}{% for i in range(99) %}{% set ns.x = ns.x + ns.x %}"
     "{% endfor %}",
     "bytes"},
    {"{{ 'a' * 999999999999 }}", "bytes"},
    {"{{ [1] * 999999999999 }}", "steps"},
    {"{{ '%9999d' % 1 }}", "more than 4096 characters"},
    {"{{ 'a' | indent(999999999) }}", "bytes"},
    {"{{ range(9999999) }}", "a range of more than"},
    {"{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", "nests too deeply"},
    {"{% set ns = namespace(x=[]) %}{% for i in range(1000) %}{% set ns.x = [ns.x] %}{% endfor %}",
     "nested more than 100 deep"},
};

} // namespace

BOOST_DATA_TEST_CASE(what_it_cannot_render_exactly_it_refuses_by_name, bdata::make(refusals),
                     refusal) {
  BOOST_CHECK_EXCEPTION(render(refusal.text), Error, [&](const Error& error) {
    const std::string message = error.what();
    BOOST_TEST(message.find(refusal.message) != std::string::npos, message);
    BOOST_TEST(message.starts_with("chat.jinja:"), message);
    BOOST_TEST(message.find('\n') == std::string::npos);
    return error.code() == Errc::model;
  });
}

BOOST_AUTO_TEST_CASE(constructs_that_are_never_reached_do_no_harm) {
  BOOST_TEST(
      render("{% if tools %}{{ tools | pprint | nonsense }}{{ strftime_now() }}{% endif %}a") ==
      "a");
}

BOOST_AUTO_TEST_CASE(nesting_ends_at_a_hundred) {
  const auto nested = [](int depth, const std::string& open, const std::string& middle,
                         const std::string& close) {
    std::string out;
    for (int i = 0; i < depth; ++i) out += open;
    out += middle;
    for (int i = 0; i < depth; ++i) out += close;
    return out;
  };
  BOOST_TEST(render("{{ " + nested(90, "(", "7", ")") + " }}") == "7");
  BOOST_TEST(render(nested(90, "{% if true %}", "7", "{% endif %}")) == "7");
  for (const int depth : {110, 100'000}) {
    BOOST_CHECK_THROW(render("{{ " + nested(depth, "(", "7", ")") + " }}"), Error);
    BOOST_CHECK_THROW(render("{{ " + nested(depth, "[", "7", "]") + " }}"), Error);
    BOOST_CHECK_THROW(render("{{ " + nested(depth, "not ", "7", "") + " }}"), Error);
    BOOST_CHECK_THROW(render("{{ " + nested(depth, "-", "7", "") + " }}"), Error);
    BOOST_CHECK_THROW(render("{{ " + nested(depth, "1 if 1 else ", "7", "") + " }}"), Error);
    BOOST_CHECK_THROW(render(nested(depth, "{% if true %}", "7", "{% endif %}")), Error);
  }
  // Long is not deep.
  BOOST_TEST(render("{{ 0" + nested(5000, " + 1", "", "") + " }}") == "5000");
  BOOST_TEST(render("{{ 'a'" + nested(5000, " | trim", "", "") + " }}") == "a");
  BOOST_TEST(render("{{ 0" + nested(5000, " or 0", " or 1", "") + " }}") == "1");
}

BOOST_AUTO_TEST_CASE(a_message_is_text_and_never_template) {
  BOOST_TEST(render("{{ messages[0].content }}", {{"user", "{{ 1 + 1 }}{% x %}"}}) ==
             "{{ 1 + 1 }}{% x %}");
  BOOST_CHECK_THROW(render("{{ messages[0].content }}", {{"user", "\xFF"}}), Error);
}

BOOST_AUTO_TEST_CASE(a_template_that_is_not_utf8_is_refused) {
  BOOST_CHECK_THROW(render("a\xC3"), Error);
}

BOOST_AUTO_TEST_CASE(templates_are_found_where_models_have_them) {
  const TemporaryDir dir;
  BOOST_TEST(!ChatTemplate::load(dir.path()).has_value());
  dir.write("tokenizer_config.json", R"({"bos_token": "<b>"})");
  BOOST_TEST(!ChatTemplate::load(dir.path()).has_value());
  dir.write("tokenizer_config.json",
            R"({"bos_token": {"content": "<b>", "lstrip": false}, "eos_token": "<e>",
                "pad_token": null, "add_bos_token": true,
                "chat_template": "{{ bos_token }}{{ eos_token }}{{ pad_token is defined }}"})");
  BOOST_TEST(ChatTemplate::load(dir.path())->render(hello, true) == "<b><e>False");
  dir.write("tokenizer_config.json",
            R"({"chat_template": [{"name": "tool_use", "template": "t"},
                                  {"name": "default", "template": "d{{ bos_token }}"}]})");
  BOOST_TEST(ChatTemplate::load(dir.path())->render(hello, true) == "d");
  dir.write("chat_template.jinja", "{{ messages[0].role }}");
  BOOST_TEST(ChatTemplate::load(dir.path())->render(hello, true) == "user");
}

BOOST_AUTO_TEST_CASE(a_damaged_tokenizer_config_is_refused_by_name) {
  const TemporaryDir dir;
  for (const char* text : {"{", "[]", R"({"chat_template": 3})", R"({"chat_template": [{}]})",
                           R"({"chat_template": "{% x %}"})"}) {
    dir.write("tokenizer_config.json", text);
    BOOST_CHECK_EXCEPTION(ChatTemplate::load(dir.path()), Error, [](const Error& error) {
      return error.code() == Errc::model &&
             std::string(error.what()).find("tokenizer_config.json") != std::string::npos;
    });
  }
}
