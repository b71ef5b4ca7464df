// A link between the actors and one real connection: what a worker answers, refuses, gets wrong or
// leaves unanswered becomes a product or a LinkFailure, and whoever watches hears of it first.
#include "actors/cluster/link_actor.hpp"

#include <boost/test/unit_test.hpp>
#include <future>
#include <mutex>

#include "actors/actor_end.hpp"
#include "actors/errors.hpp"
#include "tests/transport/link_fixture.hpp"

namespace talaria::cluster {

namespace {

using remo::MaskedTensor;
using remo::WeightPanels;
using remo::WorkerProduct;
using tests::identity_of;
using tests::kMatrix;
using Said = transport::Reply;
using transport::Request;

/// A worker that holds kInputs x kInputs, so that the echo of a tensor has the columns of a
/// product.
transport::Identity square(const std::string& name) {
  auto identity = identity_of(name);
  identity.matrices = {
      {kMatrix, tests::kInputs, tests::kInputs, 0, tests::kInputs, Sha256Digest{1, 2, 3}}};
  return identity;
}

/// Answers by a script; no answer keeps the question open.
struct ScriptedWorker {
  using Script = std::function<std::optional<Said>(const Request&)>;
  std::mutex mutex;
  Script script = tests::echo;
  transport::WorkerServer server;

  explicit ScriptedWorker(const transport::Address& listen = {"127.0.0.1", 0})
      : server(tests::worker_tls(), listen, square("echo"), tests::patient_server(),
               {[this](std::shared_ptr<transport::WorkerServer::Session> session, u64 id,
                       const Request& request) {
                  const std::lock_guard lock(mutex);
                  if (auto reply = script(request)) session->reply(id, std::move(*reply));
                },
                [](const std::string&) {}}) {}
  void play(Script next) {
    const std::lock_guard lock(mutex);
    script = std::move(next);
  }
};

/// A link to it, who watches the link, and one who asks.
class Bench {
public:
  explicit Bench(const transport::Address& worker, FaultPolicy policy = patient()) {
    watcher_ = system_.spawn([this](NodeWatcher::pointer) -> NodeWatcher::behavior_type {
      return {[this](const NodeEvent& event) {
        const std::lock_guard lock(mutex_);
        events_.push_back(event);
        changed_.notify_all();
      }};
    });
    NodeSettings node;
    node.name = "one";
    node.address = worker;
    node.tls_name = "127.0.0.1";
    node.wanted = square("enclave");
    link_ =
        spawn_link(system_, 5, std::move(node), policy,
                   std::make_shared<const transport::TlsContext>(tests::enclave_tls()), watcher_);
  }
  ~Bench() {
    caf::anon_send_exit(link_, caf::exit_reason::user_shutdown);
    caf::anon_send_exit(watcher_, caf::exit_reason::user_shutdown);
  }

  static FaultPolicy patient() {
    FaultPolicy policy;
    policy.silence = tests::kPatience;
    policy.reconnect_first = Milliseconds(5);
    policy.reconnect_max = Milliseconds(20);
    return policy;
  }

  /// Waits for event number `index` of the link.
  NodeEvent event(std::size_t index) {
    std::unique_lock lock(mutex_);
    BOOST_TEST_REQUIRE(
        changed_.wait_for(lock, tests::kPatience, [&] { return events_.size() > index; }));
    return events_[index];
  }
  std::size_t events() {
    const std::lock_guard lock(mutex_);
    return events_.size();
  }

