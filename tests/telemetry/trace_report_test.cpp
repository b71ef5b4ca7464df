#include "telemetry/trace_report.hpp"

#include <boost/test/unit_test.hpp>

#include "tests/telemetry/traces.hpp"

namespace talaria::telemetry {

namespace {

const auto kClose = boost::test_tools::tolerance(1e-9);

const StageFigures& stage(const Phase& phase, SpanKind kind) {
  for (const auto& figures : phase.stages)
    if (figures.kind == kind) return figures;
  throw std::logic_error("no such stage");
}

} // namespace

BOOST_AUTO_TEST_SUITE(trace_report)

BOOST_AUTO_TEST_CASE(overlap_counts_what_the_enclave_does_for_others_and_nothing_else) {
  const auto report = analyse(two_tokens().trace);
  BOOST_TEST_REQUIRE(report.phases.size() == 1U);
  const Phase& decode = report.phases[0];
  BOOST_TEST(decode.name == "decode");
  // Away: 20-30 and 40-80 of the first (the queue does not count), 60-160 of the second. Hidden: of
  // the first 25-30 and 40-50 behind the second; of the second 80-90 and 95-100 behind the first.
  BOOST_TEST(decode.outside == 150.0, kClose);
  BOOST_TEST(decode.hidden == 30.0, kClose);
  BOOST_TEST(decode.overlap() == 0.2, kClose);
}

BOOST_AUTO_TEST_CASE(alone_nothing_is_hidden_and_beside_steady_work_everything_is) {
  HandMade alone;
  alone.span(SpanKind::embed, 1, 0, 10)
      .span(SpanKind::product, 1, 5, 50)
      .span(SpanKind::sample, 1, 50, 60);
  BOOST_TEST(analyse(alone.trace).phases.at(0).overlap() == 0.0);
  HandMade steady = alone;
  steady.span(SpanKind::attention, 2, 0, 60);
  BOOST_TEST(analyse(steady.trace).phases.at(0).overlap() == 1.0, kClose);
}

BOOST_AUTO_TEST_CASE(shares_divide_the_life_of_a_micro_batch_without_remainder) {
  HandMade made;
  made.span(SpanKind::embed, 1, 0, 10)
      .span(SpanKind::wire_up, 1, 5, 30)  // the enclave counts first: 10-30
      .span(SpanKind::product, 1, 20, 60) // the product before the wire: 20-60
      .span(SpanKind::copy, 1, 20, 25)    // and its parts before it
      .span(SpanKind::sample, 1, 80, 100);
  const Phase phase = analyse(made.trace).phases.at(0);
  BOOST_TEST(phase.life.p50 == 100.0, kClose);
  BOOST_TEST(stage(phase, SpanKind::embed).share == 0.10, kClose);
  BOOST_TEST(stage(phase, SpanKind::wire_up).share == 0.10, kClose);
  BOOST_TEST(stage(phase, SpanKind::copy).share == 0.05, kClose);
  BOOST_TEST(stage(phase, SpanKind::product).share == 0.35, kClose);
  BOOST_TEST(stage(phase, SpanKind::sample).share == 0.20, kClose);
  BOOST_TEST(phase.waiting == 0.20, kClose);
  BOOST_TEST(stage(phase, SpanKind::product).latency.p50 == 40.0, kClose); // of the span itself
}

BOOST_AUTO_TEST_CASE(waiting_in_a_mailbox_counts_only_where_nothing_else_happens) {
  HandMade made;
  made.span(SpanKind::embed, 1, 0, 10)
      .span(SpanKind::mailbox, 1, 5, 40)
      .span(SpanKind::queue, 1, 30, 50)
      .span(SpanKind::sample, 1, 50, 100);
  const Phase phase = analyse(made.trace).phases.at(0);
  BOOST_TEST(stage(phase, SpanKind::mailbox).share == 0.20, kClose); // 10-30
  BOOST_TEST(stage(phase, SpanKind::queue).share == 0.20, kClose);
  BOOST_TEST(phase.waiting == 0.0, kClose);
}

BOOST_AUTO_TEST_CASE(framing_is_work_of_the_enclave_and_hides_others_but_not_at_a_worker) {
  HandMade made;
  made.span(SpanKind::embed, 1, 0, 10).span(SpanKind::product, 1, 10, 50);
  made.span(SpanKind::sample, 1, 50, 60);
  made.span(SpanKind::pack, 2, 20, 30); // by HandMade at the worker
  BOOST_TEST(analyse(made.trace).phases.at(0).overlap() == 0.0);
  made.trace.spans.back().process = "enclave";
  BOOST_TEST(analyse(made.trace).phases.at(0).overlap() == 0.25, kClose);
  BOOST_TEST(analyse(made.trace).workers == std::vector<std::string>{"gpu-a"});
}

BOOST_AUTO_TEST_CASE(shards_of_one_product_count_once) {
  HandMade made;
  made.span(SpanKind::embed, 1, 0, 10)
      .span(SpanKind::product, 1, 10, 50)
      .span(SpanKind::product, 1, 20, 60)
      .span(SpanKind::sample, 1, 60, 100);
  const Phase phase = analyse(made.trace).phases.at(0);
  BOOST_TEST(phase.outside == 50.0, kClose);
  BOOST_TEST(stage(phase, SpanKind::product).share == 0.5, kClose);
}

BOOST_AUTO_TEST_CASE(prefill_is_more_rows_than_sequences) {
  HandMade made;
  made.shape(5, 1).span(SpanKind::embed, 1, 0, 10).span(SpanKind::sample, 1, 20, 30);
  made.shape(2, 2).span(SpanKind::embed, 2, 30, 40).span(SpanKind::sample, 2, 50, 70);
  made.shape(1, 0).span(SpanKind::product, 3, 80, 90); // of a trace that began later
  const auto report = analyse(made.trace);
  BOOST_TEST_REQUIRE(report.phases.size() == 3U);
  BOOST_TEST(report.phases[0].name == "decode");
  BOOST_TEST(report.phases[0].rows == 2U);
  BOOST_TEST(report.phases[1].name == "prefill");
  BOOST_TEST(report.phases[1].rows == 5U);
  BOOST_TEST(report.phases[2].name == "unknown");
  BOOST_TEST(!report.phases[2].waterfall.has_value());
}

BOOST_AUTO_TEST_CASE(bytes_are_those_of_the_products_for_each_row) {
  HandMade made;
  made.shape(2, 2).span(SpanKind::embed, 1, 0, 10);
  made.span(SpanKind::product, 1, 10, 20).span(SpanKind::product, 1, 30, 40);
  made.span(SpanKind::sample, 1, 50, 60);
  const Phase phase = analyse(made.trace).phases.at(0);
  BOOST_TEST(phase.bytes_per_row(phase.bytes_up) == 600.0, kClose);
  BOOST_TEST(phase.bytes_per_row(phase.bytes_down) == 400.0, kClose);
}

BOOST_AUTO_TEST_CASE(percentiles_are_values_that_occurred) {
  std::vector<double> hundred;
  for (int i = 1; i <= 100; ++i) hundred.push_back(i);
  BOOST_TEST(percentile(hundred, 50) == 50);
  BOOST_TEST(percentile(hundred, 95) == 95);
  BOOST_TEST(percentile(hundred, 99) == 99);
  BOOST_TEST(percentile(hundred, 100) == 100);
  BOOST_TEST(percentile({7}, 50) == 7);
  BOOST_TEST(percentile({7, 9}, 99) == 9);
  BOOST_TEST(percentile({}, 99) == 0);
}

BOOST_AUTO_TEST_CASE(the_waterfall_is_of_a_micro_batch_in_the_middle) {
  HandMade made;
  for (u64 id = 1; id <= 5; ++id) { // lives of 10, 20, ... 50 us
    const auto begin = static_cast<i64>(id) * 100;
    made.span(SpanKind::embed, id, begin, begin + 2);
    made.span(SpanKind::mask, id, begin + 2, begin + 4);
    made.span(SpanKind::product, id, begin + 4, begin + 6);
    made.span(SpanKind::sample, id, begin + 8, begin + static_cast<i64>(id) * 10);
  }
  made.span(SpanKind::norm, 9, 290, 305);
  const auto report = analyse(made.trace);
  const auto& waterfall = report.phases.at(0).waterfall;
  BOOST_TEST_REQUIRE(waterfall.has_value());
  BOOST_TEST(waterfall->micro_batch == 3U);
  BOOST_TEST(waterfall->length == 30.0, kClose);
  BOOST_TEST_REQUIRE(waterfall->bars.size() == 4U);
  BOOST_TEST(waterfall->bars[2].where == "layers.0.qkv"); // a matrix has the name of its mask stage
  BOOST_TEST(waterfall->bars[2].begin == 4.0, kClose);
  BOOST_TEST_REQUIRE(waterfall->others.size() == 1U);
  BOOST_TEST(waterfall->others[0].begin == 0.0, kClose);
  BOOST_TEST(waterfall->others[0].end == 5.0, kClose);
}

BOOST_AUTO_TEST_CASE(requests_workers_and_stock_are_summed_up) {
  HandMade made = two_tokens();
  made.shape(7, 0).span(SpanKind::request, 0, -50, 200);
  made.trace.spans.back().labels.tokens = 2;
  for (int i = 0; i < 5000; ++i)
    made.trace.stock.push_back({i * 1000, i == 2500 ? 0ULL : 64ULL, {}});
  made.trace.dropped_spans = 4;
  const auto report = analyse(made.trace);
  BOOST_TEST(report.length == 250.0, kClose);
  BOOST_TEST(report.requests.count == 1U);
  BOOST_TEST(report.requests.p50 == 250.0, kClose);
  BOOST_TEST(report.prompt_tokens == 7U);
  BOOST_TEST(report.answer_tokens == 2U);
  BOOST_TEST(report.workers == std::vector<std::string>{"gpu-a"});
  BOOST_TEST(report.dropped_spans == 4U);
  BOOST_TEST(report.stock.size() <= 601U);
  const bool the_dip_is_kept = std::any_of(report.stock.begin(), report.stock.end(),
                                           [](const MaskStock& s) { return s.bytes == 0; });
  BOOST_TEST(the_dip_is_kept);
  BOOST_TEST(report.stock.front().time == 50'000); // since the first span
}

BOOST_AUTO_TEST_SUITE_END()

} // namespace talaria::telemetry
