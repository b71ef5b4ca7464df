// What is bounded stays bounded, on both ends.

#include <boost/test/unit_test.hpp>

#include "tests/transport/raw_worker.hpp"

using namespace talaria;
using namespace talaria::tests;

namespace {

/// A worker that keeps its requests until told to answer.
struct HoardingWorker {
  using Held = std::pair<std::shared_ptr<WorkerServer::Session>, u64>;
  std::mutex mutex;
  std::vector<Held> held;
  std::vector<Request> requests;
  std::atomic<std::size_t> arrived{0};
  WorkerServer server;

  explicit HoardingWorker(const ServerOptions& options)
      : server(worker_tls(), {"127.0.0.1", 0}, identity_of("hoarder"), options,
               {[this](std::shared_ptr<WorkerServer::Session> session, u64 id, Request request) {
                  const std::lock_guard lock(mutex);
                  held.emplace_back(std::move(session), id);
                  requests.push_back(std::move(request));
                  ++arrived;
                },
                {}}) {}
  Address address() const { return {"127.0.0.1", server.port()}; }
  void answer_all() {
    const std::lock_guard lock(mutex);
    for (std::size_t i = 0; i < held.size(); ++i)
      held[i].first->reply(held[i].second, echo(requests[i]));
    held.clear();
    requests.clear();
  }
  bool wait_for(std::size_t n) const {
    const auto until = std::chrono::steady_clock::now() + kPatience;
    while (arrived < n && std::chrono::steady_clock::now() < until)
      std::this_thread::sleep_for(Milliseconds(1));
    return arrived >= n;
  }
};

} // namespace

BOOST_AUTO_TEST_SUITE(link_limits)

BOOST_AUTO_TEST_CASE(a_session_takes_in_no_more_than_it_may_and_loses_nothing) {
  ServerOptions options = patient_server();
  options.max_in_flight = 3;
  HoardingWorker worker(options);
  Inbox inbox;
  const auto link = link_to(worker.address(), inbox);
  for (u64 id = 0; id < 10; ++id) BOOST_TEST_REQUIRE(link->send(id, masked(1, 96, id)));
  BOOST_TEST_REQUIRE(worker.wait_for(3));
  std::this_thread::sleep_for(Milliseconds(100)); // a fourth would come now
  BOOST_TEST(worker.arrived == 3u);
  for (std::size_t expected : {6, 9, 10}) {
    worker.answer_all();
    BOOST_TEST_REQUIRE(worker.wait_for(expected));
  }
  worker.answer_all();
  for (u64 id = 0; id < 10; ++id)
    BOOST_TEST(std::get<remo::WorkerProduct>(inbox.take(id)).rows == 1u);
}

BOOST_AUTO_TEST_CASE(bytes_in_flight_are_bounded_but_one_request_always_fits) {
  ServerOptions options = patient_server();
  options.max_in_flight_bytes = 1000;
  HoardingWorker worker(options);
  Inbox inbox;
  const auto link = link_to(worker.address(), inbox);
  for (u64 id = 0; id < 3; ++id) BOOST_TEST_REQUIRE(link->send(id, masked(10, 96, id)));
  for (std::size_t n = 1; n <= 3; ++n) {
    BOOST_TEST_REQUIRE(worker.wait_for(n));
    BOOST_TEST(worker.arrived == n);
    worker.answer_all();
  }
  for (u64 id = 0; id < 3; ++id) inbox.take(id);
}

// However many links an enclave makes, and whatever it has under way, another has its own places.
BOOST_AUTO_TEST_CASE(all_links_of_one_enclave_share_its_places_and_leave_others_theirs) {
  ServerOptions options = patient_server();
  options.max_jobs_of_one = 3;
  HoardingWorker worker(options);
  Inbox inbox;
  Inbox second_inbox;
  const auto first = link_to(worker.address(), inbox);
  auto second = link_to(worker.address(), second_inbox);
  for (u64 id = 0; id < 4; ++id) {
    BOOST_TEST_REQUIRE(first->send(id, masked(1, 96, id)));
    BOOST_TEST_REQUIRE(second->send(id, masked(1, 96, id)));
  }
  BOOST_TEST_REQUIRE(worker.wait_for(3));
  std::this_thread::sleep_for(Milliseconds(100)); // a fourth would come now
  BOOST_TEST(worker.arrived == 3u);

  const TemporaryFolder folder; // the same authority, another key
  std::filesystem::copy_file(certificates().files("enclave").ca, folder.path() / "ca.pem");
  create_certificates(folder.path(), {"127.0.0.1"}, {.authority = certificates().folder.path()});
  const TlsContext other_tls(
      {folder.path() / "ca.pem", folder.path() / "enclave.pem", folder.path() / "enclave.key"},
      End::enclave);
  Inbox other_inbox;
  WorkerLink other(other_tls, worker.address(), "127.0.0.1", identity_of("enclave"), patient_link(),
                   other_inbox.events());
  for (u64 id = 0; id < 2; ++id) BOOST_TEST_REQUIRE(other.send(id, masked(1, 96, id)));
  BOOST_TEST_REQUIRE(worker.wait_for(5));

  const auto linked = worker.server.enclaves();
  BOOST_TEST_REQUIRE(linked.size() == 2u);
  const auto& crowded = linked[linked[0].sessions == 2 ? 0 : 1];
  const auto& alone = linked[linked[0].sessions == 2 ? 1 : 0];
  BOOST_TEST(crowded.sessions == 2u);
  BOOST_TEST(crowded.use.jobs == 3u);
  BOOST_TEST(crowded.use.held_back > 0u);
  BOOST_TEST(alone.sessions == 1u);
  BOOST_TEST(alone.use.jobs == 2u);
  BOOST_TEST((crowded.id != alone.id));

  second.reset(); // what it held is given back, and the first link goes on
  const std::jthread answers([&worker](const std::stop_token& stop) {
    for (; !stop.stop_requested(); std::this_thread::sleep_for(Milliseconds(1)))
      worker.answer_all();
  });
  for (u64 id = 0; id < 4; ++id)
    BOOST_TEST(std::get<remo::WorkerProduct>(inbox.take(id)).rows == 1u);
}

