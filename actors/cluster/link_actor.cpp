#include "actors/cluster/link_actor.hpp"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "actors/cluster/link_trace.hpp"
#include "actors/cluster/standing.hpp"
#include "actors/inline_executor.hpp"
#include "kernels/packed_weights.hpp"

namespace talaria::cluster {

const char* to_string(NodeHealth::State state) noexcept {
  switch (state) {
  case NodeHealth::State::connecting:
    return "connecting";
  case NodeHealth::State::ready:
    return "ready";
  case NodeHealth::State::quarantined:
    return "quarantined";
  }
  return "connecting";
}

namespace {

constexpr caf::atom_value kLinkFailure = caf::atom("link");

} // namespace

caf::error to_caf(const LinkFailure& failure) {
  return {static_cast<u8>(failure.kind), kLinkFailure,
          caf::make_message(failure.why, failure.said)};
}

LinkFailure link_failure(const caf::error& error) {
  if (error.category() != kLinkFailure ||
      !error.context().match_elements<std::string, std::string>())
    return {Unanswered::lost, "its link ended", {}};
  return {static_cast<Unanswered>(error.code()), error.context().get_as<std::string>(0),
          error.context().get_as<std::string>(1)};
}

/// What the link's threads and timers tell the link. `attempt` numbers the connections: words about
/// an earlier one are ignored.
struct Connected {
  u64 attempt = 0;
  std::shared_ptr<transport::WorkerLink> link;
};
struct NotConnected {
  u64 attempt = 0;
  Errc code = Errc::no_worker;
  std::string why;
  bool by_owner = false; ///< the worker's owner does not accept this enclave
};
struct Arrived {
  u64 attempt = 0;
  u64 id = 0;
  std::shared_ptr<transport::Reply> reply;
  LinkTrace::Time at{}; ///< if it is traced
};
struct Connect {
  u64 attempt = 0;
};

} // namespace talaria::cluster

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(talaria::cluster::Connected)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(talaria::cluster::NotConnected)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(talaria::cluster::Arrived)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(talaria::cluster::Connect)

namespace talaria::cluster {

namespace {

using remo::HintRequest;
using remo::MaskedTensor;
using remo::WeightPanels;
using remo::WeightRequest;
using remo::WorkerProduct;

/// The thread that reads a product of so many rows goes on with it: what follows takes little
/// longer than waking another thread. Behind larger products the next is read meanwhile.
constexpr u32 kFewRows = 16;

/// Characters of a worker's own words that are kept.
constexpr std::size_t kMaxSaid = 160;

using LinkInside = Link::extend<caf::reacts_to<Connected>, caf::reacts_to<NotConnected>,
                                caf::reacts_to<Arrived>, caf::reacts_to<Connect>>;

class LinkActor final : public LinkInside::base {
public:
  LinkActor(caf::actor_config& config, u32 node, NodeSettings settings, FaultPolicy policy,
            std::shared_ptr<const transport::TlsContext> tls, caf::actor_addr watcher,
            telemetry::Tracer* tracer)
      : LinkInside::base(config), node_(node), settings_(std::move(settings)), policy_(policy),
        tls_(std::move(tls)), watcher_(std::move(watcher)), trace_(tracer, settings_.name),
        pause_(policy.reconnect_first) {
    health_.name = settings_.name;
    health_.address = transport::to_string(settings_.address);
  }

  const char* name() const override { return "link"; }

  behavior_type make_behavior() override {
    connect();
    return {[this](const MaskedTensor& tensor) { return ask<WorkerProduct>(tensor); },
            [this](const HintRequest& request) { return ask<WorkerProduct>(request); },
            [this](const WeightRequest& request) { return ask<WeightPanels>(request); },
            [this](const Suspend& order) { suspend(order); },
            [this](const Expect& expect) { learn(expect); },
            [this](const AskHealth&) { return health(); },
            [this](const Connected& news) { connected(news); },
            [this](const NotConnected& news) {
              if (news.attempt == attempt_) lost(news.code, news.why, news.by_owner);
            },
            [this](const Arrived& news) { arrived(news); },
            [this](const Connect& order) {
              if (order.attempt == attempt_) connect();
            }};
  }

