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

/// Tells a WorkerActor that everything which had arrived is in its list.
struct MultiplyWaiting {};

/// The worker: the embedded one, and the one inside talaria-worker. Rows of one matrix that arrived
/// while it was busy, from any number of enclaves, are multiplied together in one reading of the
/// weights. Runs products for milliseconds at a time, so it is spawned detached.
class WorkerActor : public Worker::extend<caf::reacts_to<MultiplyWaiting>>::base {
public:
  WorkerActor(caf::actor_config& config, std::shared_ptr<ProductEngine> engine,
              std::shared_ptr<WorkerLedger> ledger);
  behavior_type make_behavior() override;
  void on_exit() override;
  const char* name() const override { return "worker"; }

private:
  struct Waiting {
    remo::MaskedTensor tensor;
    caf::typed_response_promise<remo::WorkerProduct> promise;
  };
  void multiply_waiting();
  void multiply(std::vector<Waiting> group);

  std::shared_ptr<ProductEngine> engine_;
  std::shared_ptr<WorkerLedger> ledger_;
  std::vector<Waiting> waiting_; ///< in order of arrival
};

/// Spawns a WorkerActor on a thread of its own.
Worker spawn_worker(caf::actor_system& system, std::shared_ptr<ProductEngine> engine,
                    std::shared_ptr<WorkerLedger> ledger);

} // namespace talaria::worker

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(talaria::worker::MultiplyWaiting)
