#include "audit/scoring.hpp"

#include <boost/test/unit_test.hpp>
#include <numeric>

#include "core/random.hpp"

namespace talaria::audit {

namespace {

constexpr std::size_t kRows = 2'000;
constexpr std::size_t kVocabulary = 500;

/// Text as uneven as real text: a fifth of it is one token.
Truth uneven_truth() {
  Truth truth;
  auto rng = seeded_rng(11);
  for (std::size_t r = 0; r < kRows; ++r) {
    truth.tokens.push_back(rng.below(5) == 0 ? 7 : static_cast<u32>(rng.below(kVocabulary)));
    truth.request_of_row.push_back(static_cast<u32>(r / 20));
  }
  return truth;
}

template <class Guess>
RowGuesses guesses_by(Guess guess) {
  RowGuesses out;
  for (std::size_t r = 0; r < kRows; ++r) {
    out.rows.push_back(r);
    RowGuesses::Ranked ranked;
    for (std::size_t i = 0; i < ranked.size(); ++i) ranked[i] = guess(r, i);
    out.ranked.push_back(ranked);
  }
  return out;
}

} // namespace

BOOST_AUTO_TEST_CASE(right_guesses_alarm) {
  const Truth truth = uneven_truth();
  const auto result = score(guesses_by([&](std::size_t r, std::size_t i) {
                              return i == 0 ? truth.tokens[r] : static_cast<u32>(kVocabulary + i);
                            }),
                            truth);
  BOOST_TEST(result.top1 == kRows);
  BOOST_TEST(result.top10 == kRows);
  BOOST_TEST(result.p_value == 0.0);
}

BOOST_AUTO_TEST_CASE(a_few_right_guesses_among_random_ones_alarm) {
  const Truth truth = uneven_truth();
  auto rng = seeded_rng(5);
  const auto result = score(guesses_by([&](std::size_t r, std::size_t i) {
                              return i == 0 && r % 40 == 0
                                         ? truth.tokens[r]
                                         : static_cast<u32>(rng.below(kVocabulary));
                            }),
                            truth);
  BOOST_TEST(result.p_value < 1e-6);
}

BOOST_AUTO_TEST_CASE(the_favourite_token_of_text_is_no_finding) {
  const auto result =
      score(guesses_by([](std::size_t, std::size_t i) { return static_cast<u32>(7 + i); }),
            uneven_truth());
  BOOST_TEST(result.top1 > kRows / 6);
  BOOST_TEST(result.chance1 * kRows == static_cast<double>(result.top1),
             boost::test_tools::tolerance(1e-9));
  BOOST_TEST(result.p_value > 0.01);
}

BOOST_AUTO_TEST_CASE(random_guesses_are_at_chance) {
  auto rng = seeded_rng(6);
  const auto result = score(guesses_by([&](std::size_t, std::size_t) {
                              return static_cast<u32>(rng.below(kVocabulary));
                            }),
                            uneven_truth());
  BOOST_TEST(result.p_value > 1e-4);
  BOOST_TEST(result.chance1 == 1.0 / kVocabulary, boost::test_tools::tolerance(0.5));
}

BOOST_AUTO_TEST_CASE(rows_without_a_token_do_not_count) {
  Truth truth = uneven_truth();
  for (std::size_t r = 0; r < kRows; r += 2) truth.tokens[r] = kNoToken;
  const auto result = score(guesses_by([](std::size_t, std::size_t) { return kNoToken; }), truth);
  BOOST_TEST(result.rows == kRows / 2);
  BOOST_TEST(result.top1 == 0U);
}

BOOST_AUTO_TEST_CASE(sets_that_hold_a_requests_tokens_alarm_and_favourites_do_not) {
  const Truth truth = uneven_truth();
  SetGuesses right;
  SetGuesses favourites;
  std::vector<u32> first(200);
  std::iota(first.begin(), first.end(), 0U);
  for (std::size_t at = 0; at < kRows; at += 20) {
    std::vector<u32> own(truth.tokens.begin() + static_cast<std::ptrdiff_t>(at),
                         truth.tokens.begin() + static_cast<std::ptrdiff_t>(at + 20));
    right.requests.push_back({at, 20, own});
    favourites.requests.push_back({at, 20, first});
  }
  const auto found = score(right, truth);
  BOOST_TEST(found.top1 == found.rows);
  BOOST_TEST(found.p_value < 1e-30);
  const auto nothing = score(favourites, truth);
  BOOST_TEST(nothing.p_value == 1.0);
  BOOST_TEST(nothing.top10 > nothing.top1);
}

BOOST_AUTO_TEST_CASE(alarms_are_corrected_for_the_number_of_cells_and_spare_what_does_not_judge) {
  std::vector<AttackResult> cells(100);
  for (AttackResult& cell : cells) cell.p_value = 0.3;
  cells[3].p_value = 2e-6; // 100 cells alarm below 1e-6
  cells[5].p_value = 0.9e-6;
  cells[7].p_value = 0;
  cells[7].judges = false;
  cells[9].p_value = 0;
  cells[9].applicable = false;
  const auto found = alarms(cells);
  BOOST_TEST_REQUIRE(found.size() == 1U);
  BOOST_TEST(found.front() == &cells[5]);
}

} // namespace talaria::audit
