#include "tests/gateway/toy_server.hpp"

#include <chrono>

namespace talaria::tests {

using gateway::HttpResponse;
using namespace std::chrono_literals;

ToyServer::ToyServer(gateway::HttpLimits limits, std::size_t threads,
                     std::shared_ptr<transport::ServerTls> tls, std::vector<std::string> origins,
                     transport::Socket also_at)
    : policy_("127.0.0.1", {"served.example"}, std::move(origins)), router_(1'000'000),
      httpd_(limits, threads, router_, [this](const gateway::Exchange& e) { note(e); }) {
  router_.set_policy(policy_);
  router_.get(
      "/health", [](HttpResponse& r) { r.set_content("live", "text/plain"); },
      gateway::Router::On::the_spot);
  router_.get("/page", [](HttpResponse& r) { r.set_content("page", "text/plain"); });
  router_.post("/echo",
               [](const std::string& body, HttpResponse& r) { r.set_content(body, "text/plain"); });
  router_.post("/exporter", [](const std::string&, HttpResponse& r) {
    const auto key =
        gateway::current_exchange().connection->tls()->exporter("EXPORTER-test", "c", 32);
    r.set_content(std::string(key.begin(), key.end()), "application/octet-stream");
  });
  router_.post("/wait", [this](const std::string&, HttpResponse& r) { wait(r); });
  router_.post("/stream", [this](const std::string&, HttpResponse& r) { stream(r); });
  port_ = httpd_.bind("127.0.0.1", 0, std::move(tls));
  if (also_at) httpd_.adopt(std::move(also_at));
  thread_ = std::thread([this] { httpd_.serve(); });
}

ToyServer::~ToyServer() {
  end();
}

void ToyServer::end() {
  release();
  httpd_.stop();
  if (thread_.joinable()) thread_.join();
}

void ToyServer::release() {
  const std::lock_guard lock(mutex_);
  released_ = true;
  changed_.notify_all();
}

void ToyServer::wait(HttpResponse& response) {
  gateway::Exchange& exchange = gateway::current_exchange();
  std::unique_lock lock(mutex_);
  ++waiting_;
  changed_.notify_all();
  while (!released_ && !exchange.client_left) {
    changed_.wait_for(lock, 10ms);
    exchange.client_left = exchange.connection->peer_left();
  }
  left_ += exchange.client_left;
  changed_.notify_all();
  response.set_content("waited", "text/plain");
}

void ToyServer::stream(HttpResponse& response) {
  response.set_stream("text/event-stream", [this](gateway::BodySink& sink) {
    gateway::Exchange& exchange = gateway::current_exchange();
    std::unique_lock lock(mutex_);
    ++waiting_;
    changed_.notify_all();
    changed_.wait_for(lock, 10ms, [this] { return released_; });
    const bool gone = exchange.connection->peer_left() || !sink.write("data: x\n\n", 9);
    exchange.client_left = gone;
    left_ += gone;
    changed_.notify_all();
    if (released_) sink.done();
    return !gone;
  });
}

void ToyServer::await_waiting(std::size_t count) {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return waiting_ >= count; });
}

void ToyServer::await_left(std::size_t count) {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return left_ >= count; });
}

void ToyServer::note(const gateway::Exchange& exchange) {
  const std::lock_guard lock(mutex_);
  log_.push_back(exchange.method + " " + exchange.route + " " + std::to_string(exchange.outcome()));
  changed_.notify_all();
}

std::vector<std::string> ToyServer::log() const {
  const std::lock_guard lock(mutex_);
  return log_;
}

std::vector<std::string> ToyServer::await_log(std::size_t count) const {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return log_.size() >= count; });
  return log_;
}

} // namespace talaria::tests
