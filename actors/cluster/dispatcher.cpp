#include "actors/cluster/dispatcher.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <list>
#include <map>
#include <set>
#include <type_traits>
#include <utility>
#include <variant>

#include "actors/cluster/job.hpp"
#include "actors/cluster/roster.hpp"
#include "actors/cluster/senders.hpp"
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

/// A link that waits for its connecting thread, or for a name's address, does not say how it is.
constexpr Milliseconds kHealthTime{2000};

Milliseconds allowance(const MatrixPlan& plan, const Question& question) {
  const auto in = static_cast<double>(plan.d_in);
  const auto out = static_cast<double>(plan.columns);
  if (const auto* weights = std::get_if<WeightRequest>(&question))
    return Milliseconds(
        static_cast<i64>(weights->count * kernels::PackedWeights::kPanel * in / kBytesPerMs));
  const bool hint = std::holds_alternative<HintRequest>(question);
  const auto rows = static_cast<double>(hint ? std::get<HintRequest>(question).count
                                             : std::get<MaskedTensor>(question).rows);
  return Milliseconds(static_cast<i64>(rows * (in + out) * 8 / kBytesPerMs +
                                       rows * in * out * 7 / kMultiplicationsPerMs));
}

class DispatcherActor final : public DispatcherInside::base {
public:
  DispatcherActor(caf::actor_config& config, DispatcherOptions options)
      : DispatcherInside::base(config), options_(std::move(options)), senders_(options_.plan),
        nodes_(std::move(options_.plan)) {
    if (options_.tracer != nullptr) track_ = options_.tracer->track("enclave", "dispatcher");
  }

  const char* name() const override { return "dispatcher"; }

  behavior_type make_behavior() override {
    for (NodeSettings& settings : options_.nodes) add_node(std::move(settings));
    tick();
    return {
        [this](const MaskedTensor& tensor) {
          last_seen_ = tensor;
          return take<WorkerProduct>(tensor.matrix, tensor);
        },
        [this](const worker::Dispute& dispute) { return disputed(dispute); },
        [this](const HintRequest& request) { return take<WorkerProduct>(request.matrix, request); },
        [this](const WeightRequest& request) { return weights<WeightPanels>(request, {}); },
        [this](const NodeEvent& event) { node_changed(event); },
        [this](const Expected& expected) {
          for (const auto& part : expected.parts)
            for (u32 n = 0; n < nodes_.size(); ++n)
              if (nodes_[n].link) send(nodes_[n].link, Expect{part});
        },
        [this](const Discredit& liar) { quarantine(liar.node, liar.matrix, liar.why); },
        [this](const Reshape& news) { reshape(news); },
        [this](const FetchPanels& asked) { return weights<SentPanels>(asked.request, asked.from); },
        [this](const AwaitReady& wait) { return await_ready(wait); },
        [this](const AskHealth&) { return health(); },
        [this](const Tick&) { tick(); }};
  }

  void on_exit() override {
    for (auto& [id, work] : work_) fail(work, Error(Errc::cancelled, "the cluster was shut down"));
    work_.clear();
    for (auto& waiting : waiting_)
      waiting.promise.deliver(to_caf(Error(Errc::cancelled, "the cluster was shut down")));
    waiting_.clear();
    for (u32 n = 0; n < nodes_.size(); ++n) end_link(n);
  }

private:
  template <class Answer>
  using Promise = caf::typed_response_promise<Answer>;

  struct Work {
    std::shared_ptr<const MatrixPlan> plan; ///< that the job goes by
    Job job;
    std::variant<Promise<WorkerProduct>, Promise<WeightPanels>, Promise<SentPanels>> promise;
    bool saw_invalid_reply = false; ///< a worker gave a wrong answer, now or before a dispute
    bool is_pinned = false;         ///< of one node alone, whatever the placement
  };
  struct WaitingForReady {
    caf::typed_response_promise<Ready> promise;
    Clock::time_point limit;
  };

