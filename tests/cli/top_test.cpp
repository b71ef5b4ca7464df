// The frames of `talaria top`.
#include "cli/top/top_frame.hpp"

#include <boost/test/unit_test.hpp>

#include <nlohmann/json.hpp>
#include <sstream>

#include "core/error.hpp"

namespace talaria::cli {

namespace {

using nlohmann::json;

json feed_at(double up, double tokens) {
  return {{"version", 1},
          {"model", "tiny\x1b[31m"},
          {"program", "1.0"},
          {"padded", false},
          {"uptime_s", up},
          {"load", {{"running", 1}, {"waiting", 2}, {"places", 64}}},
          {"totals", {{"prompt_tokens", 10}, {"generation_tokens", tokens}}},
          {"masks", {{"bytes", 3 << 20}, {"rows_ahead", 12345}, {"rows_inline", 3}, {"stalls", 0}}},
          {"links",
           {{{"name", "worker-1"},
             {"address", "10.0.0.1:7000"},
             {"state", "ready"},
             {"trouble", ""},
             {"round_trip_ms", 1.25},
             {"in_flight", 4},
             {"products", up * 100},
             {"bytes_up", up * 1024},
             {"bytes_down", 0},
             {"strikes", 0},
             {"reconnects", 0},
             {"weight_bytes", 1}}}},
          {"stages",
           {{{"name", "product"}, {"inside", false}, {"seconds", up * 0.75}, {"spans", 1}},
            {{"name", "mask"}, {"inside", true}, {"seconds", up * 0.25}, {"spans", 1}}}},
          {"kv",
           {{"budget", 100},
            {"used", 25},
            {"reserved", 0},
            {"waiting", 0},
            {"preemptions", 0},
            {"prefix_queries", 10},
            {"prefix_hits", 5}}},
          {"requests",
           {{{"id", 7},
             {"route", "/v1/completions"},
             {"state", "decode"},
             {"ago_ms", 100},
             {"queue_ms", 10},
             {"prefill_ms", 40},
             {"decode_ms", 50},
             {"answers", 1},
             {"prompt_tokens", 5},
             {"tokens", 9}}}}};
}

unsigned columns(const std::string& line) {
  return static_cast<unsigned>(std::count_if(line.begin(), line.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xc0) != 0x80;
  }));
}

} // namespace

BOOST_AUTO_TEST_SUITE(talaria_top)

BOOST_AUTO_TEST_CASE(a_frame_tells_what_the_feed_says_since_the_one_before) {
  TopFrames frames;
  BOOST_TEST(frames.frame({}) == "");
  frames.take(feed_at(10, 100).dump());
  frames.take(feed_at(14, 142).dump());
  const std::string frame = frames.frame({});
  for (const char* part :
       {"tiny[31m  version 1.0, up 14.0 s",
        "1 of 64 running, 2 waiting, 10.5 tokens/s, 142 tokens in all", "product 75 %   mask 25 %",
        "3.0 MiB", "12.3k rows ahead, 3 inline, 0 stalls", "of 100 B, 0 wait, prefix hits 50 %",
        "worker-1", "1.2 ms     4      100", "1.0 KiB/s", "#7     decode", "100 ms  5 > 9 tokens"})
    BOOST_TEST(frame.find(part) != std::string::npos, part << " in\n" << frame);
  BOOST_TEST(frame.find('\x1b') == std::string::npos); // no colours, and none of the model's
}

BOOST_AUTO_TEST_CASE(no_line_is_wider_than_the_screen_and_no_frame_higher) {
  TopFrames frames;
  json feed = feed_at(10, 100);
  for (int i = 0; i < 50; ++i) feed["requests"].push_back(feed["requests"][0]);
  frames.take(feed.dump());
  for (const unsigned width : {40U, 61U, 200U}) {
    std::istringstream lines(frames.frame({width, 24, false}));
    unsigned count = 0;
    for (std::string line; std::getline(lines, line); ++count)
      BOOST_TEST(columns(line) <= width, line);
    BOOST_TEST(count == 24U);
  }
  const std::string coloured = frames.frame({80, 24, true});
  BOOST_TEST(coloured.find("\x1b[34m") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(a_padded_gateway_shows_no_request) {
  TopFrames frames;
  json feed = feed_at(10, 256);
  feed["padded"] = true;
  for (const char* name : {"requests", "stages", "kv"}) feed.erase(name);
  frames.take(feed.dump());
  const std::string frame = frames.frame({});
  BOOST_TEST(frame.find("masking.padding is on") != std::string::npos);
  BOOST_TEST(frame.find("tokens/s") == std::string::npos);
}

BOOST_AUTO_TEST_CASE(what_is_no_feed_is_refused) {
  TopFrames frames;
  for (const char* bad : {"", "[]", "{}", R"({"version":"1"})", R"({"version":2})"})
    BOOST_CHECK_THROW(frames.take(bad), Error);
  frames.take(R"({"version":1})");
  BOOST_CHECK_THROW(frames.frame({}), Error);
}

BOOST_AUTO_TEST_SUITE_END()

} // namespace talaria::cli
