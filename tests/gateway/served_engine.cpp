#include "tests/gateway/served_engine.hpp"
#include "pipeline/worker_decorator.hpp"

#include <boost/test/unit_test.hpp>
#include <chrono>
#include <sstream>

#include "actors/errors.hpp"
#include "tests/support/eventually.hpp"
#include "tests/support/models.hpp"
#include "tests/support/workers.hpp"

namespace talaria::tests {

namespace {

using Mode = WorkerSwitch::Mode;

remo::WorkerProduct with_flipped_bit(const remo::WorkerProduct& product) {
  AlignedBuffer<u8> bytes(product.bytes->size());
  std::copy(product.bytes->begin(), product.bytes->end(), bytes.begin());
  bytes[0] ^= 4;
  remo::WorkerProduct changed = product;
  changed.bytes = std::make_shared<const AlignedBuffer<u8>>(std::move(bytes));
  return changed;
}

worker::Worker switched(caf::actor_system& system, worker::Worker honest) {
  // On its own thread, since it blocks while it waits.
  return system.spawn<caf::detached>([honest](worker::Worker::pointer self)
                                         -> worker::Worker::behavior_type {
    return in_front_of(self, honest, [=](const remo::MaskedTensor& tensor) {
      const Mode mode = worker_switch().await();
      auto promise = self->make_response_promise<remo::WorkerProduct>();
      if (mode == Mode::gone) {
        promise.deliver(to_caf(Error(Errc::no_worker, "layers.0.qkv: no worker is left")));
        return promise;
      }
      self->request(honest, caf::infinite, tensor).then([=](remo::WorkerProduct& product) mutable {
        promise.deliver(mode == Mode::lying ? with_flipped_bit(product) : product);
      });
      return promise;
    });
  });
}

pipeline::EngineOptions engine_options() {
  pipeline::EngineOptions options;
  options.model_dir = model_folder("talaria-tiny");
  options.threads = 2;
  options.decorate_worker = pipeline::decorate_worker(switched);
  return options;
}

std::unique_ptr<pipeline::Engine> the_engine;

/// The engine ends before main() does: its threads must not outlive what they use.
struct EngineEnds {
  ~EngineEnds() { the_engine.reset(); }
};

pipeline::Request greedy(std::vector<u32> prompt, u32 max_tokens) {
  pipeline::Request request;
  request.prompt = std::move(prompt);
  request.max_tokens = max_tokens;
  request.ignore_eos = true;
  return request;
}

} // namespace

BOOST_TEST_GLOBAL_FIXTURE(EngineEnds);

void WorkerSwitch::set(Mode mode) {
  const std::lock_guard lock(mutex_);
  mode_ = mode;
  changed_.notify_all();
}

WorkerSwitch::Mode WorkerSwitch::await() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return mode_ != Mode::waiting; });
  return mode_;
}

WorkerSwitch& worker_switch() {
  static WorkerSwitch instance;
  return instance;
}

pipeline::Engine& engine() {
  SilentProgress progress;
  if (!the_engine) the_engine = std::make_unique<pipeline::Engine>(engine_options(), progress);
  return *the_engine;
}

RunningServer::RunningServer(const std::function<void(gateway::ServerOptions&)>& change)
    : RunningServer(engine(), change) {}

RunningServer::RunningServer(pipeline::Engine& served,
                             const std::function<void(gateway::ServerOptions&)>& change) {
  gateway::ServerOptions options;
  options.listen = {"127.0.0.1", 0};
  options.metrics = transport::Address{"127.0.0.1", 0};
  options.model_name = "talaria-tiny";
  options.chat_template = model::ChatTemplate::load(model_folder("talaria-tiny"));
  if (change) change(options);
  server_ = std::make_unique<gateway::HttpServer>(served, std::move(options),
                                                  [this](const std::string& line) {
                                                    const std::lock_guard lock(mutex_);
                                                    log_.push_back(line);
                                                  });
  thread_ = std::thread([this] { server_->run(); });
}

httplib::Client RunningServer::client() const {
  httplib::Client client("127.0.0.1", port());
  client.set_read_timeout(120);
  return client;
}

void RunningServer::end() {
  server_->stop();
  if (thread_.joinable()) thread_.join();
}

std::vector<std::string> RunningServer::log() const {
  const std::lock_guard lock(mutex_);
  return log_;
}

json RunningServer::answer(const std::string& path, const json& body) const {
  const auto result = post(path, body);
  BOOST_REQUIRE(result);
  BOOST_TEST_REQUIRE(result->status == 200, result->body);
  return json::parse(result->body);
}

double RunningServer::metric(const std::string& name_and_labels) const {
  const auto result = httplib::Client("127.0.0.1", metrics_port()).Get("/metrics");
  BOOST_REQUIRE(result);
  std::istringstream lines(result->body);
  for (std::string line; std::getline(lines, line);)
    if (line.starts_with(name_and_labels + " "))
      return std::stod(line.substr(name_and_labels.size() + 1));
  return -1;
}

bool RunningServer::becomes(const std::string& name_and_labels, double value) const {
  return eventually([&] { return metric(name_and_labels) == value; });
}

json completion_of(const json& prompt, u32 max_tokens) {
  return {{"prompt", prompt}, {"max_tokens", max_tokens}, {"ignore_eos", true}};
}

json chat_of(const std::string& text, u32 max_tokens) {
  return {{"messages", json::array({{{"role", "user"}, {"content", text}}})},
          {"max_tokens", max_tokens},
          {"ignore_eos", true}};
}

pipeline::Completion completed(const std::string& prompt, u32 max_tokens) {
  return run_to_end(engine(), greedy(engine().tokenizer().encode(prompt, true), max_tokens));
}

pipeline::Completion chatted(const std::string& text, u32 max_tokens) {
  const auto chat = model::ChatTemplate::load(model_folder("talaria-tiny"));
  const auto prompt = chat->render({{"user", text}}, true);
  return run_to_end(engine(), greedy(engine().tokenizer().encode(prompt, false), max_tokens));
}

std::vector<json> events_of(const std::string& stream) {
  std::vector<json> events;
  std::istringstream lines(stream);
  for (std::string line; std::getline(lines, line);) {
    if (line.empty()) continue;
    BOOST_TEST_REQUIRE(line.starts_with("data: "), line);
    const std::string data = line.substr(6);
    events.push_back(data == "[DONE]" ? json(data) : json::parse(data));
  }
  return events;
}

} // namespace talaria::tests
