// Spans and figures on their way to a collector that is slow, full, or gone.
#include "telemetry/otlp_exporter.hpp"

#include <boost/test/unit_test.hpp>
#include <limits>

#include "tests/support/eventually.hpp"
#include "tests/support/otlp_shape.hpp"

namespace talaria::telemetry {

using namespace std::chrono_literals;
using nlohmann::json;
using Reply = OtlpTransport::Reply;

BOOST_AUTO_TEST_SUITE(otlp)

namespace {

/// What a collector got, and how it answers.
struct Collector {
  std::mutex mutex;
  std::condition_variable changed;
  std::deque<Reply> replies; ///< the next ones; then 200
  bool hangs = false;        ///< until it is cancelled
  bool cancelled = false;
  std::vector<std::pair<std::string, json>> got;

  std::size_t bodies(const std::string& signal) {
    const std::lock_guard lock(mutex);
    return static_cast<std::size_t>(std::count_if(
        got.begin(), got.end(), [&](const auto& each) { return each.first == signal; }));
  }
  std::vector<std::string> span_names() {
    const std::lock_guard lock(mutex);
    std::vector<std::string> names;
    for (const auto& [signal, body] : got)
      if (signal == "traces")
        for (const auto& span : body["resourceSpans"][0]["scopeSpans"][0]["spans"])
          names.push_back(span["name"]);
    return names;
  }
};

class Wire final : public OtlpTransport {
public:
  explicit Wire(Collector& collector) : collector_(collector) {}
  Reply post(const std::string& signal, const std::string& body) override {
    std::unique_lock lock(collector_.mutex);
    if (collector_.hangs) {
      collector_.changed.wait(lock, [this] { return collector_.cancelled; });
      return {};
    }
    collector_.got.emplace_back(signal, json::parse(body));
    if (collector_.replies.empty()) return {200, {}, 0};
    const Reply reply = collector_.replies.front();
    collector_.replies.pop_front();
    return reply;
  }
  void cancel() noexcept override {
    const std::lock_guard lock(collector_.mutex);
    collector_.cancelled = true;
    collector_.changed.notify_all();
  }

private:
  Collector& collector_;
};

OtlpSpan span_named(const std::string& name) {
  OtlpSpan span;
  span.context = {1, 2, 0};
  span.id = new_trace_id();
  span.name = name;
  span.start = span.end = std::chrono::system_clock::now();
  return span;
}

OtlpExporter::Options quick() {
  OtlpExporter::Options options;
  options.interval = 5ms;
  options.first_wait = 1ms;
  options.longest_wait = 2ms;
  return options;
}

} // namespace

BOOST_AUTO_TEST_CASE(bodies_are_those_of_the_published_definitions) {
  const std::vector<OtlpAttribute> resource{{"service.name", std::string("talaria")}};
  OtlpSpan span;
  span.context = {0x0af7651916cd43dd, 0x8448eb211c80319c, 0xb7ad6b7169203331};
  span.id = 7;
  span.name = "chat m";
  span.kind = OtlpSpan::Kind::server;
  span.start = OtlpSpan::Time(std::chrono::milliseconds(1'700'000'000'123));
  span.end = span.start + 1500ms;
  span.attributes = {{"i", i64{-3}},
                     {"d", 0.5},
                     {"s", std::string("a\"b\xff")},
                     {"l", std::vector<std::string>{"stop", "length"}}};
  span.failed = true;
  const json traces = json::parse(otlp_traces(resource, std::vector{span, span_named("x")}));
  tests::check_otlp(traces, "ExportTraceServiceRequest");
  const json& first = traces["resourceSpans"][0]["scopeSpans"][0]["spans"][0];
  BOOST_TEST(first["traceId"] == "0af7651916cd43dd8448eb211c80319c");
  BOOST_TEST(first["spanId"] == "0000000000000007");
  BOOST_TEST(first["parentSpanId"] == "b7ad6b7169203331");
  BOOST_TEST(first["kind"] == 2);
  BOOST_TEST(first["startTimeUnixNano"] == "1700000000123000000");
  BOOST_TEST(first["endTimeUnixNano"] == "1700000001623000000");
  BOOST_TEST(first["status"]["code"] == 2);
  BOOST_TEST(tests::otlp_attribute(first, "i") == "-3");
  BOOST_TEST(tests::otlp_attribute(first, "d") == 0.5);
  BOOST_TEST(tests::otlp_attribute(first, "l")["values"][1]["stringValue"] == "length");
  const json& second = traces["resourceSpans"][0]["scopeSpans"][0]["spans"][1];
  BOOST_TEST(!second.contains("parentSpanId"));
  BOOST_TEST(!second["status"].contains("code"));
  BOOST_TEST(tests::otlp_attribute(traces["resourceSpans"][0]["resource"], "service.name") ==
             "talaria");

  const std::vector<OtlpMetric> figures{
      {"g", "", "1", OtlpMetric::Kind::gauge, {{{}, 2.5, 0, {}, {}}}},
      {"c", "all", "s", OtlpMetric::Kind::sum, {{{{"path", std::string("/")}}, 7, 0, {}, {}}}},
      {"h", "", "s", OtlpMetric::Kind::histogram, {{{}, 3.5, 6, {0.1, 1}, {1, 2, 3}}}}};
  const json metrics = json::parse(otlp_metrics(resource, figures, span.start, span.end));
  tests::check_otlp(metrics, "ExportMetricsServiceRequest");
  const json& list = metrics["resourceMetrics"][0]["scopeMetrics"][0]["metrics"];
  BOOST_TEST(list[0]["gauge"]["dataPoints"][0]["asDouble"] == 2.5);
  BOOST_TEST(list[1]["sum"]["isMonotonic"] == true);
  BOOST_TEST(list[1]["sum"]["aggregationTemporality"] == 2);
  BOOST_TEST(list[2]["histogram"]["dataPoints"][0]["bucketCounts"] == json({"1", "2", "3"}));
  BOOST_TEST(list[2]["histogram"]["dataPoints"][0]["explicitBounds"] == json({0.1, 1}));
  BOOST_TEST(list[2]["histogram"]["dataPoints"][0]["startTimeUnixNano"] == "1700000000123000000");
}

BOOST_AUTO_TEST_CASE(what_a_collector_cannot_take_now_is_sent_again) {
  for (const Reply& first :
       {Reply{503, 1ms, 0}, Reply{429, {}, 0}, Reply{0, {}, 0}, Reply{502, {}, 0}}) {
    Collector collector;
    collector.replies = {first, first};
    std::vector<std::string> log;
    auto options = quick();
    options.log = [&](const std::string& line) { log.push_back(line); };
    OtlpExporter exporter(options, std::make_unique<Wire>(collector));
    exporter.add(span_named("a"));
    BOOST_TEST(tests::eventually([&] { return exporter.counts().sent == 1; }));
    exporter.close(10s);
    BOOST_TEST((collector.span_names() == std::vector<std::string>{"a", "a", "a"}));
    BOOST_TEST(exporter.counts().dropped == 0u);
    BOOST_TEST(log.size() == 2u); // it fails, and works again: two lines, however often
  }
}

BOOST_AUTO_TEST_CASE(what_it_refuses_is_not_sent_again) {
  for (const int status : {400, 401, 404, 413, 500}) {
    Collector collector;
    collector.replies = {{status, {}, 0}};
    OtlpExporter exporter(quick(), std::make_unique<Wire>(collector));
    exporter.add(span_named("a"));
    BOOST_TEST(tests::eventually([&] { return exporter.counts().dropped == 1; }));
    exporter.close(10s);
    BOOST_TEST(collector.bodies("traces") == 1u);
  }
  Collector partly; // takes one of two, and says so
  partly.replies = {{200, {}, 1}};
  auto options = quick();
  options.batch = 2;
  OtlpExporter exporter(options, std::make_unique<Wire>(partly));
  exporter.add(span_named("a"));
  exporter.add(span_named("b"));
  exporter.close(10s);
  BOOST_TEST(exporter.counts().sent + exporter.counts().dropped == 2u);
  BOOST_TEST(exporter.counts().dropped == 1u);
}

BOOST_AUTO_TEST_CASE(attempts_are_bounded_and_figures_have_one) {
  Collector collector;
  collector.replies.assign(3, Reply{503, {}, 0});
  auto options = quick();
  options.interval = 1h;
  options.batch = 1;
  options.attempts = 3;
  OtlpExporter exporter(options, std::make_unique<Wire>(collector));
  exporter.collect_from([] {
    return std::vector<OtlpMetric>{{"g", "", "1", OtlpMetric::Kind::gauge, {{{}, 1, 0, {}, {}}}}};
  });
  exporter.add(span_named("a"));
  BOOST_TEST(tests::eventually([&] { return exporter.counts().dropped == 1; }));
  BOOST_TEST(collector.bodies("traces") == 3u);
  {
    const std::lock_guard lock(collector.mutex);
    collector.replies = {{503, {}, 0}};
  }
  exporter.close(10s);
  BOOST_TEST(collector.bodies("metrics") == 1u);
}

BOOST_AUTO_TEST_CASE(the_queue_is_bounded_and_whoever_reports_does_not_wait) {
  Collector collector;
  collector.hangs = true;
  auto options = quick();
  options.queue = 10;
  options.batch = 4;
  OtlpExporter exporter(options, std::make_unique<Wire>(collector));
  for (int i = 0; i < 100; ++i) exporter.add(span_named(std::to_string(i))); // would hang
  BOOST_TEST(exporter.counts().dropped == 90u);
  exporter.close(10ms); // and gives up what hangs
  BOOST_TEST(exporter.counts().sent == 0u);
  BOOST_TEST(exporter.counts().dropped == 100u);
  exporter.add(span_named("late"));
  BOOST_TEST(exporter.counts().dropped == 101u);
}

BOOST_AUTO_TEST_CASE(the_end_sends_what_waits_in_batches_and_figures_once_more) {
  Collector collector;
  auto options = quick();
  options.interval = 1h;
  options.batch = 4;
  OtlpExporter exporter(options, std::make_unique<Wire>(collector));
  exporter.collect_from([] {
    return std::vector<OtlpMetric>{{"g", "", "1", OtlpMetric::Kind::gauge, {{{}, 1, 0, {}, {}}}}};
  });
  for (int i = 0; i < 3; ++i) exporter.add(span_named(std::to_string(i)));
  BOOST_TEST(collector.bodies("traces") == 0u); // an hour has not passed
  for (int i = 3; i < 10; ++i) exporter.add(span_named(std::to_string(i)));
  exporter.close(10s);
  std::vector<std::string> expected;
  for (int i = 0; i < 10; ++i) expected.push_back(std::to_string(i));
  BOOST_TEST((collector.span_names() == expected));
  BOOST_TEST(collector.bodies("metrics") == 1u);
  BOOST_TEST(exporter.counts().sent == 10u);
}

BOOST_AUTO_TEST_SUITE_END()

} // namespace talaria::telemetry
