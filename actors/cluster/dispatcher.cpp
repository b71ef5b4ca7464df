#include "actors/cluster/dispatcher.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <list>
#include <map>
#include <set>
#include <utility>

#include "actors/cluster/job.hpp"
#include "actors/errors.hpp"
#include "actors/tensor_labels.hpp"
#include "kernels/packed_weights.hpp"

namespace talaria::cluster {

struct Tick {};

} // namespace talaria::cluster

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(talaria::cluster::Tick)

namespace talaria::cluster {

namespace {

using remo::HintRequest;
using remo::MaskedTensor;
using remo::WeightPanels;
using remo::WeightRequest;
using remo::WorkerProduct;

using DispatcherInside = Dispatcher::extend<caf::reacts_to<Tick>>;

/// What a product may take beyond the policy's deadline: slow links and slow machines are not
/// faults.
constexpr double kBytesPerMs = 10e3;
constexpr double kMultiplicationsPerMs = 1e6;

Milliseconds allowance(const MatrixPlan& plan, const Question& question) {
  const bool hint = std::holds_alternative<HintRequest>(question);
  const auto rows = static_cast<double>(hint ? std::get<HintRequest>(question).count
                                             : std::get<MaskedTensor>(question).rows);
  const auto in = static_cast<double>(plan.d_in);
  const auto out = static_cast<double>(plan.columns);
  return Milliseconds(static_cast<i64>(rows * (in + out) * 8 / kBytesPerMs +
                                       rows * in * out * 7 / kMultiplicationsPerMs));
}

class DispatcherActor final : public DispatcherInside::base {
public:
  DispatcherActor(caf::actor_config& config, DispatcherOptions options)
      : DispatcherInside::base(config), options_(std::move(options)),
        nodes_(options_.nodes.size()) {
    if (options_.tracer != nullptr) track_ = options_.tracer->track("enclave", "dispatcher");
  }

  const char* name() const override { return "dispatcher"; }

  behavior_type make_behavior() override {
    const auto watcher = caf::actor_cast<NodeWatcher>(this);
    for (u32 n = 0; n < nodes_.size(); ++n)
      nodes_[n].link = options_.link ? options_.link(system(), n, watcher)
                                     : spawn_link(system(), n, options_.nodes[n], options_.policy,
                                                  options_.tls, watcher, options_.tracer);
    tick();
    return {[this](const MaskedTensor& tensor) {
              last_seen_ = tensor;
              return take(tensor.matrix, tensor, {});
            },
            [this](const worker::Dispute& dispute) { return disputed(dispute); },
            [this](const worker::Settled& settled) { settle(settled); },
            [this](const HintRequest& request) { return take(request.matrix, request, {}); },
            [this](const WeightRequest& request) { return weights(request); },
            [this](const NodeEvent& event) { node_changed(event); },
            [this](const Expected& expected) {
              for (const auto& part : expected.parts)
                for (const auto& node : nodes_) send(node.link, Expect{part});
            },
            [this](const Discredit& liar) {
              quarantine(liar.node, liar.matrix, "its hint fails the check");
            },
            [this](const AwaitReady& wait) { return await_ready(wait); },
            [this](const AskHealth&) { return health(); },
            [this](const Tick&) { tick(); }};
  }

  void on_exit() override {
    for (auto& [id, work] : work_)
      work.promise.deliver(to_caf(Error(Errc::cancelled, "the cluster was shut down")));
    work_.clear();
    for (auto& waiting : waiting_)
      waiting.promise.deliver(to_caf(Error(Errc::cancelled, "the cluster was shut down")));
    waiting_.clear();
    for (const auto& node : nodes_) anon_send_exit(node.link, caf::exit_reason::user_shutdown);
  }

private:
  using Promise = caf::typed_response_promise<WorkerProduct>;

