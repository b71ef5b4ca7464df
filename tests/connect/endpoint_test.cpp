// What a server says of itself to whoever asks, and what it does not say.
#include <boost/test/unit_test.hpp>

#include <nlohmann/json.hpp>

#include "tests/connect/raw_tls.hpp"
#include "tests/connect/toy_enclave.hpp"
#include "tests/gateway/raw_client.hpp"

using namespace talaria;
using namespace talaria::tests;

namespace {

attest::Nonce nonce(u8 value) {
  attest::Nonce made{};
  made.fill(value);
  return made;
}

const std::string kPath(attest::kEvidencePath);

attest::EvidenceDocument read(const RawTls::Answer& answer) {
  BOOST_REQUIRE(answer.status == 200);
  return *attest::parse_document(answer.body);
}

/// What a client at the other end of `connection` computes.
attest::BindingInput own_input(const RawTls& connection, const attest::Nonce& asked) {
  attest::BindingInput own;
  own.nonce = asked;
  std::ranges::copy(connection.tls().exporter(attest::kExporterLabel, {}, 32), own.channel.begin());
  own.key = connection.tls().peer_key();
  return own;
}

connect::Attempt attempt(const ToyEnclave& enclave,
                         std::shared_ptr<const connect::Trust> trust = toy_trust()) {
  const connect::Patience patience{transport::SteadyClock::now() + std::chrono::minutes(1),
                                   nullptr};
  return connect::UnverifiedConnection::attempt(enclave.address(), std::move(trust), patience);
}

} // namespace

BOOST_AUTO_TEST_SUITE(attestation_endpoint)

BOOST_AUTO_TEST_CASE(evidence_of_this_connection_is_accepted) {
  const ToyEnclave enclave;
  const auto made = attempt(enclave);
  BOOST_TEST(made.verdict.status == 10);
  BOOST_REQUIRE(made.channel);
  const auto json = nlohmann::json::parse(to_json(made.verdict));
  BOOST_TEST(json["binding"]["role"] == 1);
  BOOST_TEST(json["binding"]["kind"] == "session");
  BOOST_TEST(json["statement"]["service"] == "127.0.0.1");
  BOOST_TEST(json["statement"]["tls_key"] == json["binding"]["key"]);
  BOOST_TEST(json["simulated"] == true);
}

BOOST_AUTO_TEST_CASE(a_quote_is_bound_as_a_report_is) {
  ToyEnclave::Options options;
  options.kind = attest::EvidenceKind::tdx;
  const ToyEnclave enclave(options);
  const auto made = attempt(enclave);
  BOOST_TEST(made.verdict.status == 10, to_text(made.verdict));
  BOOST_TEST(bool(made.channel));
}

BOOST_AUTO_TEST_CASE(both_ends_export_the_same_and_other_connections_another) {
  const ToyEnclave enclave;
  RawTls one(enclave.port());
  RawTls two(enclave.port());
  const auto trust = toy_trust();
  const auto first = one.post(kPath, attest::nonce_request(nonce(1)));
  const auto second = two.post(kPath, attest::nonce_request(nonce(1)));
  BOOST_TEST(trust->judge(first.body, own_input(one, nonce(1))).status == 10);
  BOOST_TEST(trust->judge(second.body, own_input(two, nonce(1))).status == 10);
  BOOST_TEST(trust->judge(first.body, own_input(two, nonce(1))).status == 9);
  BOOST_TEST(trust->judge(first.body, own_input(one, nonce(2))).status == 9);
}

BOOST_AUTO_TEST_CASE(only_a_nonce_can_be_asked_for) {
  const ToyEnclave enclave;
  RawTls client(enclave.port());
  const std::string good = attest::nonce_request(nonce(1));
  BOOST_TEST(good.size() == 55);
  for (const std::string& body :
       {std::string("{}"), std::string("[]"), std::string(R"({"nonce":"AAAA"})"),
        attest::nonce_request(nonce(0)), good.substr(0, good.size() - 1),
        good.substr(0, good.size() - 1) + R"(,"report_data":"00"})", good + good})
    BOOST_TEST(client.post(kPath, body).status == 400);
  BOOST_TEST(client.post(kPath, good).status == 200);
}

BOOST_AUTO_TEST_CASE(a_simulation_says_so_before_a_verdict) {
  const ToyEnclave enclave;
  RawTls client(enclave.port());
  BOOST_TEST(client.post(kPath, attest::nonce_request(nonce(1))).field == "SIMULATED");
}

BOOST_AUTO_TEST_CASE(archives_get_evidence_of_a_key_and_no_connection) {
  const ToyEnclave enclave;
  RawTls client(enclave.port());
  const auto document = read(client.get(kPath));
  attest::BindingInput archive;
  archive.role = attest::Role::archive;
  archive.key = client.tls().peer_key();
  archive.statement = sha256(document.statement);
  const auto verdict = toy_trust()->judge(to_json(document), own_input(client, nonce(1)));
  BOOST_TEST(verdict.refusal->code == "role");
  BOOST_TEST(verdict.status == 9);
  BOOST_TEST((verdict.snp->report.report_data == attest::report_data(archive)));
  RawTls later(enclave.port());
  BOOST_TEST(later.get(kPath).body == to_json(document)); // kept
}

BOOST_AUTO_TEST_CASE(a_server_without_tls_has_nothing_to_bind_evidence_to) {
  ToyEnclave::Options options;
  options.certificate.clear();
  const ToyEnclave enclave(options);
  const RawClient client(enclave.port());
  const std::string body = attest::nonce_request(nonce(1));
  client.send("POST " + kPath +
              " HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
              "Content-Length: " +
              std::to_string(body.size()) + "\r\n\r\n" + body);
  BOOST_TEST(client.status() == 400);
}

BOOST_AUTO_TEST_CASE(a_server_may_answer_only_who_has_asked) {
  ToyEnclave::Options options;
  options.required = true;
  ToyEnclave enclave(options);
  {
    RawTls careless(enclave.port());
    BOOST_TEST(careless.post("/echo", "{}").status == 428);
  }
  RawTls careful(enclave.port());
  BOOST_TEST(careful.post(kPath, attest::nonce_request(nonce(1))).status == 200);
  BOOST_TEST(careful.post("/echo", "{}").status == 200);
  RawTls other(enclave.port());
  BOOST_TEST(other.post("/echo", "{}").status == 428);
  BOOST_TEST(enclave.body_bytes() == 2);
}

BOOST_AUTO_TEST_CASE(a_request_for_evidence_that_cannot_be_had_is_told_to_come_again) {
  class Broken final : public attest::EvidenceSource {
  public:
    attest::EvidenceSet evidence(const attest::Bound& bound) override {
      if (broken) throw Error(Errc::io, "/dev/sev-guest: busy");
      return source()->evidence(bound);
    }
    bool is_simulated() const noexcept override { return false; }
    bool broken = false;
  };
  const auto platform = std::make_shared<Broken>();
  attest::Attester attester(platform, toy_statement());
  platform->broken = true;
  ToyEnclave::Options options;
  options.evidence = [&](const std::string&, gateway::HttpResponse& response) {
    try {
      attester.for_session(nonce(1), nonce(2), nonce(3));
    } catch (const Error&) {
      response.status = 503;
    }
  };
  const ToyEnclave enclave(options);
  const auto made = attempt(enclave);
  BOOST_TEST(made.verdict.status == 6);
  BOOST_TEST(made.verdict.refusal->code == "evidence-missing");
}

BOOST_AUTO_TEST_SUITE_END()
