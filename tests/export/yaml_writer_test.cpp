#include "export/yaml_writer.hpp"

#include <boost/test/data/test_case.hpp>
#include <boost/test/unit_test.hpp>
#include <limits>
#include <random>

#include "core/error.hpp"
#include "tests/export/read_back.hpp"

namespace talaria {

namespace bdata = boost::unit_test::data;
using exporting::Json;

namespace {

/// Everything that some reader of YAML takes for something else than a text, and what breaks lines.
const std::vector<std::string> kHostile{"",
                                        " ",
                                        "null",
                                        "Null",
                                        "~",
                                        "true",
                                        "False",
                                        "yes",
                                        "NO",
                                        "on",
                                        "Off",
                                        "y",
                                        "N",
                                        "0",
                                        "-1",
                                        "+1",
                                        "0x1F",
                                        "0o17",
                                        "017",
                                        "1_000",
                                        "1e3",
                                        ".5",
                                        ".inf",
                                        "-.INF",
                                        ".NaN",
                                        "12:30:45",
                                        "2026-11-30",
                                        "1.2.3",
                                        "<<",
                                        "=",
                                        "- a",
                                        "-",
                                        "? a",
                                        ": b",
                                        "a: b",
                                        "a:",
                                        "a #b",
                                        "#a",
                                        "&a",
                                        "*a",
                                        "!a",
                                        "|",
                                        ">",
                                        "%a",
                                        "@a",
                                        "`a",
                                        "'a'",
                                        "\"a\"",
                                        "{a",
                                        "}",
                                        "[a",
                                        "]",
                                        "a, b",
                                        "a\\b",
                                        "\\n",
                                        "a\tb",
                                        "a\nb",
                                        "a\n",
                                        "\na",
                                        "a\n\n",
                                        " a\n",
                                        "a\r\nb\n",
                                        "---",
                                        "...",
                                        "--- a",
                                        "a\n---\nb\n",
                                        "a\n...\nb\n",
                                        "$(HOSTNAME)",
                                        "{{ .Values }}",
                                        "Grüße",
                                        "\xE2\x80\xA8",
                                        "\xC2\x85",
                                        "\xEF\xBB\xBFx",
                                        "\xF0\x9F\x94\x92",
                                        std::string("a\0b", 3),
                                        "\x7F",
                                        "\x1B[31m",
                                        "a\n  b\n c\n",
                                        "a\n\tb\n",
                                        "key: |\n  x\n"};

} // namespace

BOOST_DATA_TEST_CASE(a_hostile_text_stays_a_text, bdata::make(kHostile), text) {
  // As a value, in a list, and as a key: "#..." is a comment there.
  Json document{{"value", text}, {"list", Json::array({text, Json{{"inner", text}}})}};
  if (!text.starts_with('#')) document["keys"] = Json{{text, 1}};
  const std::string yaml = exporting::to_yaml(document);
  BOOST_TEST(tests::read_back(yaml) == document, yaml);
}

BOOST_DATA_TEST_CASE(random_documents_come_back, bdata::xrange(200U), seed) {
  std::mt19937 random(seed);
  const auto draw = [&](std::size_t below) { return random() % below; };
  const auto make = [&](const auto& self, int depth) -> Json {
    switch (depth > 4 ? draw(4) : draw(6)) {
    case 0:
      return static_cast<int>(draw(100000)) - 50000;
    case 1:
      return draw(2) == 0;
    case 2:
      return nullptr;
    case 3:
      return kHostile[draw(kHostile.size())] +
             (draw(2) == 0 ? "" : kHostile[draw(kHostile.size())]);
    case 4: {
      Json list = Json::array();
      for (std::size_t i = draw(4); i > 0; --i) list.push_back(self(self, depth + 1));
      return list;
    }
    default: {
      Json mapping = Json::object();
      for (std::size_t i = draw(4); i > 0; --i)
        mapping["k" + std::to_string(i)] = self(self, depth + 1);
      return mapping;
    }
    }
  };
  const Json document{{"document", make(make, 0)}};
  const std::string yaml = exporting::to_yaml(document);
  BOOST_TEST(tests::read_back(yaml) == document, yaml);
}

BOOST_AUTO_TEST_CASE(what_is_plain_is_written_without_quotes) {
  const Json document{
      {"#", "Two words."},
      {"apiVersion", "apps/v1"},
      {"list", Json::array({"a", Json{{"b", 1}, {"c", "x:y"}}, Json::array({1, 2})})},
      {"empty", Json{{"list", Json::array()}, {"mapping", Json::object()}}},
      {"text", "first\n\n  second\n"}};
  BOOST_TEST(exporting::to_yaml(document) == "# Two words.\n"
                                             "apiVersion: apps/v1\n"
                                             "list:\n"
                                             "- a\n"
                                             "- b: 1\n"
                                             "  c: x:y\n"
                                             "-\n"
                                             "  - 1\n"
                                             "  - 2\n"
                                             "empty:\n"
                                             "  list: []\n"
                                             "  mapping: {}\n"
                                             "text: |\n"
                                             "  first\n"
                                             "\n"
                                             "    second\n");
}

BOOST_AUTO_TEST_CASE(what_is_no_text_is_refused) {
  for (const char* text : {"\xFF", "\xC0\x80", "\xED\xA0\x80", "\xF4\x90\x80\x80", "a\xE2\x82"})
    BOOST_CHECK_THROW(exporting::to_yaml(Json{{"a", text}}), Error);
  BOOST_CHECK_THROW(exporting::to_yaml(Json{{"a", std::numeric_limits<double>::quiet_NaN()}}),
                    Error);
}

} // namespace talaria
