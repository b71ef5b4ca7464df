#pragma once

#include <caf/all.hpp>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include "actors/cluster/dispatcher.hpp"
#include "core/progress.hpp"
#include "pipeline/cluster_plan.hpp"
#include "pipeline/model_loader.hpp"
#include "remo/masking_scheme.hpp"

namespace talaria::pipeline {

class OwnerKeys;

/// The enclave's side of a cluster: the dispatcher, and the questions asked of it from outside the
/// dataflow, while a model is being loaded and when workers come and go. One caller at a time; but
/// health() may be called beside reshape().
class ClusterSession {
public:
  /// Spawns the dispatcher, which begins to connect. @throws Error{config} as plan_cluster() and
  /// TlsContext do.
  ClusterSession(caf::actor_system& system, ClusterOptions options, const ModelLoader& loader,
                 const remo::LatticeParameters& parameters, telemetry::Tracer* tracer = nullptr);

  const cluster::Dispatcher& dispatcher() const noexcept { return dispatcher_; }
  std::size_t nodes() const noexcept { return plan_.nodes.size(); }
  /// As they are wanted now: with every address, and in no certain order.
  std::vector<ClusterNode> members() const;

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

  /// Once the model is loaded: the workers are `nodes` from now on. Of those that are new it is
  /// found out first what they must hold, which may take as long as loading took; then they are
  /// used as cluster::Reshape says. True if anything has changed.
  /// @throws Error as plan_cluster() and load() do: nothing has changed then.
  bool reshape(const std::vector<ClusterNode>& nodes, const cluster::FaultPolicy& policy);
  /// Whether reshape() could be asked for these. @throws Error{config} as plan_cluster() does.
  void check(const std::vector<ClusterNode>& nodes) const;
  /// What the owner of the weights gives this enclave for its disk, of the first node of the
  /// configuration that has it. After await_ready().
  std::optional<SealKey> owner_key() const;

private:
  /// A worker that is wanted, and the dispatcher's number of it.
  struct Member {
    u32 number = 0;
    ClusterNode node;
  };
  using PartKey = std::tuple<u32, u64, u64>; ///< matrix, first column, columns

  ClusterPlan plan_of(const std::vector<ClusterNode>& nodes) const;
  cluster::PlacementPlan placement_of(const std::vector<Member>& members) const;
  std::vector<Member> numbered(const std::vector<ClusterNode>& nodes) const;
  void complete(std::vector<cluster::NodeSettings>& nodes, u32 first_number) const;
  void learn_digests(std::vector<cluster::NodeSettings>& nodes);
  model::QuantizedLinear weights_of(model::LinearId id);
  void keep_digests(const model::QuantizedLinear& linear,
                    const std::vector<cluster::NodeSettings>& nodes);
  void forget_who_left();
  model::QuantizedLinear stream(model::LinearId id);
  cluster::SentPanels panels(const remo::WeightRequest& request, std::optional<u32> from);
  void distrust(u32 matrix, const std::set<u32>& nodes, const std::string& why);
  std::string describe(u32 node) const;
  void expect(const model::QuantizedLinear& linear);

  const ModelLoader& loader_;
  const ClusterOptions options_;
  const remo::LatticeParameters& parameters_;
  transport::GiveEvidence evidence_; ///< empty: none is given
  ClusterPlan plan_;                 ///< the placement now; nodes by number, whoever has left too
  cluster::FaultPolicy policy_;
  std::vector<Member> members_;
  std::vector<Member> leaving_;
  std::map<PartKey, Sha256Digest> digests_; ///< of parts that workers hold, or held
  std::shared_ptr<OwnerKeys> owner_keys_;   ///< shared with the threads of the links
  std::set<u32> liars_;                     ///< found while loading
  cluster::Dispatcher dispatcher_;
  caf::scoped_actor self_;
};

} // namespace talaria::pipeline
