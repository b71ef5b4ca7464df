#pragma once

#include <vector>

#include "pipeline/cluster_plan.hpp"

namespace talaria::pipeline {

/// The workers that `options.nodes` stand for: an entry with each_address becomes one worker per
/// address of its name, called NAME@ADDRESS, and all of them are equals under the certificate's
/// name of the entry. A name that cannot be looked up, or has no address, stands for those that it
/// has among `known`.
/// @param known  an earlier answer
/// @throws Error{no_worker} with the reason for a name that stands for nobody.
std::vector<ClusterNode> with_addresses(const ClusterOptions& options,
                                        const std::vector<ClusterNode>& known);

/// The same at the start: waits up to `options.ready` for names that have no address yet.
std::vector<ClusterNode> await_addresses(const ClusterOptions& options);

/// Whether any of them must be looked up.
bool any_each_address(const std::vector<ClusterNode>& nodes);

} // namespace talaria::pipeline
