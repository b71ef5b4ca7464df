#include "connect/unverified_connection.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "attest/binding/nonce_request.hpp"
#include "connect/tunnel.hpp"
#include "core/error.hpp"
#include "core/kernel_random.hpp"

namespace talaria::connect {

namespace {

using Problem = transport::ClientTlsStream::Problem;

constexpr const char* kNobody = "evidence-missing";

attest::Verdict refuse_handshake(const Trust& trust,
                                 const transport::ClientTlsStream::Failure& failure) {
  const char* code = failure.problem == Problem::not_tls       ? "no-tls"
                     : failure.problem == Problem::version     ? "tls-version"
                     : failure.problem == Problem::certificate ? "certificate"
                                                               : kNobody;
  return trust.refuse(code, failure.reason);
}

/// All that is ever said before there is a verdict: nothing of it is a client's.
std::string question(const std::string& authority, const attest::Nonce& nonce) {
  const std::string body = attest::nonce_request(nonce);
  return fmt::format("POST {} HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\n"
                     "Content-Length: {}\r\n\r\n{}",
                     attest::kEvidencePath, authority, body.size(), body);
}

} // namespace

UnverifiedConnection::UnverifiedConnection(std::unique_ptr<Wire> wire,
                                           std::shared_ptr<const Trust> trust,
                                           const Patience& patience)
    : wire_(std::move(wire)), trust_(std::move(trust)), patience_(patience) {}

Attempt UnverifiedConnection::attempt(const ServerAddress& server,
                                      std::shared_ptr<const Trust> trust,
                                      const Patience& patience) {
  try {
    return try_once(server, trust, patience);
  } catch (const std::exception& error) { // nobody there; or no memory, no descriptors
    return {trust->refuse(kNobody, fmt::format("no evidence can be had: {}", error.what())),
            nullptr};
  }
}

Attempt UnverifiedConnection::try_once(const ServerAddress& server,
                                       const std::shared_ptr<const Trust>& trust,
                                       const Patience& patience) {
  transport::Socket socket = connect_through(server, patience);
  std::unique_ptr<Wire> wire(new Wire(trust->tls(), std::move(socket), server.address.host));
  if (!wire->handshake(patience)) return {refuse_handshake(*trust, wire->tls_.failure()), nullptr};
  if (!wire->tls_.is_expected())
    return {trust->refuse("certificate", "the certificate is of another name or key than the "
                                         "policy expects"),
            nullptr};
  UnverifiedConnection connection(std::move(wire), trust, patience);
  attest::Verdict verdict = connection.ask(server.authority);
  if (!verdict.accepted) return {std::move(verdict), nullptr};
  std::unique_ptr<VerifiedChannel> channel(new VerifiedChannel(
      std::move(connection.wire_), server.authority, std::move(trust), verdict));
  return {std::move(verdict), std::move(channel)};
}

attest::Verdict UnverifiedConnection::ask(const std::string& authority) const {
  attest::BindingInput own;
  own.role = attest::Role::server;
  kernel_random(own.nonce);
  std::ranges::copy(wire_->tls_.exporter(attest::kExporterLabel, {}, own.channel.size()),
                    own.channel.begin());
  own.key = wire_->tls_.peer_key();
  if (!wire_->write(question(authority, own.nonce), patience_))
    return trust_->refuse(kNobody, "the connection ended before evidence was asked for");
  ResponseParser parser;
  std::string body;
  try {
    while (!parser.is_complete()) {
      std::string bytes;
      const Wire::Got got = wire_->read(bytes, patience_);
      if (got == Wire::Got::nothing_in_time)
        return trust_->refuse(kNobody, "no evidence has come in time");
      if (got != Wire::Got::bytes)
        return trust_->refuse(kNobody, "the connection ended before evidence had come");
      parser.feed(bytes);
      body += parser.take_body();
      if (body.size() > attest::kMaxDocumentBytes)
        return trust_->refuse("no-evidence", "what came as evidence is too long to be any");
    }
  } catch (const MalformedResponse& malformed) {
    return trust_->refuse("no-evidence",
                          fmt::format("what came is no evidence: {}", malformed.what()));
  }
  if (parser.has_excess() || !parser.head().keep_alive)
    return trust_->refuse("no-evidence", "the connection does not outlive its evidence");
  return judge(parser.head().status, body, own);
}

attest::Verdict UnverifiedConnection::judge(int status, const std::string& body,
                                            const attest::BindingInput& own) const {
  if (status == 200) return trust_->judge(body, own);
  if (status >= 300 && status < 400)
    return trust_->refuse("redirect", "the server wants to send us elsewhere");
  if (status == 429 || status == 503)
    return trust_->refuse(kNobody, "the server gives no evidence now");
  return trust_->refuse("no-evidence",
                        fmt::format("the server answers {} in the place of evidence", status));
}

} // namespace talaria::connect
