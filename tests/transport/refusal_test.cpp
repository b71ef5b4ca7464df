// Ends that cannot work together say why when they meet.

#include <boost/test/data/monomorphic.hpp>
#include <boost/test/data/test_case.hpp>
#include <boost/test/unit_test.hpp>

#include "tests/transport/raw_worker.hpp"

namespace bdata = boost::unit_test::data;
using namespace talaria;
using namespace talaria::tests;

namespace {

Error refusal_of(const Address& address, const Identity& wanted) {
  Inbox inbox;
  return error_of([&] { link_to(address, inbox, patient_link(), wanted); });
}

} // namespace

BOOST_AUTO_TEST_SUITE(refusals)

BOOST_AUTO_TEST_CASE(both_ends_name_the_field_in_which_they_differ) {
  EchoWorker worker;
  Identity wanted = identity_of("enclave");
  wanted.weights = "int16";
  const Error error = refusal_of(worker.address(), wanted);
  BOOST_TEST((error.code() == Errc::config));
  BOOST_TEST(contains(error.what(), "weights: this side int16, worker echo int8"), error.what());
  BOOST_TEST(worker.log.wait("weights: enclave enclave int16, this side int8"), worker.log.all());
  BOOST_TEST(worker.log.count("refused") == 1u, worker.log.all());
  BOOST_TEST(worker.server.sessions() == 0u);
}

BOOST_AUTO_TEST_CASE(another_digest_of_a_matrix_is_refused) {
  EchoWorker worker;
  Identity wanted = identity_of("enclave");
  wanted.matrices[0].digest->at(0) ^= 1;
  const Error error = refusal_of(worker.address(), wanted);
  BOOST_TEST((error.code() == Errc::config));
  BOOST_TEST(contains(error.what(), "matrix 7: digest"), error.what());
}

BOOST_AUTO_TEST_CASE(the_enclave_compares_even_if_the_worker_does_not) {
  Identity other = identity_of("raw");
  other.parameters = "S40";
  RawWorker worker([](TlsChannel&, TlsChannel&, TlsChannel&) {}, other);
  const Error error = refusal_of(worker.address(), identity_of("enclave"));
  BOOST_TEST((error.code() == Errc::config));
  BOOST_TEST(contains(error.what(), "parameters: this side S48, worker raw S40"), error.what());
}

BOOST_AUTO_TEST_CASE(a_full_worker_says_so_and_frees_places_of_those_who_leave) {
  ServerOptions options = patient_server();
  options.max_sessions = 2;
  EchoWorker worker(options);
  Inbox inbox;
  auto first = link_to(worker.address(), inbox);
  const auto second = link_to(worker.address(), inbox);
  const Error error = refusal_of(worker.address(), identity_of("enclave"));
  BOOST_TEST((error.code() == Errc::no_worker));
  BOOST_TEST(contains(error.what(), "2 enclaves are linked already"), error.what());
  first.reset();
  BOOST_TEST_REQUIRE(worker.log.wait("unlinked"), worker.log.all());
  link_to(worker.address(), inbox);
}

BOOST_AUTO_TEST_CASE(nobody_listening_is_no_worker) {
  u16 port = 0;
  {
    const Socket gone = listen_on({"127.0.0.1", 0});
    port = local_port(gone);
  }
  const Error error = refusal_of({"127.0.0.1", port}, identity_of("enclave"));
  BOOST_TEST((error.code() == Errc::no_worker));
  BOOST_TEST(contains(error.what(), "refused"), error.what());
}

BOOST_AUTO_TEST_CASE(a_name_without_an_address_is_no_worker) {
  const Error error = refusal_of({"worker.invalid", 1}, identity_of("enclave"));
  BOOST_TEST((error.code() == Errc::no_worker));
  BOOST_TEST(contains(error.what(), "worker.invalid:1"), error.what());
}

BOOST_AUTO_TEST_CASE(a_port_in_use_cannot_be_listened_on) {
  EchoWorker worker;
  const Error error = error_of(
      [&] { EchoWorker second(patient_server(), identity_of("second"), worker.address()); });
  BOOST_TEST((error.code() == Errc::io));
}

BOOST_AUTO_TEST_CASE(a_listener_that_never_answers_costs_the_time_limit_and_no_more) {
  const Socket silent = listen_on({"127.0.0.1", 0}); // the kernel accepts, nobody reads
  Inbox inbox;
  LinkOptions options;
  options.connect_timeout = Milliseconds(200);
  const Error error = error_of([&] { link_to({"127.0.0.1", local_port(silent)}, inbox, options); });
  BOOST_TEST((error.code() == Errc::no_worker));
  BOOST_TEST(contains(error.what(), "no answer in time"), error.what());
}

