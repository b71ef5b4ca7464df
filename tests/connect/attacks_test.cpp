// Somebody else in the place of the enclave. Whatever he shows, he gets a nonce and no byte more.
#include <openssl/err.h>
#include <openssl/ssl.h>

#include <boost/test/unit_test.hpp>
#include <type_traits>

#include "connect/proxy.hpp"
#include "tests/connect/raw_tls.hpp"
#include "tests/connect/toy_enclave.hpp"
#include "tests/gateway/raw_client.hpp"

using namespace talaria;
using namespace talaria::tests;
using gateway::HttpResponse;

namespace {

/// Nothing but a verified channel can send; and nothing but a verdict makes one.
template <class T>
concept CanSend = requires(T& t, connect::OutgoingRequest r, connect::Patience p) {
  t.send(r, p);
};
static_assert(CanSend<connect::VerifiedChannel>);
static_assert(!CanSend<connect::UnverifiedConnection> && !CanSend<connect::Wire>);
template <class T>
concept CanWrite = requires(T& t, std::string_view s, connect::Patience p) {
  t.write(s, p);
};
static_assert(!CanWrite<connect::Wire> && !CanWrite<connect::UnverifiedConnection>);
static_assert(
    !std::is_constructible_v<connect::VerifiedChannel, std::unique_ptr<connect::Wire>, std::string,
                             std::shared_ptr<const connect::Trust>, attest::Verdict>);
static_assert(!std::is_copy_constructible_v<connect::VerifiedChannel> &&
              !std::is_default_constructible_v<connect::VerifiedChannel>);

void answer(HttpResponse& response, const attest::EvidenceDocument& document) {
  response.set_content(to_json(document), "application/json");
}

struct Outcome {
  int status = 0;
  std::string code;
  std::string reason;
  std::string answer; ///< what a client of the proxy got
};

/// What a proxy makes of whoever is at `address`, and of a request that its client sends.
Outcome outcome(const connect::ServerAddress& address, std::shared_ptr<const connect::Trust> trust,
                bool allowed_to_stop = false) {
  connect::ProxyOptions options;
  options.pool.server = address;
  options.pool.first_wait = std::chrono::hours(1); // no second attempt
  options.listen.port = 0;
  connect::Proxy proxy(options, std::move(trust), [](const std::string&) {});
  std::thread thread([&] { proxy.run(); });
  const attest::Verdict verdict = proxy.first_attempt();
  const RawClient client(proxy.port());
  client.send("POST /echo HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
              "Authorization: Bearer secret\r\nConnection: close\r\nContent-Length: 8\r\n\r\n"
              "\"secret\"");
  Outcome made{verdict.status, verdict.refusal ? verdict.refusal->code : "",
               verdict.refusal ? verdict.refusal->reason : "", client.rest()};
  proxy.stop();
  thread.join();
  BOOST_TEST(allowed_to_stop == verdict.accepted);
  return made;
}

/// Checks that nothing of a client's reached `attacker`.
Outcome refused(const ToyEnclave& attacker,
                std::shared_ptr<const connect::Trust> trust = toy_trust()) {
  Outcome made = outcome(attacker.address(), std::move(trust));
  BOOST_TEST(made.answer.starts_with("HTTP/1.1 502 "));
  BOOST_TEST(made.answer.find("\"type\":\"attestation_failed\"") != std::string::npos);
  BOOST_TEST(made.answer.find("\"code\":\"" + made.code + "\"") != std::string::npos);
  BOOST_TEST(attacker.body_bytes() == 0);
  BOOST_TEST(attacker.requests() == 0);
  return made;
}

ToyEnclave::Options with_evidence(ToyEnclave::Evidence evidence) {
  ToyEnclave::Options options;
  options.evidence = std::move(evidence);
  return options;
}

attest::Policy any_name() {
  attest::Policy policy = toy_policy();
  policy.service = {};
  policy.service.any_name = true;
  return policy;
}

} // namespace

BOOST_AUTO_TEST_SUITE(attacks)

BOOST_AUTO_TEST_CASE(the_enclave_itself_gets_the_request) {
  ToyEnclave enclave;
  const Outcome made = outcome(enclave.address(), toy_trust(), true);
  BOOST_TEST(made.status == 10);
  BOOST_TEST(made.answer.starts_with("HTTP/1.1 200 "));
  BOOST_TEST(enclave.body_bytes() == 8);
}

