// Connections: who may hold what, and who is still there.
#include <boost/test/unit_test.hpp>
#include <memory>
#include <string>
#include <system_error>
#include <vector>

#include "tests/gateway/raw_client.hpp"
#include "tests/gateway/toy_server.hpp"

namespace talaria::tests {

using namespace std::chrono_literals;
using gateway::HttpLimits;

BOOST_AUTO_TEST_SUITE(http_connections)

namespace {

const std::string kHost = "Host: 127.0.0.1\r\n";
const std::string kHealth = "GET /health HTTP/1.1\r\n" + kHost + "\r\n";

std::string post(const std::string& path, const std::string& body, const std::string& fields = "",
                 const std::string& version = "1.1") {
  return "POST " + path + " HTTP/" + version + "\r\n" + kHost +
         "Content-Type: application/json\r\nContent-Length: " + std::to_string(body.size()) +
         "\r\n" + fields + "\r\n" + body;
}

int health_of(const ToyServer& server, const char* from = "127.0.0.1") {
  const RawClient client(server.port(), from);
  client.send(kHealth);
  return client.status();
}

std::size_t count_of(const std::string& text, const std::string& part) {
  std::size_t count = 0;
  for (std::size_t at = 0; (at = text.find(part, at)) != std::string::npos; at += part.size())
    ++count;
  return count;
}

using Clients = std::vector<std::unique_ptr<RawClient>>;

Clients clients_that_send(const ToyServer& server, std::size_t count, const std::string& bytes,
                          const char* from = "127.0.0.1") {
  Clients clients;
  for (std::size_t i = 0; i < count; ++i) {
    clients.push_back(std::make_unique<RawClient>(server.port(), from));
    clients.back()->send(bytes);
  }
  return clients;
}

} // namespace

BOOST_AUTO_TEST_CASE(slow_clients_hold_no_threads) {
  ToyServer server({}, 1); // and one thread is all there is for bodies
  const auto heads = clients_that_send(server, 300, "GET /health HTTP/1.1\r\nHost: x\r\nX: ");
  const auto bodies =
      clients_that_send(server, 300,
                        "POST /echo HTTP/1.1\r\n" + kHost +
                            "Content-Type: application/json\r\nContent-Length: 4000\r\n\r\n{\"");
  const auto silent = clients_that_send(server, 100, "");
  for (int i = 0; i < 20; ++i) BOOST_TEST(health_of(server) == 200);
  const RawClient client(server.port());
  client.send(post("/echo", "{}"));
  BOOST_TEST(client.status() == 200);
}

BOOST_AUTO_TEST_CASE(handlers_that_take_long_do_not_stop_what_is_short) {
  ToyServer server({}, 2);
  const auto busy = clients_that_send(server, 10, post("/wait", "{}"));
  server.await_waiting(2);
  BOOST_TEST(health_of(server) == 200);
  const RawClient page(server.port());
  page.send("GET /page HTTP/1.1\r\n" + kHost + "\r\n");
  BOOST_TEST(page.status() == 200);
  server.release();
  for (const auto& client : busy) BOOST_TEST(client->status() == 200);
}

BOOST_AUTO_TEST_CASE(clients_that_do_not_read_answers_hold_no_threads) {
  ToyServer server({}, 1);
  const std::string large(900'000, 'a');
  const auto deaf = clients_that_send(
      server, 8, post("/echo", large) + post("/echo", large) + post("/echo", large));
  const RawClient client(server.port());
  client.send(post("/echo", "{}"));
  BOOST_TEST(client.status() == 200);
  for (const auto& each : deaf)
    for (int i = 0; i < 3; ++i) BOOST_TEST(each->status() == 200);
}

BOOST_AUTO_TEST_CASE(a_thread_that_the_system_does_not_give_is_waited_for) {
  std::size_t started = 0;
  std::mutex mutex;
  std::condition_variable changed;
  std::size_t done = 0;
  {
    gateway::ConnectionThreads threads(50, [&](std::function<void()> work) {
      if (++started > 2)
        throw std::system_error(std::make_error_code(std::errc::resource_unavailable_try_again));
      return std::thread(std::move(work));
    });
    for (int i = 0; i < 20; ++i)
      threads.run([&] {
        const std::lock_guard lock(mutex);
        ++done;
        changed.notify_all();
      });
    std::unique_lock lock(mutex);
    changed.wait(lock, [&] { return done == 20; });
  }
  BOOST_TEST(done == 20u);
  BOOST_CHECK_THROW(gateway::ConnectionThreads(5,
                                               [](std::function<void()>) -> std::thread {
                                                 throw std::system_error(std::make_error_code(
                                                     std::errc::resource_unavailable_try_again));
                                               }),
                    Error);
}

BOOST_AUTO_TEST_CASE(a_client_that_ends_its_sending_gets_its_answer) {
  ToyServer server;
  const RawClient at_once(server.port());
  at_once.send(post("/echo", "{}"));
  at_once.end_sending();
  const std::string answer = at_once.rest();
  BOOST_TEST(answer.starts_with("HTTP/1.1 200 OK\r\n"), answer);
  BOOST_TEST(answer.ends_with("\r\n\r\n{}"));

  const RawClient later(server.port());
  later.send(post("/wait", "{}"));
  server.await_waiting(1);
  later.end_sending();
  BOOST_TEST(later.until("\r\n\r\n") == "HTTP/1.1 100 Continue\r\n\r\n"); // the sign
  server.release();
  const std::string waited = later.rest();
  BOOST_TEST(waited.find("HTTP/1.1 200 OK\r\n") != std::string::npos, waited);
  BOOST_TEST(waited.ends_with("waited"));

  const RawClient streamed(server.port());
  streamed.send(post("/stream", "{}"));
  streamed.end_sending();
  BOOST_TEST(streamed.rest().ends_with("0\r\n\r\n"));
}

BOOST_AUTO_TEST_CASE(several_requests_before_the_end_of_sending_are_all_answered) {
  ToyServer server;
  const RawClient client(server.port());
  client.send(post("/echo", "1") + kHealth + post("/echo", "2") + kHealth);
  client.end_sending();
  BOOST_TEST(count_of(client.rest(), "HTTP/1.1 200 OK") == 4u);
}

BOOST_AUTO_TEST_CASE(clients_that_leave_are_noticed) {
  ToyServer server;
  for (std::size_t i = 0; i < 4; ++i) {
    RawClient client(server.port());
    client.send(post(i < 2 ? "/wait" : "/stream", "{}"));
    server.await_waiting(i + 1);
    if (i >= 2) client.until("data: x");
    if (i % 2 == 0)
      client.close();
    else
      client.reset();
    server.await_left(i + 1);
  }
  // And one that leaves before anybody has looked at its request.
  RawClient client(server.port());
  client.send(post("/wait", "{}"));
  client.close();
  server.await_left(5);
  const auto log = server.await_log(5);
  BOOST_TEST(std::count(log.begin(), log.end(), "POST /wait 499") == 3);
  BOOST_TEST(std::count(log.begin(), log.end(), "POST /stream 499") == 2);
}

BOOST_AUTO_TEST_CASE(a_client_of_http_1_0_gets_no_interim_answers_and_no_chunks) {
  ToyServer server;
  server.release();
  const RawClient client(server.port());
  client.send(post("/stream", "{}", "", "1.0"));
  client.end_sending();
  const std::string answer = client.rest();
  BOOST_TEST(answer.find("ransfer-") == std::string::npos, answer);
  BOOST_TEST(answer.ends_with("\r\n\r\ndata: x\n\n"), answer);
}

BOOST_AUTO_TEST_CASE(the_connection_stays_as_long_as_it_says) {
  ToyServer server;
  const RawClient client(server.port());
  for (int i = 0; i < 3; ++i) {
    client.send(kHealth);
    const std::string head = client.until("\r\n\r\n");
    BOOST_TEST(head.find("Connection: keep-alive\r\n") != std::string::npos, head);
    BOOST_TEST(head.find("Keep-Alive: timeout=120\r\n") != std::string::npos, head);
    client.until("live");
  }
  client.send("GET /health HTTP/1.1\r\n" + kHost + "Connection: close\r\n\r\n");
  BOOST_TEST(client.rest().find("Connection: close\r\n") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(what_does_not_arrive_in_time_is_told_so) {
  HttpLimits limits;
  limits.head_within = limits.body_within = 100ms;
  ToyServer server(limits);
  const RawClient head(server.port());
  head.send("GET /health HTTP/1.1\r\nX: ");
  BOOST_TEST(head.rest().starts_with("HTTP/1.1 408 Request Timeout\r\n"));
  const RawClient body(server.port());
  body.send("POST /echo HTTP/1.1\r\n" + kHost +
            "Content-Type: application/json\r\nContent-Length: 9\r\n\r\n{");
  BOOST_TEST(body.rest().starts_with("HTTP/1.1 408 Request Timeout\r\n"));
  BOOST_TEST((server.await_log(2) == std::vector<std::string>{"- - 408", "POST /echo 408"}));
}

BOOST_AUTO_TEST_CASE(an_idle_connection_is_closed_after_its_time) {
  HttpLimits limits;
  limits.idle = 50ms;
  ToyServer server(limits);
  const RawClient client(server.port());
  client.send(kHealth);
  BOOST_TEST(client.status() == 200);
  BOOST_TEST(client.rest().empty());
}

BOOST_AUTO_TEST_CASE(one_address_holds_so_many_connections_and_its_oldest_goes) {
  HttpLimits limits;
  limits.per_address = 4;
  ToyServer server(limits);
  const auto other = clients_that_send(server, 2, kHealth, "127.0.0.2");
  const auto held = clients_that_send(server, 12, "GET /");
  BOOST_TEST(health_of(server) == 200);
  for (std::size_t i = 0; i < 8; ++i) BOOST_TEST(held[i]->rest().empty()); // closed
  for (const auto& client : other) {
    BOOST_TEST(client->status() == 200);
    client->send(kHealth);
    BOOST_TEST(client->status() == 200); // still there
  }
}

BOOST_AUTO_TEST_CASE(all_together_hold_so_many_connections) {
  HttpLimits limits;
  limits.connections = 16;
  ToyServer server(limits);
  const auto held = clients_that_send(server, 40, "GET /");
  BOOST_TEST(health_of(server) == 200);
  for (std::size_t i = 0; i < 24; ++i) BOOST_TEST(held[i]->rest().empty());
}

BOOST_AUTO_TEST_CASE(requests_that_are_handled_keep_their_connection) {
  HttpLimits limits;
  limits.connections = 16;
  ToyServer server(limits);
  const auto handled = clients_that_send(server, 8, post("/wait", "{}"));
  server.await_waiting(8);
  const auto held = clients_that_send(server, 40, "GET /");
  BOOST_TEST(health_of(server) == 200);
  server.release();
  for (const auto& client : handled) BOOST_TEST(client->status() == 200);
}

BOOST_AUTO_TEST_CASE(bodies_that_arrive_slowly_make_room_for_others) {
  HttpLimits limits;
  limits.buffered_bytes = 1'000'000;
  ToyServer server(limits);
  const std::string head = "POST /echo HTTP/1.1\r\n" + kHost +
                           "Content-Type: application/json\r\nContent-Length: 900000\r\n\r\n";
  Clients slow;
  for (int i = 0; i < 4; ++i) {
    slow.push_back(std::make_unique<RawClient>(server.port()));
    slow.back()->send(head + std::string(400'000, ' '));
    BOOST_TEST(health_of(server) == 200);
  }
  const RawClient quick(server.port());
  quick.send(post("/echo", std::string(700'000, 'a')));
  BOOST_TEST(quick.status() == 200);
  std::size_t told = 0;
  for (const auto& client : slow) {
    client->end_sending();
    const std::string answer = client->rest();
    told += answer.starts_with("HTTP/1.1 503 Service Unavailable\r\n") &&
            answer.find("Retry-After: ") != std::string::npos;
  }
  BOOST_TEST(told >= 2u);
}

BOOST_AUTO_TEST_CASE(a_client_that_asks_before_its_body_is_told_to_go_on_or_why_not) {
  ToyServer server;
  const std::string head = "POST /echo HTTP/1.1\r\n" + kHost +
                           "Content-Type: application/json\r\nExpect: 100-continue\r\n";
  const RawClient patient(server.port());
  patient.send(head + "Content-Length: 2\r\n\r\n");
  BOOST_TEST(patient.until("\r\n\r\n") == "HTTP/1.1 100 Continue\r\n\r\n");
  patient.send("{}");
  BOOST_TEST(patient.status() == 200);
  const RawClient too_long(server.port());
  too_long.send(head + "Content-Length: 2000000\r\n\r\n");
  BOOST_TEST(too_long.until("\r\n").starts_with("HTTP/1.1 413 "));
  const RawClient unknown(server.port());
  unknown.send("POST /echo HTTP/1.1\r\n" + kHost +
               "Content-Type: application/json\r\nExpect: more\r\nContent-Length: 2\r\n\r\n");
  BOOST_TEST(unknown.until("\r\n").starts_with("HTTP/1.1 417 "));
}

BOOST_AUTO_TEST_CASE(every_answer_has_an_id_and_its_words) {
  ToyServer server;
  for (const std::string& bytes : std::vector<std::string>{
           kHealth, std::string("nonsense\r\n\r\n"), std::string("GET / HTTP/1.1\r\n\r\n"),
           "GET /nowhere HTTP/1.1\r\n" + kHost + "\r\n",
           "PUT /health HTTP/1.1\r\n" + kHost + "\r\n",
           std::string("GET /health HTTP/1.1\r\nHost: evil.example\r\n\r\n")}) {
    const RawClient client(server.port());
    client.send(bytes);
    client.end_sending();
    const std::string answer = client.rest();
    const std::size_t id = answer.find("X-Request-Id: ");
    BOOST_TEST_REQUIRE(id != std::string::npos, answer);
    BOOST_TEST(answer.find_first_not_of("0123456789abcdef", id + 14) == id + 30);
    BOOST_TEST(answer.find("Internal Server Error") == std::string::npos);
  }
}

// Control characters in a log act on the terminal that shows it; long ones fill disks.
BOOST_AUTO_TEST_CASE(the_log_has_nothing_that_a_client_wrote) {
  ToyServer server;
  for (const char* method : {"A\x1b[31mB", "BREW", "G\rET", "get"}) {
    const RawClient client(server.port());
    client.send(std::string(method) + " /health HTTP/1.1\r\n" + kHost + "\r\n");
    client.end_sending();
    client.rest();
  }
  for (const std::string& line : server.await_log(4))
    BOOST_TEST((line == "- - 400" || line == "- /health 405"), line);
  const RawClient client(server.port());
  client.send(std::string(5000, 'M') + " /health HTTP/1.1\r\n" + kHost + "\r\n");
  client.end_sending();
  client.rest();
  BOOST_TEST(server.await_log(5).back() == "- /health 405");
}

BOOST_AUTO_TEST_CASE(a_body_that_was_not_read_is_not_a_request) {
  ToyServer server;
  const std::string length = "Content-Length: " + std::to_string(kHealth.size()) + "\r\n\r\n";
  for (const std::string& line : std::vector<std::string>{
           "GET /health HTTP/1.1\r\n", "GET /page HTTP/1.1\r\n", "POST /nowhere HTTP/1.1\r\n"}) {
    const RawClient client(server.port());
    client.send(line + kHost + length + kHealth);
    client.end_sending();
    BOOST_TEST(count_of(client.rest(), "HTTP/1.1 ") == 1u, line);
  }
}

BOOST_AUTO_TEST_CASE(codings_of_the_body_are_undone_or_refused) {
  ToyServer server;
  const std::string gzip_of_braces("\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03\xab\xae\x05\x00\x43"
                                   "\xbf\xa6\xa3\x02\x00\x00\x00",
                                   22);
  const RawClient good(server.port());
  good.send(post("/echo", gzip_of_braces, "Content-Encoding: GZip\r\nConnection: close\r\n"));
  BOOST_TEST(good.rest().ends_with("\r\n\r\n{}"));
  const RawClient cut(server.port());
  cut.send(post("/echo", gzip_of_braces.substr(0, 15), "Content-Encoding: gzip\r\n"));
  BOOST_TEST(cut.status() == 400);
  for (const char* coding : {"br", "zstd", "gzip, gzip", "compress"}) {
    const RawClient client(server.port());
    client.send(post("/echo", "{}", std::string("Content-Encoding: ") + coding + "\r\n"));
    BOOST_TEST(client.status() == 415);
  }
  const RawClient type(server.port());
  type.send("POST /echo HTTP/1.1\r\n" + kHost +
            "Content-Type: Application/JSON ; charset=utf-8\r\nContent-Length: 2\r\n\r\n{}");
  BOOST_TEST(type.status() == 200);
}

BOOST_AUTO_TEST_SUITE_END()

} // namespace talaria::tests
