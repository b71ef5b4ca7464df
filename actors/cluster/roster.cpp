#include "actors/cluster/roster.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace talaria::cluster {

Roster::Plans Roster::shared(PlacementPlan plan) {
  Plans plans;
  for (MatrixPlan& matrix : plan)
    plans.push_back(std::make_shared<const MatrixPlan>(std::move(matrix)));
  return plans;
}

Roster::Roster(PlacementPlan plan) : plan_(shared(std::move(plan))) {}

u32 Roster::add(NodeSettings settings, const FaultPolicy& policy) {
  nodes_.emplace_back(std::move(settings), policy);
  return size() - 1;
}

void Roster::change(PlacementPlan meanwhile, PlacementPlan next, const std::set<u32>& members) {
  for (u32 n = 0; n < size(); ++n) nodes_[n].is_member = members.contains(n);
  for (MatrixPlan& matrix : meanwhile)
    for (Shard& shard : matrix.shards)
      std::erase_if(shard.holders, [this](const Holder& holder) {
        return nodes_[holder.node].leave_by.has_value();
      });
  plan_ = shared(std::move(meanwhile));
  next_ = shared(std::move(next));
}

std::vector<u32> Roster::settle(Clock::time_point now) {
  if (!next_) return {};
  for (const auto& matrix : *next_)
    for (const Shard& shard : matrix->shards)
      if (std::none_of(shard.holders.begin(), shard.holders.end(),
                       [&](const Holder& holder) { return usable(holder.node, now); }))
        return {};
  plan_ = std::move(*next_);
  next_.reset();
  std::vector<u32> left;
  for (u32 n = 0; n < size(); ++n)
    if (!nodes_[n].is_member && !nodes_[n].leave_by) left.push_back(n);
  return left;
}

Roster::Coverage Roster::coverage(Clock::time_point now) const {
  Coverage found;
  for (const auto& plan : plan_)
    for (const Shard& shard : plan->shards) {
      bool ready = false;
      bool none_will = true;
      for (const Holder& holder : shard.holders) {
        ready = ready || usable(holder.node, now);
        none_will = none_will && nodes_[holder.node].incompatible;
      }
      if (ready) continue;
      if (found.complete) found.missing = plan->name + " has no worker: " + last_errors(*plan, now);
      found.complete = false;
      found.hopeless = found.hopeless || none_will;
    }
  return found;
}

std::string Roster::describe(u32 node) const {
  const NodeSettings& settings = nodes_[node].settings;
  return fmt::format("worker '{}' ({})", settings.name, transport::to_string(settings.address));
}

std::string Roster::last_errors(const MatrixPlan& plan, Clock::time_point now) const {
  std::string text;
  std::set<u32> named;
  for (const Shard& shard : plan.shards)
    for (const Holder& holder : shard.holders)
      if (!usable(holder.node, now) && named.insert(holder.node).second)
        text += (text.empty() ? "" : "; ") + describe(holder.node) + ": " +
                (nodes_[holder.node].last_error.empty() ? "not connected yet"
                                                        : nodes_[holder.node].last_error);
  return text.empty() ? "whoever holds it is busy" : text;
}

} // namespace talaria::cluster
