#pragma once

#include <caf/all.hpp>
#include <memory>
#include <vector>

#include "actors/cluster/dispatcher.hpp"
#include "core/progress.hpp"
#include "pipeline/cluster_plan.hpp"
#include "pipeline/model_loader.hpp"

namespace talaria::pipeline {

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
  /// @throws Error{verification} if streamed weights are not those of the manifest.
  model::QuantizedLinear load(model::LinearId id);
  /// A hint failed its check. True if the one worker it came from is known and now quarantined, so
  /// that asking again makes sense.
  bool discredit(u32 matrix, const std::vector<u32>& nodes);
  cluster::ClusterHealth health();

private:
  model::QuantizedLinear stream(model::LinearId id);
  remo::WeightPanels panels(const remo::WeightRequest& request);
  void expect(const model::QuantizedLinear& linear);

  const ModelLoader& loader_;
  cluster::Milliseconds ready_;
  ClusterPlan plan_;
  cluster::Dispatcher dispatcher_;
  caf::scoped_actor self_;
};

} // namespace talaria::pipeline
