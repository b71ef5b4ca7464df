// Where the sampler stands in models that generate: rows of several texts, in any order, become one
// vector each.
#include <boost/test/unit_test.hpp>
#include <caf/scheduler/test_coordinator.hpp>
#include <limits>

#include "actors/enclave/pooler_stage.hpp"

namespace talaria::enclave {

BOOST_AUTO_TEST_SUITE(pooler_stage_test)

namespace {

constexpr std::size_t kHidden = 3;

struct ManualClock : caf::actor_system_config {
  ManualClock() { set("scheduler.policy", caf::atom("testing")); }
};

/// Row `position` of `sequence`.
float value_of(SequenceId sequence, u32 position, std::size_t column) {
  return static_cast<float>(sequence * 100 + position * 10 + column);
}

struct Part {
  SequenceId sequence;
  u32 start;
  u32 count;
  u32 wanted;
};

struct PoolerFixture {
  ManualClock config;
  caf::actor_system system{config};
  caf::scheduler::test_coordinator& clock =
      dynamic_cast<caf::scheduler::test_coordinator&>(system.scheduler());
  std::vector<Sampled> heard;
  Overseer overseer;
  SamplerStage stage;

  explicit PoolerFixture(model::PoolingKind kind) {
    overseer = system.spawn([this](Overseer::pointer) -> Overseer::behavior_type {
      return {[this](const Sampled& sampled) { heard.push_back(sampled); },
              [](const Failure& failure) { BOOST_ERROR(failure.message); }};
    });
    PoolerShape shape;
    shape.pooling.kind = kind;
    shape.pooling.normalise = false;
    stage = spawn_pooler(system, {"pooler", overseer, nullptr}, std::move(shape));
    for (const auto& [id, length] : {std::pair{1, 5}, std::pair{2, 3}}) {
      Enrol enrol;
      enrol.sequence = static_cast<SequenceId>(id);
      enrol.prompt.resize(static_cast<std::size_t>(length));
      send(std::move(enrol));
    }
  }
  ~PoolerFixture() {
    for (const auto& actor :
         {caf::actor_cast<caf::actor>(overseer), caf::actor_cast<caf::actor>(stage)})
      caf::anon_send_exit(actor, caf::exit_reason::user_shutdown);
    clock.run();
  }
  template <class Message>
  void send(Message message) {
    caf::anon_send(stage, std::move(message));
    clock.run();
  }
  /// A micro-batch of these parts; `spoil`: its first number is not finite.
  const Sampled& pool(const std::vector<Part>& parts, u32 padding = 0, bool spoil = false) {
    MicroBatch batch;
    batch.id = heard.size() + 1;
    for (const Part& part : parts) {
      Segment segment;
      segment.sequence = part.sequence;
      segment.start = part.start;
      segment.count = part.count;
      segment.logits_rows = part.wanted;
      batch.segments.push_back(segment);
    }
    batch.head_padding = padding;
    batch.even = padding != 0;
    Matrix<float> rows(batch.head_rows(), kHidden);
    std::size_t row = 0;
    for (const Part& part : parts)
      for (u32 i = part.count - part.wanted; i < part.count; ++i, ++row)
        for (std::size_t c = 0; c < kHidden; ++c)
          rows(row, c) = value_of(part.sequence, part.start + i, c);
    if (spoil) rows(0, 0) = std::numeric_limits<float>::infinity();
    Flow flow;
    flow.batch = std::make_shared<const MicroBatch>(std::move(batch));
    flow.x = share_clear(std::move(rows));
    send(std::move(flow));
    return heard.back();
  }
};

} // namespace

BOOST_AUTO_TEST_CASE(rows_count_in_the_order_of_their_positions_whenever_they_come) {
  PoolerFixture mean(model::PoolingKind::mean);
  BOOST_TEST(mean.pool({{1, 4, 1, 1}, {2, 0, 2, 2}}, 2).pooled.empty()); // its last row first
  BOOST_TEST(mean.pool({{1, 2, 2, 2}}).pooled.empty());
  const Sampled& second = mean.pool({{2, 2, 1, 1}});
  BOOST_TEST_REQUIRE(second.pooled.size() == 1U);
  BOOST_TEST(second.pooled[0].sequence == 2U);
  BOOST_TEST(second.pooled[0].values == (std::vector<float>{210, 211, 212}));
  const Sampled& first = mean.pool({{1, 0, 2, 2}}, 3);
  BOOST_TEST_REQUIRE(first.pooled.size() == 1U);
  BOOST_TEST(first.pooled[0].sequence == 1U);
  BOOST_TEST(first.pooled[0].values == (std::vector<float>{120, 121, 122}));
  BOOST_TEST(first.micro_batch == mean.heard.size());
}

BOOST_AUTO_TEST_CASE(of_a_text_that_wants_its_last_row_no_other_counts) {
  PoolerFixture last(model::PoolingKind::last);
  BOOST_TEST(last.pool({{1, 0, 3, 0}, {2, 0, 3, 1}}).pooled.at(0).values ==
             (std::vector<float>{220, 221, 222}));
  BOOST_TEST(last.pool({{1, 3, 2, 1}}).pooled.at(0).values == (std::vector<float>{140, 141, 142}));
}

BOOST_AUTO_TEST_CASE(a_text_that_nobody_waits_for_is_passed_over) {
  PoolerFixture last(model::PoolingKind::last);
  Forget forget;
  forget.sequence = 1;
  last.send(std::move(forget));
  const Sampled& sampled = last.pool({{1, 3, 2, 1}, {2, 0, 3, 1}});
  BOOST_TEST(sampled.pooled.size() == 1U);
  BOOST_TEST(sampled.failed.empty());
}

BOOST_AUTO_TEST_CASE(numbers_that_are_not_finite_end_their_text_alone) {
  PoolerFixture last(model::PoolingKind::last);
  const Sampled& sampled = last.pool({{1, 3, 2, 1}, {2, 0, 3, 1}}, 0, /*spoil=*/true);
  BOOST_TEST(sampled.failed == std::vector<SequenceId>{1}, boost::test_tools::per_element());
  BOOST_TEST(sampled.pooled.at(0).sequence == 2U);
}

BOOST_AUTO_TEST_SUITE_END()

} // namespace talaria::enclave
