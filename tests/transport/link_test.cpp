// Honest ends over loopback TLS: everything arrives as it was sent.

#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <cstring>

#include "tests/transport/link_fixture.hpp"

using namespace talaria;
using namespace talaria::tests;

namespace {

void check_equal_bytes(const remo::SharedBytes& got, const remo::SharedBytes& sent) {
  BOOST_REQUIRE(got != nullptr);
  BOOST_REQUIRE_EQUAL(got->size(), sent->size());
  BOOST_TEST((sent->empty() || std::memcmp(got->data(), sent->data(), sent->size()) == 0));
}

void check_echo(const Reply& reply, const remo::MaskedTensor& sent) {
  const auto& product = std::get<remo::WorkerProduct>(reply);
  BOOST_TEST(product.matrix == sent.matrix);
  BOOST_TEST((product.kind == sent.kind));
  BOOST_TEST(product.rows == sent.rows);
  BOOST_TEST(product.cols == sent.cols);
  BOOST_TEST(product.answered_by.empty());
  check_equal_bytes(product.bytes, sent.bytes);
}

// cols up to kColumns: the link bounds an answer by what the worker holds
const std::pair<u32, u32> kShapes[] = {{0, 0},    {0, 96},    {1, 1},     {1, 3},    {7, 13},
                                       {3, 160},  {64, 96},   {683, 3},   {2731, 1}, {12, 159},
                                       {13, 157}, {256, 160}, {4099, 160}};

} // namespace

std::ostream& operator<<(std::ostream& out, const std::pair<u32, u32>& shape) {
  return out << shape.first << " x " << shape.second;
}

BOOST_AUTO_TEST_SUITE(worker_link)

BOOST_AUTO_TEST_CASE(tensors_of_awkward_shapes_come_back_unchanged) {
  EchoWorker worker;
  Inbox inbox;
  const auto link = link_to(worker.address(), inbox);
  u64 id = 0;
  for (const auto kind : {remo::ProductKind::residues, remo::ProductKind::float32})
    for (const auto& [rows, cols] : kShapes) {
      BOOST_TEST_CONTEXT(rows << " x " << cols << " " << remo::to_string(kind)) {
        const auto tensor = masked(rows, cols, ++id, kind);
        BOOST_TEST_REQUIRE(link->send(id, tensor));
        check_echo(inbox.take(id), tensor);
      }
    }
}

BOOST_AUTO_TEST_CASE(hints_weights_and_switched_products_are_answered) {
  EchoWorker worker;
  Inbox inbox;
  const auto link = link_to(worker.address(), inbox);
  BOOST_TEST_REQUIRE(link->send(1, remo::HintRequest{kMatrix, 5, 11}));
  BOOST_TEST_REQUIRE(link->send(2, remo::WeightRequest{kMatrix, 1, 2}));
  const Reply hint = inbox.take(1);
  const auto& rows = std::get<remo::WorkerProduct>(hint);
  BOOST_TEST(rows.rows == 11);
  check_equal_bytes(rows.bytes, random_bytes(11 * kColumns * 6, 5));
  const Reply panels = inbox.take(2);
  const auto& run = std::get<remo::WeightPanels>(panels);
  BOOST_TEST(run.matrix == kMatrix);
  BOOST_TEST(run.first == 1);
  BOOST_TEST(run.count == 2);
  check_equal_bytes(run.bytes, random_bytes(2 * kInputs / 4 * 256, 1));
}

BOOST_AUTO_TEST_CASE(a_switched_request_has_residues_and_its_reply_four_bytes) {
  WorkerServer server(
      worker_tls(), {"127.0.0.1", 0}, identity_of("switching"), patient_server(),
      {[](std::shared_ptr<WorkerServer::Session> session, u64 id, const Request& request) {
         const auto& t = std::get<remo::MaskedTensor>(request);
         session->reply(id,
                        remo::WorkerProduct{
                            t.matrix, t.kind, t.rows, 10, random_bytes(t.rows * 10 * 4, 77), {}});
       },
       {}});
  Inbox inbox;
  const auto link = link_to({"127.0.0.1", server.port()}, inbox);
  BOOST_TEST_REQUIRE(link->send(1, masked(5, 96, 1, remo::ProductKind::switched)));
  const Reply reply = inbox.take(1);
  check_equal_bytes(std::get<remo::WorkerProduct>(reply).bytes, random_bytes(200, 77));
}

