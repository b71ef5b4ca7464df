// A worker that dies, hangs or lies on the wire is lost once, for a reason that says what happened.

#include <boost/test/unit_test.hpp>

#include <cstring>

#include "tests/transport/raw_worker.hpp"

using namespace talaria;
using namespace talaria::tests;

namespace {

const WireFormat kFormat = wire_format(identity_of(""));

/// Reads one request and returns its id.
u64 take_request(TlsChannel& up) {
  FrameReader reader(up, std::size_t{1} << 30);
  const auto head = reader.next();
  const u64 id = decode_request(head.bytes, head.payload_bytes, kFormat).first;
  reader.payload();
  return id;
}

/// Sends one request to a worker with this script; returns why the link is lost.
Error loss_with(const RawWorker::Script& script) {
  RawWorker worker(script);
  Inbox inbox;
  const auto link = link_to(worker.address(), inbox);
  link->send(1, masked(2, 96, 1));
  const Error error = inbox.loss();
  BOOST_TEST_REQUIRE(link->loss().has_value());
  BOOST_TEST((link->loss()->code() == error.code()));
  BOOST_TEST(std::string(link->loss()->what()) == error.what());
  BOOST_TEST(!link->send(2, masked(2, 96, 1)), "a lost link takes requests");
  BOOST_TEST(inbox.losses() == 1u);
  BOOST_TEST(contains(error.what(), "worker raw (127.0.0.1:"), error.what());
  return error;
}

/// The frame of an honest reply to `id`, to be damaged.
OutFrame reply_frame(u64 id, u32 rows = 2) {
  return encode(id, Reply(std::get<remo::WorkerProduct>(echo(masked(rows, 96, 1)))), kFormat);
}

} // namespace

BOOST_AUTO_TEST_SUITE(link_loss)

BOOST_AUTO_TEST_CASE(a_worker_that_vanishes_with_a_request_is_lost_at_once) {
  const Error error = loss_with([](TlsChannel&, TlsChannel& up, TlsChannel&) { take_request(up); });
  BOOST_TEST((error.code() == Errc::no_worker));
}

BOOST_AUTO_TEST_CASE(a_server_that_stops_takes_its_links_with_it) {
  auto worker = std::make_unique<EchoWorker>();
  Inbox inbox;
  const auto link = link_to(worker->address(), inbox);
  worker.reset();
  BOOST_TEST((inbox.loss().code() == Errc::no_worker));
}

BOOST_AUTO_TEST_CASE(a_frozen_worker_is_lost_for_its_silence) {
  std::promise<void> over;
  RawWorker worker([&](TlsChannel&, TlsChannel&, TlsChannel&) { over.get_future().wait(); });
  Inbox inbox;
  LinkOptions options = patient_link();
  options.heartbeat = Milliseconds(20);
  options.silence = Milliseconds(300);
  const auto link = link_to(worker.address(), inbox, options);
  const Error error = inbox.loss();
  over.set_value();
  BOOST_TEST((error.code() == Errc::no_worker));
  BOOST_TEST(contains(error.what(), "silent for more than 300 ms"), error.what());
}

BOOST_AUTO_TEST_CASE(bytes_of_a_long_answer_count_as_life) {
  // The control connection says nothing, but one answer trickles in for longer than the silence.
  RawWorker worker([](TlsChannel&, TlsChannel& up, TlsChannel& down) {
    const OutFrame frame = reply_frame(take_request(up), 100);
    std::vector<u8> bytes = frame.start;
    if (frame.payload) bytes.insert(bytes.end(), frame.payload->begin(), frame.payload->end());
    const std::size_t step = bytes.size() / 40 + 1;
    for (std::size_t at = 0; at < bytes.size(); at += step) {
      down.write(std::span(bytes).subspan(at, std::min(step, bytes.size() - at)));
      std::this_thread::sleep_for(Milliseconds(50));
    }
    take_request(up); // waits until the enclave leaves
  });
  Inbox inbox;
  LinkOptions options = patient_link();
  options.silence = Milliseconds(1500); // 30 of the 40 pieces
  const auto link = link_to(worker.address(), inbox, options);
  BOOST_TEST_REQUIRE(link->send(1, masked(100, 96, 1)));
  BOOST_TEST(std::get<remo::WorkerProduct>(inbox.take(1)).rows == 100u);
}

