#include "telemetry/trace_merge.hpp"

#include <boost/test/unit_test.hpp>
#include <map>
#include <sstream>

#include "telemetry/trace_writer.hpp"
#include "tests/telemetry/traces.hpp"

namespace talaria::telemetry {

namespace {

constexpr i64 kSecond = 1'000'000'000;

/// Written and read back, as `talaria trace report` would see it.
Trace merged(std::vector<Trace> traces) {
  std::stringstream file;
  write_trace(file, merge(std::move(traces)));
  return read_trace(file, "merged");
}

/// The worker's view of the first product of two_tokens(): its clock started at another time, and
/// it knows of a copy that the enclave does not see.
Trace workers_view(i64 late) {
  HandMade made;
  made.span(SpanKind::queue, 1, 30, 40)
      .span(SpanKind::product, 1, 40, 70)
      .span(SpanKind::pack, 1, 70, 75);
  for (auto& span : made.trace.spans) {
    span.process = "gpu-a";
    span.when.begin -= late;
    span.when.end -= late;
  }
  return made.trace;
}

std::map<SpanKind, std::vector<TraceSpan>> of_micro_batch(const Trace& trace, u64 micro_batch) {
  std::map<SpanKind, std::vector<TraceSpan>> out;
  for (const auto& span : trace.spans)
    if (span.labels.micro_batch == micro_batch) out[span.kind].push_back(span);
  return out;
}

} // namespace

BOOST_AUTO_TEST_SUITE(trace_merge)

BOOST_AUTO_TEST_CASE(a_worker_is_moved_to_where_the_enclave_drew_its_products) {
  Trace worker = workers_view(7'000);
  worker.wall_origin = 3600 * kSecond; // an hour ahead: products in common say better
  const Trace all = merged({two_tokens().trace, worker});
  const auto spans = of_micro_batch(all, 1);
  const TraceSpan& pack = spans.at(SpanKind::pack).front();
  const TraceSpan& product = spans.at(SpanKind::product).front();
  BOOST_TEST(pack.when.begin == product.when.end);
  BOOST_TEST(pack.when.end - pack.when.begin == 5'000);
  BOOST_TEST(pack.process == "gpu-a");
}

BOOST_AUTO_TEST_CASE(what_both_drew_is_in_the_file_once) {
  const auto enclave = two_tokens().trace;
  const Trace all = merged({enclave, workers_view(0)});
  BOOST_TEST(all.spans.size() == enclave.spans.size() + 1); // the pack
  BOOST_TEST(of_micro_batch(all, 1).at(SpanKind::product).size() == 1U);
  BOOST_TEST(of_micro_batch(all, 1).at(SpanKind::queue).size() == 1U);
}

BOOST_AUTO_TEST_CASE(without_a_common_product_the_wall_clocks_decide) {
  Trace enclave = two_tokens().trace;
  enclave.wall_origin = 1000 * kSecond;
  HandMade made;
  made.span(SpanKind::product, 77, 0, 10);
  made.trace.wall_origin = 1000 * kSecond + 50'000;
  const Trace all = merged({enclave, made.trace});
  BOOST_TEST(of_micro_batch(all, 77).at(SpanKind::product).front().when.begin == 50'000);
  BOOST_TEST(all.wall_origin == 1000 * kSecond);
}

BOOST_AUTO_TEST_CASE(shards_of_two_workers_are_different_products) {
  Trace enclave = two_tokens().trace;
  Trace other = workers_view(0);
  for (auto& span : other.spans) span.process = "gpu-b";
  const Trace all = merged({enclave, workers_view(0), other});
  BOOST_TEST(of_micro_batch(all, 1).at(SpanKind::product).size() == 2U);
  BOOST_TEST(of_micro_batch(all, 1).at(SpanKind::pack).size() == 2U);
}

BOOST_AUTO_TEST_CASE(stock_requests_and_what_did_not_fit_are_kept) {
  Trace enclave = two_tokens().trace;
  enclave.carried[1] = {0x11, 0x22};
  enclave.stock.push_back({5'000, 64, "enclave"});
  enclave.dropped_spans = 2;
  Trace worker = workers_view(0);
  worker.dropped_spans = 3;
  const Trace all = merged({enclave, worker});
  BOOST_TEST(all.dropped_spans == 5U);
  BOOST_TEST((all.carried.at(1) == std::vector<u64>{0x11, 0x22}));
  BOOST_TEST_REQUIRE(all.stock.size() == 1U);
  BOOST_TEST(all.stock[0].time == 5'000);
  BOOST_TEST(all.stock[0].process == "enclave");
  BOOST_TEST(merge({}).events.empty());
}

BOOST_AUTO_TEST_SUITE_END()

} // namespace talaria::telemetry
