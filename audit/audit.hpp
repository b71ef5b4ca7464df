#pragma once

#include <functional>
#include <string>
#include <vector>

#include "audit/report.hpp"
#include "audit/stream_sizes.hpp"
#include "core/progress.hpp"
#include "pipeline/engine.hpp"

namespace talaria::audit {

struct AuditOptions {
  /// Model and scheme as they would be used; an embedded worker records.
  pipeline::EngineOptions engine;
  std::string text;                 ///< prompts are cut out of it
  std::vector<std::string> attacks; ///< names; empty: all
  bool quick = false;               ///< fewer rows and schemes: for every push
  bool others = true;               ///< the schemes beside the configured one, too
  u64 seed = 1;                     ///< of prompt lengths, chosen prompts and baselines
  StreamWriter stream; ///< how the server writes streamed answers; nothing: they are not attacked
  std::function<void(const std::string&)> log; ///< told what is done next; may be empty
};

/// Names that --attacks takes.
std::vector<std::string> attack_names();

/// Records the configured scheme, and others unless told not to, and attacks the recordings.
/// @throws Error{usage} for an unknown attack or a text that is too short; Error as the engine
/// does.
AuditReport run_audit(const AuditOptions& options, Progress& progress);

} // namespace talaria::audit