  // --- questions --------------------------------------------------------------------------------

  template <class Answer>
  Promise<Answer> take(u32 matrix, Question question) {
    if (matrix < nodes_.matrices())
      return begin<Answer>(nodes_.plan(matrix),
                           Job(*nodes_.plan(matrix), std::move(question),
                               Clock::now() + options_.policy.request_deadline));
    auto promise = make_response_promise<Answer>();
    promise.deliver(to_caf(Error(Errc::internal, "a matrix that is in no plan")));
    return promise;
  }

  template <class Answer>
  Promise<Answer> begin(std::shared_ptr<const MatrixPlan> plan, Job job,
                        bool saw_invalid_reply = false, bool is_pinned = false) {
    auto promise = make_response_promise<Answer>();
    const u64 id = ++last_work_;
    work_.emplace(id, Work{std::move(plan), std::move(job), promise, saw_invalid_reply, is_pinned});
    advance(id);
    return promise;
  }

  /// What has to be handed out goes by the placement that holds now.
  void go_by_new_plan(Work& work) const {
    const auto& plan = nodes_.plan(work.plan->matrix);
    if (work.is_pinned || work.plan == plan || work.job.open_shards().empty()) return;
    work.job.replan(*plan);
    work.plan = plan;
  }

  /// Hands out every open shard that somebody can take; ends the work if nobody ever will.
  void advance(u64 id) {
    const auto it = work_.find(id);
    if (it == work_.end()) return;
    Work& work = it->second;
    Job& job = work.job;
    go_by_new_plan(work);
    const auto now = Clock::now();
    const auto failures = [this, now](u32 n) { return nodes_[n].standing.failures(now); };
    for (const std::size_t shard : job.open_shards()) {
      const auto candidates = job.candidates(shard, failures);
      if (candidates.empty())
        return give_up(id, work.saw_invalid_reply ? Errc::verification : Errc::no_worker);
      if (std::all_of(candidates.begin(), candidates.end(),
                      [this](const Holder& holder) { return nodes_[holder.node].incompatible; }))
        return give_up(id, Errc::config);
      const auto ready =
          std::find_if(candidates.begin(), candidates.end(), [&](const Holder& holder) {
            return nodes_.usable(holder.node, now) &&
                   nodes_[holder.node].busy < options_.policy.in_flight;
          });
      if (ready == candidates.end()) { // until one comes back, or has less to do
        parked_.insert(id);
        continue;
      }
      const u32 node = least_busy(candidates, *ready, now);
      const auto deadline = now + options_.policy.deadline + allowance(job.plan(), job.question());
      if (job.assign(shard, node, deadline)) ask(id, node);
    }
    if (job.complete()) finish(id);
  }

  /// Of a holder and its equals that have not failed more.
  u32 least_busy(const std::vector<Holder>& candidates, const Holder& first,
                 Clock::time_point now) const {
    u32 best = first.node;
    if (first.equals == 0) return best;
    for (const Holder& holder : candidates)
      if (holder.equals == first.equals && nodes_.usable(holder.node, now) &&
          nodes_[holder.node].busy < nodes_[best].busy &&
          nodes_[holder.node].standing.failures(now) <= nodes_[first.node].standing.failures(now))
        best = holder.node;
    return best;
  }

  /// Without a limit of its own: a link answers, or fails what it owes when the connection ends,
  /// and the job has its own deadlines. What a worker keeps for itself counts as busy until then.
  void ask(u64 id, u32 node) {
    ++nodes_[node].busy;
    std::visit(
        [&](const auto& question) {
          constexpr bool kWeights = std::is_same_v<std::decay_t<decltype(question)>, WeightRequest>;
          using Answer = std::conditional_t<kWeights, WeightPanels, WorkerProduct>;
          request(nodes_[node].link, caf::infinite, question)
              .then([this, id, node](const Answer& answer) { answered(id, node, answer); },
                    [this, id, node](const caf::error& error) {
                      less_busy(node);
                      failed(id, node, link_failure(error));
                    });
        },
        work_.at(id).job.question());
  }

