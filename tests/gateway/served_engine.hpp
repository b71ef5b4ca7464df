#pragma once

#include <httplib.h>

#include <condition_variable>
#include <functional>
#include <mutex>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>
#include <vector>

#include "gateway/http_server.hpp"

namespace talaria::tests {

using nlohmann::json;

/// What the worker behind the tests' engine does with the next product.
class WorkerSwitch {
public:
  enum class Mode { honest, waiting, lying, gone };
  void set(Mode mode);
  /// The mode, once it is not waiting.
  Mode await();

private:
  std::mutex mutex_;
  std::condition_variable changed_;
  Mode mode_ = Mode::honest;
};

/// talaria-tiny, loaded once for the whole program.
pipeline::Engine& engine();
WorkerSwitch& worker_switch();

/// The worker behaves otherwise for as long as this lives.
class WorkerThat {
public:
  explicit WorkerThat(WorkerSwitch::Mode mode) { worker_switch().set(mode); }
  ~WorkerThat() { worker_switch().set(WorkerSwitch::Mode::honest); }
  WorkerThat(const WorkerThat&) = delete;
  WorkerThat& operator=(const WorkerThat&) = delete;
};

/// A server on a port of its own in front of engine(), or of another, stopped at the end.
class RunningServer {
public:
  explicit RunningServer(const std::function<void(gateway::ServerOptions&)>& change = {});
  /// In front of another engine, which must outlive this object.
  RunningServer(pipeline::Engine& served,
                const std::function<void(gateway::ServerOptions&)>& change);
  ~RunningServer() { end(); }

  httplib::Client client() const;
  u16 port() const { return server_->port(); }
  u16 metrics_port() const { return server_->metrics_port(); }
  /// Returns at once; end() waits.
  void stop() { server_->stop(); }
  void end();
  std::vector<std::string> log() const;

  httplib::Result get(const std::string& path) const { return client().Get(path); }
  httplib::Result post(const std::string& path, const json& body) const {
    return client().Post(path, body.dump(), "application/json");
  }
  /// The body of a request that must succeed.
  json answer(const std::string& path, const json& body) const;
  /// A metric's value; with `labels` as Prometheus writes them, in the order of the server.
  double metric(const std::string& name_and_labels) const;
  /// Waits until a metric has a value; false if it has not after a long time.
  bool becomes(const std::string& name_and_labels, double value) const;

private:
  mutable std::mutex mutex_;
  std::vector<std::string> log_;
  std::unique_ptr<gateway::HttpServer> server_;
  std::thread thread_;
};

inline const std::string kRunning = R"(vllm:num_requests_running{model_name="talaria-tiny"})";
inline const std::string kWaiting = R"(vllm:num_requests_waiting{model_name="talaria-tiny"})";

/// A request to /v1/completions that is greedy and does not end by itself.
json completion_of(const json& prompt, u32 max_tokens);
/// The same to /v1/chat/completions.
json chat_of(const std::string& text, u32 max_tokens);

/// The same requests, answered by the engine alone.
pipeline::Completion completed(const std::string& prompt, u32 max_tokens);
pipeline::Completion chatted(const std::string& text, u32 max_tokens);

/// The objects of a stream of server-sent events; "[DONE]" as a string.
std::vector<json> events_of(const std::string& stream);

} // namespace talaria::tests