BOOST_AUTO_TEST_CASE(a_relay_has_another_connection) {
  // Between client and enclave, and with the enclave's own TLS key, as after a leak.
  ToyEnclave enclave;
  const ToyEnclave relay(with_evidence([&](const std::string& body, HttpResponse& response) {
    RawTls onwards(enclave.port());
    response.set_content(onwards.post(std::string(attest::kEvidencePath), body).body,
                         "application/json");
  }));
  const Outcome made = refused(relay);
  BOOST_TEST(made.status == 9);
  BOOST_TEST(made.code == "report-data");
  BOOST_TEST(made.reason.starts_with("the evidence is bound to another connection or nonce"));
  BOOST_TEST(enclave.body_bytes() == 0);
}

BOOST_AUTO_TEST_CASE(a_relay_with_a_key_of_its_own_is_found_out_where_no_name_is_checked) {
  ToyEnclave enclave;
  ToyEnclave::Options options = with_evidence([&](const std::string& body, HttpResponse& response) {
    RawTls onwards(enclave.port());
    response.set_content(onwards.post(std::string(attest::kEvidencePath), body).body,
                         "application/json");
  });
  options.certificate = "other";
  const ToyEnclave relay(options);
  const Outcome made = refused(relay, toy_trust(any_name()));
  BOOST_TEST(made.status == 9);
  BOOST_TEST(made.code == "report-data");
  BOOST_TEST(made.reason.starts_with("the evidence is about a server with another TLS key"));
}

BOOST_AUTO_TEST_CASE(a_replay_has_another_nonce) {
  ToyEnclave enclave;
  RawTls earlier(enclave.port());
  attest::Nonce nonce{};
  nonce.fill(1);
  const std::string captured =
      earlier.post(std::string(attest::kEvidencePath), attest::nonce_request(nonce)).body;
  const ToyEnclave replayer(with_evidence([&](const std::string&, HttpResponse& response) {
    response.set_content(captured, "application/json");
  }));
  const Outcome made = refused(replayer);
  BOOST_TEST(made.status == 9);
  BOOST_TEST(made.code == "report-data");
}

BOOST_AUTO_TEST_CASE(evidence_towards_a_worker_is_none_towards_a_client) {
  const ToyEnclave mirror(with_evidence([](const std::string& body, HttpResponse& response) {
    attest::BindingInput input = genuine_input(body);
    input.role = attest::Role::client;
    answer(response, document_for(input));
  }));
  const Outcome made = refused(mirror);
  BOOST_TEST(made.status == 9);
  BOOST_TEST(made.code == "role");
  BOOST_TEST(made.reason == "this is evidence towards a worker, shown back to a client");
}

BOOST_AUTO_TEST_CASE(evidence_for_archives_is_of_no_connection) {
  const ToyEnclave archive(with_evidence([](const std::string& body, HttpResponse& response) {
    attest::BindingInput input = genuine_input(body);
    input.role = attest::Role::archive;
    input.nonce = {};
    input.channel = {};
    answer(response, document_for(input));
  }));
  const Outcome made = refused(archive);
  BOOST_TEST(made.status == 9);
  BOOST_TEST(made.code == "role");
  BOOST_TEST(made.reason == "this is evidence for archives, which is of no connection");
}

BOOST_AUTO_TEST_CASE(evidence_over_another_key_is_of_another_enclave) {
  const ToyEnclave diverter(with_evidence([](const std::string& body, HttpResponse& response) {
    attest::BindingInput input = genuine_input(body);
    input.key[0] ^= 1;
    answer(response, document_for(input));
  }));
  const Outcome made = refused(diverter);
  BOOST_TEST(made.status == 9);
  BOOST_TEST(made.code == "report-data");
}

BOOST_AUTO_TEST_CASE(a_genuine_enclave_of_another_name_is_not_the_one_that_was_called) {
  ToyEnclave::Options options;
  options.certificate = "other";
  const ToyEnclave other(options);
  const Outcome made = refused(other);
  BOOST_TEST(made.status == 9);
  BOOST_TEST(made.code == "certificate");
  attest::Policy pinned = toy_policy();
  pinned.service = {};
  RawTls client(other.port());
  pinned.service.pins = {client.tls().peer_key()};
  BOOST_TEST(outcome(other.address(), toy_trust(pinned), true).status == 10);
  pinned.service.pins[0][0] ^= 1;
  BOOST_TEST(outcome(other.address(), toy_trust(pinned)).code == "certificate");
}

