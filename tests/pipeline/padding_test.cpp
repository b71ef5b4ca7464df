// What a worker can count under `masking.padding`, and that no answer changes.
#include "pipeline/padding.hpp"

#include <algorithm>
#include <atomic>
#include <boost/test/unit_test.hpp>
#include <caf/scheduler/test_coordinator.hpp>
#include <chrono>
#include <cstring>
#include <future>
#include <map>
#include <mutex>
#include <set>
#include <thread>

#include "core/error.hpp"
#include "core/random.hpp"
#include "kernels/kernel_set.hpp"
#include "pipeline/batch_planner.hpp"
#include "pipeline/scheduler.hpp"
#include "pipeline/worker_decorator.hpp"
#include "tests/support/collect.hpp"
#include "tests/support/models.hpp"
#include "tests/support/workers.hpp"

namespace talaria::pipeline {

namespace {

std::vector<u32> counted(std::size_t n) {
  std::vector<u32> tokens(n);
  for (std::size_t i = 0; i < n; ++i) tokens[i] = static_cast<u32>(i);
  return tokens;
}

/// The rows of every tensor that a worker is sent, by matrix. Thread-safe.
class RowCounts {
public:
  void note(const remo::MaskedTensor& tensor) {
    const std::lock_guard lock(mutex_);
    rows_[tensor.matrix].push_back(tensor.rows);
    const std::size_t row_bytes = tensor.bytes->size() / tensor.rows;
    for (u32 r = 0; r < tensor.rows; ++r) {
      const u8* begin = tensor.bytes->data() + r * row_bytes;
      beginnings_.emplace(begin, begin + std::min<std::size_t>(row_bytes, 24));
      ++total_;
    }
  }
  /// Forgets what came before, such as the questions asked while hints were made.
  void clear() {
    const std::lock_guard lock(mutex_);
    rows_.clear();
    beginnings_.clear();
    total_ = 0;
  }
  /// True if any two rows, of whichever matrices, began alike.
  bool repeated() const {
    const std::lock_guard lock(mutex_);
    return beginnings_.size() != total_;
  }
  std::map<u32, std::vector<u32>> by_matrix() const {
    const std::lock_guard lock(mutex_);
    return rows_;
  }
  std::set<u32> sizes() const {
    std::set<u32> out;
    for (const auto& [matrix, rows] : by_matrix()) out.insert(rows.begin(), rows.end());
    return out;
  }

private:
  mutable std::mutex mutex_;
  std::map<u32, std::vector<u32>> rows_;
  std::set<std::vector<u8>> beginnings_; ///< of rows
  std::size_t total_ = 0;
};

EngineOptions counting(const std::string& model, std::shared_ptr<RowCounts> counts) {
  EngineOptions options;
  options.model_dir = tests::model_folder(model);
  options.threads = 2;
  options.pool.rows_ahead = 512; // what a stock of the default size holds is never used here
  options.decorate_worker =
      pipeline::decorate_worker([counts](caf::actor_system& system, worker::Worker honest) {
        return system.spawn(
            [counts, honest](worker::Worker::pointer self) -> worker::Worker::behavior_type {
              return tests::in_front_of(self, honest, [=](const remo::MaskedTensor& tensor) {
                counts->note(tensor);
                return self->delegate(honest, tensor);
              });
            });
      });
  return options;
}

Request answer_request(std::size_t prompt, u32 max_tokens) {
  Request request;
  for (std::size_t i = 0; i < prompt; ++i)
    request.prompt.push_back(static_cast<u32>(3 + 7 * i) % 200);
  request.max_tokens = max_tokens;
  request.ignore_eos = true;
  return request;
}

/// Requests of all kinds: prompts of several chunks, sampled, and for logits alone.
std::vector<Request> mixed_requests() {
  std::vector<Request> requests;
  for (const std::size_t prompt : {1U, 3U, 8U, 9U, 21U}) {
    requests.push_back(answer_request(prompt, static_cast<u32>(2 + prompt % 4)));
    requests.back().logits = LogitsWanted::last;
    requests.back().sampling.temperature = 0.9F;
    requests.back().sampling.seed = prompt;
  }
  requests.push_back(answer_request(13, 0));
  requests.back().logits = LogitsWanted::all;
  return requests;
}

bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

void check_same(const std::vector<tests::Collected>& a, const std::vector<tests::Collected>& b) {
  BOOST_TEST_REQUIRE(a.size() == b.size());
  for (std::size_t i = 0; i < a.size(); ++i) {
    BOOST_TEST(a[i].completion.tokens == b[i].completion.tokens, boost::test_tools::per_element());
    BOOST_TEST_REQUIRE(a[i].logits.size() == b[i].logits.size());
    for (std::size_t r = 0; r < a[i].logits.size(); ++r)
      BOOST_TEST(same_bits(a[i].logits[r], b[i].logits[r]), "request " << i << ", row " << r);
  }
}

struct FakeTime : caf::actor_system_config {
  FakeTime() { set("scheduler.policy", caf::atom("testing")); }
};

/// A scheduler whose clock is moved by hand, and a list in the place of the layers.
struct PacedScheduler {
  FakeTime config;
  caf::actor_system system{config};
  caf::scheduler::test_coordinator& clock =
      dynamic_cast<caf::scheduler::test_coordinator&>(system.scheduler());
  std::vector<u64> begun; ///< micro-batches, in order
  std::vector<std::shared_ptr<const enclave::MicroBatch>> batches;
  std::vector<enclave::SequenceId> forgotten, abandoned; ///< by the attention
  std::vector<enclave::SequenceId> unsampled;            ///< forgotten by the sampler
  enclave::AttentionStage attention;
  enclave::EmbedStage entrance;
  enclave::SamplerStage sampler;
  Scheduler scheduler;

