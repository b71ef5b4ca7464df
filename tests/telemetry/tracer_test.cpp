#include "telemetry/tracer.hpp"

#include <boost/test/unit_test.hpp>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <thread>

#include "core/error.hpp"
#include "core/wall_clock.hpp"
#include "tests/support/temporary_folder.hpp"

namespace talaria::telemetry {

namespace {

using namespace std::chrono_literals;
using nlohmann::json;
using tests::TemporaryFolder;

json read(const std::filesystem::path& path) {
  std::ifstream in(path);
  return json::parse(in);
}

std::vector<json> events(const json& trace, const std::string& phase) {
  std::vector<json> out;
  for (const auto& event : trace.at("traceEvents"))
    if (event.at("ph") == phase) out.push_back(event);
  return out;
}

} // namespace

BOOST_AUTO_TEST_SUITE(tracer)

BOOST_AUTO_TEST_CASE(spans_of_many_threads_arrive_in_one_valid_file) {
  const TemporaryFolder folder;
  const auto path = folder.path() / "trace.json";
  constexpr int kThreads = 4;
  constexpr int kSpans = 250;
  {
    Tracer tracer(path);
    std::vector<std::thread> threads;
    for (int t = 0; t < kThreads; ++t)
      threads.emplace_back([&tracer, t] {
        const auto track = tracer.track("enclave", "stage-" + std::to_string(t));
        SpanLabels labels;
        labels.rows = 3;
        for (u64 i = 0; i < kSpans; ++i) Span(&tracer, track, SpanKind::norm, labels);
      });
    for (auto& thread : threads) thread.join();
    tracer.write();
  }
  const json trace = read(path);
  int rows = 0;
  for (const auto& event : events(trace, "M")) rows += event.at("name") == "thread_name";
  const auto spans = events(trace, "X");
  BOOST_TEST(spans.size() == kThreads * kSpans);
  BOOST_TEST(rows == kThreads);
  for (const auto& span : spans) {
    BOOST_TEST(span.at("dur").get<double>() >= 0.0);
    BOOST_TEST(span.at("name") == "norm");
    BOOST_TEST(span.at("args").at("rows") == 3);
  }
}

BOOST_AUTO_TEST_CASE(labels_are_written_and_defaults_are_not) {
  const TemporaryFolder folder;
  const auto path = folder.path() / "trace.json";
  {
    Tracer tracer(path);
    const auto track = tracer.track("gpu \"a\"", "product");
    const auto now = Tracer::Clock::now();
    SpanLabels labels;
    labels.trace = 0xabc;
    labels.micro_batch = 7;
    labels.rows = 2;
    labels.joined_rows = 5;
    labels.matrix = 0;
    labels.bytes_up = 100;
    tracer.record(track, SpanKind::product, now, now + 2us, labels);
    tracer.record(track, SpanKind::queue, now + 3us, now + 4us, {});
  }
  const json trace = read(path);
  const auto spans = events(trace, "X");
  BOOST_TEST_REQUIRE(spans.size() == 2U);
  BOOST_TEST(spans[0].at("args") == json::parse(R"({"rows":2,"micro_batch":7,"matrix":0,)"
                                                R"("trace":"0000000000000abc",)"
                                                R"("joined_rows":5,"bytes_up":100})"));
  BOOST_TEST(spans[0].at("dur").get<double>() == 2.0, boost::test_tools::tolerance(1e-3));
  BOOST_TEST(spans[1].at("args") == json::parse(R"({"rows":0})"));
  BOOST_TEST(events(trace, "M").front().at("args").at("name") == "gpu \"a\"");
}

BOOST_AUTO_TEST_CASE(what_a_span_waited_for_is_a_span_on_another_row) {
  const TemporaryFolder folder;
  const auto path = folder.path() / "trace.json";
  {
    Tracer tracer(path);
    const auto track = tracer.track("enclave", "o.mask");
    const auto t = Tracer::Clock::now();
    SpanLabels labels;
    labels.micro_batch = 4;
    labels.bytes_up = 9;
    tracer.record(track, SpanKind::mask, t + 10us, t + 20us, labels, t + 3us);
    tracer.record(track, SpanKind::mask, t + 30us, t + 40us, labels, t + 35us); // cannot be
  }
  const json trace = read(path);
  const auto spans = events(trace, "X");
  BOOST_TEST_REQUIRE(spans.size() == 3U);
  BOOST_TEST(spans[0].at("name") == "mailbox");
  BOOST_TEST(spans[0].at("dur").get<double>() == 7.0, boost::test_tools::tolerance(1e-3));
  BOOST_TEST(spans[0].at("args") == json::parse(R"({"rows":0,"micro_batch":4,"stage":"o.mask"})"));
  BOOST_TEST(spans[0].at("tid") != spans[1].at("tid"));
  BOOST_TEST(spans[1].at("tid") == spans[2].at("tid"));
}

BOOST_AUTO_TEST_CASE(while_it_is_paused_nothing_is_recorded) {
  const TemporaryFolder folder;
  const auto path = folder.path() / "trace.json";
  {
    Tracer tracer(path);
    const auto track = tracer.track("p", "t");
    BOOST_TEST(tracing(&tracer));
    tracer.pause(true);
    BOOST_TEST(!tracing(&tracer));
    Span(&tracer, track, SpanKind::norm, {});
    tracer.pause(false);
    Span(&tracer, track, SpanKind::mask, {});
  }
  BOOST_TEST(!tracing(nullptr));
  const auto spans = events(read(path), "X");
  BOOST_TEST_REQUIRE(spans.size() == 1U);
  BOOST_TEST(spans[0].at("name") == "mask");
}

BOOST_AUTO_TEST_CASE(rows_stand_in_the_order_in_which_work_came_to_them) {
  const TemporaryFolder folder;
  const auto path = folder.path() / "trace.json";
  {
    Tracer tracer(path);
    const auto last = tracer.track("enclave", "sampler"); // stages are made back to front
    const auto first = tracer.track("enclave", "embed");
    const auto t = Tracer::Clock::now();
    tracer.record(last, SpanKind::sample, t + 5us, t + 6us, {});
    tracer.record(first, SpanKind::embed, t, t + 1us, {});
  }
  std::map<int, std::string> names; // by order
  std::map<u64, int> order;
  const json trace = read(path);
  for (const auto& event : events(trace, "M"))
    if (event.at("name") == "thread_sort_index")
      order[event.at("tid").get<u64>()] = event.at("args").at("sort_index").get<int>();
  for (const auto& event : events(trace, "M"))
    if (event.at("name") == "thread_name")
      names[order.at(event.at("tid").get<u64>())] = event.at("args").at("name");
  BOOST_TEST_REQUIRE(names.size() == 2U);
  BOOST_TEST(names.begin()->second == "embed");
}

BOOST_AUTO_TEST_CASE(no_two_spans_of_one_row_overlap) {
  const TemporaryFolder folder;
  const auto path = folder.path() / "trace.json";
  {
    Tracer tracer(path);
    const auto track = tracer.track("a", "wire up");
    const auto t = Tracer::Clock::now();
    tracer.record(track, SpanKind::wire_up, t + 5us, t + 20us, {}); // not in order
    tracer.record(track, SpanKind::wire_up, t, t + 10us, {});
    tracer.record(track, SpanKind::wire_up, t + 10us, t + 12us, {});
    tracer.record(track, SpanKind::wire_up, t + 11us, t + 30us, {});
  }
  std::map<u64, double> busy_until;
  for (const auto& span : events(read(path), "X")) {
    double& until = busy_until.try_emplace(span.at("tid").get<u64>(), -1.0).first->second;
    BOOST_TEST(span.at("ts").get<double>() >= until - 1e-3);
    until = span.at("ts").get<double>() + span.at("dur").get<double>();
  }
  BOOST_TEST(busy_until.size() == 3U);
}

BOOST_AUTO_TEST_CASE(a_micro_batch_of_several_requests_names_all_of_them_once) {
  const TemporaryFolder folder;
  const auto path = folder.path() / "trace.json";
  {
    Tracer tracer(path);
    SpanLabels labels;
    labels.micro_batch = 3;
    labels.trace = 0x11;
    tracer.carries(3, {0x11, 0x22});
    const auto track = tracer.track("enclave", "embed");
    const auto now = Tracer::Clock::now();
    tracer.record(track, SpanKind::embed, now, now, labels);
    tracer.record(track, SpanKind::norm, now, now, labels);
  }
  const auto spans = events(read(path), "X");
  const std::vector<std::string> both{"0000000000000011", "0000000000000022"};
  BOOST_TEST(spans.at(0).at("args").at("traces") == both);
  BOOST_TEST(!spans.at(1).at("args").contains("traces"));
}

BOOST_AUTO_TEST_CASE(what_does_not_fit_is_counted) {
  const TemporaryFolder folder;
  const auto path = folder.path() / "trace.json";
  {
    Tracer tracer(path, 2);
    for (int i = 0; i < 5; ++i) Span(&tracer, tracer.track("p", "t"), SpanKind::norm, {});
  }
  const json trace = read(path);
  BOOST_TEST(events(trace, "X").size() == 2U);
  BOOST_TEST(trace.at("otherData").at("dropped_spans") == 3);
}

BOOST_AUTO_TEST_CASE(what_threads_record_together_never_exceeds_what_fits) {
  const TemporaryFolder folder;
  const auto path = folder.path() / "trace.json";
  constexpr u64 kThreads = 4;
  constexpr u64 kSpans = 1000;
  constexpr u64 kMax = 1300;
  {
    Tracer tracer(path, kMax);
    const auto track = tracer.track("p", "t");
    std::vector<std::thread> threads;
    for (u64 t = 0; t < kThreads; ++t)
      threads.emplace_back([&] {
        for (u64 i = 0; i < kSpans; ++i) Span(&tracer, track, SpanKind::norm, {});
      });
    for (auto& thread : threads) thread.join();
  }
  const json trace = read(path);
  const u64 written = events(trace, "X").size();
  BOOST_TEST(written <= kMax);
  BOOST_TEST(written >= 1000U);
  BOOST_TEST(trace.at("otherData").at("dropped_spans").get<u64>() == kThreads * kSpans - written);
}

BOOST_AUTO_TEST_CASE(stages_are_added_up_over_all_threads_without_a_file_too) {
  const TemporaryFolder folder;
  for (const auto& path : {std::filesystem::path(), folder.path() / "trace.json"}) {
    Tracer tracer(path, 3); // what is dropped counts as well
    const auto track = tracer.track("enclave", "norm");
    const auto begin = Tracer::Clock::now();
    const auto record = [&] {
      for (int i = 0; i < 4; ++i) tracer.record(track, SpanKind::mask, begin, begin + 250ms, {});
    };
    std::thread other(record);
    record();
    other.join();
    const StageTimes times = tracer.stage_times();
    BOOST_TEST(times[static_cast<std::size_t>(SpanKind::mask)].spans == 8U);
    BOOST_TEST(times[static_cast<std::size_t>(SpanKind::mask)].seconds == 2.0);
    BOOST_TEST(times[static_cast<std::size_t>(SpanKind::norm)].spans == 0U);
    BOOST_TEST(tracer.is_written() == !path.empty());
    BOOST_CHECK_NO_THROW(tracer.write());
  }
}

BOOST_AUTO_TEST_CASE(the_wall_clock_and_back_is_where_it_was) {
  const TemporaryFolder folder;
  const Tracer tracer(folder.path() / "trace.json");
  const i64 now = wall_ns();
  BOOST_TEST(tracer.wall_of(tracer.at_wall(now)) == now);
}

BOOST_AUTO_TEST_CASE(an_unwritable_file_is_noticed_before_any_work) {
  const TemporaryFolder folder;
  const auto path = folder.path() / "no-such-folder" / "trace.json";
  BOOST_CHECK_EXCEPTION(Tracer{path}, Error, [&](const Error& error) {
    return error.code() == Errc::io &&
           std::string(error.what()).find(path.string()) != std::string::npos;
  });
}

BOOST_AUTO_TEST_CASE(a_span_without_a_tracer_does_nothing) {
  BOOST_CHECK_NO_THROW(Span(nullptr, 0, SpanKind::norm, {}));
}

BOOST_AUTO_TEST_CASE(every_kind_is_read_as_it_is_written) {
  std::set<std::string_view> names;
  for (std::size_t k = 0; k < kSpanKinds; ++k) {
    const auto kind = static_cast<SpanKind>(k);
    BOOST_TEST(!to_string(kind).empty());
    names.insert(to_string(kind));
    BOOST_TEST((parse_span_kind(to_string(kind)) == kind));
    BOOST_TEST(!(is_inside(kind) && is_outside(kind)));
  }
  BOOST_TEST(names.size() == kSpanKinds);
  BOOST_TEST(!parse_span_kind("lunch").has_value());
}

BOOST_AUTO_TEST_SUITE_END()

} // namespace talaria::telemetry