  void on_exit() override {
    ++attempt_;
    fail_all(describe() + " was let go");
    let_go();
    if (connecting_.joinable()) connecting_.join();
  }

private:
  /// An unanswered question. Exactly one of the promises is in use.
  struct Open {
    transport::Request request;
    caf::typed_response_promise<WorkerProduct> product;
    caf::typed_response_promise<WeightPanels> panels;
    LinkTrace::Time taken{}; ///< if it is traced, and so is the next
    LinkTrace::Time sent{};
  };

  std::string describe() const {
    return fmt::format("worker '{}' ({})", settings_.name, health_.address);
  }

  template <class Answer>
  caf::typed_response_promise<Answer> ask(transport::Request request) {
    auto promise = make_response_promise<Answer>();
    if (!link_) {
      promise.deliver(to_caf(LinkFailure{
          Unanswered::lost, describe() + " is not connected: " + health_.last_error, {}}));
      return promise;
    }
    const u64 id = ++last_id_;
    const auto taken = trace_.now();
    if (!link_->send(id, as_sent(request))) { // it is gone; the news of that will be late
      const auto loss = link_->loss();
      lost(loss ? loss->code() : Errc::no_worker,
           loss ? loss->what() : "it takes no more requests");
      promise.deliver(to_caf(
          LinkFailure{Unanswered::lost, describe() + " is lost: " + health_.last_error, {}}));
      return promise;
    }
    Open open{std::move(request), {}, {}, taken, trace_.now()};
    if constexpr (std::is_same_v<Answer, WorkerProduct>)
      open.product = promise;
    else
      open.panels = promise;
    open_.emplace(id, std::move(open));
    return promise;
  }

  transport::Request as_sent(const transport::Request& request) const {
    const auto* tensor = std::get_if<MaskedTensor>(&request);
    return tensor == nullptr ? request : transport::Request(trace_.as_sent(*tensor));
  }

  void connect() {
    const u64 attempt = ++attempt_;
    if (connecting_.joinable()) connecting_.join(); // it has said its last word, or soon will
    transport::LinkOptions options;
    options.heartbeat = policy_.heartbeat;
    options.silence = policy_.silence;
    options.max_in_flight = 2 * policy_.in_flight; // the dispatcher keeps below that
    options.max_queued_bytes = std::size_t{1} << 40;
    options.evidence = settings_.evidence;
    options.take_owner_key = settings_.take_owner_key;
    connecting_ =
        std::thread([self = caf::actor_cast<caf::actor_addr>(this), attempt, settings = settings_,
                     tls = tls_, options, events = events(attempt)]() mutable {
          try {
            tell(self, Connected{attempt, std::make_shared<transport::WorkerLink>(
                                              *tls, settings.address, settings.tls_name,
                                              settings.wanted, options, std::move(events))});
          } catch (const transport::RefusedByOwner& error) {
            const bool decided = error.code() == Errc::config;
            tell(self, NotConnected{attempt, error.code(), error.what(), decided});
          } catch (const Error& error) {
            tell(self, NotConnected{attempt, error.code(), error.what()});
          } catch (const std::exception& error) {
            tell(self, NotConnected{attempt, Errc::no_worker, error.what()});
          }
        });
  }

  template <class Message>
  static void tell(const caf::actor_addr& self, Message message) {
    if (auto link = caf::actor_cast<caf::strong_actor_ptr>(self))
      caf::anon_send(caf::actor_cast<caf::actor>(link), std::move(message));
  }

  /// What a connection says is sent here, if this actor still is.
  transport::WorkerLink::Events events(u64 attempt) {
    const auto self = caf::actor_cast<caf::actor_addr>(this);
    transport::WorkerLink::Events events;
    events.reply = [self, &system = system(), attempt, trace = trace_](u64 id,
                                                                       transport::Reply reply) {
      const auto* product = std::get_if<WorkerProduct>(&reply);
      const bool few = product != nullptr && product->rows <= kFewRows;
      Arrived news{attempt, id, std::make_shared<transport::Reply>(std::move(reply)), trace.now()};
      if (few)
        InlineExecutor(system).send(self, std::move(news));
      else
        tell(self, std::move(news));
    };
    events.lost = [self, attempt](const Error& why) {
      tell(self, NotConnected{attempt, why.code(), why.what()});
    };
    return events;
  }

