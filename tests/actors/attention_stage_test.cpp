// Order: micro-batches of a sequence may arrive in any order and are attended in the order of
// positions.
#include "actors/enclave/attention_stage.hpp"

#include <boost/test/unit_test.hpp>
#include <caf/scheduler/test_coordinator.hpp>
#include <map>
#include <numeric>

#include "core/random.hpp"
#include "kernels/kernel_set.hpp"
#include "kv/store.hpp"

namespace talaria::enclave {

BOOST_AUTO_TEST_SUITE(attention_stage_test)

namespace {

struct TestConfig : caf::actor_system_config {
  TestConfig() { set("scheduler.policy", caf::atom("testing")); }
};

constexpr std::size_t kDim = 8;

/// One attention stage with one head, and everything it sends on.
struct Fixture {
  TestConfig config;
  caf::actor_system system{config};
  caf::scheduler::test_coordinator& clock =
      dynamic_cast<caf::scheduler::test_coordinator&>(system.scheduler());
  std::map<u64, std::vector<float>> attended; ///< by micro-batch
  std::vector<u64> drained;
  Stage sink;
  SamplerStage drain;
  Overseer overseer;
  std::vector<std::string> failures;
  AttentionStage stage;
  std::shared_ptr<kv::Store> store;

  static AttentionShape one_head(bool last_layer) {
    AttentionShape shape;
    shape.attention.heads = shape.attention.kv_heads = 1;
    shape.attention.head_dim = kDim;
    shape.attention.scale = 0.5F;
    shape.last_layer = last_layer;
    return shape;
  }
  explicit Fixture(bool last_layer = false)
      : Fixture(one_head(last_layer), std::make_shared<AttentionTeam>(1)) {}
  Fixture(AttentionShape shape, std::shared_ptr<AttentionTeam> team) {
    sink = system.spawn([this](Stage::pointer) -> Stage::behavior_type {
      return {[this](const Flow& flow) {
        attended[flow.batch->id].assign(flow.x->data(),
                                        flow.x->data() + flow.x->rows() * flow.x->cols());
      }};
    });
    drain = system.spawn([this](SamplerStage::pointer) -> SamplerStage::behavior_type {
      return {[this](const Flow& flow) { drained.push_back(flow.batch->id); }, [](const Enrol&) {},
              [](const Forget&) {}};
    });
    overseer = system.spawn([this](Overseer::pointer) -> Overseer::behavior_type {
      return {[](const Sampled&) {}, [this](const Failure& f) { failures.push_back(f.message); }};
    });
    shape.heads =
        std::make_shared<const model::HeadPreparation>(shape.attention, model::LayerGains{}, false);
    shape.layout = std::make_shared<const kv::Layout>(
        std::vector<kv::LayerShape>{
            {shape.attention.kv_heads, shape.attention.head_dim, shape.attention.window}},
        kv::Format::fp32);
    store = std::make_shared<kv::Store>(shape.layout, std::size_t{1} << 30);
    stage = spawn_attention(system, {"attention", overseer, nullptr}, std::move(shape),
                            std::move(team), sink, drain);
  }
  ~Fixture() {
    for (const auto& actor :
         {caf::actor_cast<caf::actor>(sink), caf::actor_cast<caf::actor>(drain),
          caf::actor_cast<caf::actor>(overseer), caf::actor_cast<caf::actor>(stage)})
      caf::anon_send_exit(actor, caf::exit_reason::user_shutdown);
    clock.run();
  }
  template <class Message>
  void send(Message message) {
    caf::anon_send(stage, std::move(message));
    clock.run();
  }
  /// Blocks are allotted in the order of positions, whatever order rows are sent in.
  void allot(SequenceId sequence, u32 positions) {
    lists[sequence] = store->extend(sequence, 0, positions);
  }
  void send(Flow flow) {
    MicroBatch batch = *flow.batch;
    for (Segment& segment : batch.segments) {
      const auto allotted = lists.find(segment.sequence);
      segment.blocks = allotted != lists.end()
                           ? allotted->second
                           : store->extend(segment.sequence, segment.start, segment.count);
    }
    flow.batch = std::make_shared<const MicroBatch>(std::move(batch));
    send<Flow>(std::move(flow));
  }
  std::map<SequenceId, kv::BlockListPtr> lists;
};

/// Rows [start, start + count) of one sequence; contents depend on the position only.
Flow rows_of(u64 id, SequenceId sequence, u32 start, u32 count, bool sample = false,
             std::size_t width = 3 * kDim) {
  MicroBatch batch;
  batch.id = id;
  batch.rows = count;
  Segment segment{.sequence = sequence, .start = start, .count = count, .sample = sample};
  batch.segments.push_back(segment);
  Matrix<float> qkv(count, width);
  for (u32 r = 0; r < count; ++r) {
    auto rng = seeded_rng(sequence, start + r);
    for (std::size_t c = 0; c < width; ++c)
      qkv(r, c) = static_cast<float>(rng.below(2000)) / 1000.0F - 1.0F;
  }
  Flow flow;
  flow.batch = std::make_shared<const MicroBatch>(std::move(batch));
  flow.x = share_clear(std::move(qkv));
  flow.residual = share_clear(Matrix<float>(count, 4));
  flow.positions = std::make_shared<const model::RowPositions>(); // nothing turns
  return flow;
}

template <class Message>
Message about(SequenceId sequence) {
  Message message;
  message.sequence = sequence;
  return message;
}

} // namespace

BOOST_AUTO_TEST_CASE(micro_batches_that_overtake_wait_for_the_rows_before_them) {
  Fixture in_order;
  for (u32 i = 0; i < 4; ++i) in_order.send(rows_of(i, 1, 3 * i, 3));
  Fixture shuffled;
  shuffled.allot(1, 12);
  shuffled.send(rows_of(2, 1, 6, 3));
  shuffled.send(rows_of(3, 1, 9, 3));
  BOOST_TEST(shuffled.attended.empty());
  shuffled.send(rows_of(0, 1, 0, 3));
  BOOST_TEST(shuffled.attended.size() == 1U);
  shuffled.send(rows_of(1, 1, 3, 3));
  BOOST_TEST(shuffled.attended.size() == 4U);
  for (u64 id = 0; id < 4; ++id)
    BOOST_TEST(shuffled.attended[id] == in_order.attended[id], boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(threads_that_share_the_heads_change_no_bit) {
  constexpr std::size_t kHeadDim = 64;
  for (const u32 window : {0, 2900}) {
    AttentionShape shape;
    shape.attention.heads = 12;
    shape.attention.kv_heads = 4;
    shape.attention.head_dim = kHeadDim;
    shape.attention.window = window;
    shape.attention.scale = 0.125F;
    const auto rows = [&](u64 id, u32 start, u32 count) {
      return rows_of(id, 1, start, count, false, (12 + 2 * 4) * kHeadDim);
    };
    Fixture alone(shape, std::make_shared<AttentionTeam>(1));
    Fixture shared(shape, std::make_shared<AttentionTeam>(3));
    // A prompt whose later rows are worth sharing, and a row that is so for its context alone.
    for (Fixture* f : {&alone, &shared}) {
      f->send(rows(1, 0, 3000));
      f->send(rows(2, 3000, 1));
      BOOST_TEST(f->failures.empty());
    }
    for (const u64 id : {1, 2})
      BOOST_TEST((shared.attended[id] == alone.attended[id]), "window " << window);
  }
}

namespace {

std::vector<std::size_t> attended_counts; ///< positions of every query, in pieces

void noting_attend_scores(const float* const* q, const std::size_t* counts, std::size_t queries,
                          const float* k, std::size_t head_dim, float scale, float* scores,
                          std::size_t stride) {
  attended_counts.insert(attended_counts.end(), counts, counts + queries);
  kernels::select_kernels().attend_scores(q, counts, queries, k, head_dim, scale, scores, stride);
}

/// Sequences with the contexts given, one row each at their end, filled up to `rows`.
Flow even_rows(u64 id, const std::vector<u32>& contexts, u32 rows) {
  MicroBatch batch;
  batch.id = id;
  batch.rows = rows;
  batch.padding = batch.head_padding = rows - static_cast<u32>(contexts.size());
  batch.even = true;
  for (std::size_t s = 0; s < contexts.size(); ++s)
    batch.segments.push_back(
        Segment{.sequence = s + 1, .start = contexts[s], .count = 1, .sample = true});
  Flow flow;
  flow.batch = std::make_shared<const MicroBatch>(std::move(batch));
  flow.x = share_clear(Matrix<float>(rows, 3 * kDim));
  flow.residual = share_clear(Matrix<float>(rows, 4));
  flow.positions = std::make_shared<const model::RowPositions>();
  return flow;
}

} // namespace

// Whoever times the attention learns the longest context and the size of the tensor.
BOOST_AUTO_TEST_CASE(even_micro_batches_attend_alike_whichever_rows_are_padding) {
  kernels::KernelSet noting = kernels::active_kernels();
  const kernels::KernelSet& before = kernels::active_kernels();
  noting.attend_scores = noting_attend_scores;
  kernels::set_active_kernels(noting);
  for (const u32 window : {0, 9}) {
    for (const std::vector<u32>& contexts :
         {std::vector<u32>{20}, {20, 20}, {20, 3, 11}, {1, 20}, {20, 20, 20, 20, 20, 20, 20, 20}}) {
      AttentionShape shape = Fixture::one_head(false);
      shape.attention.window = window;
      Fixture f(shape, std::make_shared<AttentionTeam>(1));
      for (std::size_t s = 0; s < contexts.size(); ++s)
        f.send(rows_of(100 + s, s + 1, 0, contexts[s]));
      attended_counts.clear();
      f.send(even_rows(1, contexts, 8));
      BOOST_TEST(f.failures.empty());
      const std::size_t longest = window == 0 ? 21 : window;
      BOOST_TEST(std::accumulate(attended_counts.begin(), attended_counts.end(), std::size_t{0}) ==
                 8 * longest);
      // Padding stays zeros, and answers what they were.
      const auto& out = f.attended.at(1);
      for (std::size_t i = contexts.size() * kDim; i < out.size(); ++i) BOOST_TEST(out[i] == 0.0F);
      f.send(even_rows(2, contexts, 8)); // not the next rows of these sequences: they wait
      BOOST_TEST(!f.attended.contains(2));
    }
  }
  kernels::set_active_kernels(before);
}

BOOST_AUTO_TEST_CASE(sequences_do_not_wait_for_each_other) {
  Fixture f;
  f.send(rows_of(1, 7, 2, 1));
  f.send(rows_of(2, 8, 0, 2));
  BOOST_TEST(f.attended.size() == 1U);
  BOOST_TEST(f.attended.contains(2));
}

BOOST_AUTO_TEST_CASE(rows_of_an_abandoned_sequence_pass_as_zeros_until_it_is_forgotten) {
  Fixture f;
  f.send(rows_of(1, 7, 4, 2)); // waits for rows that will never come
  BOOST_TEST(f.attended.empty());
  f.send(about<Abandon>(7));
  BOOST_TEST_REQUIRE(f.attended.contains(1));
  for (const float value : f.attended[1]) BOOST_TEST(value == 0.0F);
  f.send(about<Forget>(7));
  f.send(rows_of(2, 7, 4, 2));
  BOOST_TEST(!f.attended.contains(2));
}

BOOST_AUTO_TEST_CASE(the_last_layer_passes_on_wanted_rows_only) {
  Fixture f(/*last_layer=*/true);
  f.send(rows_of(1, 5, 0, 4));
  BOOST_TEST(f.drained == std::vector<u64>{1}, boost::test_tools::per_element());
  f.send(rows_of(2, 5, 4, 4, /*sample=*/true));
  BOOST_TEST(f.attended.at(2).size() == kDim);
  Fixture whole;
  whole.send(rows_of(1, 5, 0, 8));
  const auto& all = whole.attended.at(1);
  const std::vector<float> last(all.end() - kDim, all.end());
  BOOST_TEST(f.attended.at(2) == last, boost::test_tools::per_element());
}

BOOST_AUTO_TEST_SUITE_END()

} // namespace talaria::enclave
