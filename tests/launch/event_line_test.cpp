#include <boost/test/unit_test.hpp>

#include <string>

#include "launch/event_line.hpp"

using namespace talaria::launch;

BOOST_AUTO_TEST_CASE(the_three_events_are_read) {
  const auto progress =
      parse_event(R"({"event":"progress","what":"weights","done":7,"total":9,"more":[1]})");
  BOOST_TEST_REQUIRE(progress.has_value());
  BOOST_TEST(std::get<ProgressEvent>(*progress).what == "weights");
  BOOST_TEST(std::get<ProgressEvent>(*progress).done == 7u);
  BOOST_TEST(std::get<ProgressEvent>(*progress).total == 9u);
  const auto ready =
      parse_event(R"({"event":"ready","address":"127.0.0.1:7601","matrices":9,"bytes":123})");
  BOOST_TEST_REQUIRE(ready.has_value());
  BOOST_TEST(std::get<ReadyEvent>(*ready).address == "127.0.0.1:7601");
  BOOST_TEST(std::get<ReadyEvent>(*ready).matrices == 9u);
  BOOST_TEST(std::get<ReadyEvent>(*ready).bytes == 123u);
  const auto error = parse_event(R"({"event":"error","message":"no\u001b[2J"})");
  BOOST_TEST_REQUIRE(error.has_value());
  BOOST_TEST(std::get<ErrorEvent>(*error).message == "no?[2J");
}

BOOST_AUTO_TEST_CASE(numbers_that_make_no_sense_do_no_harm) {
  const auto event = parse_event(R"({"event":"progress","done":9,"total":-7,"what":3})");
  BOOST_TEST_REQUIRE(event.has_value());
  const auto& progress = std::get<ProgressEvent>(*event);
  BOOST_TEST(progress.what == "");
  BOOST_TEST(progress.done == 9u);
  BOOST_TEST(progress.total == 9u);
}

BOOST_AUTO_TEST_CASE(other_lines_are_no_events) {
  for (const char* line : {"", "loading", "{", "{}", "[]", R"({"event":"other"})", R"({"event":7})",
                           R"({"event":"ready")", "\xFF"})
    BOOST_TEST(!parse_event(line).has_value(), "taken: " << line);
}
