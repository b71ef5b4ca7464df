#include "gateway/attestation_routes.hpp"

#include <algorithm>

#include "gateway/connection.hpp"

namespace talaria::gateway {

namespace {

const transport::ServerTlsStream& tls_of(const Exchange& exchange) {
  const auto* tls = exchange.connection == nullptr ? nullptr : exchange.connection->tls();
  if (tls == nullptr)
    throw ApiError(400, "this connection has no TLS that evidence could be bound to", {}, "no_tls");
  return *tls;
}

/// Runs what asks the platform, whose words are for the log of this side.
void answer_evidence(HttpResponse& response, const attest::Attester& attester,
                     const std::function<std::optional<std::string>()>& ask) {
  std::optional<std::string> document;
  try {
    document = ask();
  } catch (const Error&) {
    throw ApiError(503, "the platform gives no evidence now; try again later", {}, "no_evidence")
        .retry_after(1);
  }
  if (!document)
    throw ApiError(503, "too many ask for evidence; try again later", {}, "busy").retry_after(1);
  if (attester.is_simulated()) response.set_header("Talaria-Attestation", "SIMULATED");
  response.set_header("Cache-Control", "no-store");
  response.set_content(std::move(*document), "application/json");
}

void attest_session(attest::Attester& attester, const std::string& body, HttpResponse& response) {
  Exchange& exchange = current_exchange();
  const auto nonce = attest::parse_nonce_request(body);
  if (!nonce) throw bad_field("nonce", nonce.refusal().reason);
  const transport::ServerTlsStream& tls = tls_of(exchange);
  std::array<u8, 32> channel{};
  std::ranges::copy(tls.exporter(attest::kExporterLabel, {}, channel.size()), channel.begin());
  answer_evidence(response, attester,
                  [&] { return attester.for_session(*nonce, channel, tls.own_key()); });
  exchange.connection->note_attested();
}

} // namespace

void add_attestation(Router& router, attest::Attester& attester) {
  const std::string path(attest::kEvidencePath);
  router.post(path, [&attester](const std::string& body, HttpResponse& response) {
    attest_session(attester, body, response);
  });
  router.get(path, [&attester](HttpResponse& response) {
    answer_evidence(response, attester,
                    [&] { return attester.for_archive(tls_of(current_exchange()).own_key()); });
  });
}

void require_attested(const Exchange& exchange) {
  if (exchange.connection != nullptr && exchange.connection->is_attested()) return;
  throw ApiError(428,
                 "this server answers nobody who has not asked for its evidence: use talaria "
                 "connect, or POST a nonce to /v1/attestation on the same connection first",
                 {}, "attestation_required");
}

} // namespace talaria::gateway
