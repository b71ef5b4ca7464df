#include "audit/traffic.hpp"

#include <boost/test/unit_test.hpp>
#include <numeric>
#include <stdexcept>
#include <string>

#include "tests/support/models.hpp"

namespace talaria::audit {

namespace {

constexpr u32 kHead = 4;

/// Tensors of rounds as a worker gets them, a millisecond each.
class Arrivals {
public:
  Arrivals& round(u32 rows, u32 head_rows) {
    for (u32 matrix = 0; matrix <= kHead; ++matrix) {
      const u32 sent = matrix == kHead ? head_rows : rows;
      if (sent != 0) list_.push_back({now_ += 1'000'000, matrix, sent, 0});
    }
    return *this;
  }
  std::vector<Round> rounds() const { return rounds_of(list_, kHead); }

private:
  i64 now_ = 0;
  std::vector<Arrival> list_;
};

void check(const LengthRange& range, u32 low, u32 high) {
  BOOST_TEST(range.low == low);
  BOOST_TEST(range.high == high);
  BOOST_TEST((range.low <= range.guess() && range.guess() <= range.high));
}

const AttackResult& find(const std::vector<AttackResult>& all, const std::string& where) {
  for (const AttackResult& each : all)
    if (each.where == where) return each;
  throw std::runtime_error("no result for " + where);
}

} // namespace

BOOST_AUTO_TEST_CASE(rounds_last_from_their_first_tensor_to_the_head) {
  const auto rounds = Arrivals().round(8, 0).round(3, 1).round(1, 1).rounds();
  BOOST_TEST_REQUIRE(rounds.size() == 3U);
  BOOST_TEST(!rounds[0].reached_head);
  BOOST_TEST(rounds[1].reached_head);
  BOOST_TEST(rounds[1].rows == 3U);
  BOOST_TEST(rounds[1].end_ns - rounds[1].begin_ns == 4'000'000);
}

BOOST_AUTO_TEST_CASE(without_padding_lengths_are_read_off_exactly) {
  const TrafficRules rules{{}, 8};
  auto traffic = Arrivals().round(8, 0).round(8, 0).round(5, 1);
  for (int i = 0; i < 6; ++i) traffic.round(1, 1);
  check(prompt_length(traffic.rounds(), rules), 21, 21);
  check(answer_length(traffic.rounds(), rules), 7, 7);
  const auto shortest = Arrivals().round(1, 1).rounds();
  check(prompt_length(shortest, rules), 1, 1);
  check(answer_length(shortest, rules), 1, 1);
}

BOOST_AUTO_TEST_CASE(with_padding_only_the_buckets_are_left) {
  const TrafficRules rules{{{4, 16, 64}, 5, {}}, 32};
  auto traffic = Arrivals().round(16, 4);
  for (int i = 0; i < 9; ++i) traffic.round(4, 4);
  check(prompt_length(traffic.rounds(), rules), 5, 16);
  check(answer_length(traffic.rounds(), rules), 6, 10);
  // A full chunk of 32 fills the bucket of 64; what follows is the rest of the prompt.
  check(prompt_length(Arrivals().round(64, 4).round(16, 4).round(4, 4).rounds(), rules), 37, 48);
  check(prompt_length(Arrivals().round(64, 4).round(4, 4).rounds(), rules), 17, 32);
}

BOOST_AUTO_TEST_CASE(times_that_grow_with_the_context_tell_it_and_equal_ones_do_not) {
  std::vector<u32> contexts(40);
  std::iota(contexts.begin(), contexts.end(), 1U);
  std::vector<i64> growing(contexts.begin(), contexts.end());
  BOOST_TEST(halves_told_apart(growing, contexts) == 40U);
  BOOST_TEST(halves_told_apart(std::vector<i64>(40, 7), contexts) == 20U);
  BOOST_TEST(halves_told_apart({}, {}) == 0U);
}

BOOST_AUTO_TEST_CASE(a_real_engine_shows_lengths_without_padding_and_ranges_with_it) {
  pipeline::EngineOptions engine;
  engine.model_dir = tests::model_folder("qwen2");
  engine.threads = 2;
  SilentProgress progress;
  const TrafficOptions options{
      .requests = 10, .longest_prompt = 40, .longest_answer = 9, .seed = 3};
  const auto results = traffic_shape(engine, {{8, 64}, 4, {}}, options, progress);
  BOOST_TEST(results.size() == 8U);
  for (const char* what : {"prompt length", "answer length"}) {
    const auto& open = find(results, std::string(what) + ", not padded");
    BOOST_TEST(open.top1 == 10U);
    BOOST_TEST(!open.judges);
    const auto& padded = find(results, std::string(what) + ", padded");
    BOOST_TEST(padded.top1 <= 7U);
    BOOST_TEST(padded.remark.starts_with("10 of 10 within"), padded.remark);
  }
}

} // namespace talaria::audit