  struct Node {
    Link link;
    bool ready = false;
    bool hopeless = false; ///< cannot work with this enclave
    u32 strikes = 0;
    std::size_t busy = 0; ///< questions under way
    std::string trouble;  ///< empty: it is being connected to for the first time
  };
  struct Work {
    Job job;
    Promise promise;
    bool lied_to = false; ///< a worker gave a wrong answer, now or before a dispute
  };
  struct WaitingForReady {
    caf::typed_response_promise<Ready> promise;
    Clock::time_point limit;
  };

  // --- products ---------------------------------------------------------------------------------

  Promise take(u32 matrix, Question question, const std::vector<u32>& excluded) {
    auto promise = make_response_promise<WorkerProduct>();
    if (matrix >= options_.plan.size()) {
      promise.deliver(to_caf(Error(Errc::internal, "a matrix that is in no plan")));
      return promise;
    }
    const u64 id = ++last_work_;
    Work work{Job(options_.plan[matrix], std::move(question),
                  Clock::now() + options_.policy.request_deadline),
              promise, !excluded.empty()};
    for (const u32 node : excluded) work.job.exclude(node);
    work_.emplace(id, std::move(work));
    advance(id);
    return promise;
  }

  /// Hands out every open shard that somebody can take; ends the work if nobody ever will.
  void advance(u64 id) {
    const auto it = work_.find(id);
    if (it == work_.end()) return;
    Work& work = it->second;
    Job& job = work.job;
    for (const std::size_t shard : job.open_shards()) {
      const auto candidates = job.candidates(shard);
      if (candidates.empty())
        return give_up(id, work.lied_to ? Errc::verification : Errc::no_worker);
      if (std::all_of(candidates.begin(), candidates.end(),
                      [this](const Holder& holder) { return nodes_[holder.node].hopeless; }))
        return give_up(id, Errc::config);
      const auto ready =
          std::find_if(candidates.begin(), candidates.end(), [this](const Holder& holder) {
            const Node& node = nodes_[holder.node];
            return node.ready && node.busy < options_.policy.in_flight;
          });
      if (ready == candidates.end()) { // until one comes back, or has less to do
        parked_.insert(id);
        continue;
      }
      const auto deadline =
          Clock::now() + options_.policy.deadline + allowance(job.plan(), job.question());
      if (job.assign(shard, ready->node, deadline)) ask(id, ready->node);
    }
    if (job.complete()) finish(id);
  }

  void ask(u64 id, u32 node) {
    ++nodes_[node].busy;
    const auto answered = [this, id, node](const WorkerProduct& product) {
      less_busy(node);
      nodes_[node].strikes = 0;
      const auto it = work_.find(id);
      if (it == work_.end()) return;
      if (const auto wrong = wrong_width(it->second.job.plan(), node, product)) {
        failed(id, node, *wrong);
        return;
      }
      it->second.job.answer(node, product);
      if (it->second.job.complete()) finish(id);
    };
    const auto refused = [this, id, node](const caf::error& error) {
      less_busy(node);
      failed(id, node, from_caf(error));
    };
    std::visit(
        [&](const auto& question) {
          request(nodes_[node].link, caf::infinite, question).then(answered, refused);
        },
        work_.at(id).job.question());
  }

  void less_busy(u32 node) {
    --nodes_[node].busy;
    advance_parked();
  }

  void advance_parked() {
    for (const u64 id : std::exchange(parked_, {})) advance(id);
  }

  static std::optional<Error> wrong_width(const MatrixPlan& plan, u32 node,
                                          const WorkerProduct& product) {
    for (const Shard& shard : plan.shards)
      for (const Holder& holder : shard.holders)
        if (holder.node == node && product.cols == holder.columns && product.rows > 0 &&
            product.bytes != nullptr && product.bytes->size() % product.rows == 0)
          return std::nullopt;
    return Error(Errc::verification, fmt::format("returned {} columns", product.cols));
  }

