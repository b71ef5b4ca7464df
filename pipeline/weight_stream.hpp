#pragma once

#include <functional>
#include <optional>
#include <set>
#include <string>

#include "actors/cluster/dispatcher.hpp"
#include "actors/cluster/placement.hpp"
#include "core/digest.hpp"
#include "model/weights/column_shard.hpp"

namespace talaria::pipeline {

/// Panels from whoever is best asked, or from one node; as many of those asked for as one shard
/// has. @throws Error{no_worker} if nobody sends them in time.
using PanelSource =
    std::function<cluster::SentPanels(const remo::WeightRequest&, std::optional<u32> from)>;

/// A matrix that workers sent, and who of them sent something else than its panels.
struct StreamedWeights {
  model::QuantizedLinear linear;
  std::set<u32> liars;
};

/// Fetches a matrix panel by panel and compares it with `digest`, which is that of the whole: it
/// does not say which panels are wrong. If some are, the shards are fetched from their other
/// holders as well until a choice of copies has the digest; then whoever sent another one lied.
///
/// @param matrix  an assembler to which nothing was added
/// @throws Error{verification} if no copies make the matrix; its text ends with `describe(node)` of
/// everybody who sent panels. Error{no_worker} if there is nobody to send them.
StreamedWeights stream_weights(model::WeightAssembler matrix, const cluster::MatrixPlan& plan,
                               const Sha256Digest& digest, const PanelSource& source,
                               const std::function<std::string(u32 node)>& describe);

} // namespace talaria::pipeline
