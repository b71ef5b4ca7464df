// The stage behind the head: whose token is drawn from which row, what is handed back beside it,
// and rows of padding, which are sampled from as others are and change no token.
#include <boost/test/unit_test.hpp>
#include <caf/scheduler/test_coordinator.hpp>
#include <set>

#include "actors/enclave/sampler_stage.hpp"
#include "core/random.hpp"
#include "model/sampler.hpp"
#include "model/token_scores.hpp"

namespace talaria::enclave {

BOOST_AUTO_TEST_SUITE(sampler_stage_test)

namespace {

constexpr std::size_t kVocab = 50;

struct TestConfig : caf::actor_system_config {
  TestConfig() { set("scheduler.policy", caf::atom("testing")); }
};

/// What the head makes of micro-batch `id`: a row is the same however many there are.
Matrix<float> logits_of(u64 id, std::size_t rows) {
  Matrix<float> logits(rows, kVocab);
  auto rng = seeded_rng(id);
  for (std::size_t r = 0; r < rows; ++r)
    for (std::size_t c = 0; c < kVocab; ++c)
      logits(r, c) = static_cast<float>(rng.below(1000)) / 100.0F;
  return logits;
}

struct Fixture {
  TestConfig config;
  caf::actor_system system{config};
  caf::scheduler::test_coordinator& clock =
      dynamic_cast<caf::scheduler::test_coordinator&>(system.scheduler());
  std::vector<Sampled> heard;
  std::vector<std::string> failures;
  Overseer overseer;
  SamplerStage stage;

