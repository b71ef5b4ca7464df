#pragma once

#include <functional>
#include <span>
#include <string>
#include <vector>

#include "audit/attack.hpp"
#include "core/progress.hpp"
#include "pipeline/engine.hpp"

namespace talaria::audit {

/// One streamed answer: what the network in front of the gateway sees, and what it wants to know.
struct StreamedAnswer {
  std::vector<std::size_t> sizes;   ///< bytes of each event of text, in order, as records show them
  std::vector<std::size_t> lengths; ///< bytes of the text in it
};

/// The sizes of the events in which a server would send these pieces of an answer, one for each.
/// The server's code is no part of the audit, so that whoever knows it gives this.
/// @param hidden  as the server does by default, or with include_obfuscation: false
/// @param tokens  that a piece may hold
using StreamWriter = std::function<std::vector<std::size_t>(std::span<const std::string> pieces,
                                                            bool hidden, std::size_t tokens)>;

/// The column of the table.
AttackInfo stream_info();

/// Learns from `known` which length goes with which size (a size never seen is taken by its
/// distance to the others), and guesses the lengths of `attacked`. Chance is what the same guesses
/// earn when they are dealt to the events in another order.
AttackResult read_lengths(std::span<const StreamedAnswer> known,
                          std::span<const StreamedAnswer> attacked, const std::string& where);

struct StreamOptions {
  std::size_t answers = 24; ///< half of them to learn from
  u32 tokens = 48;          ///< of each
  u64 seed = 1;
};

/// Answers to random prompts, written with and without obfuscation. Only what hides is judged.
/// @throws Error as the engine does.
std::vector<AttackResult> stream_sizes(const pipeline::EngineOptions& engine,
                                       const StreamWriter& writer, const StreamOptions& options,
                                       Progress& progress);

} // namespace talaria::audit
