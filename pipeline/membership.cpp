#include "pipeline/membership.hpp"

#include <exception>
#include <utility>

#include "pipeline/worker_addresses.hpp"

namespace talaria::pipeline {

Membership::Membership(ClusterSession& session, ClusterOptions options)
    : session_(session), wanted_(std::move(options)), thread_([this] { run(); }) {}

Membership::~Membership() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

void Membership::set_workers(const std::vector<ClusterNode>& workers,
                             const cluster::FaultPolicy& policy) {
  session_.check(workers);
  {
    const std::lock_guard lock(mutex_);
    wanted_.nodes = workers;
    wanted_.policy = policy;
    is_new_ = true;
  }
  changed_.notify_all();
}

void Membership::run() {
  bool try_again = false;
  for (;;) {
    ClusterOptions wanted;
    {
      std::unique_lock lock(mutex_);
      const auto due = [this] { return stopping_ || is_new_; };
      if (try_again || any_each_address(wanted_.nodes))
        changed_.wait_for(lock, wanted_.resolve_every, due);
      else
        changed_.wait(lock, due);
      if (stopping_) return;
      is_new_ = false;
      wanted = wanted_;
    }
    try_again = !bring_about(wanted);
  }
}

bool Membership::bring_about(const ClusterOptions& wanted) {
  try {
    session_.reshape(with_addresses(wanted, session_.members()), wanted.policy);
    last_failure_.clear();
    return true;
  } catch (
      const std::exception& error) { // a thread or memory that cannot be had, too: answers go on
    if (wanted.log && last_failure_ != error.what())
      wanted.log(std::string("workers stay as they are until this is over: ") + error.what());
    last_failure_ = error.what();
    return false;
  }
}

} // namespace talaria::pipeline