  template <class Answer>
  void answered(u64 id, u32 node, const Answer& answer) {
    less_busy(node);
    nodes_[node].standing.answered();
    const auto it = work_.find(id);
    if (it == work_.end() || !it->second.job.awaits(node)) return;
    if constexpr (std::is_same_v<Answer, WorkerProduct>)
      if (const auto wrong = wrong_width(it->second.job.plan(), node, answer))
        return failed(id, node, {Unanswered::wrong, nodes_.describe(node) + " " + *wrong, {}});
    it->second.job.answer(node, answer);
    if (it->second.job.complete()) finish(id);
  }

  void less_busy(u32 node) {
    --nodes_[node].busy;
    if (nodes_[node].busy == 0 && nodes_[node].leave_by) end_link(node);
    advance_parked();
  }

  void advance_parked() {
    for (const u64 id : std::exchange(parked_, {})) advance(id);
  }

  static std::optional<std::string> wrong_width(const MatrixPlan& plan, u32 node,
                                                const WorkerProduct& product) {
    for (const Shard& shard : plan.shards)
      for (const Holder& holder : shard.holders)
        if (holder.node == node && product.cols == holder.columns && product.rows > 0 &&
            product.bytes != nullptr && product.bytes->size() % product.rows == 0)
          return std::nullopt;
    return fmt::format("returned {} columns", product.cols);
  }

  void failed(u64 id, u32 node, const LinkFailure& failure) {
    if (failure.kind == Unanswered::wrong) quarantine(node, matrix_of(id), failure.why);
    if (failure.kind == Unanswered::refused) refused(node, matrix_of(id), failure.said);
    const auto it = work_.find(id);
    if (it == work_.end()) return;
    Job& job = it->second.job;
    it->second.saw_invalid_reply =
        it->second.saw_invalid_reply || failure.kind == Unanswered::wrong;
    if (failure.kind == Unanswered::lost)
      job.release(node, failure.why);
    else
      job.expel(node, failure.why); // it is there, and will not do it
    if (job.failures() > options_.policy.retries) return give_up(id, Errc::no_worker);
    advance(id);
  }

  /// Refusing is a worker's right and no lie; it costs the worker its turn, and a strike.
  void refused(u32 node, std::optional<u32> matrix, const std::string& said) {
    log_about(node, fmt::format("{} refused {}, saying: {}", nodes_.describe(node),
                                matrix ? nodes_.plan(*matrix)->name : "what nobody waits for",
                                said.empty() ? "nothing" : said));
    if (nodes_[node].standing.failed(Clock::now()))
      suspend(node, options_.policy.reconnect_max, "it refused too often");
  }

  void finish(u64 id) {
    auto node = work_.extract(id);
    const Job& job = node.mapped().job;
    auto& promise = node.mapped().promise;
    if (auto* product = std::get_if<Promise<WorkerProduct>>(&promise))
      product->deliver(joined(job));
    else if (auto* panels = std::get_if<Promise<WeightPanels>>(&promise))
      panels->deliver(job.panels().second);
    else
      std::get<Promise<SentPanels>>(promise).deliver(
          SentPanels{job.panels().second, job.panels().first});
  }

  static void fail(Work& work, const Error& error) {
    std::visit([&error](auto& promise) { promise.deliver(to_caf(error)); }, work.promise);
  }

  WorkerProduct joined(const Job& job) {
    const auto* tensor = std::get_if<MaskedTensor>(&job.question());
    const bool side_by_side = tensor != nullptr && job.plan().shards.size() > 1;
    const telemetry::Span span(side_by_side ? options_.tracer : nullptr, track_,
                               telemetry::SpanKind::unpack,
                               side_by_side ? labels_of(*tensor) : telemetry::SpanLabels());
    WorkerProduct product = job.joined();
    product.answered_by = senders_.numbers(job.plan().matrix, job.parts());
    return product;
  }

