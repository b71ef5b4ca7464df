#pragma once

#include <caf/all.hpp>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "actors/cluster/dispatcher.hpp"
#include "core/progress.hpp"
#include "pipeline/cluster_plan.hpp"
#include "pipeline/model_loader.hpp"
#include "remo/masking_scheme.hpp"

namespace talaria::pipeline {

class OwnerKeys;

/// The enclave's side of a cluster while a model is being loaded: the dispatcher, and the questions
/// asked of it from outside the dataflow. One caller at a time.
class ClusterSession {
public:
  /// Spawns the dispatcher, which begins to connect. @throws Error{config} as plan_cluster() and
  /// TlsContext do.
  ClusterSession(caf::actor_system& system, const ClusterOptions& options,
                 const ModelLoader& loader, const remo::LatticeParameters& parameters,
                 telemetry::Tracer* tracer = nullptr);

  const cluster::Dispatcher& dispatcher() const noexcept { return dispatcher_; }
  std::size_t nodes() const noexcept { return plan_.nodes.size(); }

  /// Waits until every matrix has a worker. @throws Error{no_worker} or Error{config} with names
  /// and reasons.
  void await_ready();
  /// Matrix `id` for its integrity vectors: quantised here, or streamed from the workers if the
  /// folder has no weights. Tells the workers what digests they must hold. Nothing of it is kept.
  /// A worker that streams others than the manifest's is quarantined and replaced by another
  /// holder. @throws Error{verification} naming workers if none sends them, Error{no_worker} if
  /// nobody does before the deadline.
  model::QuantizedLinear load(model::LinearId id);
  /// The hint of `matrix` failed its check: `wrong` of what `answered_by` sent, by shard. Whoever
  /// sent it is quarantined, so that asking again makes sense.
  /// @throws Error{verification} with `wrong`'s text and the names, if no other worker holds a
  /// shard, or if nobody knows who it was.
  void discredit(u32 matrix, const std::vector<u32>& answered_by, const remo::WrongHint& wrong);
  /// First columns of the shards of a matrix, as LinearSpec::cuts has them.
  std::vector<std::size_t> cuts(u32 matrix) const;
  cluster::ClusterHealth health();
  /// What the owner of the weights gives this enclave for its disk, of the first node of the
  /// configuration that has it. After await_ready().
  std::optional<SealKey> owner_key() const;

private:
  model::QuantizedLinear stream(model::LinearId id);
  cluster::SentPanels panels(const remo::WeightRequest& request, std::optional<u32> from);
  void distrust(u32 matrix, const std::set<u32>& nodes, const std::string& why);
  std::string describe(u32 node) const;
  void expect(const model::QuantizedLinear& linear);

  const ModelLoader& loader_;
  cluster::Milliseconds ready_;
  ClusterPlan plan_;
  std::shared_ptr<OwnerKeys> owner_keys_; ///< shared with the threads of the links
  std::set<u32> liars_;                   ///< found while loading
  cluster::Dispatcher dispatcher_;
  caf::scoped_actor self_;
};

} // namespace talaria::pipeline