BOOST_AUTO_TEST_CASE(a_tensor_of_200_MiB_passes) {
  EchoWorker worker;
  Inbox inbox;
  const auto link = link_to(worker.address(), inbox);
  const auto tensor = masked(200 * 1024 * 1024 / 960, 160, 3);
  BOOST_TEST_REQUIRE(tensor.bytes->size() > std::size_t{199} << 20);
  BOOST_TEST_REQUIRE(link->send(1, tensor));
  check_echo(inbox.take(1), tensor);
}

BOOST_AUTO_TEST_CASE(many_requests_of_several_links_find_their_way_back) {
  constexpr u64 kEach = 100;
  EchoWorker worker;
  std::vector<std::thread> enclaves;
  std::atomic<u64> right{0};
  for (u64 e = 0; e < 4; ++e)
    enclaves.emplace_back([&, e] {
      Inbox inbox;
      const auto link = link_to(worker.address(), inbox);
      const auto size = [e](u64 i) { return static_cast<u32>(1 + (i * 37 + e) % 300); };
      for (u64 i = 0; i < kEach; ++i)
        if (!link->send(i, masked(size(i), 96, e * kEach + i))) return;
      for (u64 i = 0; i < kEach; ++i) {
        const Reply reply = inbox.take(i);
        const auto& product = std::get<remo::WorkerProduct>(reply);
        const auto sent = masked(size(i), 96, e * kEach + i);
        right += product.bytes->size() == sent.bytes->size() &&
                 std::equal(sent.bytes->begin(), sent.bytes->end(), product.bytes->begin());
      }
    });
  for (auto& enclave : enclaves) enclave.join();
  BOOST_TEST(right == 4 * kEach);
}

BOOST_AUTO_TEST_CASE(errors_of_the_worker_are_one_code_and_a_line) {
  WorkerServer server(worker_tls(), {"127.0.0.1", 0}, identity_of("unwilling"), patient_server(),
                      {[](std::shared_ptr<WorkerServer::Session>, u64 id, const Request&) {
                         if (id == 2) throw std::runtime_error("out of luck");
                         throw Error(Errc::usage, "matrix 9 is not here\n\x1b[31m");
                       },
                       {}});
  Inbox inbox;
  const auto link = link_to({"127.0.0.1", server.port()}, inbox);
  BOOST_TEST_REQUIRE(link->send(1, remo::HintRequest{9, 0, 1}));
  BOOST_TEST_REQUIRE(link->send(2, remo::HintRequest{9, 0, 1}));
  const Reply first = inbox.take(1);
  BOOST_TEST((std::get<Error>(first).code() == Errc::no_worker));
  BOOST_TEST(std::string(std::get<Error>(first).what()) == "usage: matrix 9 is not here??[31m");
  const Reply second = inbox.take(2);
  BOOST_TEST((std::get<Error>(second).code() == Errc::no_worker));
  BOOST_TEST(std::string(std::get<Error>(second).what()) == "internal: out of luck");
}