  void give_up(u64 id, Errc code) {
    auto node = work_.extract(id);
    const Work& work = node.mapped();
    fail(node.mapped(), Error(code, work.job.plan().name + ": " + why_given_up(work.job, code)));
  }

  std::string why_given_up(const Job& job, Errc code) const {
    if (!job.last_failure().empty()) return job.last_failure() + "; no worker is left for it";
    if (code != Errc::verification)
      return "no worker is left for it: " + nodes_.last_errors(job.plan(), Clock::now());
    std::string text = "it came from";
    for (const u32 n : job.excluded()) text += " " + nodes_.describe(n);
    return text + ", and no other worker holds it";
  }

  // --- wrong answers ----------------------------------------------------------------------------

  /// Only the shards that are wrong are asked for again, of others; what their neighbours answered
  /// is kept.
  Promise<WorkerProduct> disputed(const worker::Dispute& dispute) {
    const u32 matrix = dispute.tensor.matrix;
    const auto& by = dispute.wrong.answered_by;
    if (!senders_.known(matrix, by, nodes_.size())) {
      auto promise = make_response_promise<WorkerProduct>();
      promise.deliver(to_caf(Error(Errc::verification, "nobody knows who answered")));
      return promise;
    }
    std::set<u32> suspects;
    std::vector<SentPart> right;
    for (std::size_t s = 0; s < by.size(); ++s) {
      if (dispute.wrong_shards.empty() || dispute.wrong_shards.contains(s)) {
        suspects.merge(senders_.nodes(by[s]));
      } else {
        const auto parts = senders_.parts(matrix, s, by[s]);
        right.insert(right.end(), parts.begin(), parts.end());
      }
    }
    blame(dispute, suspects);
    for (const u32 number : dispute.distrusted) suspects.merge(senders_.nodes(number));
    const auto& plan = nodes_.plan(matrix);
    Job job(*plan, dispute.tensor, dispute.asked + options_.policy.request_deadline);
    for (const u32 node : suspects) job.exclude(node);
    job.keep(dispute.wrong, std::move(right));
    return begin<WorkerProduct>(plan, std::move(job), true);
  }

  /// A shard that is wrong convicts the one node that sent it. Where several sent it, because its
  /// columns are placed otherwise than when the model was loaded, one of them lied: each has
  /// failed, and none is convicted.
  void blame(const worker::Dispute& dispute, const std::set<u32>& suspects) {
    const u32 matrix = dispute.tensor.matrix;
    std::set<u32> liars;
    if (suspects.size() == 1) liars = suspects;
    for (const std::size_t s : dispute.wrong_shards) {
      auto nodes = senders_.nodes(dispute.wrong.answered_by.at(s));
      if (nodes.size() == 1) liars.merge(nodes);
    }
    for (const u32 node : liars) quarantine(node, matrix, "its product fails the check");
    if (dispute.wrong_shards.empty()) return;
    for (const u32 node : suspects) {
      if (liars.contains(node)) continue;
      log_about(node, fmt::format("{}: {}: a product that it had a part in fails the check",
                                  nodes_.describe(node), nodes_.plan(matrix)->name));
      if (nodes_[node].standing.failed(Clock::now()))
        suspend(node, options_.policy.reconnect_max, "products that it had a part in were wrong");
    }
  }

  void quarantine(u32 node, std::optional<u32> matrix, const std::string& why) {
    const std::string where =
        matrix ? fmt::format("{}: ", nodes_.plan(*matrix)->name) : std::string();
    // Once: others of its products may have been under way.
    if (nodes_[node].standing.quarantine(Clock::now()))
      log(fmt::format("{} is quarantined: {}{}", nodes_.describe(node), where, why));
    nodes_[node].last_error = where + why;
    if (nodes_[node].link)
      send(nodes_[node].link, Suspend{options_.policy.quarantine, where + why});
  }

