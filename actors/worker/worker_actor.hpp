#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <vector>

#include "actors/worker/product_engine.hpp"
#include "actors/worker_interface.hpp"

namespace talaria::worker {

/// What one worker has been asked and has answered, and the last row it was shown: everything the
/// cloud learns. Thread-safe.
class WorkerLedger {
public:
  struct Totals {
    u64 requests = 0;
    u64 rows = 0;
    u64 bytes_in = 0;  ///< masked tensors
    u64 bytes_out = 0; ///< products
  };
  void count(const remo::MaskedTensor& in, const remo::WorkerProduct& out);
  Totals totals() const;
  /// The last masked tensor received, or one without bytes.
  remo::MaskedTensor last_seen() const;

private:
  mutable std::mutex mutex_;
  Totals totals_;
  remo::MaskedTensor last_;
};

/// The worker of embedded mode: the same interface as a remote one, inside this process. Runs
/// products for milliseconds at a time, so it is spawned detached.
Worker::behavior_type worker_actor(Worker::pointer self, std::shared_ptr<ProductEngine> engine,
                                   std::shared_ptr<WorkerLedger> ledger);

/// Spawns worker_actor on a thread of its own.
Worker spawn_worker(caf::actor_system& system, std::shared_ptr<ProductEngine> engine,
                    std::shared_ptr<WorkerLedger> ledger);

} // namespace talaria::worker
