// Traces in the published formats, in lines written as their publishers write them.
#include "planner/load_trace.hpp"

#include <boost/test/unit_test.hpp>
#include <cmath>
#include <sstream>

#include "core/error.hpp"

namespace talaria {

namespace {

using planner::Arrival;

std::vector<Arrival> trace_of(const std::string& text, std::size_t most = 100) {
  std::istringstream in(text);
  return planner::read_load_trace(in, "t.csv", most);
}

std::string refusal_of(const std::string& text) {
  try {
    trace_of(text);
  } catch (const Error& error) {
    BOOST_TEST((error.code() == Errc::config));
    return error.what();
  }
  return "accepted";
}

const std::string kAzure = "TIMESTAMP,ContextTokens,GeneratedTokens\n";
const std::string kBurst = "Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type\n";

bool is_near(double a, double b) {
  return std::fabs(a - b) < 1e-5;
}

} // namespace

BOOST_AUTO_TEST_CASE(azures_times_are_dates) {
  const auto requests = trace_of(kAzure + "2023-11-16 18:15:46.6805900,374,44\r\n"
                                          "2023-11-16 18:15:50.9951690,396,109\r\n");
  BOOST_REQUIRE(requests.size() == 2U);
  BOOST_TEST(requests[0].time == 0);
  BOOST_TEST(is_near(requests[1].time, 4.314579));
  BOOST_TEST(requests[1].prompt_tokens == 396U);
  BOOST_TEST(requests[1].answer_tokens == 109U);
  // Over midnight at the end of a leap year's February, and with offsets as in 2024.
  const auto later = trace_of(kAzure + "2024-02-29 23:59:59.5+00:00,1,1\n2024-03-01T00:00:00Z,1,1\n"
                                       "2024-03-01 02:00:01+02:00,1,1\n");
  BOOST_TEST(is_near(later[1].time, 0.5));
  BOOST_TEST(is_near(later[2].time, 1.5));
}

BOOST_AUTO_TEST_CASE(burstgpts_failures_are_left_out) {
  const auto requests = trace_of(kBurst + "5,ChatGPT,472,18,490,Conversation log\n"
                                          "45,GPT-4,1087,0,1087,API log\n"
                                          "118.5,ChatGPT,417,276,693,Conversation log\n");
  BOOST_REQUIRE(requests.size() == 2U);
  BOOST_TEST(requests[1].time == 113.5);
  BOOST_TEST(requests[1].answer_tokens == 276U);
}

BOOST_AUTO_TEST_CASE(mooncakes_times_are_milliseconds) {
  const auto requests = trace_of(
      R"({"timestamp": 27482, "input_length": 6955, "output_length": 52, "hash_ids": [46, 47]})"
      "\n"
      R"({"timestamp": 10535, "input_length": 6472, "output_length": 26, "hash_ids": [46, 47]})"
      "\n\n");
  BOOST_REQUIRE(requests.size() == 2U);
  BOOST_TEST(requests[0].prompt_tokens == 6472U); // in the order of time
  BOOST_TEST(is_near(requests[1].time, 16.947));
}

BOOST_AUTO_TEST_CASE(no_more_than_wanted_is_read) {
  BOOST_TEST(trace_of(kBurst + "1,m,1,1,2,x\n2,m,1,1,2,x\nnonsense\n", 2).size() == 2U);
}

BOOST_AUTO_TEST_CASE(a_bad_line_is_named) {
  const auto refuses = [](const std::string& text, const std::string& with) {
    const std::string said = refusal_of(text);
    BOOST_TEST(said.find(with) != said.npos, said);
  };
  const std::string good = "2023-11-16 18:15:46.6805900,374,44\n";
  refuses("", "t.csv:0: is empty");
  refuses("time,in,out\n", "t.csv:1: is of no known format");
  refuses(kAzure, "t.csv:1: has no request");
  refuses(kAzure + good + "2023-11-16 18:15,374,44\n", "t.csv:3: timestamp: expected a time");
  refuses(kAzure + "2023-02-29 18:15:00,374,44\n", "t.csv:2: timestamp");
  refuses(kAzure + "2023-11-16 24:15:00,374,44\n", "t.csv:2: timestamp");
  refuses(kAzure + "2023-11-16 18:15:00.,374,44\n" + good + "x\n", "t.csv:4: has 1 columns");
  refuses(kAzure + "2023-11-16 18:15:00+2,374,44\n", "t.csv:2: timestamp");
  refuses(kAzure + "2023-11-16 18:15:46,0,44\n", "t.csv:2: prompt tokens: expected a whole number");
  refuses(kAzure + "2023-11-16 18:15:46,5,-4\n", "t.csv:2: answer tokens");
  refuses(kAzure + "2023-11-16 18:15:46,5,1e9\n", "t.csv:2: answer tokens");
  refuses(kAzure + "2023-11-16 18:15:46,5.5,4\n", "t.csv:2: prompt tokens");
  refuses(kBurst + "nan,m,1,1,2,x\n", "t.csv:2: timestamp: expected seconds");
  refuses("{\"timestamp\": 0, \"input_length\": 5, \"output_length\": 1}\n{]\n",
          "t.csv:2: is no JSON object");
  refuses("{\"timestamp\": \"0\", \"input_length\": 5, \"output_length\": 1}\n",
          "t.csv:1: timestamp");
  refuses("{\"timestamp\": 0, \"input_length\": 5}\n", "t.csv:1: output_length");
  refuses(kBurst + std::string(2 << 20, '1') + "\n", "t.csv:2: is longer than 1 MiB");
}

BOOST_AUTO_TEST_CASE(poisson_arrivals_have_their_rate_and_seed) {
  planner::Workload load;
  load.requests_per_second = 4;
  load.prompt_tokens = 7;
  load.answer_tokens = 3;
  const auto requests = planner::poisson_arrivals(load, 20000, 11);
  const auto told = planner::workload_of(requests);
  BOOST_TEST(std::fabs(told.requests_per_second - 4) < 0.1); // 3 standard deviations
  BOOST_TEST(told.prompt_tokens == 7U);
  const auto again = planner::poisson_arrivals(load, 20000, 11);
  const auto other = planner::poisson_arrivals(load, 20000, 12);
  BOOST_TEST(requests.back().time == again.back().time);
  BOOST_TEST(requests.back().time != other.back().time);
}

} // namespace talaria