  void suspend(u32 node, Milliseconds time, const std::string& why) {
    if (!nodes_[node].standing.suspend(Clock::now(), time)) return;
    nodes_[node].last_error = why;
    if (nodes_[node].link) send(nodes_[node].link, Suspend{time, why});
  }

  // --- weights ----------------------------------------------------------------------------------

  /// Of one node: then within the deadline of a single question, as no other can take over.
  template <class Answer>
  Promise<Answer> weights(const WeightRequest& asked, std::optional<u32> from) {
    const auto clipped = asked.matrix < nodes_.matrices()
                             ? within_one_shard(*nodes_.plan(asked.matrix), asked)
                             : std::nullopt;
    if (!clipped) {
      auto promise = make_response_promise<Answer>();
      promise.deliver(to_caf(Error(Errc::internal, "panels that are in no plan")));
      return promise;
    }
    if (!from) return take<Answer>(asked.matrix, *clipped);
    const auto& plan = nodes_.plan(asked.matrix);
    Job job(*plan, *clipped,
            Clock::now() + options_.policy.deadline + allowance(*plan, Question(*clipped)));
    for (u32 n = 0; n < nodes_.size(); ++n)
      if (n != *from) job.exclude(n);
    return begin<Answer>(plan, std::move(job), false, /*is_pinned=*/true);
  }

  // --- nodes ------------------------------------------------------------------------------------

  void add_node(NodeSettings settings) {
    const auto watcher = caf::actor_cast<NodeWatcher>(this);
    const u32 n = nodes_.add(std::move(settings), options_.policy);
    nodes_[n].link = options_.link ? options_.link(system(), n, watcher)
                                   : spawn_link(system(), n, nodes_[n].settings, options_.policy,
                                                options_.tls, watcher, options_.tracer);
  }

  void end_link(u32 node) {
    if (nodes_[node].link) anon_send_exit(nodes_[node].link, caf::exit_reason::user_shutdown);
    nodes_[node].link = Link();
  }

  void reshape(const Reshape& news) {
    options_.policy.deadline = news.policy.deadline;
    options_.policy.request_deadline = news.policy.request_deadline;
    options_.policy.retries = news.policy.retries;
    for (const NodeSettings& settings : news.joined) add_node(settings);
    nodes_.change(news.meanwhile, news.next, news.members);
    settle(Clock::now());
    advance_parked();
  }

  /// Lets go of those who leave once they are not needed. What they have been asked they may still
  /// answer; a link that is kept waiting for longer than any question lives ends all the same.
  void settle(Clock::time_point now) {
    for (const u32 node : nodes_.settle(now)) {
      nodes_[node].leave_by = now + options_.policy.request_deadline;
      log(nodes_.describe(node) + " has left");
      if (nodes_[node].busy == 0) end_link(node);
    }
  }

