#include "telemetry/report_page.hpp"

#include <boost/test/unit_test.hpp>
#include <nlohmann/json.hpp>

#include "tests/telemetry/traces.hpp"

namespace talaria::telemetry {

namespace {

using nlohmann::json;

std::size_t count(const std::string& text, const std::string& part) {
  std::size_t n = 0;
  for (auto at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++n;
  return n;
}

std::string between(const std::string& text, const std::string& from, const std::string& to) {
  const auto begin = text.find(from) + from.size();
  return text.substr(begin, text.find(to, begin) - begin);
}

} // namespace

BOOST_AUTO_TEST_SUITE(page)

BOOST_AUTO_TEST_CASE(it_asks_nothing_of_any_network) {
  const std::string page = report_page(analyse(two_tokens().trace), "t.json");
  for (const char* loader : {"src=", "<link", "@import", "url(http", "<img", "<iframe", "{{"})
    BOOST_TEST(count(page.substr(0, page.find("<script")), loader) == 0U, loader);
  BOOST_TEST(count(page, "<script src") == 0U);
  BOOST_TEST(count(page, "default-src 'none'") == 1U);
  BOOST_TEST(page.find("d3js.org v") != std::string::npos);             // the library is inside,
  BOOST_TEST(page.find("Redistribution and use") != std::string::npos); // its licence too
  BOOST_TEST(count(page, "</script>") == 3U);
}

BOOST_AUTO_TEST_CASE(it_carries_the_figures_it_draws) {
  const auto report = analyse(two_tokens().trace);
  const std::string page = report_page(report, "t.json");
  const json data = json::parse(between(page, "type=\"application/json\">", "</script>"));
  BOOST_TEST(data.dump() == json::parse(report_json(report, true)).dump());
  const json& decode = data.at("phases").at(0);
  BOOST_TEST(decode.at("overlap").get<double>() == 0.2, boost::test_tools::tolerance(1e-9));
  BOOST_TEST(decode.at("waterfall").at("bars").size() == 8U);
  BOOST_TEST(decode.at("stages").at(0).at("stage").get<std::string>() == "embed");
  const json figures = json::parse(report_json(report, false));
  BOOST_TEST(!figures.at("phases").at(0).contains("waterfall"));
}

BOOST_AUTO_TEST_CASE(names_cannot_become_markup) {
  auto made = two_tokens();
  for (auto& span : made.trace.spans)
    if (span.process == "gpu-a") span.process = "</script><script>alert(1)//{{title}}";
  const std::string page = report_page(analyse(made.trace), "<b>&{{data}}");
  BOOST_TEST(count(page, "</script>") == 3U);
  BOOST_TEST(count(page, "<b>") == 0U);
  const json data = json::parse(between(page, "type=\"application/json\">", "</script>"));
  BOOST_TEST(data.at("workers").at(0).get<std::string>() == "</script><script>alert(1)//{{title}}");
}

BOOST_AUTO_TEST_SUITE_END()

} // namespace talaria::telemetry
