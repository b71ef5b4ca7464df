#include "telemetry/tracer.hpp"

#include <boost/test/unit_test.hpp>
#include <fstream>
#include <nlohmann/json.hpp>
#include <thread>

#include "core/error.hpp"
#include "tests/support/temporary_folder.hpp"

namespace talaria::telemetry {

BOOST_AUTO_TEST_CASE(spans_of_many_threads_arrive_in_one_valid_file) {
  const tests::TemporaryFolder folder;
  const auto path = folder.path() / "trace.json";
  constexpr int kThreads = 4;
  constexpr int kSpans = 250;
  {
    Tracer tracer(path);
    std::vector<std::thread> threads;
    for (int t = 0; t < kThreads; ++t)
      threads.emplace_back([&tracer, t] {
        const std::string stage = "stage-" + std::to_string(t);
        for (u64 i = 0; i < kSpans; ++i) Span(&tracer, stage, "work", i, 3);
      });
    for (auto& thread : threads) thread.join();
    tracer.write();
  }
  std::ifstream in(path);
  const auto json = nlohmann::json::parse(in);
  int spans = 0;
  int rows = 0;
  for (const auto& event : json.at("traceEvents")) {
    if (event.at("ph") == "M") rows += event.at("name") == "thread_name";
    if (event.at("ph") != "X") continue;
    ++spans;
    BOOST_TEST(event.at("dur").get<double>() >= 0.0);
    BOOST_TEST(event.at("args").at("rows").get<int>() == 3);
  }
  BOOST_TEST(spans == kThreads * kSpans);
  BOOST_TEST(rows == kThreads);
}

BOOST_AUTO_TEST_CASE(an_unwritable_file_is_noticed_before_any_work) {
  const tests::TemporaryFolder folder;
  const auto path = folder.path() / "no-such-folder" / "trace.json";
  BOOST_CHECK_EXCEPTION(Tracer{path}, Error, [&](const Error& error) {
    return error.code() == Errc::io &&
           std::string(error.what()).find(path.string()) != std::string::npos;
  });
}

BOOST_AUTO_TEST_CASE(a_span_without_a_tracer_does_nothing) {
  BOOST_CHECK_NO_THROW(Span(nullptr, "stage", "work", 1, 1));
}

} // namespace talaria::telemetry