  explicit PacedScheduler(Padding padding) {
    entrance =
        system.spawn([this](enclave::EmbedStage::pointer) -> enclave::EmbedStage::behavior_type {
          return {[this](const enclave::Admit& admit) {
            begun.push_back(admit.batch->id);
            batches.push_back(admit.batch);
          }};
        });
    sampler = system.spawn(
        [this](enclave::SamplerStage::pointer) -> enclave::SamplerStage::behavior_type {
          return {[](const enclave::Flow&) {}, [](const enclave::Enrol&) {},
                  [this](const enclave::Forget& forget) { unsampled.push_back(forget.sequence); }};
        });
    attention = system.spawn(
        [this](enclave::AttentionStage::pointer) -> enclave::AttentionStage::behavior_type {
          return {
              [](const enclave::Flow&) {},
              [this](const enclave::Abandon& abandon) { abandoned.push_back(abandon.sequence); },
              [this](const enclave::Forget& forget) { forgotten.push_back(forget.sequence); }};
        });
    SchedulerOptions options;
    options.padding = std::move(padding);
    scheduler = spawn_scheduler(system, std::move(options));
    Wiring wiring;
    wiring.entrance = entrance;
    wiring.sampler = sampler;
    wiring.attention = {attention};
    send(std::move(wiring));
  }
  ~PacedScheduler() {
    for (const auto& actor :
         {caf::actor_cast<caf::actor>(entrance), caf::actor_cast<caf::actor>(sampler),
          caf::actor_cast<caf::actor>(attention), caf::actor_cast<caf::actor>(scheduler)})
      caf::anon_send_exit(actor, caf::exit_reason::user_shutdown);
    do clock.run(); // ticks that are still set would hold up the system's end
    while (clock.trigger_timeout());
  }
  template <class Message>
  void send(Message message) {
    caf::anon_send(scheduler, std::move(message));
    clock.run();
  }
  void submit(enclave::SequenceId sequence, u32 max_tokens) {
    struct Deaf final : RequestSink {
      void finished(Completion) override {}
    };
    Submit submit;
    submit.sequence = sequence;
    submit.request = std::make_shared<const Request>(answer_request(3, max_tokens));
    submit.sink = std::make_shared<Deaf>();
    send(std::move(submit));
  }
  /// The micro-batch comes back, with a token for `sequence` unless that is 0.
  void answer(u64 micro_batch, enclave::SequenceId sequence) {
    enclave::Sampled sampled;
    sampled.micro_batch = micro_batch;
    if (sequence != 0) sampled.choices.push_back({sequence, 7});
    send(std::move(sampled));
  }
  void wait(std::chrono::milliseconds time) {
    clock.advance_time(time);
    clock.run();
  }
};

} // namespace

BOOST_AUTO_TEST_CASE(rows_go_up_to_the_next_bucket_and_rounds_to_the_next_multiple) {
  Padding padding;
  BOOST_TEST(!padding.is_on());
  BOOST_TEST(padding.filled(7) == 7U);
  BOOST_TEST(padding.dummy_rounds_for(7) == 0U);
  padding.buckets = {2, 8};
  padding.rounds = 4;
  BOOST_TEST(padding.is_on());
  const std::vector<u32> expected{2, 2, 8, 8, 8, 8, 8, 8};
  for (u32 rows = 1; rows <= 8; ++rows) BOOST_TEST(padding.filled(rows) == expected[rows - 1]);
  const std::vector<u32> left{4, 3, 2, 1, 0, 3};
  for (u32 rounds = 0; rounds < 6; ++rounds)
    BOOST_TEST(padding.dummy_rounds_for(rounds) == left[rounds]);
}

BOOST_AUTO_TEST_CASE(paddings_that_make_no_sense_are_refused) {
  const auto refused = [](std::vector<u32> buckets, u32 rounds = 1, int pace = 0) {
    try {
      validate({std::move(buckets), rounds, std::chrono::milliseconds(pace)}, 64);
    } catch (const Error& error) {
      return error.code() == Errc::config;
    }
    return false;
  };
  BOOST_TEST(!refused({}));
  BOOST_TEST(!refused({1, 64}, 9, 50));
  BOOST_TEST(refused({0, 4}));
  BOOST_TEST(refused({4, 4}));
  BOOST_TEST(refused({8, 4}));
  BOOST_TEST(refused({4, 65}));
  BOOST_TEST(refused({4}, 0));
  BOOST_TEST(refused({4}, 1, -1));
}

// Whatever comes and goes: rows and head rows are buckets, every token enters once and in order,
// and every answer takes part in a multiple of `rounds` rounds, one after the other.
BOOST_AUTO_TEST_CASE(planned_micro_batches_are_buckets_and_answers_multiples) {
  for (u64 seed = 0; seed < 40; ++seed) {
    auto rng = seeded_rng(seed);
    const Padding padding{{2, 5, 16}, static_cast<u32>(1 + rng.below(4)), {}};
    const std::set<u32> buckets(padding.buckets.begin(), padding.buckets.end());
    BatchPlanner planner({.micro_batches = static_cast<u32>(1 + rng.below(3)),
                          .max_rows = 256,
                          .prefill_chunk = static_cast<u32>(1 + rng.below(20))},
                         padding);
    std::map<enclave::SequenceId, std::size_t> to_generate, next, total, dummies;
    u64 answer_rounds = 0;
    u64 dummy_rounds = 0;
    for (enclave::SequenceId id = 1; id <= 6; ++id) {
      total[id] = 1 + rng.below(30);
      to_generate[id] = 1 + rng.below(7);
      planner.add(id, counted(total[id]), true, LogitsWanted::none);
    }
    std::vector<enclave::MicroBatch> flying;
    while (!planner.idle()) {
      const bool ready = planner.ready();
      auto batch = planner.next();
      BOOST_TEST_REQUIRE(batch.has_value() == ready);
      if (batch) {
        BOOST_TEST_REQUIRE(buckets.contains(batch->rows));
        BOOST_TEST_REQUIRE(buckets.contains(batch->head_rows()));
        BOOST_TEST_REQUIRE(batch->tokens.size() == batch->rows - batch->padding);
        BOOST_TEST_REQUIRE(batch->even);
        for (const auto& s : batch->segments) { // dummy rounds continue their sequence
          BOOST_TEST_REQUIRE(s.start == next[s.sequence]);
          BOOST_TEST_REQUIRE((!s.dummy || (s.count == 1 && s.sample)));
          next[s.sequence] += s.count;
          answer_rounds += s.sample && !s.dummy ? 1 : 0;
          dummies[s.sequence] += s.dummy ? 1 : 0;
        }
        dummy_rounds += planner.dummy_rounds(batch->id);
        flying.push_back(*std::move(batch));
        continue;
      }
      BOOST_TEST_REQUIRE(!flying.empty());
      const std::size_t pick = rng.below(flying.size());
      const auto done = std::move(flying[pick]);
      flying.erase(flying.begin() + static_cast<std::ptrdiff_t>(pick));
      planner.retire(done.id);
      for (const auto& s : done.segments) {
        if (!s.sample || s.dummy) continue;
        if (--to_generate[s.sequence] == 0)
          planner.end(s.sequence);
        else
          planner.append(s.sequence, static_cast<u32>(total[s.sequence]++));
      }
    }
    for (const auto& [id, tokens] : total) BOOST_TEST(next[id] == tokens + dummies[id]);
    BOOST_TEST((answer_rounds + dummy_rounds) % padding.rounds == 0U);
    BOOST_TEST((padding.rounds == 1) == (dummy_rounds == 0));
  }
}

BOOST_AUTO_TEST_CASE(a_dummy_round_ends_with_the_micro_batch_that_failed) {
  BatchPlanner planner({.micro_batches = 2, .max_rows = 16, .prefill_chunk = 8}, {{4}, 8, {}});
  planner.add(1, counted(3), true, LogitsWanted::none);
  planner.retire(planner.next()->id);
  planner.end(1);
  const auto dummy = planner.next();
  BOOST_TEST_REQUIRE(dummy.has_value());
  BOOST_TEST_REQUIRE(dummy->segments.size() == 1U);
  BOOST_TEST(dummy->segments[0].dummy);
  BOOST_TEST(dummy->segments[0].start == 3U); // behind the prompt, whose keys are kept for it
  BOOST_TEST(dummy->tokens == std::vector<u32>{2}, boost::test_tools::per_element());
  BOOST_TEST(dummy->rows == 4U);
  BOOST_TEST(!planner.ready()); // the next one waits for this
  BOOST_TEST(planner.has_dummy_rounds(1));
  BOOST_TEST(planner.retire_failed(dummy->id) == std::vector<enclave::SequenceId>{1},
             boost::test_tools::per_element());
  BOOST_TEST(!planner.has_dummy_rounds(1));
  BOOST_TEST(planner.idle());
}

BOOST_AUTO_TEST_CASE(dropped_dummies_leave_nothing_behind) {
  BatchPlanner planner({.micro_batches = 2, .max_rows = 16, .prefill_chunk = 8}, {{4}, 8, {}});
  planner.add(1, counted(3), true, LogitsWanted::none);
  planner.retire(planner.next()->id);
  planner.end(1);
  const auto dummy = planner.next();
  BOOST_TEST(planner.drop_dummies() == std::vector<enclave::SequenceId>{1},
             boost::test_tools::per_element());
  BOOST_TEST(!planner.idle());
  planner.retire(dummy->id);
  BOOST_TEST(planner.idle());
}

BOOST_AUTO_TEST_CASE(paced_micro_batches_wait_for_their_tick_dummy_rounds_too) {
  constexpr std::chrono::hours kPace(1); // the grid is in real time, the waiting is not
  PacedScheduler f({{}, 2, kPace});
  f.submit(1, 1);
  BOOST_TEST(f.begun.empty());
  f.wait(kPace);
  BOOST_TEST(f.begun.size() == 1U);
  f.answer(f.begun.back(), 1); // the answer is over; one dummy round is left
  BOOST_TEST(f.begun.size() == 1U);
  f.wait(kPace);
  BOOST_TEST(f.begun.size() == 2U);
  f.answer(f.begun.back(), 0);
  f.wait(kPace);
  BOOST_TEST(f.begun.size() == 2U);
}

// What a worker could time: the stages see rounds of an answer that go on behind its end.
BOOST_AUTO_TEST_CASE(dummy_rounds_continue_the_sequence_and_its_keys_go_with_the_last) {
  PacedScheduler f({{}, 4, {}});
  f.submit(1, 2);
  f.answer(f.begun.back(), 1);
  f.answer(f.begun.back(), 1); // the answer is over; two dummy rounds are left
  for (u32 dummy = 0; dummy < 2; ++dummy) {
    BOOST_TEST_REQUIRE(f.batches.size() == 3U + dummy);
    const enclave::MicroBatch& batch = *f.batches.back();
    BOOST_TEST(batch.padding == 0U);
    BOOST_TEST_REQUIRE(batch.segments.size() == 1U);
    BOOST_TEST(batch.segments[0].dummy);
    BOOST_TEST(batch.segments[0].sample);
    BOOST_TEST(batch.segments[0].start == 4U + dummy); // behind three of the prompt and one more
    BOOST_TEST(batch.tokens == std::vector<u32>{7}, boost::test_tools::per_element());
    BOOST_TEST(f.forgotten.empty());
    BOOST_TEST(f.unsampled.empty());
    f.answer(batch.id, 1); // its token is nobody's
  }
  BOOST_TEST(f.begun.size() == 4U);
  BOOST_TEST(f.forgotten == std::vector<enclave::SequenceId>{1}, boost::test_tools::per_element());
  BOOST_TEST(f.unsampled == std::vector<enclave::SequenceId>{1}, boost::test_tools::per_element());
  BOOST_TEST(f.abandoned.empty());
}

BOOST_AUTO_TEST_CASE(rows_under_way_of_a_cancelled_answer_pass_as_ever_under_padding_only) {
  for (const bool padded : {false, true}) {
    PacedScheduler f({{}, padded ? 2U : 1U, {}});
    f.submit(1, 9);
    f.answer(f.begun.back(), 1);
    Cancel cancel;
    cancel.sequence = 1;
    f.send(cancel); // in the second round, the last one
    BOOST_TEST(f.abandoned.empty() == padded);
    BOOST_TEST(f.forgotten.empty());
    f.answer(f.begun.back(), 1);
    BOOST_TEST(f.begun.size() == 2U);
    BOOST_TEST(f.forgotten == std::vector<enclave::SequenceId>{1},
               boost::test_tools::per_element());
  }
}

BOOST_AUTO_TEST_CASE(a_failure_or_cancelling_all_lets_go_of_what_dummy_rounds_kept) {
  for (const bool failure : {false, true}) {
    PacedScheduler f({{}, 8, {}});
    f.submit(1, 1);
    f.answer(f.begun.back(), 1);
    BOOST_TEST(f.begun.size() == 2U);
    if (failure) {
      enclave::Failure failed;
      failed.micro_batch = f.begun.back();
      f.send(std::move(failed));
    } else {
      f.send(CancelAll{});
      f.answer(f.begun.back(), 0);
    }
    BOOST_TEST(f.begun.size() == 2U);
    BOOST_TEST(f.forgotten == std::vector<enclave::SequenceId>{1},
               boost::test_tools::per_element());
  }
}

BOOST_AUTO_TEST_CASE(a_round_that_is_not_back_by_the_tick_starts_nothing_before_the_next) {
  constexpr std::chrono::hours kPace(1);
  PacedScheduler f({{}, 1, kPace});
  f.submit(1, 9);
  f.wait(kPace);
  f.wait(kPace); // late
  BOOST_TEST(f.begun.size() == 1U);
  f.answer(f.begun.back(), 1);
  BOOST_TEST(f.begun.size() == 1U);
  f.wait(kPace);
  BOOST_TEST(f.begun.size() == 2U);
}

BOOST_AUTO_TEST_CASE(without_a_pace_a_round_follows_the_one_before_it) {
  PacedScheduler f({});
  f.submit(1, 9);
  BOOST_TEST(f.begun.size() == 1U);
  f.answer(f.begun.back(), 1);
  BOOST_TEST(f.begun.size() == 2U);
}

BOOST_AUTO_TEST_CASE(workers_see_bucket_sizes_only_and_no_bit_of_an_answer_changes) {
  for (const std::string model : {"qwen2", "mistral", "qwen3_5", "gemma4_e"}) {
    const auto plain_rows = std::make_shared<RowCounts>();
    const auto padded_rows = std::make_shared<RowCounts>();
    SilentProgress progress;
    EngineOptions options = counting(model, plain_rows);
    options.batch = {.micro_batches = 2, .max_rows = 64, .prefill_chunk = 8};
    Engine plain(options, progress);
    const auto expected = tests::run_together(plain, mixed_requests());

    options = counting(model, padded_rows);
    options.batch = {.micro_batches = 2, .max_rows = 64, .prefill_chunk = 8};
    options.padding = {{4, 12}, 3, std::chrono::milliseconds(1)};
    Engine padded(options, progress);
    padded_rows->clear();
    check_same(tests::run_together(padded, mixed_requests()), expected);
    padded.wait_until_idle();
    BOOST_TEST(padded_rows->sizes() == (std::set<u32>{4, 12}));
    BOOST_TEST(plain_rows->sizes() != (std::set<u32>{4, 12}));
    BOOST_TEST(!padded_rows->repeated()); // dummies have masks of their own, too
    // Every round passes every matrix: no chunk of a prompt looks unlike another round.
    const auto rows = padded_rows->by_matrix();
    BOOST_TEST(rows.size() == padded.plan().linears.size());
    for (const auto& [matrix, sizes] : rows) BOOST_TEST(sizes.size() == rows.at(0).size());
    const PaddingCost cost = padded.padding_cost();
    BOOST_TEST(cost.dummy_rows > 0U);
    BOOST_TEST(cost.dummy_rounds > 0U);
    BOOST_TEST(cost.rows > cost.dummy_rows);
    BOOST_TEST(plain.padding_cost().dummy_rows == 0U);
  }
}

namespace {

/// Positions that the attention has looked at, counted where all of it passes: in the kernel.
std::atomic<u64> positions{0};

void counting_attend_scores(const float* const* q, const std::size_t* counts, std::size_t queries,
                            const float* k, std::size_t head_dim, float scale, float* scores,
                            std::size_t stride) {
  for (std::size_t i = 0; i < queries; ++i) positions += counts[i];
  kernels::select_kernels().attend_scores(q, counts, queries, k, head_dim, scale, scores, stride);
}

/// The kernels in use count positions for as long as this lives.
class CountedPositions {
public:
  CountedPositions() : before_(kernels::active_kernels()) {
    static kernels::KernelSet counting;
    counting = before_;
    counting.attend_scores = counting_attend_scores;
    kernels::set_active_kernels(counting);
    positions = 0;
  }
  ~CountedPositions() { kernels::set_active_kernels(before_); }
  CountedPositions(const CountedPositions&) = delete;
  CountedPositions& operator=(const CountedPositions&) = delete;

private:
  const kernels::KernelSet& before_;
};

} // namespace

// An answer that is over and one that goes on make the attention work alike.
BOOST_AUTO_TEST_CASE(dummy_rounds_attend_to_what_rounds_of_the_answer_would) {
  for (const std::string model : {"qwen2", "mistral"}) { // mistral: with a window
    EngineOptions options;
    options.model_dir = tests::model_folder(model);
    options.threads = 2;
    options.padding = {{4, 16}, 8, {}};
    options.batch = {.micro_batches = 1, .max_rows = 16, .prefill_chunk = 16};
    SilentProgress progress;
    Engine engine(options, progress);
    std::vector<u64> work;
    for (const u32 tokens : {1U, 3U, 7U, 8U}) {
      const CountedPositions counted;
      BOOST_TEST(run_to_end(engine, answer_request(37, tokens)).tokens.size() == tokens);
      engine.wait_until_idle();
      work.push_back(positions);
    }
    BOOST_TEST(work.front() > 0U);
    for (const u64 each : work) BOOST_TEST(each == work.back());
  }
}

namespace {

/// Answers of as many tokens whose guesses are all right, or all wrong.
Request foreseen_request(bool foreseen, u32 max_tokens) {
  Request request = answer_request(37, max_tokens);
  request.sampling.temperature = 1;
  request.sampling.temperature = 100;           // any of thousands
  if (foreseen) request.sampling.allowed = {5}; // which the prompt does not hold
  return request;
}

} // namespace

// Which guesses were right is in no count of rows; without padding in the number of rounds alone.
BOOST_AUTO_TEST_CASE(rounds_look_alike_however_many_guesses_are_right) {
  for (const std::string model : {"qwen2", "mistral"}) { // mistral: with a window
    for (const bool padded : {false, true}) {
      const auto counts = std::make_shared<RowCounts>();
      EngineOptions options = counting(model, counts);
      options.batch = {.micro_batches = 1,
                       .max_rows = 40,
                       .prefill_chunk = 40,
                       .drafts = 4,
                       .drafts_always = true};
      if (padded) options.padding = {{8, 40}, 8, {}};
      SilentProgress progress;
      Engine engine(options, progress);
      std::vector<std::map<u32, std::vector<u32>>> seen;
      std::vector<u64> work, accepted;
      for (const bool foreseen : {true, false}) {
        counts->clear();
        const CountedPositions counted;
        const u64 before = engine.draft_counts().accepted;
        BOOST_TEST(run_to_end(engine, foreseen_request(foreseen, 8)).tokens.size() == 8U);
        engine.wait_until_idle();
        seen.push_back(counts->by_matrix());
        work.push_back(positions);
        accepted.push_back(engine.draft_counts().accepted - before);
      }
      BOOST_TEST(accepted[0] > 4U);
      BOOST_TEST(accepted[1] == 0U);
      BOOST_TEST(!counts->repeated());
      const u32 head = static_cast<u32>(seen[0].size() - 1);
      for (const auto& rows : seen) {
        for (const auto& [matrix, sizes] : rows) {
          const u32 prompt = padded ? (matrix == head ? 8 : 40) : matrix == head ? 1 : 37;
          // Behind the last attention only the last row of a prompt goes on.
          BOOST_TEST((sizes.front() == prompt || sizes.front() == (padded ? 8U : 1U)));
          BOOST_TEST(std::count(sizes.begin() + 1, sizes.end(), padded ? 8U : 5U) ==
                     static_cast<std::ptrdiff_t>(sizes.size()) - 1);
        }
      }
      BOOST_TEST((seen[0] == seen[1]) == padded);
      BOOST_TEST((work[0] == work[1]) == padded);
    }
  }
}

BOOST_AUTO_TEST_CASE(the_number_of_rounds_tells_a_multiple_only) {
  const auto counts = std::make_shared<RowCounts>();
  EngineOptions options = counting("qwen2", counts);
  options.padding = {{8}, 5, {}};
  SilentProgress progress;
  Engine engine(options, progress);
  for (const u32 tokens : {1U, 4U, 5U, 6U, 9U}) {
    counts->clear();
    BOOST_TEST(run_to_end(engine, answer_request(6, tokens)).tokens.size() == tokens);
    engine.wait_until_idle();
    BOOST_TEST(counts->by_matrix().at(0).size() == (tokens <= 5 ? 5U : 10U));
  }
}

BOOST_AUTO_TEST_CASE(cancelled_answers_are_filled_up_and_cancelling_all_ends_that) {
  const auto counts = std::make_shared<RowCounts>();
  EngineOptions options = counting("qwen2", counts);
  options.padding = {{8}, 4000, {}};
  SilentProgress progress;
  Engine engine(options, progress);
  struct Sink final : RequestSink { // leaves after the first token
    Engine* engine = nullptr;
    std::promise<enclave::SequenceId> named;
    std::shared_future<enclave::SequenceId> id{named.get_future()};
    std::promise<Completion> done;
    void token() override { engine->cancel(id.get()); }
    void finished(Completion completion) override { done.set_value(std::move(completion)); }
  };
  const auto sink = std::make_shared<Sink>();
  counts->clear();
  sink->engine = &engine;
  sink->named.set_value(engine.submit(answer_request(6, 1000), sink));
  BOOST_CHECK(sink->done.get_future().get().reason == FinishReason::cancelled);
  const std::size_t rounds = counts->by_matrix().at(0).size();
  while (counts->by_matrix().at(0).size() < rounds + 3) std::this_thread::yield();
  engine.cancel_all();
  engine.wait_until_idle();
  BOOST_TEST(counts->by_matrix().at(0).size() < 4000U);
  BOOST_TEST(run_to_end(engine, answer_request(2, 3)).tokens.size() == 3U);
}

} // namespace talaria::pipeline