  template <class Answer, class Question>
  std::variant<Answer, LinkFailure> ask(const Question& question) {
    std::variant<Answer, LinkFailure> got;
    caf::scoped_actor self(system_);
    self->request(link_, tests::kPatience, question)
        .receive([&](const Answer& answer) { got = answer; },
                 [&](const caf::error& error) { got = link_failure(error); });
    return got;
  }
  /// Asks without waiting for the answer.
  std::future<std::variant<WorkerProduct, LinkFailure>> start(MaskedTensor tensor) {
    return std::async(std::launch::async,
                      [this, tensor = std::move(tensor)] { return ask<WorkerProduct>(tensor); });
  }
  template <class Answer>
  static std::string why(const std::variant<Answer, LinkFailure>& got) {
    const auto* failure = std::get_if<LinkFailure>(&got);
    return failure == nullptr ? "it was answered" : failure->why;
  }
  LinkFailure failure(const MaskedTensor& tensor) {
    const auto got = ask<WorkerProduct>(tensor);
    BOOST_TEST_REQUIRE(got.index() == 1u, "a product was delivered");
    return std::get<1>(got);
  }
  WorkerProduct product(const MaskedTensor& tensor) {
    const auto got = ask<WorkerProduct>(tensor);
    BOOST_TEST_REQUIRE(got.index() == 0u, why(got));
    return std::get<0>(got);
  }
  NodeHealth health() {
    NodeHealth now;
    caf::scoped_actor self(system_);
    self->request(link_, tests::kPatience, AskHealth{})
        .receive([&](const NodeHealth& health) { now = health; },
                 [](const caf::error&) { BOOST_ERROR("a link does not say how it is"); });
    return now;
  }
  template <class Order>
  void tell(const Order& order) {
    caf::anon_send(link_, order);
  }
  void let_go() { caf::anon_send_exit(link_, caf::exit_reason::user_shutdown); }

private:
  caf::actor_system_config config_;
  caf::actor_system system_{config_};
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<NodeEvent> events_;
  NodeWatcher watcher_;
  Link link_;
};

transport::Address address_of(const ScriptedWorker& worker) {
  return {"127.0.0.1", worker.server.port()};
}

MaskedTensor tensor(u32 rows = 3) {
  return tests::masked(rows, tests::kInputs, rows);
}

} // namespace

BOOST_AUTO_TEST_SUITE(link_actor)

BOOST_AUTO_TEST_CASE(what_is_answered_is_delivered_and_counted) {
  ScriptedWorker worker;
  Bench bench(address_of(worker));
  const NodeEvent ready = bench.event(0);
  BOOST_TEST(ready.ready);
  BOOST_TEST(ready.node == 5u);
  const auto asked = tensor();
  const auto product = bench.product(asked);
  BOOST_TEST(std::equal(product.bytes->begin(), product.bytes->end(), asked.bytes->begin(),
                        asked.bytes->end()));
  const NodeHealth health = bench.health();
  BOOST_TEST(health.products == 1u);
  BOOST_TEST(health.rows == 3u);
  BOOST_TEST(health.bytes_up == asked.bytes->size());
  BOOST_TEST(health.in_flight == 0u);
  BOOST_TEST((health.state == NodeHealth::State::ready));
}

BOOST_AUTO_TEST_CASE(an_answer_to_another_question_is_wrong_and_says_in_what) {
  ScriptedWorker worker;
  Bench bench(address_of(worker));
  bench.event(0);
  struct Lie {
    const char* says;
    std::function<void(WorkerProduct&)> tell;
  };
  const auto cut = [](WorkerProduct& p, u32 rows, u32 cols) {
    p.rows = rows;
    p.cols = cols;
    p.bytes = tests::random_bytes(std::size_t{rows} * cols * 6, 1);
  };
  for (const auto& lie :
       {Lie{"for matrix 8 when asked for 7", [](WorkerProduct& p) { ++p.matrix; }},
        Lie{"2 rows of 3", [&](WorkerProduct& p) { cut(p, 2, p.cols); }},
        Lie{"95 columns", [&](WorkerProduct& p) { cut(p, p.rows, p.cols - 1); }}}) {
    worker.play([&](const Request& request) {
      auto product = std::get<WorkerProduct>(tests::echo(request));
      lie.tell(product);
      return Said(std::move(product));
    });
    const LinkFailure failure = bench.failure(tensor());
    BOOST_TEST((failure.kind == Unanswered::wrong), failure.why);
    BOOST_TEST(tests::contains(failure.why, lie.says), failure.why);
    BOOST_TEST(tests::contains(failure.why, "'one'"), failure.why);
    BOOST_TEST(failure.said.empty());
  }
  // A wrong answer is the dispatcher's to judge: the connection stays.
  worker.play(tests::echo);
  bench.product(tensor());
  BOOST_TEST(bench.events() == 1u);
}

BOOST_AUTO_TEST_CASE(a_refusal_is_in_this_sides_words_and_quotes_a_line_of_the_worker) {
  ScriptedWorker worker;
  Bench bench(address_of(worker));
  bench.event(0);
  for (const auto code : {Errc::internal, Errc::no_worker, Errc::verification}) {
    worker.play([&](const Request&) { return Said(Error(code, std::string(4000, 'w'))); });
    const LinkFailure failure = bench.failure(tensor());
    BOOST_TEST((failure.kind == Unanswered::refused));
    BOOST_TEST(!tests::contains(failure.why, "www"), failure.why);
    BOOST_TEST(failure.said.size() <= 160u);
    BOOST_TEST(tests::contains(failure.said, "www"));
  }
  BOOST_TEST(bench.events() == 1u); // whatever code it wrote, the link stands
}

BOOST_AUTO_TEST_CASE(panels_are_delivered_if_they_are_those_asked_for) {
  ScriptedWorker worker;
  Bench bench(address_of(worker));
  bench.event(0);
  const remo::WeightRequest request{kMatrix, 0, 1};
  const auto got = bench.ask<WeightPanels>(request);
  BOOST_TEST_REQUIRE(got.index() == 0u, Bench::why(got));
  BOOST_TEST(std::get<0>(got).count == 1u);
  worker.play([](const Request& asked) {
    auto panels = std::get<WeightPanels>(tests::echo(asked));
    ++panels.first;
    return Said(std::move(panels));
  });
  const auto other = bench.ask<WeightPanels>(request);
  BOOST_TEST_REQUIRE(other.index() == 1u);
  BOOST_TEST((std::get<1>(other).kind == Unanswered::wrong));
}

BOOST_AUTO_TEST_CASE(a_lost_worker_is_told_to_the_watcher_and_connected_again) {
  auto worker = std::make_unique<ScriptedWorker>();
  const auto address = address_of(*worker);
  Bench bench(address);
  bench.event(0);
  std::promise<void> arrived;
  worker->play([&](const Request&) -> std::optional<Said> { // and it never answers
    arrived.set_value();
    return std::nullopt;
  });
  auto open = bench.start(tensor());
  arrived.get_future().wait();
  worker.reset();
  const auto got = open.get();
  BOOST_TEST_REQUIRE(got.index() == 1u);
  BOOST_TEST((std::get<1>(got).kind == Unanswered::lost));
  BOOST_TEST(!bench.event(1).ready);
  BOOST_TEST((bench.event(1).code == Errc::no_worker));
  BOOST_TEST((bench.failure(tensor()).kind == Unanswered::lost)); // at once, while it is away
  worker = std::make_unique<ScriptedWorker>(address);
  for (std::size_t index = 2; !bench.event(index).ready; ++index) {
  }
  bench.product(tensor());
  BOOST_TEST(bench.health().reconnects >= 1u);
}

BOOST_AUTO_TEST_CASE(a_suspended_worker_is_not_asked_until_its_time_is_over) {
  ScriptedWorker worker;
  Bench bench(address_of(worker));
  bench.event(0);
  bench.tell(Suspend{std::chrono::hours(1), "it lied"});
  BOOST_TEST(!bench.event(1).ready);
  BOOST_TEST(bench.event(1).why == "it lied");
  bench.tell(Suspend{Milliseconds(1), "a shorter order changes nothing"});
  const LinkFailure failure = bench.failure(tensor());
  BOOST_TEST((failure.kind == Unanswered::lost));
  BOOST_TEST(tests::contains(failure.why, "it lied"), failure.why);
  BOOST_TEST((bench.health().state == NodeHealth::State::quarantined));
  BOOST_TEST(bench.events() == 2u);
}

BOOST_AUTO_TEST_CASE(a_suspension_ends) {
  ScriptedWorker worker;
  Bench bench(address_of(worker));
  bench.event(0);
  bench.tell(Suspend{Milliseconds(10), "it was late"});
  BOOST_TEST(!bench.event(1).ready);
  BOOST_TEST(bench.event(2).ready);
  bench.product(tensor());
}

BOOST_AUTO_TEST_CASE(a_digest_that_becomes_known_ends_a_link_to_other_weights) {
  ScriptedWorker worker;
  Bench bench(address_of(worker));
  bench.event(0);
  auto part = square("enclave").matrices.front();
  bench.tell(Expect{part}); // the same: nothing happens
  bench.product(tensor());
  part.digest = Sha256Digest{9};
  bench.tell(Expect{part});
  BOOST_TEST(!bench.event(1).ready);
  BOOST_TEST((bench.event(1).code == Errc::config));
  BOOST_TEST(tests::contains(bench.event(1).why, "matrix"), bench.event(1).why);
}

BOOST_AUTO_TEST_CASE(a_link_that_is_let_go_answers_what_is_open) {
  ScriptedWorker worker;
  std::promise<void> arrived;
  worker.play([&](const Request&) -> std::optional<Said> {
    arrived.set_value();
    return std::nullopt;
  });
  Bench bench(address_of(worker));
  bench.event(0);
  auto open = bench.start(tensor());
  arrived.get_future().wait();
  bench.let_go();
  const auto got = open.get();
  BOOST_TEST_REQUIRE(got.index() == 1u);
  BOOST_TEST(tests::contains(std::get<1>(got).why, "let go"), std::get<1>(got).why);
}

BOOST_AUTO_TEST_SUITE_END()

} // namespace talaria::cluster