BOOST_AUTO_TEST_CASE(an_enclave_has_so_many_links_and_no_more) {
  ServerOptions options = patient_server();
  options.max_sessions_of_one = 2;
  EchoWorker worker(options);
  Inbox inbox;
  const auto first = link_to(worker.address(), inbox);
  const auto second = link_to(worker.address(), inbox);
  BOOST_CHECK_EXCEPTION(link_to(worker.address(), inbox), Error, [](const Error& error) {
    return std::string(error.what()).find("linked 2 times already") != std::string::npos;
  });
}

BOOST_AUTO_TEST_CASE(a_full_queue_refuses_without_blocking) {
  ServerOptions server_options = patient_server();
  server_options.max_in_flight = 1;
  HoardingWorker worker(server_options);
  Inbox inbox;
  LinkOptions options = patient_link();
  options.max_queued_bytes = 4 << 20;
  const auto link = link_to(worker.address(), inbox, options);
  const auto tensor = masked(2000, 96, 1); // 1.1 MiB; the sockets hold a few
  u64 id = 0;
  while (id < 1000 && link->send(id, tensor)) ++id;
  BOOST_TEST(id >= 3u);
  BOOST_TEST(id < 1000u);
  BOOST_TEST(inbox.losses() == 0u);
  for (u64 answered = 0; answered < id; ++answered) {
    BOOST_TEST_REQUIRE(worker.wait_for(answered + 1));
    worker.answer_all();
    inbox.take(answered);
  }
  BOOST_TEST(link->send(id, tensor));
}

BOOST_AUTO_TEST_CASE(requests_in_flight_are_bounded) {
  HoardingWorker worker(patient_server());
  Inbox inbox;
  LinkOptions options = patient_link();
  options.max_in_flight = 2;
  const auto link = link_to(worker.address(), inbox, options);
  BOOST_TEST(link->send(1, remo::HintRequest{kMatrix, 0, 1}));
  BOOST_TEST(link->send(2, remo::HintRequest{kMatrix, 0, 1}));
  BOOST_TEST(!link->send(3, remo::HintRequest{kMatrix, 0, 1}));
  BOOST_TEST_REQUIRE(worker.wait_for(2));
  worker.answer_all();
  inbox.take(1);
  inbox.take(2);
  BOOST_TEST(link->send(3, remo::HintRequest{kMatrix, 0, 1}));
}

BOOST_AUTO_TEST_CASE(what_cannot_be_right_is_refused_before_it_is_sent) {
  EchoWorker worker;
  Inbox inbox;
  LinkOptions options = patient_link();
  options.max_frame_bytes = 100'000;
  const auto link = link_to(worker.address(), inbox, options);
  remo::MaskedTensor torn = masked(4, 96, 1);
  torn.rows = 5;
  for (const Request& wrong : {Request(torn), Request(masked(200, 96, 1))})
    BOOST_TEST((error_of([&] { link->send(1, wrong); }).code() == Errc::internal));
  BOOST_TEST(link->send(1, masked(4, 96, 1)));
  inbox.take(1);
}

BOOST_AUTO_TEST_CASE(an_id_in_flight_cannot_be_used_twice) {
  HoardingWorker worker(patient_server());
  Inbox inbox;
  const auto link = link_to(worker.address(), inbox);
  BOOST_TEST_REQUIRE(link->send(1, remo::HintRequest{kMatrix, 0, 1}));
  BOOST_TEST((error_of([&] {
                link->send(1, remo::HintRequest{kMatrix, 0, 1});
              }).code() == Errc::internal));
}

BOOST_AUTO_TEST_CASE(replies_to_a_session_that_is_gone_are_dropped) {
  HoardingWorker::Held held;
  {
    HoardingWorker worker(patient_server());
    {
      Inbox inbox;
      const auto link = link_to(worker.address(), inbox);
      BOOST_TEST_REQUIRE(link->send(1, masked(2, 96, 1)));
      BOOST_TEST_REQUIRE(worker.wait_for(1));
    }
    held = worker.held.at(0);
    held.first->reply(held.second, echo(masked(2, 96, 1)));
  }
  held.first->reply(held.second, echo(masked(2, 96, 1))); // the server is gone, too
  BOOST_TEST(contains(held.first->peer(), "talaria-enclave (127.0.0.1:"));
}

BOOST_AUTO_TEST_CASE(a_slow_enclave_does_not_hold_up_another) {
  ServerOptions options = patient_server();
  options.max_in_flight = 2;
  HoardingWorker worker(options);
  Inbox slow_inbox;
  Inbox quick_inbox;
  const auto slow = link_to(worker.address(), slow_inbox);
  for (u64 id = 0; id < 5; ++id) slow->send(id, masked(1, 96, id)); // fills its bound
  BOOST_TEST_REQUIRE(worker.wait_for(2));
  const auto quick = link_to(worker.address(), quick_inbox);
  BOOST_TEST_REQUIRE(quick->send(1, masked(3, 96, 1)));
  BOOST_TEST_REQUIRE(worker.wait_for(3));
  worker.answer_all();
  BOOST_TEST(std::get<remo::WorkerProduct>(quick_inbox.take(1)).rows == 3u);
}

BOOST_AUTO_TEST_SUITE_END()
