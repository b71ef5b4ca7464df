// The dispatcher in front of fake links: whatever workers say or leave unsaid, a question is
// answered by an honest holder if there is one, and given up in time if there is none.
#include "actors/cluster/dispatcher.hpp"

#include <atomic>
#include <boost/test/unit_test.hpp>
#include <deque>
#include <future>
#include <mutex>
#include <set>
#include <variant>

#include "actors/actor_end.hpp"
#include "actors/cluster/job.hpp"
#include "actors/errors.hpp"
#include "tests/support/eventually.hpp"

namespace talaria::cluster {

namespace {

using remo::MaskedTensor;
using remo::WeightPanels;
using remo::WorkerProduct;
using std::chrono::milliseconds;

constexpr u64 kColumns = 128;
constexpr auto kPatience = std::chrono::minutes(2);

/// Nothing: it keeps the question for itself.
using Answer = std::optional<std::variant<WorkerProduct, WeightPanels, LinkFailure>>;
using Script = std::function<Answer(const Question&)>;

/// One fake worker: what it does, and what was asked and ordered of it.
struct Actor {
  Script script;
  std::mutex mutex;
  std::vector<Question> asked;
  std::vector<Suspend> orders;
  bool comes_later = false;       ///< it is not ready before the test says so
  std::atomic<bool> ended{false}; ///< its link was let go

  std::size_t questions() {
    const std::lock_guard lock(mutex);
    return asked.size();
  }
  std::vector<Suspend> suspensions() {
    const std::lock_guard lock(mutex);
    return orders;
  }
};

template <class Reply, class Question>
caf::result<Reply> play(Link::pointer self, Actor& actor, const Question& question,
                        std::vector<caf::typed_response_promise<Reply>>& kept) {
  {
    const std::lock_guard lock(actor.mutex);
    actor.asked.push_back(question);
  }
  Answer answer = actor.script(question);
  if (!answer) {
    kept.push_back(self->make_response_promise<Reply>());
    return kept.back();
  }
  if (auto* failure = std::get_if<LinkFailure>(&*answer)) return to_caf(*failure);
  return std::get<Reply>(std::move(*answer));
}

Link::behavior_type fake_link(Link::pointer self, u32 node, std::shared_ptr<Actor> actor,
                              NodeWatcher watcher) {
  if (!actor->comes_later) self->send(watcher, NodeEvent{node, true, {}, Errc::no_worker});
  self->attach_functor([actor] { actor->ended = true; });
  auto products = std::make_shared<std::vector<caf::typed_response_promise<WorkerProduct>>>();
  auto panels = std::make_shared<std::vector<caf::typed_response_promise<WeightPanels>>>();
  return {[=](const MaskedTensor& tensor) {
            return play<WorkerProduct>(self, *actor, tensor, *products);
          },
          [=](const remo::HintRequest& hint) {
            return play<WorkerProduct>(self, *actor, hint, *products);
          },
          [=](const remo::WeightRequest& weights) {
            return play<WeightPanels>(self, *actor, weights, *panels);
          },
          [=](const Suspend& order) {
            const std::lock_guard lock(actor->mutex);
            actor->orders.push_back(order);
          },
          [](const Expect&) {},
          [node](const AskHealth&) {
            NodeHealth health;
            health.name = "node-" + std::to_string(node);
            return health;
          }};
}

remo::SharedBytes bytes_of(std::size_t count, u8 value) {
  AlignedBuffer<u8> bytes(count);
  std::fill(bytes.begin(), bytes.end(), value);
  return std::make_shared<const AlignedBuffer<u8>>(std::move(bytes));
}

/// A product of one-byte values, all `value`; panels the same.
Script honest(u64 columns, u8 value) {
  return [columns, value](const Question& question) -> Answer {
    if (const auto* weights = std::get_if<remo::WeightRequest>(&question))
      return WeightPanels{weights->matrix, weights->first, weights->count,
                          bytes_of(weights->count, value)};
    WorkerProduct product;
    const auto* tensor = std::get_if<MaskedTensor>(&question);
    product.rows = tensor != nullptr ? tensor->rows : std::get<remo::HintRequest>(question).count;
    product.cols = static_cast<u32>(columns);
    product.bytes = bytes_of(product.rows * columns, value);
    return product;
  };
}

Script failing(Unanswered kind, const std::string& said = {}) {
  return [=](const Question&) -> Answer { return LinkFailure{kind, "it failed", said}; };
}

Script silent() {
  return [](const Question&) -> Answer { return std::nullopt; };
}

struct Part {
  u64 first = 0;
  u64 columns = kColumns;
  Script script;
  bool comes_later = false;
  u32 equals = 0;
};

/// Where the one matrix is computed by these nodes, in the order of preference.
PlacementPlan placement(const std::vector<std::pair<u32, Part>>& nodes) {
  MatrixPlan plan{0, "layers.0.qkv", 4, kColumns, {}};
  std::set<u64> cuts{0, kColumns};
  for (const auto& [node, part] : nodes) {
    cuts.insert(part.first);
    cuts.insert(part.first + part.columns);
  }
  for (auto cut = cuts.begin(); std::next(cut) != cuts.end(); ++cut) {
    const u64 end = *std::next(cut);
    Shard shard{*cut, end - *cut, {}};
    for (const auto& [node, part] : nodes)
      if (part.first <= *cut && end <= part.first + part.columns)
        shard.holders.push_back({node, part.first, part.columns, part.equals});
    plan.shards.push_back(shard);
  }
  return {plan};
}

/// A dispatcher with one matrix, and its fake workers in the order of preference.
class Stage {
public:
  explicit Stage(const std::vector<Part>& parts, FaultPolicy policy = {}) : self_(system_) {
    DispatcherOptions options;
    options.policy = policy;
    std::vector<std::pair<u32, Part>> nodes;
    for (u32 n = 0; n < parts.size(); ++n) {
      nodes.emplace_back(n, parts[n]);
      options.nodes.push_back(add(parts[n]));
    }
    options.plan = placement(nodes);
    everybody_ = nodes;
    options.log = [this](const std::string& line) {
      const std::lock_guard lock(mutex_);
      lines_.push_back(line);
    };
    options.link = [this](caf::actor_system& system, u32 node, const NodeWatcher& watcher) {
      const std::lock_guard lock(mutex_);
      return system.spawn(fake_link, node, actors_[node], watcher);
    };
    dispatcher_ = spawn_dispatcher(system_, std::move(options));
    ask<Ready>(AwaitReady{milliseconds(kPatience)});
    // Everybody is there, not only one of each shard.
    while (health().nodes.size() != parts.size()) {
    }
  }
  ~Stage() { self_->send_exit(dispatcher_, caf::exit_reason::user_shutdown); }

