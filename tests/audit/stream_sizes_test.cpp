// The network in front of the gateway counts bytes of streamed answers.
#include "audit/stream_sizes.hpp"

#include "audit/draft_counts.hpp"

#include <boost/test/unit_test.hpp>
#include <cmath>

#include "gateway/api_response.hpp"
#include "gateway/event_text.hpp"
#include "tests/support/models.hpp"

namespace talaria::audit {

namespace {

/// Sizes as `grow` makes them of lengths 0 to 9.
std::vector<StreamedAnswer> answers(std::size_t (*grow)(std::size_t)) {
  StreamedAnswer answer;
  for (std::size_t i = 0; i < 400; ++i) {
    answer.lengths.push_back(i * 7 % 10);
    answer.sizes.push_back(grow(answer.lengths.back()));
  }
  return {answer, answer};
}

AttackResult attack(const std::vector<StreamedAnswer>& seen) {
  return read_lengths(std::span(seen).first(1), std::span(seen).subspan(1), "here");
}

} // namespace

BOOST_AUTO_TEST_SUITE(stream_attack)

BOOST_AUTO_TEST_CASE(sizes_that_grow_with_the_text_tell_every_length) {
  const auto result = attack(answers([](std::size_t length) { return 210 + length; }));
  BOOST_TEST(result.rows == 400U);
  BOOST_TEST(result.top1 == 400U);
  BOOST_TEST(result.p_value < 1e-100);
}

BOOST_AUTO_TEST_CASE(equal_sizes_tell_nothing) {
  const auto result = attack(answers([](std::size_t) -> std::size_t { return 384; }));
  BOOST_TEST(result.top1 == 40U);
  BOOST_TEST(result.chance1 == 0.1);
  BOOST_TEST(result.p_value > 0.3);
}

BOOST_AUTO_TEST_CASE(one_length_that_stands_out_is_found) {
  const auto result =
      attack(answers([](std::size_t n) -> std::size_t { return n == 9 ? 512 : 384; }));
  BOOST_TEST(result.p_value < 1e-6);
}

BOOST_AUTO_TEST_CASE(a_size_never_seen_is_no_hiding_place) {
  const StreamedAnswer known{{210, 212}, {0, 2}};
  const StreamedAnswer attacked{{211, 219}, {1, 9}};
  BOOST_TEST(read_lengths({&known, 1}, {&attacked, 1}, "here").top1 == 2U);
}

// Finding 8 of the review: bytes = 210 + length of the text, for all tokens of an answer.
BOOST_AUTO_TEST_CASE(the_servers_events_are_at_chance_unless_a_client_wants_them_short) {
  pipeline::EngineOptions engine;
  engine.model_dir = tests::model_folder("talaria-tiny");
  engine.threads = 2;
  const auto tokenizer = model::Tokenizer::load(engine.model_dir);
  const std::size_t room = gateway::longest_token(tokenizer);
  for (const bool chat : {false, true}) {
    const StreamWriter writer = [&](std::span<const std::string> pieces, bool hidden,
                                    std::size_t tokens) {
      gateway::ResponseFormat format({chat, "talaria-tiny", 1, false, hidden ? room * tokens : 0});
      std::vector<std::size_t> sizes;
      for (const std::string& piece : pieces) sizes.push_back(format.text(0, piece).size());
      return sizes;
    };
    SilentProgress progress;
    const auto results =
        stream_sizes(engine, writer, {.answers = 6, .tokens = 40, .seed = 5}, progress);
    BOOST_TEST_REQUIRE(results.size() == 2U);
    BOOST_TEST(!results[0].judges);
    BOOST_TEST(static_cast<double>(results[0].top1) > 0.9 * static_cast<double>(results[0].rows));
    BOOST_TEST(results[1].judges);
    const double by_chance = results[1].chance1 * static_cast<double>(results[1].rows);
    BOOST_TEST(static_cast<long>(results[1].top1) == std::lround(by_chance));
    if (!chat) continue;
    // Published: prompts are recognised by the tokens of each round.
    const auto drafts =
        draft_counts(engine, writer, {.queries = 8, .tokens = 40, .seed = 5}, progress);
    BOOST_TEST_REQUIRE(drafts.size() == 3U);
    BOOST_TEST(!drafts[0].judges);
    BOOST_TEST(drafts[0].p_value < 0.001, drafts[0].top1 << " of " << drafts[0].rows);
    for (const AttackResult& hidden : {drafts[1], drafts[2]}) {
      BOOST_TEST(hidden.judges);
      BOOST_TEST(hidden.rows == 8U);
      BOOST_TEST(hidden.top1 == 1U); // all look alike: always the same guess
    }
  }
}

BOOST_AUTO_TEST_SUITE_END()

} // namespace talaria::audit
