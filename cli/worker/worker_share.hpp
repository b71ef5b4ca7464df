#pragma once

#include <memory>

#include "actors/worker/product_engine.hpp"
#include "arch/model_plan.hpp"
#include "cli/worker/worker_flags.hpp"
#include "core/progress.hpp"
#include "transport/identity.hpp"

namespace talaria::cli {

/// The part of a model that this worker was told to hold, loaded.
struct WorkerShare {
  arch::ModelPlan plan;
  std::shared_ptr<worker::ProductEngine> engine;
  transport::Identity identity; ///< with the digest of everything held
};

/// Loads layers and columns as the flags say, from a Hugging Face folder or a prepared one, and
/// nothing else of the model. @throws Error{usage} or Error{model}.
WorkerShare load_share(const WorkerFlags& flags, Progress& progress);

} // namespace talaria::cli
