#pragma once

#include <atomic>
#include <caf/all.hpp>
#include <string>
#include <vector>

#include "core/integers.hpp"

namespace talaria::tests {

// A program linked with killable_graph.cpp has it in the place of pipeline/graph.cpp, which it
// includes: the same stages, which a test can end, and an entrance that can throw.

/// What the exception says, and nothing else may.
inline const std::string kSecretText = "there is no token 4132";

/// The micro-batch of an engine at which its entrance throws; 0: none.
extern std::atomic<u64> throws_at;

/// Ends an actor of the engine that was made last, as an exception in a handler would: a stage by
/// its name in the graph, or "scheduler".
void kill_stage(const std::string& name);

/// The names that kill_stage() knows.
std::vector<std::string> killable();

} // namespace talaria::tests