  void failed(u64 id, u32 node, const Error& why) {
    const auto it = work_.find(id);
    if (why.code() == Errc::verification) quarantine(node, matrix_of(id), why.what());
    if (it == work_.end()) return;
    Job& job = it->second.job;
    job.release(node, why.what());
    if (why.code() != Errc::no_worker) job.exclude(node); // it is there, and will not do it
    it->second.lied_to = it->second.lied_to || why.code() == Errc::verification;
    if (job.failures() > options_.policy.retries) return give_up(id, Errc::no_worker);
    advance(id);
  }

  void finish(u64 id) {
    auto node = work_.extract(id);
    node.mapped().promise.deliver(joined(node.mapped().job));
  }

  WorkerProduct joined(const Job& job) const {
    const auto* tensor = std::get_if<MaskedTensor>(&job.question());
    const bool side_by_side = tensor != nullptr && job.plan().shards.size() > 1;
    const telemetry::Span span(side_by_side ? options_.tracer : nullptr, track_,
                               telemetry::SpanKind::unpack,
                               side_by_side ? labels_of(*tensor) : telemetry::SpanLabels());
    return job.joined();
  }

  void give_up(u64 id, Errc code) {
    auto node = work_.extract(id);
    const Work& work = node.mapped();
    if (const auto* tensor = std::get_if<MaskedTensor>(&work.job.question()))
      disputes_.erase(tensor->bytes.get());
    std::string text = "no worker is left for it";
    if (!work.job.last_failure().empty()) {
      text = work.job.last_failure() + "; " + text;
    } else if (code == Errc::verification) {
      text = "it came from";
      for (const u32 n : work.job.excluded()) text += " " + describe(n);
      text += ", and no other worker holds it";
    } else {
      text += ": " + troubles(work.job.plan());
    }
    node.mapped().promise.deliver(to_caf(Error(code, work.job.plan().name + ": " + text)));
  }

  /// "worker 'a' (10.0.0.5:7600): connection refused; ..." for everybody who holds the matrix.
  std::string troubles(const MatrixPlan& plan) const {
    std::string text;
    std::set<u32> named;
    for (const Shard& shard : plan.shards)
      for (const Holder& holder : shard.holders)
        if (!nodes_[holder.node].ready && named.insert(holder.node).second)
          text += (text.empty() ? "" : "; ") + describe(holder.node) + ": " +
                  (nodes_[holder.node].trouble.empty() ? "not connected yet"
                                                       : nodes_[holder.node].trouble);
    return text;
  }

  // --- wrong answers ----------------------------------------------------------------------------

  Promise disputed(const worker::Dispute& dispute) {
    const auto& suspects = dispute.wrong.answered_by;
    if (suspects.empty()) {
      auto promise = make_response_promise<WorkerProduct>();
      promise.deliver(to_caf(Error(Errc::verification, "nobody knows who answered")));
      return promise;
    }
    const u32 matrix = dispute.tensor.matrix;
    const std::set<u32> distinct(suspects.begin(), suspects.end());
    std::vector<u32> excluded(distinct.begin(), distinct.end());
    auto& earlier = disputes_[dispute.tensor.bytes.get()];
    for (const WorkerProduct& wrong : earlier)
      excluded.insert(excluded.end(), wrong.answered_by.begin(), wrong.answered_by.end());
    if (distinct.size() == 1)
      quarantine(suspects[0], matrix, "its product fails the check");
    else
      earlier.push_back(dispute.wrong); // one of them lied; the right answer will say which
    if (earlier.empty()) disputes_.erase(dispute.tensor.bytes.get());
    return take(matrix, dispute.tensor, excluded);
  }

  void settle(const worker::Settled& settled) {
    auto node = disputes_.extract(settled.tensor.bytes.get());
    if (node.empty()) return;
    const MatrixPlan& plan = options_.plan[settled.tensor.matrix];
    for (const WorkerProduct& wrong : node.mapped())
      for (std::size_t s = 0; s < plan.shards.size(); ++s) {
        const auto mine = columns_of(wrong, 0, plan.shards[s].first_column, plan.shards[s].columns);
        const auto right =
            columns_of(settled.right, 0, plan.shards[s].first_column, plan.shards[s].columns);
        if (!std::equal(mine->begin(), mine->end(), right->begin(), right->end()))
          quarantine(wrong.answered_by[s], plan.matrix, "its product fails the check");
      }
  }