BOOST_AUTO_TEST_CASE(an_answer_that_nobody_asked_for_ends_the_link) {
  const Error error = loss_with([](TlsChannel&, TlsChannel& up, TlsChannel& down) {
    write_frame(down, reply_frame(take_request(up) + 1));
    take_request(up); // waits until the enclave leaves
  });
  BOOST_TEST((error.code() == Errc::verification));
  BOOST_TEST(contains(error.what(), "request 2, which is not open"), error.what());
}

BOOST_AUTO_TEST_CASE(a_second_answer_ends_the_link) {
  const Error error = loss_with([](TlsChannel&, TlsChannel& up, TlsChannel& down) {
    const u64 id = take_request(up);
    write_frame(down, reply_frame(id));
    write_frame(down, reply_frame(id));
    take_request(up);
  });
  BOOST_TEST((error.code() == Errc::verification));
}

BOOST_AUTO_TEST_CASE(more_bytes_than_an_answer_can_need_are_not_received) {
  const Error error = loss_with([](TlsChannel&, TlsChannel& up, TlsChannel& down) {
    write_frame(down, reply_frame(take_request(up), 4)); // 4 x 96 for 2 x 160 fits no honest answer
    take_request(up);
  });
  BOOST_TEST((error.code() == Errc::verification));
  BOOST_TEST(contains(error.what(), "expected at most"), error.what());
}

BOOST_AUTO_TEST_CASE(an_announcement_of_2_to_the_60_bytes_is_refused) {
  const Error error = loss_with([](TlsChannel&, TlsChannel& up, TlsChannel& down) {
    OutFrame frame = reply_frame(take_request(up));
    const u64 announced = u64{1} << 60;
    std::memcpy(frame.start.data() + 8, &announced, 8);
    write_frame(down, frame);
    take_request(up);
  });
  BOOST_TEST((error.code() == Errc::verification));
  BOOST_TEST(contains(error.what(), "1152921504606846976 bytes announced"), error.what());
}

BOOST_AUTO_TEST_CASE(garbage_inside_tls_ends_the_link) {
  const Error error = loss_with([](TlsChannel&, TlsChannel& up, TlsChannel& down) {
    take_request(up);
    down.write(random_bytes(4096, 5)->span());
    take_request(up);
  });
  BOOST_TEST((error.code() == Errc::verification));
}

BOOST_AUTO_TEST_CASE(a_beat_that_was_not_sent_cannot_be_answered) {
  const Error error = loss_with([](TlsChannel& control, TlsChannel& up, TlsChannel&) {
    take_request(up);
    write_frame(control, encode(Beat{12345, 0, true}));
    take_request(up);
  });
  BOOST_TEST((error.code() == Errc::verification));
}

BOOST_AUTO_TEST_CASE(fewer_rows_and_other_matrices_are_for_the_caller_to_judge) {
  RawWorker worker([](TlsChannel&, TlsChannel& up, TlsChannel& down) {
    auto product = std::get<remo::WorkerProduct>(echo(masked(1, 96, 1)));
    product.matrix = 99;
    write_frame(down, encode(take_request(up), Reply(product), kFormat));
    take_request(up);
  });
  Inbox inbox;
  const auto link = link_to(worker.address(), inbox);
  BOOST_TEST_REQUIRE(link->send(1, masked(2, 96, 1)));
  const Reply reply = inbox.take(1);
  BOOST_TEST(std::get<remo::WorkerProduct>(reply).matrix == 99u);
  BOOST_TEST(std::get<remo::WorkerProduct>(reply).rows == 1u);
}

BOOST_AUTO_TEST_CASE(a_link_that_is_destroyed_is_not_lost) {
  EchoWorker worker;
  Inbox inbox;
  for (int i = 0; i < 5; ++i) {
    const auto link = link_to(worker.address(), inbox);
    BOOST_TEST_REQUIRE(link->send(1, masked(500, 96, 1)));
  }
  BOOST_TEST(worker.log.wait("unlinked", 5), worker.log.all());
  BOOST_TEST(inbox.losses() == 0u);
}

BOOST_AUTO_TEST_SUITE_END()