BOOST_AUTO_TEST_CASE(one_of_the_names_is_enough_and_a_name_it_has_to_be) {
  const ToyEnclave enclave;
  attest::Policy policy = toy_policy();
  policy.service.names = {"api.example.org", "10.0.0.7", "127.0.0.1"};
  BOOST_TEST(outcome(enclave.address(), toy_trust(policy), true).status == 10);
  policy.service.names = {"api.example.org", "10.0.0.7"};
  const Outcome made = outcome(enclave.address(), toy_trust(policy));
  BOOST_TEST(made.status == 9);
  BOOST_TEST(made.code == "certificate");
  BOOST_TEST(enclave.requests() == 1);
}

BOOST_AUTO_TEST_CASE(a_statement_about_another_key_is_not_about_this_server) {
  const ToyEnclave liar(with_evidence([](const std::string& body, HttpResponse& response) {
    attest::BindingInput input = genuine_input(body);
    attest::Statement statement = toy_statement();
    statement.tls_key.fill(3);
    const std::string text = to_json(statement);
    attest::EvidenceDocument document;
    document.statement = attest::to_vector(attest::as_bytes(text));
    input.statement = sha256(document.statement);
    document.evidence = source()->evidence({attest::report_data(input), {}});
    answer(response, document);
  }));
  const Outcome made = refused(liar);
  BOOST_TEST(made.status == 9);
  BOOST_TEST(made.code == "statement-key");
}

BOOST_AUTO_TEST_CASE(a_statement_that_was_changed_on_the_way_is_not_the_one_that_was_hashed) {
  const ToyEnclave changer(with_evidence([](const std::string& body, HttpResponse& response) {
    attest::EvidenceDocument document = document_for(genuine_input(body));
    document.statement.push_back(' ');
    answer(response, document);
  }));
  BOOST_TEST(refused(changer).code == "report-data");
}

BOOST_AUTO_TEST_CASE(an_enclave_that_says_nothing_of_itself_is_not_allowed) {
  const ToyEnclave silent(with_evidence([](const std::string& body, HttpResponse& response) {
    attest::BindingInput input = genuine_input(body);
    input.statement = sha256({});
    attest::EvidenceDocument document;
    document.evidence = source()->evidence({attest::report_data(input), {}});
    answer(response, document);
  }));
  const Outcome made = refused(silent);
  BOOST_TEST(made.status == 8);
  BOOST_TEST(made.code == "statement");
}

BOOST_AUTO_TEST_CASE(another_image_is_genuine_and_not_allowed) {
  ToyEnclave::Options options;
  options.image = 0x66;
  const ToyEnclave other(options);
  const Outcome made = refused(other);
  BOOST_TEST(made.status == 8);
  BOOST_TEST(made.code == "image");
}

BOOST_AUTO_TEST_CASE(a_scheme_that_the_policy_does_not_want_is_not_allowed) {
  const ToyEnclave enclave;
  attest::Policy policy = toy_policy();
  policy.statement.schemes = {"hybrid"};
  const Outcome made = refused(enclave, toy_trust(policy));
  BOOST_TEST(made.status == 8);
  BOOST_TEST(made.code == "statement-scheme");
}

BOOST_AUTO_TEST_CASE(evidence_of_certificates_that_have_expired_is_not_genuine) {
  const ToyEnclave enclave;
  attest::Policy policy = any_name();
  const Outcome made = refused(enclave, toy_trust(policy, std::chrono::hours(24 * 40)));
  BOOST_TEST(made.status == 7);
  BOOST_TEST(made.code == "certificate-dates");
}

BOOST_AUTO_TEST_CASE(a_simulation_needs_the_command_line_too) {
  const ToyEnclave enclave;
  const Outcome made = refused(enclave, std::make_shared<const connect::Trust>(toy_policy()));
  BOOST_TEST(made.status == 8);
  BOOST_TEST(made.code == "simulated");
}

BOOST_AUTO_TEST_CASE(plain_http_is_a_downgrade) {
  ToyEnclave::Options options;
  options.certificate.clear();
  const ToyEnclave plain(options);
  const Outcome made = refused(plain);
  BOOST_TEST(made.status == 9);
  BOOST_TEST(made.code == "no-tls");
  BOOST_CHECK_THROW(connect::parse_server("http://127.0.0.1"), Error);
}

