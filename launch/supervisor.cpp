#include "launch/supervisor.hpp"

#include <fmt/format.h>
#include <sys/eventfd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <condition_variable>
#include <cstring>
#include <mutex>
#include <thread>

#include "core/error.hpp"
#include "launch/node.hpp"
#include "launch/node_command.hpp"

namespace talaria::launch {
namespace {

using Clock = NodeState::Clock;
using config::WorkerNode;

constexpr int kTickMilliseconds = 100; // while anything is under way: timers, and the view

class SilentView final : public LiveView {
public:
  void line(std::string_view) override {}
  void show(const std::vector<NodeState>&) override {}
};

} // namespace

/// The supervisor's inside. `nodes_` belongs to the thread once it runs; everybody else sees the
/// snapshot it publishes.
class Supervisor::Worker {
public:
  Worker(const config::PipelineConfig& config, SupervisorOptions options);
  void start();
  void wait_until_ready();
  std::vector<NodeState> snapshot() const;
  void request_stop();
  void stop();

private:
  void run();
  void wait_for_events();
  void show(bool changed, Clock::time_point now);
  bool all_ended() const;
  void publish();
  std::string failure_text(const NodeState& node) const;

  config::PipelineConfig config_;
  std::vector<std::size_t> chosen_;
  std::shared_ptr<LiveView> view_;
  std::vector<std::unique_ptr<Node>> nodes_;
  bool unseen_ = false; ///< the view has not been told of a change
  Clock::time_point last_shown_;
  FileDescriptor wake_;
  std::atomic<bool> stopping_{false};

  mutable std::mutex mutex_; ///< guards what follows
  std::condition_variable changed_;
  std::vector<NodeState> snapshot_;
  std::vector<bool> was_ready_;

  std::mutex join_mutex_;
  std::thread thread_;
};

Supervisor::Worker::Worker(const config::PipelineConfig& config, SupervisorOptions options)
    : config_(config), chosen_(std::move(options.nodes)), view_(std::move(options.view)),
      wake_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  if (!wake_)
    throw Error(Errc::io, fmt::format("no eventfd: {}; raise ulimit -n", std::strerror(errno)));
  if (!view_) view_ = std::make_shared<SilentView>();
  was_ready_.resize(chosen_.size());
}

void Supervisor::Worker::start() {
  for (const std::size_t index : chosen_) {
    const WorkerNode& node = config_.workers.at(index);
    if (node.start != WorkerNode::Start::local) continue;
    check_local_files(config_, index);
    if (is_listening(node))
      throw Error(Errc::config,
                  fmt::format("{}:{}: workers[{}].address: something listens on {} already; stop "
                              "it, or choose another port",
                              config_.file.string(), node.line, index, to_string(node.address)));
  }
  for (const std::size_t index : chosen_)
    nodes_.push_back(std::make_unique<Node>(
        config_, config_.workers[index], [this](const std::string& line) { view_->line(line); }));
  publish();
  thread_ = std::thread([this] { run(); });
}

/// Children are started here and nowhere else: they die with this thread.
void Supervisor::Worker::run() {
  for (const auto& node : nodes_) node->start(Clock::now());
  bool stop_begun = false;
  for (;;) {
    const auto now = Clock::now();
    if (stopping_ && !stop_begun) {
      stop_begun = true;
      for (const auto& node : nodes_) node->begin_stop(now);
    }
    bool changed = false;
    for (const auto& node : nodes_) changed = node->service(now) || changed;
    publish();
    if (stop_begun && all_ended()) return;
    if (!stop_begun) show(changed, now);
    wait_for_events();
  }
}

/// Progress may come a thousand times a second; nobody reads that fast.
void Supervisor::Worker::show(bool changed, Clock::time_point now) {
  unseen_ = unseen_ || changed;
  const bool settled = std::all_of(nodes_.begin(), nodes_.end(),
                                   [](const auto& node) { return node->state().is_settled(); });
  const bool is_due = now - last_shown_ >= std::chrono::milliseconds(kTickMilliseconds);
  if (settled ? !unseen_ : !is_due) return;
  view_->show(snapshot());
  last_shown_ = now;
  unseen_ = false;
}

