#pragma once

#include <atomic>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "actors/worker/fair_queue.hpp"
#include "actors/worker/product_engine.hpp"
#include "actors/worker_interface.hpp"
#include "core/error.hpp"
#include "telemetry/tracer.hpp"

namespace talaria::worker {

/// What one worker has been asked and has answered, by whom, and the last row it was shown:
/// everything the cloud learns. Thread-safe.
class WorkerLedger {
public:
  struct Totals {
    u64 requests = 0; ///< products
    u64 rows = 0;
    u64 bytes_in = 0;        ///< masked tensors
    u64 bytes_out = 0;       ///< products
    u64 multiplications = 0; ///< of products and hints
  };
  void count(const EnclaveId& enclave, u64 multiplications, const remo::MaskedTensor& in,
             const remo::WorkerProduct& out);
  /// Of a hint, or of weights that were sent.
  void count(const EnclaveId& enclave, u64 multiplications);
  Totals totals() const;
  /// Of the enclaves that asked for something last, at most kEnclaves: one whose key is made at its
  /// start is another enclave each time.
  std::map<EnclaveId, Totals> by_enclave() const;
  static constexpr std::size_t kEnclaves = 256;
  /// The last masked tensor received, or one without bytes.
  remo::MaskedTensor last_seen() const;

private:
  struct Account {
    Totals totals;
    u64 last_use = 0; ///< number of the count that was last
  };
  Totals& account_of(const EnclaveId& enclave);

  mutable std::mutex mutex_;
  Totals totals_;
  std::map<EnclaveId, Account> accounts_;
  u64 uses_ = 0;
  remo::MaskedTensor last_;
};

/// A question from outside the process. One hop instead of three: a product of a small model takes
/// less time than waking a thread.
struct Incoming {
  Question question;
  AnswerTo answer;
  EnclaveId enclave{};
};

/// Called once if the device does nothing more for this process, on the worker's thread.
using TellDeviceLost = std::function<void(const Error&)>;

/// Where a worker's spans go. Nowhere without a tracer, which must outlive the worker.
struct WorkerTrace {
  telemetry::Tracer* tracer = nullptr;
  telemetry::Tracer::Track queue = 0;
  telemetry::Tracer::Track product = 0;
  telemetry::Tracer::Track pack = 0; ///< of products that travel
  ProductTrace phases;
};
/// `name` is the process that the spans are shown under.
WorkerTrace worker_trace(telemetry::Tracer* tracer, const std::string& name);

/// Tells a WorkerActor that everything which had arrived is in its list.
struct MultiplyWaiting {};

/// A WorkerActor as the door of a worker process sees it.
using WorkerInside = Worker::extend<caf::reacts_to<MultiplyWaiting>, caf::reacts_to<Incoming>>;

/// The worker: the embedded one, and the one inside talaria-worker. What arrived while it was busy
/// waits in a FairQueue: enclaves take turns, and rows of one matrix are multiplied together in one
/// reading of the weights. A GPU gets the next products while it is at work on one. Runs products,
/// or waits for them, for milliseconds at a time. Once its device is lost it answers everything
/// with that error.
class WorkerActor : public WorkerInside::base {
public:
  WorkerActor(caf::actor_config& config, std::shared_ptr<ProductEngine> engine,
              std::shared_ptr<WorkerLedger> ledger, WorkerTrace trace, TellDeviceLost lost);
  behavior_type make_behavior() override;
  void on_exit() override;
  const char* name() const override { return "worker"; }

private:
  /// @throws Error{usage} for what cannot be answered.
  void wait_in_line(Waiting waiting);
  void enqueue_tensor(const remo::MaskedTensor& tensor, AnswerTo answer, const EnclaveId& enclave);
  void take(const Incoming& incoming);
  /// Multiplications that it takes, or what they would be for as many bytes of weights.
  u64 cost_of(const Question& question) const;
  /// Rows that one product is made of, and the product.
  struct UnderWay {
    std::vector<Waiting> group;
    PendingProducts products;
    i64 started = 0; ///< ns since 1970
    u32 rows = 0;
  };
  /// Goes on with what is waiting or under way once the mailbox has been looked through.
  void schedule_drain();
  void multiply_waiting();
  /// A hint, or weights.
  void answer_at_once(Waiting item);
  void begin(std::vector<Waiting> group);
  static bool is_ready(const UnderWay& item);
  void finish(UnderWay item);
  /// To all who asked.
  void answer(std::vector<Waiting>& group, const Error& error);
  /// Tells whoever wants to know if the device is lost.
  void look_at(const Error& error);
  void trace(const remo::MaskedTensor& tensor, const remo::WorkerProduct& product) const;

  std::shared_ptr<ProductEngine> engine_;
  std::shared_ptr<WorkerLedger> ledger_;
  WorkerTrace trace_;
  TellDeviceLost lost_; ///< empty once it was called
  FairQueue waiting_;
  std::deque<UnderWay> under_way_; ///< in order of begin()
  bool drain_scheduled_ = false;   ///< a MultiplyWaiting is in the mailbox
};

/// Spawns a WorkerActor that whoever asks goes on to run, without waking a thread: a stage beside
/// an embedded worker, the reader of a connection (InlineExecutor) in a worker's process.
WorkerInside spawn_worker(caf::actor_system& system, std::shared_ptr<ProductEngine> engine,
                          std::shared_ptr<WorkerLedger> ledger, WorkerTrace trace = {},
                          TellDeviceLost lost = {});

} // namespace talaria::worker

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(talaria::worker::MultiplyWaiting)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(talaria::worker::Incoming)