  /// From now on there are `members` and those who come, numbered on; who leaves is the last
  /// resort.
  void reshape(const std::set<u32>& stay, const std::vector<Part>& come) {
    Reshape news;
    std::vector<std::pair<u32, Part>> members;
    std::vector<std::pair<u32, Part>> leaving;
    for (const auto& [node, part] : everybody_)
      (stay.contains(node) ? members : leaving).emplace_back(node, part);
    for (const Part& part : come) {
      members.emplace_back(static_cast<u32>(actors_.size()), part);
      news.joined.push_back(add(part));
    }
    for (const auto& [node, part] : members) news.members.insert(node);
    news.next = placement(members);
    members.insert(members.end(), leaving.begin(), leaving.end());
    news.meanwhile = placement(members);
    everybody_ = members;
    tell(std::move(news));
    health();
  }

  template <class Reply, class Question>
  Reply ask(const Question& question) {
    std::optional<Reply> reply;
    std::optional<Error> failure;
    self_->request(dispatcher_, caf::duration(kPatience), question)
        .receive([&](Reply& answer) { reply = std::move(answer); },
                 [&](caf::error& error) { failure = from_caf(error); });
    if (failure) throw *failure;
    return std::move(*reply);
  }
  /// Asks, and returns what waits for the answer.
  std::function<WorkerProduct()> ask_later(const MaskedTensor& tensor) {
    auto handle =
        std::make_shared<std::future<WorkerProduct>>(std::async(std::launch::async, [this, tensor] {
          return ask_until_it_ends<WorkerProduct>(system_, dispatcher_, tensor);
        }));
    tests::eventually([&] { return actor(0).questions() > 0 || !health().covered; });
    return [handle] { return handle->get(); };
  }
  WorkerProduct multiply(u32 rows = 2) {
    MaskedTensor tensor;
    tensor.rows = rows;
    tensor.cols = 4;
    tensor.bytes = bytes_of(rows * 4, 1);
    return ask<WorkerProduct>(tensor);
  }
  template <class Message>
  void tell(Message message) {
    self_->send(dispatcher_, std::move(message));
  }
  /// Its answer comes behind whatever the dispatcher was told before.
  ClusterHealth health() { return ask<ClusterHealth>(AskHealth{}); }
  Actor& actor(u32 node) { return *actors_[node]; }
  std::vector<std::string> lines() {
    const std::lock_guard lock(mutex_);
    return lines_;
  }
  std::set<u32> quarantined() {
    std::set<u32> nodes;
    health();
    for (u32 n = 0; n < actors_.size(); ++n)
      for (const Suspend& order : actors_[n]->suspensions())
        if (order.time >= FaultPolicy().quarantine) nodes.insert(n);
    return nodes;
  }

private:
  NodeSettings add(const Part& part) {
    const std::lock_guard lock(mutex_);
    actors_.push_back(std::make_shared<Actor>());
    actors_.back()->script = part.script;
    actors_.back()->comes_later = part.comes_later;
    NodeSettings settings;
    settings.name = "node-" + std::to_string(actors_.size() - 1);
    return settings;
  }

