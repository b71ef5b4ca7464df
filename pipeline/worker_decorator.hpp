#pragma once

#include <functional>
#include <memory>
#include <utility>

#include "actors/worker_interface.hpp"

namespace talaria::pipeline {

/// Puts an actor of the caller's in front of the embedded worker: recorders of audits, and tests
/// that let a worker lie or die. A header of its own because it needs CAF, which whoever only asks
/// an engine does not compile.
struct WorkerDecorator {
  /// Given the worker, returns who is asked in its place.
  std::function<worker::Worker(caf::actor_system&, worker::Worker)> decorate;
};

inline std::shared_ptr<const WorkerDecorator>
decorate_worker(std::function<worker::Worker(caf::actor_system&, worker::Worker)> decorate) {
  return std::make_shared<const WorkerDecorator>(WorkerDecorator{std::move(decorate)});
}

} // namespace talaria::pipeline
