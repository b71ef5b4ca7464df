// What clients on this machine see of a server behind a verified channel.
#include <boost/test/unit_test.hpp>

#include <future>
#include <nlohmann/json.hpp>
#include <poll.h>
#include <sys/socket.h>

#include "core/error.hpp"
#include "tests/connect/running_proxy.hpp"
#include "tests/support/eventually.hpp"
#include "tests/support/free_port.hpp"

using namespace talaria;
using namespace talaria::tests;

namespace {

std::string code_of(const std::string& answer) {
  return nlohmann::json::parse(body_of(answer))["error"]["code"];
}

ToyEnclave::Options counting(std::atomic<int>& asked) {
  ToyEnclave::Options options;
  options.evidence = [&asked](const std::string& body, gateway::HttpResponse& response) {
    ++asked;
    response.set_content(to_json(document_for(genuine_input(body))), "application/json");
  };
  return options;
}

/// An HTTP proxy for one connection: reads a head, answers, and passes bytes on.
class ConnectProxy {
public:
  explicit ConnectProxy(u16 target, std::string answer = "HTTP/1.1 200 Connected\r\nA: b\r\n\r\n")
      : listener_(transport::listen_on({"127.0.0.1", 0})), target_(target),
        answer_(std::move(answer)), thread_([this] { run(); }) {}
  ~ConnectProxy() {
    stop_ = true;
    thread_.join();
  }
  ConnectProxy(const ConnectProxy&) = delete;
  ConnectProxy& operator=(const ConnectProxy&) = delete;

  u16 port() const { return transport::local_port(listener_); }
  /// The head, once it has come. Once.
  std::string heard() { return heard_.get_future().get(); }

private:
  bool waits_for(int socket) const {
    pollfd waiting{socket, POLLIN, 0};
    while (!stop_)
      if (::poll(&waiting, 1, 10) > 0) return true;
    return false;
  }
  void run() {
    bool ignored = false;
    if (!waits_for(listener_.get())) return;
    const auto client = transport::accept_from(listener_, ignored);
    std::string head;
    char byte = 0;
    while (!head.ends_with("\r\n\r\n") && ::recv(client->socket.get(), &byte, 1, 0) == 1)
      head += byte;
    heard_.set_value(head);
    ::send(client->socket.get(), answer_.data(), answer_.size(), MSG_NOSIGNAL);
    if (answer_.find(" 200 ") == std::string::npos) return;
    const transport::Socket server = transport::connect_to(
        {"127.0.0.1", target_}, transport::SteadyClock::now() + std::chrono::minutes(1));
    pass_on(client->socket.get(), server.get());
  }
  void pass_on(int client, int server) const {
    pollfd waiting[2] = {{client, POLLIN, 0}, {server, POLLIN, 0}};
    char bytes[4096];
    while (!stop_) {
      if (::poll(waiting, 2, 10) <= 0) continue;
      for (int i = 0; i < 2; ++i) {
        if (waiting[i].revents == 0) continue;
        const ssize_t got = ::recv(waiting[i].fd, bytes, sizeof bytes, 0);
        if (got <= 0) return;
        ::send(waiting[1 - i].fd, bytes, static_cast<std::size_t>(got), MSG_NOSIGNAL);
      }
    }
  }

  const transport::Socket listener_;
  const u16 target_;
  const std::string answer_;
  std::promise<std::string> heard_;
  std::atomic<bool> stop_{false};
  std::thread thread_;
};

} // namespace

BOOST_AUTO_TEST_SUITE(verifying_proxy)