  caf::actor_system_config config_;
  caf::actor_system system_{config_};
  std::mutex mutex_; ///< guards the next, and lines_
  std::vector<std::shared_ptr<Actor>> actors_;
  std::vector<std::pair<u32, Part>> everybody_; ///< in the order of preference
  std::vector<std::string> lines_;
  Dispatcher dispatcher_;
  caf::scoped_actor self_;
};

std::vector<u8> row(const WorkerProduct& product) {
  return {product.bytes->begin(), product.bytes->begin() + product.cols};
}

std::vector<u8> halves(u8 left, u8 right) {
  std::vector<u8> values(kColumns, left);
  std::fill(values.begin() + kColumns / 2, values.end(), right);
  return values;
}

template <class Function>
Error error_of(Function&& function) {
  try {
    function();
  } catch (const Error& error) {
    return error;
  }
  BOOST_FAIL("no error");
  return {Errc::internal, ""};
}

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

} // namespace

BOOST_AUTO_TEST_SUITE(dispatcher)

BOOST_AUTO_TEST_CASE(whoever_refuses_is_replaced_and_asked_last_from_then_on) {
  Stage stage({{0, kColumns, failing(Unanswered::refused, "busy")}, {0, kColumns, honest(128, 7)}});
  for (int i = 0; i < 20; ++i)
    BOOST_TEST(stage.multiply().answered_by == std::vector<u32>{1},
               boost::test_tools::per_element());
  BOOST_TEST(stage.actor(0).questions() == 1U);
  BOOST_CHECK(stage.quarantined().empty()); // it is no lie
}

BOOST_AUTO_TEST_CASE(many_who_refuse_do_not_use_up_the_retries) {
  std::vector<Part> parts(6, Part{0, kColumns, failing(Unanswered::refused)});
  parts.push_back({0, kColumns, honest(128, 7)});
  Stage stage(parts);
  BOOST_TEST(stage.multiply().answered_by == std::vector<u32>{6}, boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(whoever_refuses_too_often_is_left_alone_and_none_of_its_words_reach_a_caller) {
  FaultPolicy policy;
  policy.strikes = 2;
  policy.request_deadline = milliseconds(300);
  Stage stage({{0, kColumns, failing(Unanswered::refused, "SAID")}}, policy);
  for (int i = 0; i < 2; ++i) {
    const Error error = error_of([&] { stage.multiply(); });
    BOOST_TEST((error.code() == Errc::no_worker));
    BOOST_TEST(contains(error.what(), "layers.0.qkv: it failed"), error.what());
    BOOST_TEST(!contains(error.what(), "SAID"), error.what());
  }
  stage.health();
  const auto orders = stage.actor(0).suspensions();
  BOOST_TEST_REQUIRE(orders.size() == 1U);
  BOOST_TEST((orders[0].time == policy.reconnect_max));
  const auto lines = stage.lines();
  BOOST_TEST_REQUIRE(!lines.empty());
  BOOST_TEST(contains(lines.front(), "refused layers.0.qkv, saying: SAID"), lines.front());
}

BOOST_AUTO_TEST_CASE(a_worker_that_closes_its_link_at_every_question_is_replaced) {
  Stage stage({{0, kColumns, failing(Unanswered::lost)}, {0, kColumns, honest(128, 7)}});
  for (int i = 0; i < 5; ++i)
    BOOST_TEST(stage.multiply().answered_by == std::vector<u32>{1},
               boost::test_tools::per_element());
  BOOST_TEST(stage.actor(0).questions() == 5U);
}

BOOST_AUTO_TEST_CASE(without_another_holder_a_lost_link_is_tried_again_and_then_given_up) {
  FaultPolicy policy;
  policy.retries = 3;
  Stage stage({{0, kColumns, failing(Unanswered::lost)}}, policy);
  const Error error = error_of([&] { stage.multiply(); });
  BOOST_TEST((error.code() == Errc::no_worker));
  BOOST_TEST(stage.actor(0).questions() == 4U);
}

BOOST_AUTO_TEST_CASE(an_answer_that_no_honest_worker_gives_is_a_lie) {
  Stage stage({{0, kColumns, failing(Unanswered::wrong)}, {0, kColumns, honest(128, 7)}});
  BOOST_TEST(stage.multiply().answered_by == std::vector<u32>{1}, boost::test_tools::per_element());
  BOOST_CHECK(stage.quarantined() == std::set<u32>{0});
}

BOOST_AUTO_TEST_CASE(a_wrong_width_is_a_lie_even_if_it_is_another_workers) {
  Stage stage({{0, 64, honest(128, 1)}, {64, 64, honest(64, 2)}, {0, 64, honest(64, 3)}});
  BOOST_TEST(row(stage.multiply()) == halves(3, 2), boost::test_tools::per_element());
  BOOST_CHECK(stage.quarantined() == std::set<u32>{0});
}

BOOST_AUTO_TEST_CASE(only_the_wrong_shard_is_asked_for_again_and_only_its_sender_is_quarantined) {
  Stage stage({{0, 64, honest(64, 1)}, {64, 64, honest(64, 2)}, {0, 64, honest(64, 3)}});
  MaskedTensor tensor;
  tensor.rows = 2;
  tensor.bytes = bytes_of(8, 1);
  const auto wrong = stage.ask<WorkerProduct>(tensor);
  BOOST_TEST(row(wrong) == halves(1, 2), boost::test_tools::per_element());
  const auto right =
      stage.ask<WorkerProduct>(worker::Dispute{tensor, wrong, {0}, {}, Clock::now()});
  BOOST_TEST(row(right) == halves(3, 2), boost::test_tools::per_element());
  BOOST_TEST(right.answered_by == (std::vector<u32>{2, 1}), boost::test_tools::per_element());
  BOOST_TEST(stage.actor(1).questions() == 1U);
  BOOST_CHECK(stage.quarantined() == std::set<u32>{0});
  // And what was wrong is wrong again: nobody is left, and only the liars are named.
  const Error error = error_of([&] {
    stage.ask<WorkerProduct>(worker::Dispute{tensor, right, {0}, {0}, Clock::now()});
  });
  BOOST_TEST((error.code() == Errc::verification));
  BOOST_TEST(contains(error.what(), "worker 'node-0'"), error.what());
  BOOST_TEST(contains(error.what(), "worker 'node-2'"), error.what());
  BOOST_TEST(!contains(error.what(), "node-1"), error.what());
  BOOST_CHECK(stage.quarantined() == (std::set<u32>{0, 2}));
}

BOOST_AUTO_TEST_CASE(where_it_cannot_be_told_who_lied_others_are_asked_and_nobody_is_quarantined) {
  Stage stage({{0, 64, honest(64, 1)}, {64, 64, honest(64, 2)}, {0, kColumns, honest(128, 3)}});
  MaskedTensor tensor;
  tensor.rows = 2;
  tensor.bytes = bytes_of(8, 1);
  const auto wrong = stage.ask<WorkerProduct>(tensor);
  const auto right = stage.ask<WorkerProduct>(worker::Dispute{tensor, wrong, {}, {}, Clock::now()});
  BOOST_TEST(right.answered_by == (std::vector<u32>{2, 2}), boost::test_tools::per_element());
  BOOST_CHECK(stage.quarantined().empty());
}

BOOST_AUTO_TEST_CASE(a_dispute_ends_with_the_deadline_of_the_first_question) {
  Stage stage({{0, kColumns, honest(128, 1)}, {0, kColumns, silent()}});
  MaskedTensor tensor;
  tensor.rows = 2;
  tensor.bytes = bytes_of(8, 1);
  const auto wrong = stage.ask<WorkerProduct>(tensor);
  const Error error = error_of([&] {
    stage.ask<WorkerProduct>(
        worker::Dispute{tensor, wrong, {}, {}, Clock::now() - FaultPolicy().request_deadline});
  });
  BOOST_TEST((error.code() == Errc::no_worker));
}

BOOST_AUTO_TEST_CASE(quarantine_prolongs_a_shorter_order_and_the_shorter_link_is_not_believed) {
  FaultPolicy policy;
  policy.strikes = 1;
  policy.deadline = milliseconds(1);
  Stage stage({{0, kColumns, silent()}, {0, kColumns, honest(128, 7)}}, policy);
  BOOST_TEST(stage.multiply().answered_by == std::vector<u32>{1}, boost::test_tools::per_element());
  stage.tell(Discredit{0, 0, "it lied"}); // while the order for its missed deadline runs
  stage.health();
  const auto orders = stage.actor(0).suspensions();
  BOOST_TEST_REQUIRE(orders.size() == 2U);
  BOOST_TEST((orders[0].time == policy.reconnect_max));
  BOOST_TEST((orders[1].time == policy.quarantine));
  stage.tell(NodeEvent{0, true, {}, Errc::no_worker});
  for (int i = 0; i < 10; ++i) stage.multiply();
  BOOST_TEST(stage.actor(0).questions() == 1U);
}

BOOST_AUTO_TEST_CASE(panels_and_hints_that_are_withheld_or_refused_come_from_another_holder) {
  FaultPolicy policy;
  policy.deadline = milliseconds(1);
  policy.strikes = 1000;
  for (const Script& first : {silent(), failing(Unanswered::refused), failing(Unanswered::lost),
                              failing(Unanswered::wrong)}) {
    Stage stage({{0, kColumns, first}, {0, kColumns, honest(128, 7)}}, policy);
    const auto sent = stage.ask<SentPanels>(FetchPanels{{0, 0, 5}, {}});
    BOOST_TEST(sent.node == 1U);
    BOOST_TEST(sent.panels.count == 2U); // as many as there are
    BOOST_TEST(stage.ask<WeightPanels>(remo::WeightRequest{0, 1, 1}).first == 1U);
    const auto rows = stage.ask<WorkerProduct>(remo::HintRequest{0, 3, 4});
    BOOST_TEST(rows.rows == 4U);
    BOOST_TEST(rows.answered_by == std::vector<u32>{1}, boost::test_tools::per_element());
  }
}

BOOST_AUTO_TEST_CASE(what_nobody_answers_is_given_up_by_name_and_in_time) {
  FaultPolicy policy;
  policy.deadline = milliseconds(1);
  policy.request_deadline = milliseconds(200);
  policy.strikes = 1000;
  Stage stage({{0, kColumns, silent()}}, policy);
  const auto check = [](const Error& error) {
    BOOST_TEST((error.code() == Errc::no_worker));
    BOOST_TEST(contains(error.what(), "worker 'node-0'"), error.what());
    BOOST_TEST(contains(error.what(), "missed the deadline"), error.what());
  };
  check(error_of([&] { stage.multiply(); }));
  check(error_of([&] { stage.ask<WorkerProduct>(remo::HintRequest{0, 3, 4}); }));
  check(error_of([&] { stage.ask<SentPanels>(FetchPanels{{0, 0, 1}, {}}); }));
}

BOOST_AUTO_TEST_CASE(panels_of_one_node_are_asked_of_nobody_else) {
  Stage stage({{0, kColumns, honest(128, 1)}, {0, kColumns, honest(128, 2)}});
  BOOST_TEST(stage.ask<SentPanels>(FetchPanels{{0, 0, 1}, 1}).node == 1U);
  BOOST_TEST(stage.ask<SentPanels>(FetchPanels{{0, 0, 1}, 0}).node == 0U);
  const Error error = error_of([&] { stage.ask<SentPanels>(FetchPanels{{0, 7, 1}, 0}); });
  BOOST_TEST((error.code() == Errc::internal));
}

BOOST_AUTO_TEST_CASE(a_worker_that_comes_and_goes_cannot_flood_the_log) {
  Stage stage({{0, kColumns, honest(128, 1)}});
  for (int i = 0; i < 1000; ++i) {
    stage.tell(NodeEvent{0, false, "its link broke", Errc::no_worker});
    stage.tell(NodeEvent{0, true, {}, Errc::no_worker});
  }
  stage.health();
  BOOST_TEST(stage.lines().size() < 200U); // 2000 without a limit
}

// --- workers that come and go
// ---------------------------------------------------------------------

BOOST_AUTO_TEST_CASE(who_comes_is_asked_and_who_has_left_is_not_and_loses_its_link) {
  Stage stage({{0, kColumns, honest(128, 1)}});
  BOOST_TEST(stage.multiply().answered_by == std::vector<u32>{0}, boost::test_tools::per_element());
  stage.reshape({}, {{0, kColumns, honest(128, 1)}});
  BOOST_CHECK(tests::eventually([&] { return stage.actor(0).ended.load(); }));
  for (int i = 0; i < 5; ++i)
    BOOST_TEST(stage.multiply().answered_by == std::vector<u32>{1},
               boost::test_tools::per_element());
  BOOST_TEST(stage.actor(0).questions() == 1U);
  const auto health = stage.health();
  BOOST_TEST_REQUIRE(health.nodes.size() == 1U);
  BOOST_TEST(health.nodes[0].name == "node-1");
  BOOST_CHECK(health.left == std::set<u32>{0});
  BOOST_TEST(contains(stage.lines().back(), "worker 'node-0'"), stage.lines().back());
  BOOST_TEST(contains(stage.lines().back(), "has left"), stage.lines().back());
}

BOOST_AUTO_TEST_CASE(who_leaves_is_asked_until_somebody_else_is_ready) {
  Stage stage({{0, kColumns, honest(128, 1)}});
  stage.reshape({}, {{0, 64, honest(64, 1), true}, {64, 64, honest(64, 1), true}});
  BOOST_TEST(row(stage.multiply()) == halves(1, 1), boost::test_tools::per_element());
  BOOST_TEST(stage.actor(0).questions() == 1U);
  stage.tell(NodeEvent{1, true, {}, Errc::no_worker});
  // Half of it is there now, and asked; the other half is still had of whoever leaves.
  BOOST_TEST(row(stage.multiply()) == halves(1, 1), boost::test_tools::per_element());
  BOOST_TEST(stage.actor(0).questions() == 2U);
  BOOST_CHECK(tests::eventually([&] { return stage.actor(1).questions() == 1U; }));
  BOOST_TEST(!stage.actor(0).ended.load());
  stage.tell(NodeEvent{2, true, {}, Errc::no_worker});
  stage.multiply();
  BOOST_TEST(stage.actor(0).questions() == 2U);
  BOOST_TEST(stage.actor(2).questions() == 1U);
  BOOST_CHECK(tests::eventually([&] { return stage.actor(0).ended.load(); }));
}

BOOST_AUTO_TEST_CASE(what_who_leaves_keeps_for_itself_goes_to_who_has_come) {
  FaultPolicy policy;
  policy.deadline = milliseconds(100);
  policy.strikes = 1000;
  Stage stage({{0, kColumns, silent()}}, policy);
  MaskedTensor tensor;
  tensor.rows = 2;
  tensor.cols = 4;
  tensor.bytes = bytes_of(8, 1);
  auto answer = stage.ask_later(tensor);
  stage.reshape({}, {{0, kColumns, honest(128, 7)}});
  BOOST_TEST(answer().bytes->data()[0] == 7);
  BOOST_TEST(stage.actor(0).questions() == 1U);
  BOOST_TEST(stage.actor(1).questions() == 1U);
}

BOOST_AUTO_TEST_CASE(questions_that_wait_for_a_worker_go_to_one_that_comes) {
  Stage stage({{0, kColumns, honest(128, 1)}});
  stage.tell(NodeEvent{0, false, "its machine is gone", Errc::no_worker});
  BOOST_TEST(!stage.health().covered);
  MaskedTensor tensor;
  tensor.rows = 2;
  tensor.cols = 4;
  tensor.bytes = bytes_of(8, 1);
  auto answer = stage.ask_later(tensor);
  stage.reshape({}, {{0, 64, honest(64, 3)}, {64, 64, honest(64, 4)}});
  BOOST_TEST(row(answer()) == halves(3, 4), boost::test_tools::per_element());
  BOOST_TEST(stage.health().covered);
}

BOOST_AUTO_TEST_CASE(a_change_of_mind_while_workers_change_leaves_the_last_word) {
  Stage stage({{0, kColumns, honest(128, 1)}});
  stage.reshape({}, {{0, kColumns, honest(128, 2), true}}); // it never comes
  stage.reshape({}, {{0, kColumns, honest(128, 3)}});
  BOOST_TEST(stage.multiply().answered_by == std::vector<u32>{2}, boost::test_tools::per_element());
  BOOST_CHECK(tests::eventually(
      [&] { return stage.actor(0).ended.load() && stage.actor(1).ended.load(); }));
  BOOST_CHECK(stage.health().left == (std::set<u32>{0, 1}));
}

// The checks were cut for one worker; by now two compute what one shard of theirs is.
BOOST_AUTO_TEST_CASE(a_lie_of_one_of_several_is_asked_of_others_and_convicts_nobody) {
  Stage stage({{0, kColumns, honest(128, 1)}});
  stage.reshape({},
                {{0, 64, honest(64, 2)}, {64, 64, honest(64, 3)}, {0, kColumns, honest(128, 4)}});
  MaskedTensor tensor;
  tensor.rows = 2;
  tensor.cols = 4;
  tensor.bytes = bytes_of(8, 1);
  const auto wrong = stage.ask<WorkerProduct>(tensor);
  BOOST_TEST(row(wrong) == halves(2, 3), boost::test_tools::per_element());
  BOOST_TEST_REQUIRE(wrong.answered_by.size() == 1U);
  BOOST_TEST(wrong.answered_by[0] > 3U); // no node's number
  const auto right =
      stage.ask<WorkerProduct>(worker::Dispute{tensor, wrong, {0}, {}, Clock::now()});
  BOOST_TEST(row(right) == halves(4, 4), boost::test_tools::per_element());
  BOOST_CHECK(stage.quarantined().empty());
  // And if that was wrong too, it is one worker's lie, and those of before are not asked again.
  const Error error = error_of([&] {
    stage.ask<WorkerProduct>(
        worker::Dispute{tensor, right, {0}, {wrong.answered_by[0]}, Clock::now()});
  });
  BOOST_TEST((error.code() == Errc::verification));
  BOOST_CHECK(stage.quarantined() == std::set<u32>{3});
}

BOOST_AUTO_TEST_CASE(right_shards_of_a_product_from_before_a_change_are_kept_after_it) {
  Stage stage({{0, 64, honest(64, 1)}, {64, 64, honest(64, 2)}});
  MaskedTensor tensor;
  tensor.rows = 2;
  tensor.cols = 4;
  tensor.bytes = bytes_of(8, 1);
  const auto wrong = stage.ask<WorkerProduct>(tensor);
  stage.reshape({}, {{0, 64, honest(64, 5)}, {64, 64, honest(64, 6)}});
  const auto right =
      stage.ask<WorkerProduct>(worker::Dispute{tensor, wrong, {0}, {}, Clock::now()});
  BOOST_TEST(row(right) == halves(5, 2), boost::test_tools::per_element());
  BOOST_TEST(right.answered_by == (std::vector<u32>{2, 1}), boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(of_equals_whoever_has_least_to_do_is_asked) {
  Stage stage({{0, kColumns, silent(), false, 1},
               {0, kColumns, silent(), false, 1},
               {0, kColumns, silent(), false, 1}});
  MaskedTensor tensor;
  tensor.rows = 2;
  tensor.cols = 4;
  tensor.bytes = bytes_of(8, 1);
  for (int i = 0; i < 6; ++i) stage.tell(tensor);
  stage.health();
  for (u32 n = 0; n < 3; ++n)
    BOOST_CHECK(tests::eventually([&] { return stage.actor(n).questions() == 2U; }));
}

BOOST_AUTO_TEST_SUITE_END()

} // namespace talaria::cluster
