#pragma once

#include <memory>
#include <vector>

#include "audit/attack.hpp"
#include "audit/public_model.hpp"
#include "audit/transcript.hpp"
#include "core/progress.hpp"
#include "model/tokenizer.hpp"
#include "pipeline/engine.hpp"

namespace talaria::audit {

/// The column of the table.
AttackInfo routing_info();

/// Rows that a worker counts during one request, in the order of its matrices: of a mixture whose
/// rows went to their experts only, by layer and expert.
using RowCounts = std::vector<u32>;

/// Of which of `known` each of `seen` is, by the smallest sum of differences; the first of equal
/// ones. Lists of another length are as far away as can be.
std::vector<std::size_t> nearest_counts(const std::vector<RowCounts>& known,
                                        const std::vector<RowCounts>& seen);

/// What the worker would have counted during each request of `clear`, a recording in which nothing
/// was masked, had each row been sent to the experts that are chosen for it and to no other.
/// @param lengths of the requests' prompts, which fitted one micro-batch each.
std::vector<RowCounts> counts_without_padding(const Recording& clear,
                                              const std::vector<u32>& lengths);
/// Rounds that each layer would take if every expert got `capacity` rows in each of them, real ones
/// or dummies, and rows that find no place went in the next: all that a worker would count.
/// @param counts [layers, experts], the first `routed` of each layer to be chosen among
/// @param capacity at least 1
RowCounts rounds_with_capacity(const RowCounts& counts, std::size_t experts, std::size_t routed,
                               u32 capacity);
/// What it counted: rows of every matrix and round.
std::vector<RowCounts> counts_as_sent(const Recording& recording);

struct RoutingOptions {
  std::size_t prompts = 16; ///< that the attacker thinks possible, all of one length
  u32 length = 24;          ///< tokens
  u64 seed = 1;
};

/// The attacker knows a list of prompts of one length, one of which was asked, and how many rows
/// each matrix is sent for each of them. Without padding, with a fixed number of rows for each
/// expert (both computed: there are no such modes, docs/adr/0030) and as it is, which is judged.
/// Nothing for a model without experts.
/// @throws Error as the engine does.
std::vector<AttackResult> routing(const pipeline::EngineOptions& engine,
                                  const std::shared_ptr<const PublicModel>& model,
                                  const model::Tokenizer& tokenizer, const RoutingOptions& options,
                                  Progress& progress);

} // namespace talaria::audit
