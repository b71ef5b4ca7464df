#pragma once

#include <condition_variable>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "pipeline/cluster_plan.hpp"
#include "pipeline/cluster_session.hpp"

namespace talaria::pipeline {

/// Keeps the workers of a session to what is wanted while an engine answers: takes new lists of
/// them, and looks names with each_address up again. On a thread of its own, since finding out what
/// a new worker must hold takes time.
///
///   set_workers() ──► wanted ──► with_addresses() ──► ClusterSession::reshape() ──► dispatcher
///                       ▲ every resolve_every, if there are such names, or the last try failed
class Membership {
public:
  /// @param session  loaded; must outlive this object
  Membership(ClusterSession& session, ClusterOptions options);
  ~Membership(); ///< waits for a change that is under way
  Membership(const Membership&) = delete;
  Membership& operator=(const Membership&) = delete;

  /// See Engine::set_workers().
  void set_workers(const std::vector<ClusterNode>& workers, const cluster::FaultPolicy& policy);

private:
  void run();
  /// False if it has to be tried again.
  bool bring_about(const ClusterOptions& wanted);

  ClusterSession& session_;
  std::string last_failure_; ///< of this thread: the same is said once

  std::mutex mutex_; ///< guards what follows
  std::condition_variable changed_;
  ClusterOptions wanted_;
  bool is_new_ = false;
  bool stopping_ = false;
  std::thread thread_; ///< last: the others are there when it runs
};

} // namespace talaria::pipeline
