#include "connect/proxy.hpp"

#include <algorithm>
#include <array>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "connect/relayed_answer.hpp"
#include "core/error.hpp"
#include "core/secret.hpp"
#include "gateway/access_policy.hpp"
#include "gateway/httpd.hpp"
#include "gateway/router.hpp"
#include "gateway/unix_listener.hpp"
#include "telemetry/trace_id.hpp"

namespace talaria::connect {

namespace {

using namespace std::chrono_literals;
using gateway::Exchange;
using gateway::HttpResponse;

constexpr std::size_t kThreads = 64; // answers under way at once
constexpr auto kToSend = 60s;
constexpr auto kToAnswer = 10min; // until the head; the model may be busy with others

/// What of a client's head is the server's business.
constexpr std::array<std::string_view, 5> kForwarded{"Authorization", "X-Api-Key", "Accept",
                                                     "Content-Type", "anthropic-version"};

/// So that X-Request-Id, here and there, and lines of both logs are the same.
std::string traceparent(const Exchange& exchange) {
  const std::string_view given = exchange.request.field("traceparent");
  if (telemetry::parse_traceparent(given)) return std::string(given);
  const std::string id = telemetry::to_hex(exchange.trace);
  return fmt::format("00-{}{}-{}-00", id, id, id);
}

bool is_reached_by_others(const std::string& host) {
  return host != "localhost" && host != "::1" && !host.starts_with("127.");
}

OutgoingRequest outgoing(const Exchange& exchange, std::string body) {
  OutgoingRequest request;
  const bool is_post = exchange.request.method == "POST";
  request.method = is_post ? "POST" : "GET";
  request.target = exchange.request.target;
  for (const std::string_view name : kForwarded)
    if (exchange.request.has(name) && (is_post || name != "Content-Type"))
      request.fields.emplace_back(name, exchange.request.field(name));
  request.fields.emplace_back("traceparent", traceparent(exchange));
  request.body = std::move(body);
  return request;
}

/// JSON may end with blanks, and the kind of a body was checked.
void fill_up(std::string& body, std::size_t step) {
  if (step > 0) body.resize((body.size() + step - 1) / step * step, ' ');
}

bool may_be_repeated(const OutgoingRequest& request, const ChannelLost& lost) {
  return !lost.is_sent || (request.method == "GET" && !lost.is_answered);
}

void answer_error(HttpResponse& response, const char* type, const std::string& code,
                  const std::string& message) {
  constexpr int kBadGateway = 502;
  response.status = kBadGateway;
  response.stream = nullptr;
  const nlohmann::json object{
      {"error", {{"message", message}, {"type", type}, {"param", nullptr}, {"code", code}}}};
  response.set_content(object.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace),
                       "application/json");
}

std::string attestation_line(const attest::Verdict& verdict) {
  return fmt::format("{}{}; image=\"{}\"; policy=\"{}\"", verdict.simulated ? "SIMULATED; " : "",
                     attest::to_string(verdict.kind), verdict.image.name, verdict.policy_name);
}

} // namespace

struct Proxy::Impl {
  Impl(ProxyOptions given, std::shared_ptr<const Trust> trust, ChannelPool::Log log)
      : options(std::move(given)), pool(options.pool, std::move(trust), std::move(log)),
        policy(options.listen.host, {}, {}), router(options.max_body_bytes),
        httpd({}, kThreads, router, nullptr) {
    if (!options.socket && is_reached_by_others(options.listen.host))
      throw Error(Errc::usage, fmt::format("{} can be reached from other machines, and this proxy "
                                           "speaks plain HTTP to whoever asks; listen on "
                                           "127.0.0.1 or on unix:/PATH",
                                           to_string(options.listen)));
    route();
    if (options.socket)
      httpd.adopt(socket.emplace(*options.socket).take());
    else
      port = httpd.bind(options.listen.host, options.listen.port);
  }

  void route();
  void rewrite(std::string& body) const;
  void refuse(const attest::Verdict& verdict, bool after_a_part, HttpResponse& response) const;
  void forward(std::string body, HttpResponse& response);
  std::unique_ptr<VerifiedChannel> ask(const OutgoingRequest& request, HttpResponse& response);
  std::unique_ptr<ReceiptWatch> watch(const OutgoingRequest& request,
                                      const attest::Verdict& verdict) const;
  void answer(std::unique_ptr<VerifiedChannel> channel, std::unique_ptr<ReceiptWatch> receipt,
              HttpResponse& response);

  const ProxyOptions options;
  ChannelPool pool;
  gateway::AccessPolicy policy;
  gateway::Router router;
  std::optional<gateway::UnixListener> socket;
  gateway::Httpd httpd;
  u16 port = 0;
};

void Proxy::Impl::route() {
  router.set_policy(policy);
  router.get("/talaria/verdict", [this](HttpResponse& response) {
    const auto verdict = pool.verdict();
    response.set_content(verdict ? attest::to_json(*verdict) : "null", "application/json");
  });
  router.get("/health", [](HttpResponse& response) {
    response.set_content(R"({"status":"live"})", "application/json");
  });
  router.get("/ready", [this](HttpResponse& response) {
    const auto verdict = pool.verdict();
    if (!verdict || !verdict->accepted)
      throw gateway::ApiError(503, "the server's evidence is not accepted", {},
                              "attestation_failed")
          .retry_after(pool.retry_after_s());
    response.set_content(R"({"status":"ready"})", "application/json");
  });
  router.otherwise([this](HttpResponse& response) { forward({}, response); },
                   [this](std::string body, HttpResponse& response) {
                     if (options.rewrite) rewrite(body);
                     fill_up(body, options.pad_requests);
                     forward(std::move(body), response);
                   });
}