BOOST_AUTO_TEST_CASE(tls_1_2_is_a_downgrade) {
  const std::shared_ptr<SSL_CTX> context(SSL_CTX_new(TLS_server_method()), SSL_CTX_free);
  SSL_CTX_set_max_proto_version(context.get(), TLS1_2_VERSION);
  SSL_CTX_use_certificate_file(context.get(), site().certificate("api").c_str(), SSL_FILETYPE_PEM);
  SSL_CTX_use_PrivateKey_file(context.get(), (site().folder.path() / "api.key").c_str(),
                              SSL_FILETYPE_PEM);
  const transport::Socket listener = transport::listen_on({"127.0.0.1", 0});
  std::string heard;
  std::thread server([&] {
    pollfd waiting{listener.get(), POLLIN, 0};
    ::poll(&waiting, 1, -1);
    bool ignored = false;
    const auto accepted = transport::accept_from(listener, ignored);
    const std::shared_ptr<SSL> ssl(SSL_new(context.get()), SSL_free);
    SSL_set_fd(ssl.get(), accepted->socket.get());
    char buffer[256];
    if (SSL_accept(ssl.get()) == 1) heard.append(buffer, SSL_read(ssl.get(), buffer, 256));
    ERR_clear_error();
  });
  const auto address =
      connect::parse_server("127.0.0.1:" + std::to_string(transport::local_port(listener)));
  const Outcome made = outcome(address, toy_trust());
  server.join();
  BOOST_TEST(made.status == 9);
  BOOST_TEST(made.code == "tls-version");
  BOOST_TEST(heard.empty());
}

BOOST_AUTO_TEST_CASE(a_redirect_leads_to_somebody_of_whom_there_is_no_evidence) {
  const ToyEnclave redirector(with_evidence([](const std::string&, HttpResponse& response) {
    response.status = 307;
    response.set_header("Location", "http://127.0.0.1:1/v1/attestation");
  }));
  const Outcome made = refused(redirector);
  BOOST_TEST(made.status == 9);
  BOOST_TEST(made.code == "redirect");
}

BOOST_AUTO_TEST_CASE(a_server_that_knows_no_attestation_is_not_bound) {
  const ToyEnclave other(
      with_evidence([](const std::string&, HttpResponse& response) { response.status = 404; }));
  const Outcome made = refused(other);
  BOOST_TEST(made.status == 9);
  BOOST_TEST(made.code == "no-evidence");
}

BOOST_AUTO_TEST_CASE(a_connection_that_ends_with_its_evidence_is_worth_nothing) {
  const ToyEnclave closing(with_evidence([](const std::string& body, HttpResponse& response) {
    answer(response, document_for(genuine_input(body)));
    gateway::current_exchange().close = true;
  }));
  BOOST_TEST(refused(closing).code == "no-evidence");
}

BOOST_AUTO_TEST_CASE(what_is_no_document_is_not_genuine) {
  const ToyEnclave babbler(with_evidence([](const std::string&, HttpResponse& response) {
    response.set_content("{\"v\":1}", "application/json");
  }));
  const Outcome made = refused(babbler);
  BOOST_TEST(made.status == 7);
  BOOST_TEST(made.code == "document");
}

BOOST_AUTO_TEST_CASE(evidence_that_is_too_long_is_not_read_to_its_end) {
  const ToyEnclave talker(with_evidence([](const std::string&, HttpResponse& response) {
    response.set_content(std::string(300'000, ' '), "application/json");
  }));
  BOOST_TEST(refused(talker).code == "no-evidence");
}

BOOST_AUTO_TEST_CASE(nobody_there_is_undecided) {
  transport::Socket listener = transport::listen_on({"127.0.0.1", 0});
  const std::string port = std::to_string(transport::local_port(listener));
  listener.reset();
  const Outcome made = outcome(connect::parse_server("127.0.0.1:" + port), toy_trust());
  BOOST_TEST(made.status == 6);
  BOOST_TEST(made.code == "evidence-missing");
}

BOOST_AUTO_TEST_CASE(evidence_that_does_not_come_in_time_is_undecided) {
  std::atomic<bool> asked{false};
  std::atomic<bool> over{false};
  const ToyEnclave slow(with_evidence([&](const std::string&, HttpResponse& response) {
    asked = true;
    while (!over) std::this_thread::yield();
    response.status = 503;
  }));
  const connect::Patience patience{transport::SteadyClock::now() + std::chrono::minutes(1),
                                   [&] { return asked.load(); }};
  const auto made = connect::UnverifiedConnection::attempt(slow.address(), toy_trust(), patience);
  over = true;
  BOOST_TEST(made.verdict.status == 6);
  BOOST_TEST(made.verdict.refusal->reason == "no evidence has come in time");
  BOOST_TEST(!made.channel);
}

BOOST_AUTO_TEST_SUITE_END()
