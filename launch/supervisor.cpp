#include "launch/supervisor.hpp"

#include <fmt/format.h>
#include <sys/eventfd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <condition_variable>
#include <cstring>
#include <mutex>
#include <optional>
#include <set>
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
  std::vector<std::string> update(const config::PipelineConfig& config);
  void retire(const std::vector<std::string>& names);
  std::vector<NodeState> snapshot() const;
  void request_stop();
  void stop();

private:
  /// A node, and what the file says of it now.
  struct Member {
    std::unique_ptr<Node> node;
    std::vector<std::string> command;
    bool is_leaving = false;             ///< it is asked to end, and is forgotten then
    std::optional<WorkerNode> successor; ///< what takes its place, when its turn comes
  };
  /// What the thread is to do next.
  struct Orders {
    std::optional<config::PipelineConfig> config; ///< of update()
    std::set<std::string> retired;
  };

  void run();
  std::unique_ptr<Node> make_node(const WorkerNode& node);
  void check_new(const config::PipelineConfig& config, std::size_t index) const;
  void obey(Clock::time_point now);
  void adopt(config::PipelineConfig config, Clock::time_point now);
  void replace_next(Clock::time_point now);
  void wait_for_events();
  void show(bool changed, Clock::time_point now);
  bool all_ended() const;
  void publish();
  std::string failure_text(const NodeState& node) const;

  config::PipelineConfig config_;
  const std::vector<std::size_t> chosen_;
  std::shared_ptr<LiveView> view_;
  std::vector<Member> nodes_;
  std::string replaced_; ///< the node whose successor is starting; empty: none
  bool unseen_ = false;  ///< the view has not been told of a change
  Clock::time_point last_shown_;
  FileDescriptor wake_;
  std::atomic<bool> stopping_{false};

  mutable std::mutex mutex_; ///< guards what follows
  std::condition_variable changed_;
  std::vector<NodeState> snapshot_;
  std::set<std::string> was_ready_;
  Orders orders_;

  std::mutex join_mutex_;
  std::thread thread_;
};

Supervisor::Worker::Worker(const config::PipelineConfig& config, SupervisorOptions options)
    : config_(config), chosen_(std::move(options.nodes)), view_(std::move(options.view)),
      wake_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  if (!wake_)
    throw Error(Errc::io, fmt::format("no eventfd: {}; raise ulimit -n", std::strerror(errno)));
  if (!view_) view_ = std::make_shared<SilentView>();
}

std::unique_ptr<Node> Supervisor::Worker::make_node(const WorkerNode& node) {
  return std::make_unique<Node>(config_, node,
                                [this](const std::string& line) { view_->line(line); });
}

/// Of a node that is to start now.
void Supervisor::Worker::check_new(const config::PipelineConfig& config, std::size_t index) const {
  const WorkerNode& node = config.workers.at(index);
  if (node.start != WorkerNode::Start::local) return;
  check_local_files(config, index);
  if (is_listening(node))
    throw Error(Errc::config,
                fmt::format("{}:{}: workers[{}].address: something listens on {} already; stop "
                            "it, or choose another port",
                            config.file.string(), node.line, index, to_string(node.address)));
}

void Supervisor::Worker::start() {
  for (const std::size_t index : chosen_) check_new(config_, index);
  for (const std::size_t index : chosen_) {
    const WorkerNode& node = config_.workers[index];
    nodes_.push_back({make_node(node), node_command(config_, node), false, std::nullopt});
  }
  publish();
  thread_ = std::thread([this] { run(); });
}

/// Children are started here and nowhere else: they die with this thread.
void Supervisor::Worker::run() {
  for (const Member& member : nodes_) member.node->start(Clock::now());
  bool stop_begun = false;
  for (;;) {
    const auto now = Clock::now();
    if (stopping_ && !stop_begun) {
      stop_begun = true;
      for (const Member& member : nodes_) member.node->begin_stop(now);
    }
    if (!stop_begun) obey(now);
    bool changed = false;
    for (const Member& member : nodes_) changed = member.node->service(now) || changed;
    if (!stop_begun) replace_next(now);
    std::erase_if(nodes_, [](const Member& member) {
      return member.is_leaving && member.node->state().pid == 0;
    });
    publish();
    if (stop_begun && all_ended()) return;
    if (!stop_begun) show(changed, now);
    wait_for_events();
  }
}

std::vector<std::string> Supervisor::Worker::update(const config::PipelineConfig& config) {
  std::set<std::string> going;
  for (const NodeState& node : snapshot()) going.insert(node.name);
  for (const std::size_t index : startable_nodes(config))
    if (going.erase(config.workers[index].name) == 0) check_new(config, index);
  {
    const std::lock_guard lock(mutex_);
    orders_.config = config;
  }
  ::eventfd_write(wake_.get(), 1);
  return {going.begin(), going.end()};
}

