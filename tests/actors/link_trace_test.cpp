#include "actors/cluster/link_trace.hpp"

#include <boost/test/unit_test.hpp>
#include <fstream>
#include <map>

#include "telemetry/trace_file.hpp"
#include "tests/support/temporary_folder.hpp"

namespace talaria::cluster {

namespace {

using namespace std::chrono_literals;
using telemetry::SpanKind;
using telemetry::Tracer;

remo::SharedBytes bytes(std::size_t count) {
  return std::make_shared<const AlignedBuffer<u8>>(AlignedBuffer<u8>(count));
}

/// What is drawn of one product that was under way for 10 ms; `tell` fills in the worker's words,
/// given our wall clock when it was sent.
template <class Tell>
std::map<SpanKind, telemetry::TraceSpan> drawn(u64 micro_batch, double offset_ms, Tell&& tell) {
  const tests::TemporaryFolder folder;
  const auto path = folder.path() / "trace.json";
  {
    Tracer tracer(path);
    const LinkTrace link(&tracer, "gpu-a");
    remo::MaskedTensor tensor;
    tensor.matrix = 3;
    tensor.rows = 2;
    tensor.bytes = bytes(120);
    tensor.mark = {0x77, micro_batch};
    remo::WorkerProduct product;
    product.bytes = bytes(80);
    const auto arrived = Tracer::Clock::now();
    const auto sent = arrived - 10ms;
    product.timing = tell(tracer.wall_of(sent));
    tensor.received = tracer.wall_of(sent - 3ms);
    link.record(tensor, product, {sent - 1ms, sent, arrived}, offset_ms);
    const auto other = tracer.track("enclave", "norm");
    tracer.record(other, SpanKind::norm, sent, sent, {}); // a trace of nothing is refused
  }
  std::ifstream in(path);
  std::map<SpanKind, telemetry::TraceSpan> spans;
  for (const auto& span : telemetry::read_trace(in, path.string()).spans)
    BOOST_TEST(spans.emplace(span.kind, span).second);
  return spans;
}

} // namespace

BOOST_AUTO_TEST_SUITE(link_trace)

BOOST_AUTO_TEST_CASE(the_way_of_a_product_is_drawn_without_a_gap_at_the_worker) {
  constexpr i64 kAhead = 3'600'000'000'000; // the worker's clock is an hour fast
  const auto spans = drawn(5, 3'600'000.0, [](i64 sent) {
    return remo::ProductTiming{sent + kAhead + 2'000'000, sent + kAhead + 3'000'000,
                               sent + kAhead + 7'000'000, 12};
  });
  const auto& up = spans.at(SpanKind::wire_up);
  const auto& queue = spans.at(SpanKind::queue);
  const auto& product = spans.at(SpanKind::product);
  const auto& down = spans.at(SpanKind::wire_down);
  const auto near = [](i64 a, i64 b) { return std::abs(a - b) <= 2'000; };
  BOOST_TEST(near(up.when.end - up.when.begin, 2'000'000));
  BOOST_TEST(near(up.when.end, queue.when.begin));
  BOOST_TEST(near(queue.when.end, product.when.begin));
  BOOST_TEST(near(product.when.end - product.when.begin, 4'000'000));
  BOOST_TEST(near(product.when.end, down.when.begin));
  BOOST_TEST(down.when.end - up.when.begin >= 9'999'000);
  BOOST_TEST(product.process == "gpu-a");
  BOOST_TEST(product.labels.trace == 0x77U);
  BOOST_TEST(product.labels.micro_batch == 5U);
  BOOST_TEST(product.labels.joined_rows == 12U);
  BOOST_TEST(product.labels.bytes_up == 120U);
  BOOST_TEST(product.labels.bytes_down == 80U);
  BOOST_TEST(up.labels.bytes_up + down.labels.bytes_down == 0U); // counted once
}

BOOST_AUTO_TEST_CASE(what_the_link_does_itself_is_drawn_at_the_enclave) {
  const auto spans = drawn(5, 0, [](i64 sent) {
    return remo::ProductTiming{sent + 2'000'000, sent + 3'000'000, sent + 7'000'000, 12};
  });
  const auto near = [](i64 a, i64 b) { return std::abs(a - b) <= 2'000; };
  const auto& mailbox = spans.at(SpanKind::mailbox); // since the mask stage let go of it
  const auto& pack = spans.at(SpanKind::pack);
  const auto& unpack = spans.at(SpanKind::unpack);
  BOOST_TEST(pack.process == "enclave");
  BOOST_TEST(pack.thread == "link gpu-a");
  BOOST_TEST(mailbox.thread == "link gpu-a");
  BOOST_TEST(near(mailbox.when.end - mailbox.when.begin, 2'000'000));
  BOOST_TEST(near(pack.when.end - pack.when.begin, 1'000'000));
  BOOST_TEST(near(pack.when.end, spans.at(SpanKind::wire_up).when.begin));
  BOOST_TEST(near(unpack.when.begin, spans.at(SpanKind::wire_down).when.end));
  BOOST_TEST(pack.labels.micro_batch == 5U);
  BOOST_TEST(pack.labels.bytes_up == 0U);
}

BOOST_AUTO_TEST_CASE(of_a_worker_that_does_not_say_only_its_absence_is_drawn) {
  const auto spans = drawn(5, 0, [](i64) { return remo::ProductTiming{}; });
  BOOST_TEST(spans.size() == 5U); // mailbox, pack, wire, unpack, and the other span
  const auto& away = spans.at(SpanKind::wire_up);
  BOOST_TEST(away.when.end - away.when.begin >= 9'999'000);
  BOOST_TEST(away.labels.bytes_up == 120U);
}

BOOST_AUTO_TEST_CASE(what_the_enclave_did_not_mark_is_not_drawn) {
  const auto spans = drawn(0, 0, [](i64 sent) {
    return remo::ProductTiming{sent, sent, sent + 1, 1};
  });
  BOOST_TEST(spans.size() == 1U);
}

BOOST_AUTO_TEST_CASE(a_worker_learns_of_requests_only_where_a_trace_is_written) {
  remo::MaskedTensor tensor;
  tensor.matrix = 3;
  tensor.mark = {0x77, 5};
  const tests::TemporaryFolder folder;
  Tracer written(folder.path() / "trace.json");
  Tracer added_up({});
  written.record(written.track("enclave", "norm"), SpanKind::norm, {}, {}, {});
  const auto told = LinkTrace(&written, "gpu-a").as_sent(tensor);
  BOOST_TEST(told.mark.id == 0x77U);
  BOOST_TEST(told.mark.micro_batch == 5U);
  for (Tracer* tracer : {&added_up, static_cast<Tracer*>(nullptr)}) {
    const auto hidden = LinkTrace(tracer, "gpu-a").as_sent(tensor);
    BOOST_TEST(hidden.mark.id == 0U);
    BOOST_TEST(hidden.mark.micro_batch == 0U);
    BOOST_TEST(hidden.matrix == 3U);
  }
}

BOOST_AUTO_TEST_SUITE_END()

} // namespace talaria::cluster
