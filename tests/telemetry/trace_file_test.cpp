#include "telemetry/trace_file.hpp"

#include <boost/test/unit_test.hpp>
#include <fstream>
#include <sstream>

#include "core/error.hpp"
#include "telemetry/tracer.hpp"
#include "tests/support/temporary_folder.hpp"

namespace talaria::telemetry {

BOOST_AUTO_TEST_SUITE(trace_file)

namespace {

using namespace std::chrono_literals;

Trace read(const std::string& text) {
  std::istringstream in(text);
  return read_trace(in, "t.json");
}

} // namespace

BOOST_AUTO_TEST_CASE(what_a_tracer_writes_is_read_back) {
  const tests::TemporaryFolder folder;
  const auto path = folder.path() / "trace.json";
  {
    Tracer tracer(path, 2);
    SpanLabels labels;
    labels.trace = 0xfedcba9876543210;
    labels.micro_batch = 12;
    labels.rows = 3;
    labels.sequences = 2;
    labels.joined_rows = 9;
    labels.matrix = 0;
    labels.bytes_up = 1ULL << 40;
    labels.bytes_down = 5;
    const auto track = tracer.track("gpu-a", "product");
    const auto begin = Tracer::Clock::now();
    tracer.record(track, SpanKind::product, begin, begin + 2500ns, labels);
    tracer.record(track, SpanKind::queue, begin, begin + 1us, {}); // second lane of the track
    tracer.record(track, SpanKind::queue, begin, begin, {});       // does not fit
    tracer.mask_stock(track, 4096);
  }
  std::ifstream in(path);
  const Trace trace = read_trace(in, path.string());
  BOOST_TEST_REQUIRE(trace.spans.size() == 2U);
  const TraceSpan& span = trace.spans[0];
  BOOST_TEST((span.kind == SpanKind::product));
  BOOST_TEST(std::abs(span.when.end - span.when.begin - 2500) <= 1);
  BOOST_TEST(span.process == "gpu-a");
  BOOST_TEST(span.labels.trace == 0xfedcba9876543210);
  BOOST_TEST(span.labels.micro_batch == 12U);
  BOOST_TEST(span.labels.rows == 3U);
  BOOST_TEST(span.labels.sequences == 2U);
  BOOST_TEST(span.labels.joined_rows == 9U);
  BOOST_TEST(span.labels.matrix == 0U);
  BOOST_TEST(span.labels.bytes_up == 1ULL << 40);
  BOOST_TEST(span.labels.bytes_down == 5U);
  BOOST_TEST(trace.spans[1].thread == "product");
  BOOST_TEST(trace.spans[1].labels.matrix == kNoMatrix);
  BOOST_TEST_REQUIRE(trace.stock.size() == 1U);
  BOOST_TEST(trace.stock[0].bytes == 4096U);
  BOOST_TEST(trace.dropped_spans == 1U);
}

BOOST_AUTO_TEST_CASE(spans_of_other_programs_are_passed_over) {
  const Trace trace = read(R"({"traceEvents":[
      {"ph":"X","name":"garbage collection","ts":0,"dur":1},
      {"ph":"i","name":"norm","ts":0},
      {"ph":"X","name":"norm","ts":1,"dur":2,"pid":4,"tid":5}]})");
  BOOST_TEST_REQUIRE(trace.spans.size() == 1U);
  BOOST_TEST((trace.spans[0].when == Interval{1000, 3000}));
}

BOOST_AUTO_TEST_CASE(what_is_no_trace_is_refused_by_name) {
  for (const char* text :
       {"", "hello", "[1,2]", "{}", R"({"traceEvents":[]})", R"({"traceEvents":[)",
        R"({"traceEvents":[{"ph":"X","name":"norm"}]})",
        R"({"traceEvents":[{"ph":"X","name":"norm","ts":1,"dur":-5}]})",
        R"({"traceEvents":[{"ph":"X","name":"norm","ts":1e300,"dur":0}]})",
        R"({"traceEvents":[{"ph":"X","name":"norm","ts":"now","dur":0}]})",
        R"({"traceEvents":[{"ph":"X","name":"norm","ts":1,"dur":0,"args":{"trace":"xyz"}}]})"})
    BOOST_CHECK_EXCEPTION(read(text), Error, [](const Error& error) {
      return error.code() == Errc::usage && std::string(error.what()).starts_with("t.json: ");
    });
}

BOOST_AUTO_TEST_SUITE_END()

} // namespace talaria::telemetry
