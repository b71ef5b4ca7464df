#pragma once

#include <map>
#include <set>
#include <vector>

#include "actors/cluster/job.hpp"
#include "actors/cluster/placement.hpp"

namespace talaria::cluster {

/// Says who answered a product in terms that outlast a change of the placement. Callers know shards
/// as they were when the model was loaded, since their checks are cut so (remo::LinearSpec::cuts),
/// and get one number for each (remo::WorkerProduct::answered_by): the node's, or, where by now
/// several nodes hold the columns of one such shard, that of a group. No actor.
class Senders {
public:
  /// @param loaded  the placement that the model was loaded with
  explicit Senders(const PlacementPlan& loaded);

  /// One number per shard of the matrix.
  std::vector<u32> numbers(u32 matrix, const std::vector<SentPart>& parts);
  /// Whether these are numbers for this matrix.
  bool known(u32 matrix, const std::vector<u32>& numbers, u32 nodes) const;
  /// Which columns of shard `shard` came from whom.
  std::vector<SentPart> parts(u32 matrix, std::size_t shard, u32 number) const;
  /// The node, or those of the group.
  std::set<u32> nodes(u32 number) const;

private:
  /// Numbers from here on are groups; there are never so many workers.
  static constexpr u32 kFirstGroup = u32{1} << 31;
  struct Cut {
    u64 first_column = 0;
    u64 columns = 0;
  };
  std::vector<std::vector<Cut>> cuts_; ///< by LinearId
  std::vector<std::vector<SentPart>> groups_;
  std::map<std::vector<SentPart>, u32> numbers_; ///< of groups: as many as placements bring about
};

} // namespace talaria::cluster