  Fixture() {
    overseer = system.spawn([this](Overseer::pointer) -> Overseer::behavior_type {
      return {[this](const Sampled& sampled) { heard.push_back(sampled); },
              [this](const Failure& failure) { failures.push_back(failure.message); }};
    });
    stage = spawn_sampler(system, {"sampler", overseer, nullptr});
    for (const SequenceId id : {1, 2}) {
      Enrol enrol;
      enrol.sequence = id;
      enrol.sampling.temperature = 2;
      enrol.sampling.seed = id;
      enrol.prompt = {3};
      send(std::move(enrol));
    }
  }
  ~Fixture() {
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
  /// Logits of `segments`, one row each if it samples, and `padding` rows more.
  const Sampled& sample(std::vector<Segment> segments, u32 padding, std::vector<u32> tokens = {}) {
    MicroBatch batch;
    batch.tokens = std::move(tokens);
    batch.id = heard.size() + 1;
    batch.segments = std::move(segments);
    batch.head_padding = padding;
    batch.even = padding != 0;
    Matrix<float> logits = logits_of(batch.id, batch.head_rows());
    Flow flow;
    flow.batch = std::make_shared<const MicroBatch>(std::move(batch));
    flow.x = share_clear(std::move(logits));
    send(std::move(flow));
    return heard.back();
  }
};

Segment row_of(SequenceId sequence, bool sample, bool dummy = false) {
  Segment segment;
  segment.sequence = sequence;
  segment.count = 1;
  segment.sample = sample;
  segment.dummy = dummy;
  return segment;
}

std::vector<u32> tokens_of(const Sampled& sampled) {
  std::vector<u32> tokens;
  for (const auto& choice : sampled.choices) tokens.push_back(choice.token);
  return tokens;
}

} // namespace

BOOST_AUTO_TEST_CASE(padding_is_sampled_and_changes_no_token) {
  Fixture plain, padded;
  for (int round = 0; round < 20; ++round) {
    const auto expected = tokens_of(plain.sample({row_of(1, true), row_of(2, true)}, 0));
    const auto tokens = tokens_of(padded.sample({row_of(1, true), row_of(2, true)}, 6));
    BOOST_TEST(expected.size() == 2U);
    BOOST_TEST(tokens == expected, boost::test_tools::per_element());
  }
  BOOST_TEST(padded.failures.empty());
}

BOOST_AUTO_TEST_CASE(a_dummy_round_is_sampled_and_the_middle_of_a_prompt_passes) {
  Fixture f;
  BOOST_TEST(f.sample({row_of(1, true, /*dummy=*/true)}, 0).choices.size() == 1U);
  BOOST_TEST(f.sample({row_of(1, false)}, 4).choices.empty());
  BOOST_TEST(f.sample({row_of(9, false)}, 4).choices.empty()); // is not to be continued
  BOOST_TEST(f.failures.empty());
}

BOOST_AUTO_TEST_CASE(a_row_whose_sampler_is_gone_ends_its_sequence_and_no_other) {
  Fixture f;
  const Sampled& sampled = f.sample({row_of(7, true), row_of(2, true)}, 0);
  BOOST_TEST(sampled.failed == std::vector<SequenceId>{7}, boost::test_tools::per_element());
  BOOST_TEST_REQUIRE(sampled.choices.size() == 1U);
  BOOST_TEST(sampled.choices[0].sequence == 2U);
}

BOOST_AUTO_TEST_CASE(each_sequence_draws_from_its_own_rows_with_its_own_seed_and_history) {
  Fixture f;
  model::SamplingParameters parameters[2];
  std::vector<u32> seen[2] = {{3}, {3}};
  for (u64 i : {0, 1}) {
    parameters[i].temperature = 2;
    parameters[i].seed = i + 1;
  }
  model::Sampler samplers[] = {model::Sampler(parameters[0]), model::Sampler(parameters[1])};
  for (u64 round = 1; round <= 12; ++round) {
    // In either order, and with rows between them that are only handed back.
    Segment between = row_of(9, false);
    between.count = between.logits_rows = 3;
    const bool swapped = round % 2 == 0;
    const auto tokens = tokens_of(
        f.sample({row_of(swapped ? 2 : 1, true), between, row_of(swapped ? 1 : 2, true)}, 0));
    const Matrix<float> logits = logits_of(round, 5);
    BOOST_TEST_REQUIRE(tokens.size() == 2U);
    for (std::size_t place : {0, 1}) {
      const std::size_t who = swapped ? 1 - place : place;
      const u32 expected = samplers[who].sample(logits.row_span(place == 0 ? 0 : 4), seen[who],
                                                seen[who].size() - 1);
      BOOST_TEST(tokens[place] == expected, "round " << round << ", place " << place);
      seen[who].push_back(expected);
    }
  }
}

// Round after round with right drafts, wrong ones, and right ones that may not be kept: what a
// sampler draws that is asked for one token at a time.
BOOST_AUTO_TEST_CASE(drafts_are_accepted_as_far_as_they_are_what_is_drawn) {
  constexpr u32 kDrafts = 3;
  Fixture f;
  Enrol enrol;
  enrol.sequence = 4;
  enrol.prompt = {3, 8};
  enrol.sampling.temperature = 1;
  enrol.sampling.seed = 77;
  enrol.sampling.frequency_penalty = 1.5F;
  enrol.sampling.repetition_penalty = 1.2F;
  enrol.scores.answer = 1;
  model::Sampler alone(enrol.sampling);
  std::vector<u32> seen = enrol.prompt;
  f.send(std::move(enrol));
  auto rng = seeded_rng(5);
  std::set<std::size_t> accepted;
  for (u64 round = 1; round <= 60; ++round) {
    Segment segment = row_of(4, true);
    segment.count = 1 + kDrafts;
    segment.drafts = kDrafts;
    segment.acceptable = static_cast<u32>(rng.below(kDrafts + 1));
    const std::size_t right = rng.below(kDrafts + 1);
    const Matrix<float> logits = logits_of(round, 2 + kDrafts); // one row of a neighbour before
    std::vector<u32> expected;
    std::vector<u32> tokens{1, seen.back()};
    for (std::size_t i = 0; i <= std::min<std::size_t>(right, segment.acceptable); ++i) {
      expected.push_back(alone.sample(logits.row_span(1 + i), seen, seen.size() - 2));
      seen.push_back(expected.back());
      tokens.push_back(expected.back() + (i < right ? 0 : 1));
    }
    tokens.resize(2 + kDrafts, 0);
    const Sampled& sampled = f.sample({row_of(2, true), segment}, round % 2 == 0 ? 4 : 0, tokens);
    BOOST_TEST(sampled.failed.empty());
    BOOST_TEST_REQUIRE(sampled.choices.size() == 1 + expected.size());
    for (std::size_t i = 0; i < expected.size(); ++i) {
      const auto& choice = sampled.choices[1 + i];
      BOOST_TEST(choice.sequence == 4U);
      BOOST_TEST(choice.token == expected[i]);
      BOOST_TEST(choice.was_drafted == (i + 1 < expected.size()));
      BOOST_TEST(choice.scores->chosen.logprob ==
                 model::score_token(logits.row_span(1 + i), expected[i], 1).chosen.logprob);
    }
    accepted.insert(expected.size() - 1);
  }
  BOOST_TEST(accepted.size() == 1U + kDrafts);
}

BOOST_AUTO_TEST_CASE(rows_that_were_asked_for_come_back_with_their_position) {
  Fixture f;
  Segment segment = row_of(1, true);
  segment.start = 40;
  segment.count = 6;
  segment.logits_rows = 4; // the last of them is the one that is sampled
  const Sampled& sampled = f.sample({row_of(2, true), segment}, 0);
  const Matrix<float> logits = logits_of(1, 5);
  BOOST_TEST_REQUIRE(sampled.logits.size() == 1U);
  BOOST_TEST(sampled.logits[0].sequence == 1U);
  BOOST_TEST(sampled.logits[0].start == 42U);
  BOOST_TEST_REQUIRE(sampled.logits[0].rows->rows() == 4U);
  for (std::size_t r = 0; r < 4; ++r)
    BOOST_TEST(sampled.logits[0].rows->row_span(r) == logits.row_span(r + 1),
               boost::test_tools::per_element());
  BOOST_TEST(sampled.choices.size() == 2U);
}

BOOST_AUTO_TEST_CASE(scores_are_of_the_tokens_that_follow_and_end_with_the_prompt) {
  Fixture f;
  Enrol enrol;
  enrol.sequence = 5;
  enrol.prompt = {11, 12, 13, 14};
  enrol.scores.prompt = 2;
  enrol.scores.answer = 1;
  f.send(std::move(enrol));
  Segment segment = row_of(5, true);
  segment.count = segment.logits_rows = 4;
  const Sampled& sampled = f.sample({segment}, 0);
  const Matrix<float> logits = logits_of(1, 4);
  BOOST_TEST(sampled.logits.empty()); // the scores are what is handed back
  BOOST_TEST_REQUIRE(sampled.prompt_scores.size() == 1U);
  BOOST_TEST(sampled.prompt_scores[0].end == 4U);
  // Row 3 stands behind the prompt's last token: what follows is the answer's.
  BOOST_TEST_REQUIRE(sampled.prompt_scores[0].scores.size() == 3U);
  for (u32 r = 0; r < 3; ++r) {
    const auto expected = model::score_token(logits.row_span(r), 12 + r, 2);
    BOOST_TEST(sampled.prompt_scores[0].scores[r].chosen.logprob == expected.chosen.logprob);
    BOOST_TEST(sampled.prompt_scores[0].scores[r].top.size() == expected.top.size());
  }
  BOOST_TEST_REQUIRE(sampled.choices.size() == 1U);
  BOOST_TEST_REQUIRE(sampled.choices[0].scores.has_value());
  BOOST_TEST(sampled.choices[0].scores->chosen.logprob ==
             model::score_token(logits.row_span(3), sampled.choices[0].token, 1).chosen.logprob);
}

BOOST_AUTO_TEST_CASE(a_sequence_that_was_forgotten_or_cannot_be_sampled_fails_alone) {
  Fixture f;
  f.send(Forget{{}, 1});
  f.send(Forget{{}, 77}); // unknown: nothing happens
  Enrol enrol;
  enrol.sequence = 3;
  enrol.prompt = {kVocab + 5}; // the penalty is for a token that these logits do not know
  enrol.sampling.repetition_penalty = 2;
  f.send(std::move(enrol));
  const Sampled& sampled = f.sample({row_of(1, true), row_of(2, true), row_of(3, true)}, 0);
  BOOST_TEST(sampled.failed == (std::vector<SequenceId>{1, 3}), boost::test_tools::per_element());
  BOOST_TEST_REQUIRE(sampled.choices.size() == 1U);
  BOOST_TEST(sampled.choices[0].sequence == 2U);
  BOOST_TEST(f.failures.empty());
}

BOOST_AUTO_TEST_SUITE_END()

} // namespace talaria::enclave
