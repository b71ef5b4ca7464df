#pragma once

#include <caf/all.hpp>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "actors/cluster/link_actor.hpp"
#include "actors/cluster/node.hpp"
#include "actors/cluster/placement.hpp"
#include "actors/worker_interface.hpp"

namespace talaria::cluster {

/// Answered once every shard of every matrix has a worker that is ready; with an error of
/// Errc::no_worker or Errc::config that names workers and reasons when `limit` is over, or at once
/// when a worker cannot work with this enclave at all and no other holds its layers.
struct AwaitReady {
  Milliseconds limit{0};
};
struct Ready {};
/// The digest of columns [first_column, ...) of a matrix, for every worker that holds exactly them.
struct Expected {
  std::vector<transport::HeldMatrix> parts;
};
/// What this node sent of a matrix while it was loaded is provably wrong.
struct Discredit {
  u32 matrix = 0;
  u32 node = 0;
  std::string why; ///< "its hint fails the check"
};
/// A WeightRequest whose answer says who gave it, of a certain node if `from` is set.
struct FetchPanels {
  remo::WeightRequest request;
  std::optional<u32> from;
};
struct SentPanels {
  remo::WeightPanels panels;
  u32 node = 0;
};
/// The workers are others from now on. Who leaves is asked, and only where nobody else is ready,
/// until every shard of `next` has a member that is ready; then its link ends, as soon as it has
/// answered what it was asked.
struct Reshape {
  std::vector<NodeSettings> joined; ///< numbered on from the last node there has been
  std::set<u32> members;            ///< those and who stays; everybody else leaves
  PlacementPlan meanwhile;          ///< with those who leave as the last resort
  PlacementPlan next;               ///< of members alone
  FaultPolicy policy;               ///< only `deadline`, `request_deadline` and `retries` change
};
struct ClusterHealth {
  std::vector<NodeHealth> nodes; ///< of members, in the order of their numbers
  bool covered = false;          ///< every shard of every matrix has a worker that is ready
  std::set<u32> left;            ///< nodes that are used no more
  remo::MaskedTensor last_seen;  ///< the last masked tensor that left the enclave
};

/// The whole cluster behind the one worker interface. Sends each product to the workers that hold
/// its columns, puts shards together, and keeps the question until it is answered: a worker that is
/// lost, late or wrong is replaced, with the same masked bytes.
///
///   MaskedTensor ──► dispatcher ──► link of each shard ──► product ──► joined ──► sender
///                        ├── lost, late: the next holder; none ready: wait for one
///                        ├── refused: another holder; whoever refuses often is asked last
///                        ├── Dispute: somebody else; who was wrong is quarantined
///                        └── given up: caf::error (Errc::no_worker, Errc::verification)
///
/// Hints and weights go the same way, with the same deadlines. Every question is answered, or given
/// up, within FaultPolicy::request_deadline, whatever workers do. A worker's own words are logged,
/// some lines of them, and decide nothing.
///
/// A WeightRequest may be answered with fewer panels than asked for: up to the end of the shard its
/// first panel lies in.
///
/// While workers come and go (Reshape), questions go by the placement that holds when a shard is
/// handed out: one that is under way stays where it is, and moves when that fails.
/// WorkerProduct::answered_by has a number per shard of the first placement (Senders).
using Dispatcher = worker::Worker::extend<
    caf::reacts_to<NodeEvent>, caf::reacts_to<Expected>, caf::reacts_to<Discredit>,
    caf::reacts_to<Reshape>, caf::replies_to<FetchPanels>::with<SentPanels>,
    caf::replies_to<AwaitReady>::with<Ready>, caf::replies_to<AskHealth>::with<ClusterHealth>>;

struct DispatcherOptions {
  std::vector<NodeSettings> nodes;
  PlacementPlan plan; ///< by LinearId
  FaultPolicy policy;
  std::shared_ptr<const transport::TlsContext> tls;
  std::function<void(const std::string&)> log; ///< one line each; called on any thread
  telemetry::Tracer* tracer = nullptr;         ///< must outlive the dispatcher
  /// Stands for a node (tests put a liar here); null: spawn_link.
  std::function<Link(caf::actor_system&, u32 node, const NodeWatcher&)> link;
};

Dispatcher spawn_dispatcher(caf::actor_system& system, DispatcherOptions options);

} // namespace talaria::cluster

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(talaria::cluster::AwaitReady)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(talaria::cluster::Ready)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(talaria::cluster::Expected)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(talaria::cluster::Reshape)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(talaria::cluster::ClusterHealth)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(talaria::cluster::Discredit)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(talaria::cluster::FetchPanels)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(talaria::cluster::SentPanels)
