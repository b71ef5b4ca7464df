// Classifiers that tell dummy rounds by the clock, on times that are made up.
#include "audit/round_clock.hpp"

#include <boost/test/unit_test.hpp>

#include "core/random.hpp"

namespace talaria::audit {

BOOST_AUTO_TEST_SUITE(round_clock_attack)

namespace {

constexpr u32 kLayers = 3;
constexpr std::size_t kGaps = 4 * kLayers + 1;

/// Answers of eight rounds whose gaps are 1000 to 1999, changed by `change` in dummies.
template <class Change>
std::vector<TimedAnswer> made_up(std::size_t answers, u64 seed, Change change) {
  ChaChaRng rng = seeded_rng(seed);
  std::vector<TimedAnswer> out;
  for (std::size_t a = 0; a < answers; ++a) {
    TimedAnswer answer(8);
    for (std::size_t place = 0; place < answer.size(); ++place) {
      answer[place].dummy = a % 2 == 0;
      for (std::size_t i = 0; i < kGaps; ++i)
        answer[place].gaps.push_back(static_cast<i64>(1000 + 50 * place + rng.below(1000)));
      if (answer[place].dummy) change(answer[place].gaps);
    }
    out.push_back(std::move(answer));
  }
  return out;
}

std::vector<AttackResult> attack_on(const std::vector<TimedAnswer>& answers) {
  const std::span<const TimedAnswer> all(answers);
  return tell_dummies(all.first(all.size() / 2), all.subspan(all.size() / 2), kLayers);
}

} // namespace

BOOST_AUTO_TEST_CASE(times_that_say_nothing_tell_nothing) {
  double smallest = 1;
  for (u64 seed = 1; seed <= 8; ++seed)
    for (const AttackResult& result : attack_on(made_up(128, seed, [](auto&) {}))) {
      BOOST_TEST(result.rows == 512U);
      BOOST_TEST(result.chance1 == 0.5);
      BOOST_TEST(!result.judges);
      smallest = std::min(smallest, result.p_value);
    }
  BOOST_TEST(smallest > 1e-4); // of sixteen, seeded
}

BOOST_AUTO_TEST_CASE(dummies_that_skip_attention_are_all_found_by_both) {
  const auto answers = made_up(64, 1, [](std::vector<i64>& gaps) {
    for (u32 layer = 0; layer < kLayers; ++layer) gaps[4 * layer + 1] = 10;
  });
  for (const AttackResult& result : attack_on(answers)) {
    BOOST_TEST(result.top1 == result.rows, result.where);
    BOOST_TEST(result.p_value < 1e-70);
    BOOST_TEST(result.remark.find("32 of 32") != std::string::npos, result.remark);
  }
}

BOOST_AUTO_TEST_CASE(dummies_that_take_longer_are_found_as_well) {
  const auto answers = made_up(64, 2, [](std::vector<i64>& gaps) {
    for (u32 layer = 0; layer < kLayers; ++layer) gaps[4 * layer + 1] += 5000;
  });
  for (const AttackResult& result : attack_on(answers)) BOOST_TEST(result.top1 == result.rows);
}

// What the review's threshold cannot see: nothing but the time between two rounds differs.
BOOST_AUTO_TEST_CASE(regression_finds_a_difference_in_any_kind_of_gap) {
  for (const std::size_t where : {std::size_t{0}, std::size_t{2}, std::size_t{3}, kGaps - 1}) {
    const auto answers = made_up(64, 3, [where](std::vector<i64>& gaps) {
      const bool in_layers = where == 2 || where == 3;
      for (u32 layer = 0; layer < (in_layers ? kLayers : 1); ++layer) gaps[where + 4 * layer] /= 4;
    });
    const auto results = attack_on(answers);
    BOOST_TEST(results[0].p_value > 1e-4);
    BOOST_TEST(results[1].p_value < 1e-20, "gap " << where);
  }
}

// Rounds at a later place have longer contexts: that alone is no leak of which are dummies.
BOOST_AUTO_TEST_CASE(a_context_that_grows_is_not_taken_for_a_difference) {
  auto answers = made_up(64, 4, [](auto&) {});
  for (TimedAnswer& answer : answers)
    for (std::size_t place = 0; place < answer.size(); ++place)
      for (i64& gap : answer[place].gaps) gap = static_cast<i64>(1000 * (place + 1));
  for (const AttackResult& result : attack_on(answers)) BOOST_TEST(result.top1 == result.rows / 2);
}

BOOST_AUTO_TEST_CASE(without_answers_there_is_nothing_to_learn) {
  BOOST_TEST(tell_dummies({}, {}, kLayers).empty());
}

BOOST_AUTO_TEST_SUITE_END()

} // namespace talaria::audit