BOOST_DATA_TEST_CASE(a_connection_without_its_session_is_refused, bdata::make({1, 2}), number) {
  const Role role = static_cast<Role>(number);
  EchoWorker worker;
  TlsChannel channel(enclave_tls(), connect_to(worker.address(), SteadyClock::now() + kPatience),
                     "127.0.0.1");
  channel.handshake();
  Hello hello;
  hello.role = role;
  write_frame(channel, encode(hello));
  const Hello answer = read_hello(channel);
  BOOST_TEST_REQUIRE(answer.refusal.has_value());
  BOOST_TEST(contains(answer.refusal->what(), "no such session"));
  BOOST_TEST(worker.log.wait("no such session"), worker.log.all());
}

BOOST_AUTO_TEST_CASE(a_session_cannot_be_joined_with_another_certificate_or_twice) {
  // A second enclave of the same authority, which has learned the session id somehow.
  const TemporaryFolder other;
  for (const char* name : {"ca.pem", "ca.key"})
    std::filesystem::copy(certificates().folder.path() / name, other.path() / name);
  create_certificates(other.path(), {}, {.authority = other.path()});
  const TlsContext second(
      {other.path() / "ca.pem", other.path() / "enclave.pem", other.path() / "enclave.key"},
      End::enclave);
  EchoWorker worker;
  const auto hello_as = [&](const TlsContext& tls, Role role) {
    auto channel = std::make_unique<TlsChannel>(
        tls, connect_to(worker.address(), SteadyClock::now() + kPatience), "127.0.0.1");
    channel->handshake();
    Hello hello;
    hello.role = role;
    hello.session.fill(42);
    if (role == Role::control) hello.identity = identity_of("first");
    write_frame(*channel, encode(hello));
    Hello answer = read_hello(*channel);
    return std::make_pair(std::move(channel), std::move(answer));
  };
  const auto control = hello_as(enclave_tls(), Role::control);
  BOOST_TEST_REQUIRE(!control.second.refusal.has_value());
  const auto thief = hello_as(second, Role::down);
  BOOST_TEST_REQUIRE(thief.second.refusal.has_value());
  BOOST_TEST(contains(thief.second.refusal->what(), "another certificate"));
  const auto up = hello_as(enclave_tls(), Role::up);
  BOOST_TEST(!up.second.refusal.has_value());
  const auto again = hello_as(enclave_tls(), Role::up);
  BOOST_TEST_REQUIRE(again.second.refusal.has_value());
  BOOST_TEST(contains(again.second.refusal->what(), "already"));
  const auto imitator = hello_as(enclave_tls(), Role::control);
  BOOST_TEST_REQUIRE(imitator.second.refusal.has_value());
  BOOST_TEST(contains(imitator.second.refusal->what(), "in use"));
}

BOOST_AUTO_TEST_CASE(a_session_whose_connections_do_not_come_is_ended) {
  ServerOptions options = patient_server();
  options.handshake_timeout = Milliseconds(3000);
  EchoWorker worker(options);
  TlsChannel channel(enclave_tls(), connect_to(worker.address(), SteadyClock::now() + kPatience),
                     "127.0.0.1");
  channel.handshake();
  Hello hello;
  hello.identity = identity_of("slow");
  write_frame(channel, encode(hello));
  BOOST_TEST(!read_hello(channel).refusal.has_value());
  BOOST_TEST(worker.log.wait("unlinked: its other connections did not come"), worker.log.all());
  BOOST_TEST(worker.server.sessions() == 0u);
}

BOOST_AUTO_TEST_CASE(a_silent_enclave_is_let_go) {
  ServerOptions options = patient_server();
  options.silence = Milliseconds(3000); // the first beat has to be in by then
  EchoWorker worker(options);
  Inbox inbox;
  LinkOptions silent = patient_link();
  silent.heartbeat = kPatience; // says nothing after its first beat
  const auto link = link_to(worker.address(), inbox, silent);
  BOOST_TEST(worker.log.wait("silent for more than 3000 ms"), worker.log.all());
  BOOST_TEST((inbox.loss().code() == Errc::no_worker));
}

BOOST_AUTO_TEST_SUITE_END()
