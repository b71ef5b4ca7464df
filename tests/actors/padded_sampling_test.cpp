// Rows of padding are sampled from as others are, and change no token.
#include <boost/test/unit_test.hpp>
#include <caf/scheduler/test_coordinator.hpp>

#include "actors/enclave/sampler_stage.hpp"
#include "core/random.hpp"

namespace talaria::enclave {

BOOST_AUTO_TEST_SUITE(padded_sampling_test)

namespace {

constexpr std::size_t kVocab = 50;

struct TestConfig : caf::actor_system_config {
  TestConfig() { set("scheduler.policy", caf::atom("testing")); }
};

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
  const Sampled& sample(std::vector<Segment> segments, u32 padding) {
    MicroBatch batch;
    batch.id = heard.size() + 1;
    batch.segments = std::move(segments);
    batch.head_padding = padding;
    batch.even = padding != 0;
    Matrix<float> logits(batch.head_rows(), kVocab);
    auto rng = seeded_rng(batch.id);
    for (std::size_t r = 0; r < logits.rows(); ++r)
      for (std::size_t c = 0; c < kVocab; ++c)
        logits(r, c) = static_cast<float>(rng.below(1000)) / 100.0F;
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

BOOST_AUTO_TEST_SUITE_END()

} // namespace talaria::enclave