  void node_changed(const NodeEvent& event) {
    Roster::Node& node = nodes_[event.node];
    if (!node.link) return; // its last words
    const bool was_there = node.standing.connected();
    if (event.ready && !node.standing.came(Clock::now())) return; // older than its quarantine
    if (!event.ready) node.standing.went();
    const bool news = was_there != event.ready || (!event.ready && node.last_error != event.why);
    node.incompatible = !event.ready && event.code == Errc::config;
    if (event.ready) {
      if (news && !node.last_error.empty())
        log_about(event.node, nodes_.describe(event.node) + " is ready");
    } else {
      if (news && !node.leave_by)
        log_about(event.node, nodes_.describe(event.node) + " is not ready: " + event.why);
      node.last_error = event.why;
      if (event.code == Errc::verification) quarantine(event.node, std::nullopt, event.why);
    }
    settle(Clock::now());
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
    const auto found = nodes_.coverage(now);
    const Error error(found.hopeless ? Errc::config : Errc::no_worker, found.missing);
    waiting_.remove_if([&](WaitingForReady& waiting) {
      if (found.complete)
        waiting.promise.deliver(Ready{});
      else if (found.hopeless || now >= waiting.limit)
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
    std::vector<u32> members;
    for (u32 n = 0; n < nodes_.size(); ++n) {
      if (nodes_[n].is_member) members.push_back(n);
      if (nodes_[n].leave_by) gathering->health.left.insert(n);
    }
    gathering->health.nodes.resize(members.size());
    gathering->health.last_seen = last_seen_;
    gathering->health.covered = nodes_.coverage(Clock::now()).complete;
    gathering->missing = members.size();
    const auto take = [this, gathering, promise](std::size_t place, u32 n, NodeHealth health) {
      health.strikes = nodes_[n].standing.strikes();
      gathering->health.nodes[place] = std::move(health);
      auto answer = promise;
      if (--gathering->missing == 0) answer.deliver(std::move(gathering->health));
    };
    for (std::size_t i = 0; i < members.size(); ++i) {
      const u32 n = members[i];
      request(nodes_[n].link, kHealthTime, AskHealth{})
          .then([take, i, n](const NodeHealth& node) { take(i, n, node); },
                [this, take, i, n](const caf::error&) { take(i, n, known_health(n)); });
    }
    return promise;
  }

  /// What is known here of a node whose link does not say.
  NodeHealth known_health(u32 n) const {
    NodeHealth health;
    health.name = nodes_[n].settings.name;
    health.address = transport::to_string(nodes_[n].settings.address);
    health.last_error = nodes_[n].last_error;
    if (nodes_.usable(n, Clock::now())) health.state = NodeHealth::State::ready;
    return health;
  }

  // --- time -------------------------------------------------------------------------------------

  void tick() {
    const auto now = Clock::now();
    std::vector<u64> ids;
    for (const auto& [id, work] : work_) ids.push_back(id);
    for (const u64 id : ids) check_deadlines(id, now);
    settle(now);
    for (u32 n = 0; n < nodes_.size(); ++n)
      if (nodes_[n].leave_by && now >= *nodes_[n].leave_by) end_link(n);
    answer_waiting(now);
    delayed_send(this, std::chrono::milliseconds(50), Tick{});
  }

  void check_deadlines(u64 id, Clock::time_point now) {
    const auto it = work_.find(id);
    if (it == work_.end()) return;
    Job& job = it->second.job;
    if (now >= job.give_up()) return give_up(id, Errc::no_worker);
    const auto late = job.overdue(now);
    for (const u32 node : late) {
      Standing& standing = nodes_[node].standing;
      const bool too_often = standing.failed(now);
      job.note(nodes_.describe(node) + " missed the deadline");
      log_about(node, fmt::format("{} missed the deadline of {} ({} of {} strikes)",
                                  nodes_.describe(node), job.plan().name, standing.strikes(),
                                  options_.policy.strikes));
      if (too_often) suspend(node, options_.policy.reconnect_max, "it missed too many deadlines");
    }
    if (!late.empty()) advance(id);
  }

  std::optional<u32> matrix_of(u64 id) const {
    const auto it = work_.find(id);
    if (it == work_.end()) return std::nullopt;
    return it->second.job.plan().matrix;
  }
  /// A line that a worker can cause as often as it likes.
  void log_about(u32 node, const std::string& line) {
    if (const auto allowed = nodes_[node].lines.take(line, Clock::now())) log(*allowed);
  }
  void log(const std::string& line) const {
    if (options_.log) options_.log(line);
  }

  DispatcherOptions options_;
  telemetry::Tracer::Track track_ = 0;
  Senders senders_;
  Roster nodes_;
  std::map<u64, Work> work_;
  u64 last_work_ = 0;
  std::set<u64> parked_; ///< work with shards that nobody could take
  std::list<WaitingForReady> waiting_;
  MaskedTensor last_seen_;
};

} // namespace

Dispatcher spawn_dispatcher(caf::actor_system& system, DispatcherOptions options) {
  return system.spawn<DispatcherActor>(std::move(options));
}

} // namespace talaria::cluster