void Supervisor::Worker::retire(const std::vector<std::string>& names) {
  {
    const std::lock_guard lock(mutex_);
    orders_.retired.insert(names.begin(), names.end());
  }
  ::eventfd_write(wake_.get(), 1);
}

/// What was asked for since the last look.
void Supervisor::Worker::obey(Clock::time_point now) {
  Orders orders;
  {
    const std::lock_guard lock(mutex_);
    std::swap(orders, orders_);
  }
  if (orders.config) adopt(std::move(*orders.config), now);
  std::set<std::string> in_file;
  for (const std::size_t index : startable_nodes(config_))
    in_file.insert(config_.workers[index].name);
  for (Member& member : nodes_) {
    const std::string& name = member.node->state().name;
    if (!orders.retired.contains(name) || in_file.contains(name) || member.is_leaving) continue;
    member.is_leaving = true;
    member.successor.reset();
    member.node->begin_stop(now);
  }
}

void Supervisor::Worker::adopt(config::PipelineConfig config, Clock::time_point now) {
  {
    const std::lock_guard lock(mutex_); // failure_text() reads it
    config_ = std::move(config);
  }
  for (const std::size_t index : startable_nodes(config_)) {
    const WorkerNode& node = config_.workers[index];
    std::vector<std::string> command = node_command(config_, node);
    const auto known = std::find_if(nodes_.begin(), nodes_.end(), [&](const Member& member) {
      return member.node->state().name == node.name;
    });
    if (known == nodes_.end()) {
      try {
        nodes_.push_back({make_node(node), std::move(command), false, std::nullopt});
        nodes_.back().node->start(now);
      } catch (const Error& error) { // its log cannot be written
        view_->line(fmt::format("{}: {}", node.name, error.what()));
      }
    } else if (known->command != command || known->is_leaving) {
      known->is_leaving = false;
      known->successor = node;
    } else {
      known->successor.reset();
    }
  }
}

/// One node at a time: others hold its layers meanwhile, if the file is such.
void Supervisor::Worker::replace_next(Clock::time_point now) {
  for (Member& member : nodes_) {
    if (!member.successor) continue;
    const NodeState& state = member.node->state();
    if (!replaced_.empty() && replaced_ != state.name) {
      const auto before = std::find_if(nodes_.begin(), nodes_.end(), [&](const Member& other) {
        return other.node->state().name == replaced_;
      });
      const bool is_under_way =
          before != nodes_.end() && (before->successor || !before->node->state().is_settled());
      if (is_under_way) return;
    }
    if (replaced_ != state.name) {
      replaced_ = state.name;
      view_->line(fmt::format("{}: its command line has changed; starting it again", state.name));
      member.node->begin_stop(now);
    }
    if (state.pid != 0) return;
    try {
      const WorkerNode node = *member.successor;
      member.successor.reset();
      member.node = make_node(node);
      member.command = node_command(config_, node);
      member.node->start(now);
    } catch (const Error& error) {
      view_->line(fmt::format("{}: {}", replaced_, error.what()));
    }
    return;
  }
}

/// Progress may come a thousand times a second; nobody reads that fast.
void Supervisor::Worker::show(bool changed, Clock::time_point now) {
  unseen_ = unseen_ || changed;
  const bool settled = std::all_of(nodes_.begin(), nodes_.end(), [](const Member& member) {
    return member.node->state().is_settled();
  });
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
  for (const Member& member : nodes_)
    if (!member.node->add_descriptors(descriptors)) timeout = kTickMilliseconds;
  ::poll(descriptors.data(), descriptors.size(), timeout);
  eventfd_t ignored = 0;
  ::eventfd_read(wake_.get(), &ignored);
}

bool Supervisor::Worker::all_ended() const {
  return std::all_of(nodes_.begin(), nodes_.end(),
                     [](const Member& member) { return member.node->state().pid == 0; });
}

void Supervisor::Worker::publish() {
  std::lock_guard lock(mutex_);
  snapshot_.clear();
  for (const Member& member : nodes_) {
    snapshot_.push_back(member.node->state());
    if (snapshot_.back().phase == Phase::ready) was_ready_.insert(snapshot_.back().name);
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
    if (std::all_of(snapshot_.begin(), snapshot_.end(),
                    [this](const NodeState& node) { return was_ready_.contains(node.name); }))
      return;
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
std::vector<std::string> Supervisor::update(const config::PipelineConfig& config) {
  return worker_->update(config);
}
void Supervisor::retire(const std::vector<std::string>& names) {
  worker_->retire(names);
}
void Supervisor::request_stop() {
  worker_->request_stop();
}
void Supervisor::stop() {
  worker_->stop();
}

} // namespace talaria::launch