BOOST_AUTO_TEST_CASE(an_answer_comes_through_as_a_whole) {
  ToyEnclave enclave;
  const RunningProxy proxy(impatient(enclave.address()));
  const std::string answer = proxy.post("/echo", "{\"a\":1}", "Authorization: Bearer key\r\n");
  BOOST_TEST(is_ok(answer));
  BOOST_TEST(body_of(answer) == "{\"a\":1}");
  BOOST_TEST(enclave.last_authorization() == "Bearer key");
  BOOST_TEST(answer.find("Talaria-Attestation: SIMULATED; snp; image=\"toy image\"; "
                         "policy=\"toy\"\r\n") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(nothing_that_leads_elsewhere_or_is_kept_comes_through) {
  ToyEnclave enclave;
  const RunningProxy proxy(impatient(enclave.address()));
  const std::string answer = proxy.post("/echo", "{}", "Cookie: a=b\r\nX-Secret: c\r\n");
  BOOST_TEST(is_ok(answer));
  for (const char* name : {"Set-Cookie", "Alt-Svc", "Location"})
    BOOST_TEST(answer.find(name) == std::string::npos);
  BOOST_TEST(answer.find("x-ratelimit-limit-requests: 7\r\n") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(a_request_has_one_id_on_both_sides) {
  ToyEnclave enclave;
  const RunningProxy proxy(impatient(enclave.address()));
  const auto field = [](const std::string& answer, const std::string& name) {
    const std::size_t at = answer.find(name + ": ");
    return at == std::string::npos ? name : answer.substr(at + name.size() + 2, 16);
  };
  const std::string own = proxy.post("/echo", "{}");
  BOOST_TEST(field(own, "X-Request-Id") == field(own, "x-ratelimit-reset-requests"));
  const std::string given = proxy.post(
      "/echo", "{}", "traceparent: 00-0000000000000000123456789abcdef0-0123456789abcdef-01\r\n");
  BOOST_TEST(field(given, "X-Request-Id") == "123456789abcdef0");
  BOOST_TEST(field(given, "x-ratelimit-reset-requests") == "123456789abcdef0");
}

BOOST_AUTO_TEST_CASE(events_come_through_one_by_one) {
  ToyEnclave enclave;
  enclave.released = false;
  const RunningProxy proxy(impatient(enclave.address()));
  const RawClient client(proxy.port());
  client.send("POST /stream HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
              "Content-Length: 2\r\n\r\n{}");
  BOOST_TEST(client.until("data: 2\n\n").find("data: 0\n\n") !=
             std::string::npos); // before its end
  enclave.released = true;
  BOOST_TEST(client.until("0\r\n\r\n").find("data: [DONE]\n\n") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(a_client_that_leaves_ends_its_answer_at_the_server) {
  std::atomic<int> asked{0};
  ToyEnclave enclave(counting(asked));
  enclave.released = false;
  const RunningProxy proxy(impatient(enclave.address()));
  {
    const RawClient client(proxy.port());
    client.send("POST /stream HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
                "Content-Length: 2\r\n\r\n{}");
    client.until("data: 2\n\n");
  }
  // The channel went with the answer: the next request needs another.
  BOOST_TEST(eventually([&] { return is_ok(proxy.post("/echo", "{}")) && asked == 2; }));
}

BOOST_AUTO_TEST_CASE(queries_and_gets_come_through) {
  ToyEnclave enclave;
  const RunningProxy proxy(impatient(enclave.address()));
  BOOST_TEST(body_of(proxy.get("/page?a=%20b")) == "/page?a=%20b");
  BOOST_TEST(proxy.get("/nowhere").starts_with("HTTP/1.1 404 "));
}

BOOST_AUTO_TEST_CASE(one_verdict_serves_the_requests_of_its_channel) {
  std::atomic<int> asked{0};
  ToyEnclave enclave(counting(asked));
  const RunningProxy proxy(impatient(enclave.address()));
  for (int i = 0; i < 5; ++i) BOOST_TEST(is_ok(proxy.post("/echo", "{}")));
  BOOST_TEST(asked == 1);
}

BOOST_AUTO_TEST_CASE(a_channel_that_is_too_old_is_not_used_again) {
  std::atomic<int> asked{0};
  ToyEnclave enclave(counting(asked));
  attest::Policy policy = toy_policy();
  policy.binding.max_age = std::chrono::seconds(0);
  const RunningProxy proxy(impatient(enclave.address()), toy_trust(policy));
  // Even a new one is too old; but a request on its way to it is not sent to nobody knows whom.
  BOOST_TEST(proxy.post("/echo", "{}").starts_with("HTTP/1.1 502 "));
  BOOST_TEST(enclave.body_bytes() == 0);
}

BOOST_AUTO_TEST_CASE(a_redirect_of_a_request_is_refused) {
  ToyEnclave enclave;
  const RunningProxy proxy(impatient(enclave.address()));
  const std::string answer = proxy.post("/redirect", "{}");
  BOOST_TEST(answer.starts_with("HTTP/1.1 502 "));
  BOOST_TEST(code_of(answer) == "redirect");
  BOOST_TEST(answer.find("elsewhere") == answer.rfind("elsewhere")); // the message, no Location
  BOOST_TEST(answer.find("elsewhere.example") == std::string::npos);
}

BOOST_AUTO_TEST_CASE(the_verdict_can_be_read) {
  ToyEnclave enclave;
  RunningProxy proxy(impatient(enclave.address()));
  BOOST_TEST(proxy.get("/ready").starts_with("HTTP/1.1 503 "));
  BOOST_TEST(proxy->first_attempt().status == 10);
  BOOST_TEST(is_ok(proxy.get("/ready")));
  BOOST_TEST(is_ok(proxy.get("/health")));
  const auto verdict = nlohmann::json::parse(body_of(proxy.get("/talaria/verdict")));
  BOOST_TEST(verdict["status"] == 10);
  BOOST_TEST(verdict["image"] == "toy image");
  BOOST_TEST(verdict["statement"]["scheme"] == "lattice");
}

BOOST_AUTO_TEST_CASE(it_outlives_an_enclave_that_starts_again_with_other_keys) {
  const u16 port = free_port();
  auto options = [port](const char* certificate) {
    ToyEnclave::Options made;
    made.port = port;
    made.certificate = certificate;
    return made;
  };
  attest::Policy policy = toy_policy();
  policy.service = {};
  policy.service.any_name = true;
  auto enclave = std::make_unique<ToyEnclave>(options("api"));
  const RunningProxy proxy(impatient(enclave->address()), toy_trust(policy));
  BOOST_TEST(is_ok(proxy.post("/echo", "{}")));
  enclave.reset();
  BOOST_TEST(proxy.post("/echo", "{}").starts_with("HTTP/1.1 502 "));
  enclave = std::make_unique<ToyEnclave>(options("other"));
  BOOST_TEST(eventually([&] { return is_ok(proxy.post("/echo", "{}")); }));
  BOOST_TEST(eventually([&] { return is_ok(proxy.get("/ready")); }));
}

BOOST_AUTO_TEST_CASE(it_recovers_by_itself_without_any_request) {
  const u16 port = free_port();
  ToyEnclave::Options options;
  options.port = port;
  options.image = 0x66;
  auto enclave = std::make_unique<ToyEnclave>(options);
  RunningProxy proxy(impatient(enclave->address()));
  BOOST_TEST(proxy->first_attempt().status == 8);
  BOOST_TEST(proxy.get("/ready").starts_with("HTTP/1.1 503 "));
  enclave.reset();
  options.image = kImage;
  enclave = std::make_unique<ToyEnclave>(options);
  BOOST_TEST(eventually([&] { return is_ok(proxy.get("/ready")); }));
}

BOOST_AUTO_TEST_CASE(another_policy_takes_an_image_out_of_use_at_once) {
  ToyEnclave enclave;
  RunningProxy proxy(impatient(enclave.address()));
  BOOST_TEST(is_ok(proxy.post("/echo", "1")));
  proxy->set_trust(toy_trust(toy_policy(0x66)));
  const std::string answer = proxy.post("/echo", "2");
  BOOST_TEST(answer.starts_with("HTTP/1.1 502 "));
  BOOST_TEST(code_of(answer) == "image");
  BOOST_TEST(enclave.body_bytes() == 1);
  proxy->set_trust(nullptr); // one that cannot be read
  BOOST_TEST(code_of(proxy.post("/echo", "3")) == "policy");
  proxy->set_trust(toy_trust());
  BOOST_TEST(is_ok(proxy.post("/echo", "4")));
  BOOST_TEST(enclave.body_bytes() == 2);
}

BOOST_AUTO_TEST_CASE(bodies_can_have_one_of_few_sizes) {
  ToyEnclave enclave;
  connect::ProxyOptions options = impatient(enclave.address());
  options.pad_requests = 64;
  const RunningProxy proxy(options);
  BOOST_TEST(body_of(proxy.post("/echo", "{}")) == "{}" + std::string(62, ' '));
  BOOST_TEST(body_of(proxy.post("/echo", std::string(64, '1'))).size() == 64);
  BOOST_TEST(body_of(proxy.post("/echo", std::string(65, '1'))).size() == 128);
}

BOOST_AUTO_TEST_CASE(a_proxy_on_the_way_hears_where_to_and_no_more) {
  ToyEnclave enclave;
  ConnectProxy corporate(enclave.port());
  connect::ProxyOptions options = impatient(enclave.address());
  options.pool.server.via = transport::Address{"127.0.0.1", corporate.port()};
  RunningProxy proxy(options);
  BOOST_TEST(is_ok(proxy.post("/echo", "{}")));
  const std::string to = to_string(enclave.address().address);
  BOOST_TEST(corporate.heard() == "CONNECT " + to + " HTTP/1.1\r\nHost: " + to + "\r\n\r\n");
}

BOOST_AUTO_TEST_CASE(a_proxy_on_the_way_may_refuse) {
  ToyEnclave enclave;
  ConnectProxy corporate(enclave.port(), "HTTP/1.1 407 Proxy Authentication Required\r\n\r\n");
  connect::ProxyOptions options = impatient(enclave.address());
  options.pool.server.via = transport::Address{"127.0.0.1", corporate.port()};
  RunningProxy proxy(options);
  const auto verdict = proxy->first_attempt();
  BOOST_TEST(verdict.status == 6);
  BOOST_TEST(verdict.refusal->reason.find("refuses (407)") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(it_listens_to_this_machine_alone) {
  const ToyEnclave enclave;
  connect::ProxyOptions options = impatient(enclave.address());
  options.listen = {"0.0.0.0", 0};
  BOOST_CHECK_THROW(connect::Proxy(options, toy_trust(), [](const std::string&) {}), Error);
}

BOOST_AUTO_TEST_CASE(a_web_page_of_another_origin_cannot_use_it) {
  ToyEnclave enclave;
  const RunningProxy proxy(impatient(enclave.address()));
  BOOST_TEST(
      proxy.post("/echo", "{}", "Origin: https://evil.example\r\n").starts_with("HTTP/1.1 403 "));
  BOOST_TEST(enclave.body_bytes() == 0);
}

BOOST_AUTO_TEST_CASE(a_change_is_told_once) {
  ToyEnclave enclave;
  RunningProxy proxy(impatient(enclave.address()));
  for (int i = 0; i < 3; ++i) proxy->first_attempt();
  BOOST_TEST(proxy.log().size() == 1);
  BOOST_TEST(proxy.log().front() ==
             "attestation: accepted, SIMULATED, image toy image, policy toy");
}

BOOST_AUTO_TEST_CASE(a_policy_that_names_nobody_is_none_for_a_server) {
  attest::Policy policy = toy_policy();
  policy.service = {};
  BOOST_CHECK_EXCEPTION(toy_trust(policy), Error, [](const Error& error) {
    return std::string(error.what()).find("service: missing") != std::string::npos;
  });
}

namespace {

/// That of toy_trust(), with a memory that outlives it and a clock that goes wrong.
std::shared_ptr<const connect::Trust> remembering(std::shared_ptr<attest::SeenCollateral> seen,
                                                  std::chrono::hours later = {}) {
  connect::TrustOptions options;
  options.allow_simulated = true;
  options.seen = std::move(seen);
  options.now = [later] {
    return std::chrono::floor<attest::Seconds>(std::chrono::system_clock::now() + later);
  };
  return std::make_shared<const connect::Trust>(toy_policy(), std::move(options));
}

} // namespace

BOOST_AUTO_TEST_CASE(collateral_older_than_was_relied_on_is_refused) {
  ToyEnclave enclave;
  const auto seen = std::make_shared<attest::SeenCollateral>();
  RunningProxy proxy(impatient(enclave.address()), remembering(seen));
  const auto first = proxy->first_attempt();
  BOOST_TEST(first.status == 10);
  // A newer list was seen elsewhere: this one could hide a revocation.
  attest::Ledger newer;
  for (attest::CollateralItem item : first.collateral()->items()) {
    item.this_update += attest::Seconds(1);
    newer.add(item);
  }
  BOOST_TEST(!seen->note(newer, first.platform()).has_value());
  const auto second = proxy->first_attempt();
  BOOST_TEST(second.status == 7);
  BOOST_TEST(second.refusal->code == "rollback");
  // Another policy forgets nothing.
  proxy->set_trust(remembering(seen));
  BOOST_TEST(code_of(proxy.post("/echo", "{}")) == "rollback");
  BOOST_TEST(enclave.body_bytes() == 0);
}

BOOST_AUTO_TEST_CASE(a_clock_that_is_set_back_is_not_believed_below_what_was_signed) {
  ToyEnclave enclave;
  constexpr std::chrono::hours kBack{-24};
  {
    RunningProxy proxy(impatient(enclave.address()),
                       remembering(std::make_shared<attest::SeenCollateral>(), kBack));
    BOOST_TEST(proxy->first_attempt().status == 7); // certificates are of the future
  }
  const auto seen = std::make_shared<attest::SeenCollateral>();
  RunningProxy proxy(impatient(enclave.address()), remembering(seen));
  BOOST_TEST(proxy->first_attempt().status == 10);
  proxy->set_trust(remembering(seen, kBack));
  const auto verdict = proxy->first_attempt();
  BOOST_TEST(verdict.status == 10);
  BOOST_TEST((verdict.at > std::chrono::system_clock::now() - std::chrono::hours(2)));
}

BOOST_AUTO_TEST_CASE(servers_are_https) {
  BOOST_TEST(connect::parse_server("https://api.example.org").authority == "api.example.org");
  BOOST_TEST(connect::parse_server("api.example.org").address.port == 443);
  BOOST_TEST(connect::parse_server("https://api.example.org:8443/").authority ==
             "api.example.org:8443");
  BOOST_TEST(connect::parse_server("https://[::1]:8443").address.host == "::1");
  BOOST_TEST(connect::parse_server("https://[::1]").authority == "[::1]");
  for (const char* text :
       {"http://a", "ftp://a", "https://a/v1", "https://u@a", "https://", "https://a:x"})
    BOOST_CHECK_THROW(connect::parse_server(text), Error);
}

BOOST_AUTO_TEST_SUITE_END()