/// Sleeps until a descriptor or a timer may have something.
void Supervisor::Worker::wait_for_events() {
  std::vector<pollfd> descriptors{{wake_.get(), POLLIN, 0}};
  int timeout = -1;
  for (const auto& node : nodes_)
    if (!node->add_descriptors(descriptors)) timeout = kTickMilliseconds;
  ::poll(descriptors.data(), descriptors.size(), timeout);
  eventfd_t ignored = 0;
  ::eventfd_read(wake_.get(), &ignored);
}

bool Supervisor::Worker::all_ended() const {
  return std::all_of(nodes_.begin(), nodes_.end(),
                     [](const auto& node) { return node->state().pid == 0; });
}

void Supervisor::Worker::publish() {
  std::lock_guard lock(mutex_);
  snapshot_.clear();
  for (std::size_t i = 0; i < nodes_.size(); ++i) {
    snapshot_.push_back(nodes_[i]->state());
    if (snapshot_.back().phase == Phase::ready) was_ready_[i] = true;
  }
  changed_.notify_all();
}

std::string Supervisor::Worker::failure_text(const NodeState& node) const {
  return fmt::format("worker '{}' at {} did not start: {}; see {}", node.name, node.address,
                     node.last_death, (config_.launch.logs / (node.name + ".log")).string());
}

void Supervisor::Worker::wait_until_ready() {
  std::unique_lock lock(mutex_);
  for (;;) {
    if (stopping_) throw Error(Errc::cancelled, "stopped before all nodes were ready");
    for (const NodeState& node : snapshot_)
      if (node.phase == Phase::failed) throw Error(Errc::no_worker, failure_text(node));
    if (std::all_of(was_ready_.begin(), was_ready_.end(), [](bool ready) { return ready; })) return;
    changed_.wait(lock);
  }
}

std::vector<NodeState> Supervisor::Worker::snapshot() const {
  std::lock_guard lock(mutex_);
  return snapshot_;
}

void Supervisor::Worker::request_stop() {
  {
    std::lock_guard lock(mutex_); // so that wait_until_ready() cannot miss it
    stopping_ = true;
  }
  changed_.notify_all();
  ::eventfd_write(wake_.get(), 1);
}

void Supervisor::Worker::stop() {
  request_stop();
  std::lock_guard lock(join_mutex_);
  if (thread_.joinable()) thread_.join();
}

std::vector<std::size_t> startable_nodes(const config::PipelineConfig& config) {
  std::vector<std::size_t> nodes;
  for (std::size_t i = 0; i < config.workers.size(); ++i)
    if (config.workers[i].start != WorkerNode::Start::never) nodes.push_back(i);
  return nodes;
}

std::vector<std::size_t> idle_local_nodes(const config::PipelineConfig& config) {
  std::vector<std::size_t> nodes;
  for (std::size_t i = 0; i < config.workers.size(); ++i)
    if (config.workers[i].start == WorkerNode::Start::local && !is_listening(config.workers[i]))
      nodes.push_back(i);
  return nodes;
}

Supervisor::Supervisor(const config::PipelineConfig& config, SupervisorOptions options)
    : worker_(std::make_unique<Worker>(config, std::move(options))) {}
Supervisor::~Supervisor() {
  worker_->stop();
}
void Supervisor::start() {
  worker_->start();
}
void Supervisor::wait_until_ready() {
  worker_->wait_until_ready();
}
std::vector<NodeState> Supervisor::nodes() const {
  return worker_->snapshot();
}
void Supervisor::request_stop() {
  worker_->request_stop();
}
void Supervisor::stop() {
  worker_->stop();
}

} // namespace talaria::launch