void Proxy::Impl::rewrite(std::string& body) const {
  std::string other = options.rewrite(gateway::current_exchange().request.path, body);
  wipe(body.data(), body.size());
  body = std::move(other);
}

/// @param after_a_part  of the request went to a server that was verified, and is gone
void Proxy::Impl::refuse(const attest::Verdict& verdict, bool after_a_part,
                         HttpResponse& response) const {
  answer_error(response, "attestation_failed", verdict.refusal->code,
               fmt::format("{}: {} (status {}; GET /talaria/verdict says more)",
                           after_a_part ? "the request was not wholly sent, and not repeated"
                                        : "nothing was sent",
                           verdict.refusal->reason, verdict.status));
  response.set_header("Retry-After", std::to_string(pool.retry_after_s()));
}

/// A channel with the head of an answer; null: `response` says what happened.
std::unique_ptr<VerifiedChannel> Proxy::Impl::ask(const OutgoingRequest& request,
                                                  HttpResponse& response) {
  Exchange& exchange = gateway::current_exchange();
  const auto is_over = [&] {
    exchange.client_left = exchange.client_left || exchange.connection->peer_left();
    return exchange.client_left || pool.is_stopped();
  };
  for (bool again = false;; again = true) {
    attest::Verdict why;
    std::unique_ptr<VerifiedChannel> channel = pool.acquire(again, why);
    if (!channel) return refuse(why, again, response), nullptr;
    try {
      channel->send(request, {transport::SteadyClock::now() + kToSend, is_over});
      channel->await_head({transport::SteadyClock::now() + kToAnswer, is_over});
      return channel;
    } catch (const ChannelLost& lost) {
      if (!again && !exchange.client_left && may_be_repeated(request, lost)) continue;
      answer_error(response, "server_error", "connection_lost",
                   fmt::format("{}; {}", lost.what(),
                               lost.is_sent ? "the request may have been answered, and was not "
                                              "repeated"
                                            : "the request was not wholly sent"));
      return nullptr;
    }
  }
}

void Proxy::Impl::forward(std::string body, HttpResponse& response) {
  OutgoingRequest request = outgoing(gateway::current_exchange(), std::move(body));
  std::unique_ptr<VerifiedChannel> channel = ask(request, response);
  std::unique_ptr<ReceiptWatch> receipt = channel ? watch(request, channel->verdict()) : nullptr;
  wipe(request.body.data(), request.body.size());
  if (channel) answer(std::move(channel), std::move(receipt), response);
}

/// Null unless the answer comes with a receipt and somebody wants it.
std::unique_ptr<ReceiptWatch> Proxy::Impl::watch(const OutgoingRequest& request,
                                                 const attest::Verdict& verdict) const {
  const bool is_answer = std::ranges::find(attest::kReceiptEndpoints, request.target) !=
                         std::end(attest::kReceiptEndpoints);
  if (!options.receipts || !is_answer || !verdict.statement || !verdict.statement->receipt_key)
    return nullptr;
  gateway::HttpFields credentials;
  for (const auto& [name, value] : request.fields)
    if (gateway::same_name(name, "Authorization") || gateway::same_name(name, "x-api-key"))
      credentials.emplace_back(name, value);
  return std::make_unique<ReceiptWatch>(*options.receipts, *verdict.statement, request.body,
                                        std::move(credentials));
}

void Proxy::Impl::answer(std::unique_ptr<VerifiedChannel> channel,
                         std::unique_ptr<ReceiptWatch> receipt, HttpResponse& response) {
  const std::string line = attestation_line(channel->verdict());
  const auto relayed = std::make_shared<RelayedAnswer>(pool, std::move(channel), std::move(receipt),
                                                       options.receipts.get());
  if (relayed->head().status >= 300 && relayed->head().status < 400)
    return answer_error(response, "server_error", "redirect",
                        "the server wants to send the client elsewhere, of which there is no "
                        "evidence");
  relayed->copy_head(response);
  response.set_header("Talaria-Attestation", line);
  if (!relayed->is_whole()) {
    response.stream = [relayed](gateway::BodySink& sink) { return relayed->stream(sink); };
    return;
  }
  try {
    response.body = relayed->whole_body();
  } catch (const ChannelLost& lost) {
    answer_error(
        response, "server_error", "connection_lost",
        fmt::format("{}; the request was answered in part, and was not repeated", lost.what()));
  }
}

Proxy::Proxy(ProxyOptions options, std::shared_ptr<const Trust> trust, ChannelPool::Log log)
    : impl_(std::make_unique<Impl>(std::move(options), std::move(trust), std::move(log))) {}

Proxy::~Proxy() = default;

attest::Verdict Proxy::first_attempt() {
  return impl_->pool.first_attempt();
}

void Proxy::run() {
  impl_->httpd.serve();
}

void Proxy::stop() {
  impl_->pool.stop();
  impl_->httpd.stop();
}

void Proxy::set_trust(std::shared_ptr<const Trust> trust) {
  impl_->pool.set_trust(std::move(trust));
}

u16 Proxy::port() const noexcept {
  return impl_->port;
}

} // namespace talaria::connect