  void connected(const Connected& news) {
    if (news.attempt != attempt_) return;
    // A digest may have become known while the connection was being made.
    if (const auto difference = transport::first_difference(settings_.wanted, news.link->peer())) {
      lost(Errc::config, *difference);
      return;
    }
    link_ = news.link;
    health_.attestation.clear();
    connected_at_ = Clock::now();
    health_.state = NodeHealth::State::ready;
    health_.device = link_->peer().device;
    health_.weight_bytes = link_->peer().weight_bytes;
    tell_watcher({node_, true, {}, Errc::no_worker});
  }

  void learn(const Expect& expect) {
    for (auto& part : settings_.wanted.matrices)
      if (part.matrix == expect.part.matrix && part.first_column == expect.part.first_column &&
          part.column_count == expect.part.column_count)
        part.digest = expect.part.digest;
    if (!link_) return;
    if (const auto difference = transport::first_difference(settings_.wanted, link_->peer()))
      lost(Errc::config, *difference);
  }

  void arrived(const Arrived& news) {
    if (news.attempt != attempt_) return;
    auto node = open_.extract(news.id);
    if (node.empty()) return;
    Open& open = node.mapped();
    if (const auto* error = std::get_if<Error>(news.reply.get())) {
      // Its code is what the worker cared to write: nothing here looks at it.
      fail(open, {Unanswered::refused, describe() + " refused",
                  std::string(error->what()).substr(0, kMaxSaid)});
      return;
    }
    if (const auto wrong = wrong_answer(open.request, *news.reply)) {
      fail(open, {Unanswered::wrong, describe() + " " + *wrong, {}});
      return;
    }
    pause_ = policy_.reconnect_first; // it is worth connecting to
    if (auto* panels = std::get_if<WeightPanels>(news.reply.get())) {
      open.panels.deliver(std::move(*panels));
      return;
    }
    auto& product = std::get<WorkerProduct>(*news.reply);
    if (std::holds_alternative<MaskedTensor>(open.request)) {
      const auto& tensor = std::get<MaskedTensor>(open.request);
      ++health_.products;
      health_.rows += tensor.rows;
      health_.bytes_up += tensor.bytes->size();
      health_.bytes_down += product.bytes->size();
      if (trace_.on() && link_)
        trace_.record(tensor, product, {open.taken, open.sent, news.at},
                      link_->figures().clock_offset_ms);
    }
    open.product.deliver(std::move(product));
  }

  /// What is wrong with an answer's header, given the question. Its values are checked elsewhere.
  std::optional<std::string> wrong_answer(const transport::Request& request,
                                          const transport::Reply& reply) const {
    if (const auto* weights = std::get_if<WeightRequest>(&request)) {
      const auto* panels = std::get_if<WeightPanels>(&reply);
      if (panels == nullptr || panels->matrix != weights->matrix ||
          panels->first != weights->first || panels->count != weights->count ||
          panels->bytes == nullptr || panels->bytes->size() != bytes_of(*weights))
        return "answered something else than the weights it was asked for";
      return std::nullopt;
    }
    const auto* product = std::get_if<WorkerProduct>(&reply);
    if (product == nullptr) return "answered something else than a product";
    u32 matrix = 0;
    u32 rows = 0;
    auto kind = remo::ProductKind::residues;
    if (const auto* tensor = std::get_if<MaskedTensor>(&request)) {
      matrix = tensor->matrix;
      rows = tensor->rows;
      kind = tensor->kind;
    } else {
      const auto& hint = std::get<HintRequest>(request);
      matrix = hint.matrix;
      rows = hint.count;
    }
    if (product->matrix != matrix)
      return fmt::format("answered for matrix {} when asked for {}", product->matrix, matrix);
    if (product->kind != kind) return "answered in another format than it was asked for";
    if (product->rows != rows) return fmt::format("returned {} rows of {}", product->rows, rows);
    for (const auto& part : settings_.wanted.matrices)
      if (part.matrix == matrix && part.column_count == product->cols) return std::nullopt;
    return fmt::format("returned {} columns, which is not what it holds", product->cols);
  }

