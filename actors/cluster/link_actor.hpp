#pragma once

#include <caf/all.hpp>
#include <map>
#include <memory>
#include <thread>
#include <variant>

#include "actors/cluster/node.hpp"
#include "actors/worker_interface.hpp"
#include "core/error.hpp"
#include "telemetry/tracer.hpp"
#include "transport/messages.hpp"
#include "transport/tls.hpp"
#include "transport/worker_link.hpp"

namespace talaria::cluster {

/// A worker came or went.
struct NodeEvent {
  u32 node = 0;
  bool ready = false;
  std::string why; ///< of a worker that is not ready
  Errc code =
      Errc::no_worker; ///< config: it cannot work with this enclave, and trying again will not help
};
/// Whoever wants to know: the dispatcher.
using NodeWatcher = caf::typed_actor<caf::reacts_to<NodeEvent>>;

/// Why a link has no answer. This side decides which; what the worker wrote never does.
enum class Unanswered : u8 {
  lost = 1, ///< the connection is gone, or there was none
  refused,  ///< the worker says that it will not
  wrong,    ///< it answered what no honest worker answers
};
/// What a link answers instead of a product, inside a caf::error.
struct LinkFailure {
  Unanswered kind = Unanswered::lost;
  std::string why;  ///< in this side's words; names the worker
  std::string said; ///< the worker's words, for the log only: one short printable line
};
caf::error to_caf(const LinkFailure& failure);
/// CAF's own errors mean that the link is gone.
LinkFailure link_failure(const caf::error& error);

/// Do not ask the worker for a while: it lied, or is too slow. While one order runs, only one that
/// lasts longer changes anything.
struct Suspend {
  Milliseconds time{0};
  std::string why;
};
/// The digest of a matrix has become known on this side.
struct Expect {
  transport::HeldMatrix part;
};
struct AskHealth {};

/// Stands for one remote worker and never blocks. Requests while there is no connection fail at
/// once; connecting, and connecting again with growing pauses, happens in the background.
///
///   MaskedTensor, HintRequest, WeightRequest ──► link ══ TLS ══► worker
///        ▲ product or panels, or a LinkFailure                 │
///        └─────────────────────────────────────────────────────┘
///   Suspend, Expect ──► link ──► NodeEvent ──► watcher
using Link = caf::typed_actor<caf::replies_to<remo::MaskedTensor>::with<remo::WorkerProduct>,
                              caf::replies_to<remo::HintRequest>::with<remo::WorkerProduct>,
                              caf::replies_to<remo::WeightRequest>::with<remo::WeightPanels>,
                              caf::reacts_to<Suspend>, caf::reacts_to<Expect>,
                              caf::replies_to<AskHealth>::with<NodeHealth>>;

/// `watcher` is held weakly. The link lives until it is told to exit; a tracer must live longer.
/// Connections that end before they have brought an answer are made again after growing pauses.
Link spawn_link(caf::actor_system& system, u32 node, NodeSettings settings,
                const FaultPolicy& policy, std::shared_ptr<const transport::TlsContext> tls,
                const NodeWatcher& watcher, telemetry::Tracer* tracer = nullptr);

} // namespace talaria::cluster

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(talaria::cluster::NodeEvent)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(talaria::cluster::Suspend)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(talaria::cluster::Expect)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(talaria::cluster::AskHealth)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(talaria::cluster::NodeHealth)