  void quarantine(u32 node, std::optional<u32> matrix, const std::string& why) {
    if (!liars_.insert(node).second) return; // the last of several products that were under way
    const std::string where =
        matrix ? fmt::format("{}: ", options_.plan[*matrix].name) : std::string();
    log(fmt::format("{} is quarantined: {}{}", describe(node), where, why));
    leave_alone(node, options_.policy.quarantine, where + why);
  }

  void leave_alone(u32 node, Milliseconds time, const std::string& why) {
    nodes_[node].ready = false;
    nodes_[node].strikes = 0;
    nodes_[node].trouble = why;
    send(nodes_[node].link, SetAside{time, why});
  }

  // --- weights ----------------------------------------------------------------------------------

  caf::typed_response_promise<WeightPanels> weights(const WeightRequest& asked) {
    constexpr u64 kPanel = kernels::PackedWeights::kPanel;
    auto promise = make_response_promise<WeightPanels>();
    const u64 first = u64{asked.first} * kPanel;
    if (asked.matrix >= options_.plan.size()) {
      promise.deliver(to_caf(Error(Errc::internal, "a matrix that is in no plan")));
      return promise;
    }
    for (const Shard& shard : options_.plan[asked.matrix].shards) {
      if (first < shard.first_column || first >= shard.first_column + shard.columns) continue;
      for (const Holder& holder : shard.holders) {
        if (!nodes_[holder.node].ready) continue;
        WeightRequest clipped = asked;
        const u64 end = (shard.first_column + shard.columns + kPanel - 1) / kPanel;
        clipped.count = static_cast<u32>(std::min<u64>(asked.count, end - asked.first));
        request(nodes_[holder.node].link, caf::infinite, clipped)
            .then([promise](WeightPanels& panels) mutable { promise.deliver(std::move(panels)); },
                  [promise](caf::error& error) mutable { promise.deliver(std::move(error)); });
        return promise;
      }
    }
    promise.deliver(to_caf(Error(Errc::no_worker, options_.plan[asked.matrix].name +
                                                      ": no worker that holds it is ready")));
    return promise;
  }

  // --- nodes ------------------------------------------------------------------------------------

  void node_changed(const NodeEvent& event) {
    Node& node = nodes_[event.node];
    const bool news = node.ready != event.ready || (!event.ready && node.trouble != event.why);
    node.ready = event.ready;
    node.hopeless = !event.ready && event.code == Errc::config;
    if (event.ready) {
      if (news && !node.trouble.empty()) log(describe(event.node) + " is ready");
      node.strikes = 0;
      liars_.erase(event.node);
    } else {
      if (news) log(describe(event.node) + " is not ready: " + event.why);
      node.trouble = event.why;
      if (event.code == Errc::verification) quarantine(event.node, std::nullopt, event.why);
    }
    if (event.ready) advance_parked();
    answer_waiting(Clock::now());
  }

  caf::typed_response_promise<Ready> await_ready(const AwaitReady& wait) {
    auto promise = make_response_promise<Ready>();
    waiting_.push_back({promise, Clock::now() + wait.limit});
    answer_waiting(Clock::now());
    return promise;
  }