  std::size_t bytes_of(const WeightRequest& request) const {
    for (const auto& part : settings_.wanted.matrices)
      if (part.matrix == request.matrix)
        return std::size_t{request.count} * kernels::PackedWeights::kPanel *
               ((part.d_in + 3) / 4 * 4);
    return 0;
  }

  void suspend(const Suspend& order) {
    const auto until = Clock::now() + order.time;
    if (until <= aside_until_) return;
    aside_until_ = until;
    ++attempt_;
    health_.state = NodeHealth::State::quarantined;
    drop(Errc::no_worker, order.why);
    delayed_send(this, order.time, Connect{attempt_});
  }

  /// @param by_owner  evidence that was refused will be refused again: no storm of attempts
  void lost(Errc code, const std::string& why, bool by_owner = false) {
    ++attempt_; // whatever else is said of this connection is late
    // Whoever does not speak the protocol is somebody else; a worker that stops to is a liar.
    if (code == Errc::verification && !link_) code = Errc::no_worker;
    health_.state = NodeHealth::State::connecting;
    ++health_.reconnects;
    if (link_ && Clock::now() - connected_at_ > policy_.reconnect_max)
      pause_ = policy_.reconnect_first;
    health_.attestation = by_owner ? "refused" : "";
    drop(code, why);
    delayed_send(this, by_owner ? std::max(pause_, policy_.quarantine) : pause_, Connect{attempt_});
    pause_ = std::min(pause_ * 2, policy_.reconnect_max);
  }

  void drop(Errc code, const std::string& why) {
    health_.last_error = why;
    let_go();
    tell_watcher({node_, false, why, code}); // before the failures, so that nobody asks again here
    fail_all(describe() + " is lost: " + why);
  }

  /// A link ends by joining its threads, and this may run on one of them (InlineExecutor).
  void let_go() {
    if (link_)
      system().spawn<caf::detached>([link = link_](caf::blocking_actor*) { link->close(); });
    link_.reset();
  }

  void fail_all(const std::string& why) {
    auto open = std::exchange(open_, {});
    for (auto& [id, question] : open) fail(question, {Unanswered::lost, why, {}});
  }

  static void fail(Open& question, const LinkFailure& failure) {
    if (std::holds_alternative<WeightRequest>(question.request))
      question.panels.deliver(to_caf(failure));
    else
      question.product.deliver(to_caf(failure));
  }

  void tell_watcher(NodeEvent event) {
    if (auto watcher = caf::actor_cast<caf::strong_actor_ptr>(watcher_))
      send(caf::actor_cast<NodeWatcher>(watcher), std::move(event));
  }

  NodeHealth health() const {
    NodeHealth now = health_;
    now.in_flight = static_cast<u32>(open_.size());
    if (!link_) return now;
    const auto figures = link_->figures();
    now.round_trip_ms = figures.round_trip_ms;
    if (figures.attested_until)
      now.attestation =
          fmt::format("until {:%Y-%m-%dT%H:%M:%S}Z",
                      fmt::gmtime(std::chrono::system_clock::to_time_t(*figures.attested_until)));
    return now;
  }

  u32 node_;
  NodeSettings settings_;
  FaultPolicy policy_;
  std::shared_ptr<const transport::TlsContext> tls_;
  caf::actor_addr watcher_;
  LinkTrace trace_;
  NodeHealth health_;
  Milliseconds pause_;
  Clock::time_point connected_at_{};
  Clock::time_point aside_until_{};
  u64 attempt_ = 0;
  u64 last_id_ = 0;
  std::shared_ptr<transport::WorkerLink> link_;
  std::thread connecting_;
  std::map<u64, Open> open_;
};

} // namespace

Link spawn_link(caf::actor_system& system, u32 node, NodeSettings settings,
                const FaultPolicy& policy, std::shared_ptr<const transport::TlsContext> tls,
                const NodeWatcher& watcher, telemetry::Tracer* tracer) {
  return system.spawn<LinkActor>(node, std::move(settings), policy, std::move(tls),
                                 caf::actor_cast<caf::actor_addr>(watcher), tracer);
}

} // namespace talaria::cluster