BOOST_AUTO_TEST_CASE(the_peer_and_the_figures_are_told) {
  EchoWorker worker;
  Inbox inbox;
  LinkOptions options = patient_link();
  options.heartbeat = Milliseconds(5);
  const auto link = link_to(worker.address(), inbox, options);
  BOOST_TEST(link->peer().name == "echo");
  BOOST_TEST(link->peer().matrices.size() == 1u);
  const auto before = link->figures();
  const auto tensor = masked(1000, 96, 1);
  BOOST_TEST_REQUIRE(link->send(1, tensor));
  inbox.take(1);
  const auto until = std::chrono::steady_clock::now() + kPatience;
  auto after = link->figures();
  const auto told = [&] { // bytes are counted when they are out, by which time the answer may be in
    after = link->figures();
    return after.round_trip_ms > 0 && after.bytes_up - before.bytes_up > tensor.bytes->size();
  };
  while (!told() && std::chrono::steady_clock::now() < until)
    std::this_thread::sleep_for(Milliseconds(1));
  BOOST_TEST(after.bytes_up - before.bytes_up > tensor.bytes->size());
  BOOST_TEST(after.bytes_down - before.bytes_down > tensor.bytes->size());
  BOOST_TEST(after.round_trip_ms > 0);
  BOOST_TEST(std::abs(after.clock_offset_ms) <= after.round_trip_ms); // one clock, in truth
}

BOOST_AUTO_TEST_CASE(keys_change_in_the_middle_of_the_stream) {
  const TlsContext worker_side(certificates().files("127.0.0.1"), End::worker, 50'000);
  const TlsContext enclave_side(certificates().files("enclave"), End::enclave, 70'000);
  EchoWorker worker(patient_server(), identity_of("echo"), {"127.0.0.1", 0}, worker_side);
  Inbox inbox;
  WorkerLink link(enclave_side, worker.address(), "127.0.0.1", identity_of("enclave"),
                  patient_link(), inbox.events());
  for (u64 id = 0; id < 50; ++id) {
    const auto tensor = masked(100 + static_cast<u32>(id), 96, id);
    BOOST_TEST_REQUIRE(link.send(id, tensor));
    check_echo(inbox.take(id), tensor);
  }
}

BOOST_AUTO_TEST_CASE(workers_are_reached_by_name_and_over_ipv6) {
  const std::pair<std::string, std::string> kinds[] = {{"localhost", "localhost"}, {"::1", "::1"}};
  for (const auto& [host, name] : kinds) {
    BOOST_TEST_CONTEXT(host) {
      std::unique_ptr<EchoWorker> worker;
      try {
        worker = std::make_unique<EchoWorker>(patient_server(), identity_of("echo"),
                                              Address{host, 0}, worker_tls(name));
      } catch (const Error& error) {
        BOOST_TEST_MESSAGE("this machine has no " << host << ": " << error.what());
        continue;
      }
      Inbox inbox;
      WorkerLink link(enclave_tls(), {host, worker->server.port()}, name, identity_of("enclave"),
                      patient_link(), inbox.events());
      const auto tensor = masked(2, 96, 1);
      BOOST_TEST_REQUIRE(link.send(1, tensor));
      check_echo(inbox.take(1), tensor);
    }
  }
}

BOOST_AUTO_TEST_CASE(a_worker_on_every_address_is_reached_over_ipv4) {
  std::unique_ptr<EchoWorker> worker;
  try {
    worker = std::make_unique<EchoWorker>(patient_server(), identity_of("echo"), Address{"::", 0});
  } catch (const Error&) { // no IPv6 here
    worker =
        std::make_unique<EchoWorker>(patient_server(), identity_of("echo"), Address{"0.0.0.0", 0});
  }
  Inbox inbox;
  const auto link = link_to(worker->address(), inbox);
  BOOST_TEST(link->peer().name == "echo");
}

BOOST_AUTO_TEST_CASE(links_come_and_go_and_leave_nothing) {
  EchoWorker worker;
  for (int i = 0; i < 20; ++i) {
    Inbox inbox;
    const auto link = link_to(worker.address(), inbox);
    BOOST_TEST_REQUIRE(link->send(1, masked(50, 96, 1)));
  }
  BOOST_TEST(worker.log.wait("unlinked", 20), worker.log.all());
  BOOST_TEST(worker.server.sessions() == 0u);
  BOOST_TEST(worker.log.count("refused") == 0u, worker.log.all());
}

BOOST_AUTO_TEST_SUITE_END()