  void answer_waiting(Clock::time_point now) {
    if (waiting_.empty()) return;
    bool all_ready = true;
    bool hopeless = false;
    std::string text;
    for (const MatrixPlan& plan : options_.plan)
      for (const Shard& shard : plan.shards) {
        bool ready = false;
        bool none_will = true;
        for (const Holder& holder : shard.holders) {
          ready = ready || nodes_[holder.node].ready;
          none_will = none_will && nodes_[holder.node].hopeless;
        }
        if (ready) continue;
        if (all_ready) text = plan.name + " has no worker: " + troubles(plan);
        all_ready = false;
        hopeless = hopeless || none_will;
      }
    const Error error(hopeless ? Errc::config : Errc::no_worker, text);
    waiting_.remove_if([&](WaitingForReady& waiting) {
      if (all_ready)
        waiting.promise.deliver(Ready{});
      else if (hopeless || now >= waiting.limit)
        waiting.promise.deliver(to_caf(error));
      else
        return false;
      return true;
    });
  }

  caf::typed_response_promise<ClusterHealth> health() {
    struct Gathering {
      ClusterHealth health;
      std::size_t missing = 0;
    };
    auto promise = make_response_promise<ClusterHealth>();
    auto gathering = std::make_shared<Gathering>();
    gathering->health.nodes.resize(nodes_.size());
    gathering->health.last_seen = last_seen_;
    gathering->missing = nodes_.size();
    const auto one_less = [gathering, promise] {
      auto answer = promise;
      if (--gathering->missing == 0) answer.deliver(std::move(gathering->health));
    };
    for (u32 n = 0; n < nodes_.size(); ++n)
      request(nodes_[n].link, caf::infinite, AskHealth{})
          .then(
              [this, n, gathering, one_less](const NodeHealth& node) {
                gathering->health.nodes[n] = node;
                gathering->health.nodes[n].strikes = nodes_[n].strikes;
                one_less();
              },
              [one_less](const caf::error&) { one_less(); });
    return promise;
  }

  // --- time -------------------------------------------------------------------------------------

  void tick() {
    const auto now = Clock::now();
    std::vector<u64> ids;
    for (const auto& [id, work] : work_) ids.push_back(id);
    for (const u64 id : ids) look_at_the_clock(id, now);
    answer_waiting(now);
    delayed_send(this, std::chrono::milliseconds(50), Tick{});
  }

  void look_at_the_clock(u64 id, Clock::time_point now) {
    const auto it = work_.find(id);
    if (it == work_.end()) return;
    Job& job = it->second.job;
    if (now >= job.give_up()) return give_up(id, Errc::no_worker);
    const auto late = job.overdue(now);
    for (const u32 node : late) {
      ++nodes_[node].strikes;
      log(fmt::format("{} missed the deadline of {} ({} of {} strikes)", describe(node),
                      job.plan().name, nodes_[node].strikes, options_.policy.strikes));
      if (nodes_[node].strikes >= options_.policy.strikes)
        leave_alone(node, options_.policy.reconnect_most, "it missed too many deadlines");
    }
    if (!late.empty()) advance(id);
  }

  std::string describe(u32 node) const {
    return fmt::format("worker '{}' ({})", options_.nodes[node].name,
                       transport::to_string(options_.nodes[node].address));
  }
  std::optional<u32> matrix_of(u64 id) const {
    const auto it = work_.find(id);
    if (it == work_.end()) return std::nullopt;
    return it->second.job.plan().matrix;
  }
  void log(const std::string& line) const {
    if (options_.log) options_.log(line);
  }

  DispatcherOptions options_;
  telemetry::Tracer::Track track_ = 0;
  std::vector<Node> nodes_;
  std::map<u64, Work> work_;
  u64 last_work_ = 0;
  std::set<u64> parked_; ///< work with shards that nobody could take
  std::list<WaitingForReady> waiting_;
  /// Wrong products that several workers had a part in, by the masked bytes they answered.
  std::map<const void*, std::vector<WorkerProduct>> disputes_;
  std::set<u32> liars_;
  MaskedTensor last_seen_;
};

} // namespace

Dispatcher spawn_dispatcher(caf::actor_system& system, DispatcherOptions options) {
  return system.spawn<DispatcherActor>(std::move(options));
}

} // namespace talaria::cluster
