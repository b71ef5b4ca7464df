#include "actors/worker/worker_actor.hpp"

#include "actors/errors.hpp"

namespace talaria::worker {

using remo::MaskedTensor;
using remo::WorkerProduct;

void WorkerLedger::count(const MaskedTensor& in, const WorkerProduct& out) {
  std::lock_guard lock(mutex_);
  ++totals_.requests;
  totals_.rows += in.rows;
  totals_.bytes_in += in.bytes->size();
  totals_.bytes_out += out.bytes->size();
  last_ = in;
}

WorkerLedger::Totals WorkerLedger::totals() const {
  std::lock_guard lock(mutex_);
  return totals_;
}

MaskedTensor WorkerLedger::last_seen() const {
  std::lock_guard lock(mutex_);
  return last_;
}

Worker::behavior_type worker_actor(Worker::pointer /*self*/, std::shared_ptr<ProductEngine> engine,
                                   std::shared_ptr<WorkerLedger> ledger) {
  return {
      [engine, ledger](const MaskedTensor& tensor) -> caf::result<WorkerProduct> {
        try {
          WorkerProduct product = engine->multiply(tensor);
          ledger->count(tensor, product);
          return product;
        } catch (const Error& error) {
          return to_caf(error);
        }
      },
      [engine](const HintRequest& request) -> caf::result<WorkerProduct> {
        try {
          return engine->hint_rows(request.matrix, request.first, request.count);
        } catch (const Error& error) {
          return to_caf(error);
        }
      },
  };
}

Worker spawn_worker(caf::actor_system& system, std::shared_ptr<ProductEngine> engine,
                    std::shared_ptr<WorkerLedger> ledger) {
  return system.spawn<caf::detached>(worker_actor, std::move(engine), std::move(ledger));
}

} // namespace talaria::worker
