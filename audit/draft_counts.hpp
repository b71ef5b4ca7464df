#pragma once

#include <span>
#include <string>
#include <vector>

#include "audit/attack.hpp"
#include "audit/stream_sizes.hpp"
#include "core/progress.hpp"
#include "pipeline/engine.hpp"

namespace talaria::audit {

/// One answer as somebody sees it, round by round or event by event.
struct DraftTrace {
  std::size_t query = 0;    ///< that was answered
  std::vector<u64> numbers; ///< accepted tokens, rows, or bytes
};

/// The column of the table.
AttackInfo draft_info();

/// Takes each of `attacked` for an answer to the query of the nearest of `known`, by the sum of
/// differences; the first of equals. Chance is one of `queries`.
AttackResult recognise_queries(std::span<const DraftTrace> known,
                               std::span<const DraftTrace> attacked, std::size_t queries,
                               const std::string& where);

struct DraftOptions {
  std::size_t queries = 24;
  u32 tokens = 40; ///< of each answer
  u64 seed = 1;
};

/// Greedy answers to few queries, each asked twice: the easiest case for whoever knows the first
/// pattern. By an engine with drafts (four, unless it has some) and padding of as many rounds as an
/// answer may take. Queries are recognised by the tokens of each round, which is what an
/// unprotected server shows and is not judged; by the rows of each round, as a worker sees them;
/// and by the sizes of events.
/// @param writer  nothing: no events are looked at
/// @throws Error as the engine does.
std::vector<AttackResult> draft_counts(const pipeline::EngineOptions& engine,
                                       const StreamWriter& writer, const DraftOptions& options,
                                       Progress& progress);

} // namespace talaria::audit
