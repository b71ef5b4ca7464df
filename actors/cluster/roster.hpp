#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "actors/cluster/link_actor.hpp"
#include "actors/cluster/node.hpp"
#include "actors/cluster/placement.hpp"
#include "actors/cluster/standing.hpp"

namespace talaria::cluster {

/// The workers there are, how each is doing, and where every matrix is computed now. Numbers of
/// workers are never used twice: who has left keeps its number and loses its link. No actor, no
/// clock of its own.
class Roster {
public:
  struct Node {
    Node(NodeSettings what, const FaultPolicy& policy)
        : settings(std::move(what)), standing(policy) {}
    NodeSettings settings;
    Link link; ///< null once it is gone
    Standing standing;
    LineBudget lines;
    bool incompatible = false;                 ///< cannot work with this enclave
    bool is_member = true;                     ///< false: it leaves, or has left
    std::optional<Clock::time_point> leave_by; ///< it has left; its link ends then at the latest
    std::size_t busy = 0;                      ///< questions under way
    std::string last_error; ///< empty: it is being connected to for the first time
  };

  /// @param plan  by LinearId, in numbers of nodes that are added next
  explicit Roster(PlacementPlan plan);

  /// Adds a node and returns its number. Its link is for the caller to set.
  u32 add(NodeSettings settings, const FaultPolicy& policy);
  u32 size() const noexcept { return static_cast<u32>(nodes_.size()); }
  Node& operator[](u32 node) { return nodes_[node]; }
  const Node& operator[](u32 node) const { return nodes_[node]; }

  /// Whether it may be asked.
  bool usable(u32 node, Clock::time_point now) const {
    return nodes_[node].link && nodes_[node].standing.usable(now);
  }

  /// From now on `meanwhile` holds, and `next`, in which only `members` are, as soon as settle()
  /// finds that it can. Holders that have left are taken out of `meanwhile`.
  void change(PlacementPlan meanwhile, PlacementPlan next, const std::set<u32>& members);
  /// Goes by the next plan if every shard of it has a usable holder. The nodes that have left
  /// thereby, in order; nothing if there is no next plan, or it is too early for it.
  std::vector<u32> settle(Clock::time_point now);
  /// Nodes that leave, and are still in the plan.
  bool is_changing() const noexcept { return next_.has_value(); }

  std::size_t matrices() const noexcept { return plan_.size(); }
  /// Where a matrix is computed now. Whoever goes by it keeps it.
  const std::shared_ptr<const MatrixPlan>& plan(u32 matrix) const { return plan_[matrix]; }
  /// Whether every shard has a usable holder; otherwise what is missing: the first matrix, and
  /// whether a shard has only holders that cannot work with this enclave.
  struct Coverage {
    bool complete = true;
    bool hopeless = false;
    std::string missing;
  };
  Coverage coverage(Clock::time_point now) const;

  /// "worker 'a' (10.0.0.5:7600)"
  std::string describe(u32 node) const;
  /// "worker 'a' (10.0.0.5:7600): connection refused; ..." for everybody who holds the matrix and
  /// cannot be asked.
  std::string last_errors(const MatrixPlan& plan, Clock::time_point now) const;

private:
  using Plans = std::vector<std::shared_ptr<const MatrixPlan>>;
  static Plans shared(PlacementPlan plan);

  std::vector<Node> nodes_;
  Plans plan_;
  std::optional<Plans> next_;
};

} // namespace talaria::cluster
