// Several tokens a round: what is guessed, which rows go, and that no answer is another for it.
#include "pipeline/speculation.hpp"

#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <map>
#include <string>

#include "core/error.hpp"
#include "core/random.hpp"
#include "model/grammar/expression.hpp"
#include "model/grammar/json_schema.hpp"
#include "pipeline/batch_planner.hpp"
#include "pipeline/engine.hpp"
#include "pipeline/worker_decorator.hpp"
#include "tests/support/collect.hpp"
#include "tests/support/models.hpp"
#include "tests/support/workers.hpp"

namespace talaria::pipeline {

BOOST_AUTO_TEST_SUITE(speculation)

namespace {

std::vector<u32> drafts_of(const std::vector<u32>& context, std::size_t count) {
  std::vector<u32> drafts(count, 999);
  draft_from_context(context, drafts);
  return drafts;
}

/// By its description: every place, every length, token by token.
std::vector<u32> expected_drafts(std::vector<u32> text, std::size_t count) {
  const std::size_t size = text.size();
  if (size == 0) return std::vector<u32>(count, 0);
  std::size_t from = size - 1;
  for (std::size_t length = std::min<std::size_t>(8, size - 1); length > 0; --length) {
    const std::vector<u32> end(text.end() - static_cast<std::ptrdiff_t>(length), text.end());
    const auto last_but_one = text.end() - 1; // what begins earlier than the end itself
    const auto at = std::find_end(text.begin(), last_but_one, end.begin(), end.end());
    if (at == last_but_one) continue;
    from = static_cast<std::size_t>(at - text.begin()) + length;
    break;
  }
  for (std::size_t i = 0; i < count; ++i) text.push_back(text[from + i]);
  return {text.end() - static_cast<std::ptrdiff_t>(count), text.end()};
}

} // namespace

BOOST_AUTO_TEST_CASE(drafts_continue_the_latest_of_the_longest_matches) {
  using V = std::vector<u32>;
  const std::vector<std::pair<V, V>> cases = {
      {{}, {0, 0, 0}},                                // nothing to look at
      {{7}, {7, 7, 7}},                               // nothing before
      {{1, 2, 3}, {3, 3, 3}},                         // nothing that repeats
      {{5, 5}, {5, 5, 5}},                            // as short as a repetition can be
      {{1, 2, 1}, {2, 1, 2}},                         // beyond the end it goes on in circles
      {{1, 2, 3, 1, 2}, {3, 1, 2}},                   //
      {{4, 1, 8, 9, 9, 2, 1, 7, 7, 7, 1}, {7, 7, 7}}, // the latest of equals
      {{3, 1, 8, 9, 9, 2, 1, 7, 7, 3, 1}, {8, 9, 9}}, // two tokens before one
      {{1, 2, 3, 4, 5, 6, 7, 8, 9, 50, 2, 3, 4, 5, 6, 7, 8, 9, 60, 1, 2, 3, 4, 5, 6, 7, 8, 9},
       {60, 1, 2}}, // eight are as good as nine
  };
  for (const auto& [context, drafts] : cases)
    BOOST_TEST(drafts_of(context, 3) == drafts, boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(drafts_are_what_a_plain_search_finds) {
  for (u64 seed = 0; seed < 400; ++seed) {
    auto rng = seeded_rng(seed);
    std::vector<u32> context(rng.below(40));
    const u64 letters = 1 + rng.below(4);
    for (u32& token : context) token = static_cast<u32>(rng.below(letters));
    const std::size_t count = 1 + rng.below(kMostDrafts);
    BOOST_TEST_REQUIRE(drafts_of(context, count) == expected_drafts(context, count),
                       boost::test_tools::per_element());
  }
}

BOOST_AUTO_TEST_CASE(a_judge_changes_its_mind_at_powers_of_two_only) {
  for (u64 seed = 0; seed < 50; ++seed) {
    auto rng = seeded_rng(seed);
    DraftJudge judge;
    bool before = judge.worth_it();
    BOOST_TEST(!before);
    u32 foreseen = 0;
    for (u32 round = 1, since = 1; round <= 300; ++round, ++since) {
      const bool right = rng.below(16) < seed % 9;
      foreseen += right ? 1 : 0;
      judge.round(right);
      const bool decides = round >= 8 && (round & (round - 1)) == 0;
      if (decides) {
        BOOST_TEST(judge.worth_it() == (3 * foreseen >= since));
        foreseen = since = 0;
      } else {
        BOOST_TEST(judge.worth_it() == before);
      }
      before = judge.worth_it();
    }
  }
}

// However many guesses are right: a round has as many rows, tokens enter in order, and positions
// that were written for nothing are written over.
BOOST_AUTO_TEST_CASE(rounds_have_the_same_rows_whatever_is_accepted) {
  for (u64 seed = 0; seed < 60; ++seed) {
    auto rng = seeded_rng(seed);
    const u32 drafts = static_cast<u32>(1 + rng.below(5));
    const BatchLimits limits{static_cast<u32>(1 + rng.below(3)), 120,
                             static_cast<u32>(1 + rng.below(20)), drafts};
    const auto layout = std::make_shared<const kv::Layout>(
        std::vector<kv::LayerShape>{{1, 2, 0}, {1, 2, 9}}, kv::Format::fp32);
    const auto store = std::make_shared<kv::Store>(layout, std::size_t{1} << 20);
    Padding padding;
    padding.rounds = static_cast<u32>(2 + rng.below(3)); // so that nothing is judged
    BatchPlanner planner(limits, padding, store);
    struct Expected {
      std::vector<u32> tokens;
      std::size_t next = 0, written = 0, left = 0, rounds = 0;
    };
    std::map<enclave::SequenceId, Expected> sequences;
    for (enclave::SequenceId id = 1; id <= 4; ++id) {
      Expected& e = sequences[id];
      e.tokens.resize(2 + rng.below(40));
      for (u32& token : e.tokens) token = static_cast<u32>(rng.below(3));
      e.left = 1 + rng.below(40);
      planner.add(id, e.tokens, true, LogitsWanted::none, 60, {}, drafts);
    }
    std::vector<enclave::MicroBatch> flying;
    while (!planner.idle()) {
      if (auto batch = planner.next()) {
        std::size_t row = 0;
        for (const auto& s : batch->segments) {
          Expected& e = sequences.at(s.sequence);
          BOOST_TEST_REQUIRE(s.start == e.next);
          BOOST_TEST_REQUIRE(s.start + s.discarded == e.written);
          const bool decodes = s.dummy || e.next + 1 == e.tokens.size();
          BOOST_TEST_REQUIRE(s.drafts == (decodes ? drafts : 0));
          BOOST_TEST_REQUIRE(s.wanted_rows() == (s.sample ? 1 + s.drafts : 0));
          const u32 own = s.count - s.drafts;
          if (!s.dummy)
            for (u32 i = 0; i < own; ++i)
              BOOST_TEST_REQUIRE(batch->tokens[row + i] == e.tokens[e.next + i]);
          BOOST_TEST_REQUIRE(s.blocks->groups.front().end() * kv::kBlockPositions >=
                             s.start + s.count);
          row += s.count;
          e.next += own;
          e.written = s.start + s.count;
          e.rounds += s.sample ? 1 : 0;
        }
        BOOST_TEST_REQUIRE(row == batch->rows);
        BOOST_TEST_REQUIRE(row == batch->tokens.size());
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
        Expected& e = sequences.at(s.sequence);
        const std::size_t right = rng.below(s.drafts + 1);
        for (std::size_t i = 0; i <= right; ++i) {
          if (--e.left == 0) {
            planner.end(s.sequence);
            break;
          }
          e.tokens.push_back(static_cast<u32>(rng.below(3)));
          e.next += i < right ? 1 : 0;
          planner.append(s.sequence, e.tokens.back(), i < right);
        }
      }
    }
    for (const auto& [id, e] : sequences) BOOST_TEST(e.rounds % padding.rounds == 0U);
    BOOST_TEST(store->usage().used == 0U);
  }
}

BOOST_AUTO_TEST_CASE(many_sequences_and_those_that_want_logits_go_without) {
  BatchPlanner planner(
      {.micro_batches = 1, .max_rows = 40, .prefill_chunk = 8, .drafts = 4, .drafts_always = true});
  planner.add(1, {3}, true, LogitsWanted::none, 9, {}, 4);
  planner.add(2, {3}, true, LogitsWanted::last, 9, {}, 4);
  auto batch = planner.next(); // two rounds of five rows are a quarter of 40
  BOOST_TEST_REQUIRE(bool(batch));
  BOOST_TEST(batch->segments[0].drafts == 4U);
  BOOST_TEST(batch->segments[1].drafts == 0U);
  planner.retire(batch->id);
  planner.append(1, 3);
  planner.add(3, {3}, true, LogitsWanted::none, 9, {}, 4);
  batch = planner.next();
  BOOST_TEST_REQUIRE(bool(batch));
  for (const auto& s : batch->segments) BOOST_TEST(s.drafts == 0U);
}

BOOST_AUTO_TEST_CASE(rounds_that_have_no_place_are_refused) {
  const auto refused = [](BatchLimits limits, Padding padding = {}) {
    try {
      validate(limits, padding);
    } catch (const Error& error) {
      return error.code() == Errc::config;
    }
    return false;
  };
  BOOST_TEST(!refused({2, 5, 5, 4}));
  BOOST_TEST(!refused({2, 1, 1, 0}));
  BOOST_TEST(refused({2, 4, 4, 4}));
  BOOST_TEST(refused({2, 64, 4, 4}, {{1, 4}, 1, {}}));
  BOOST_TEST(refused({2, 64, 4, kMostDrafts + 1}));
}

namespace {

EngineOptions options_of(const std::string& model, u32 drafts) {
  EngineOptions options;
  options.model_dir = tests::model_folder(model);
  options.threads = 2;
  options.pool.rows_ahead = 512; // what a stock of the default size holds is never used here
  options.batch.prefill_chunk = 16;
  options.batch.drafts = drafts;
  options.batch.drafts_always = true;
  return options;
}

Request request_of(std::size_t prompt, u32 max_tokens, u64 seed) {
  Request request;
  for (std::size_t i = 0; i < prompt; ++i)
    request.prompt.push_back(static_cast<u32>(3 + 7 * (i % 6)));
  request.max_tokens = max_tokens;
  request.ignore_eos = true;
  request.sampling.seed = seed;
  return request;
}

/// Everything a token may depend on beside its logits. Few tokens are allowed where one is drawn,
/// so that some guesses are right.
std::vector<Request> requests_of_all_kinds() {
  std::vector<Request> requests;
  requests.push_back(request_of(1, 40, 0)); // greedy
  requests.push_back(request_of(37, 90, 0));
  const auto drawn = [](std::size_t prompt, u32 most, u64 seed) {
    Request request = request_of(prompt, most, seed);
    request.sampling.temperature = 1;
    request.sampling.allowed = {3, 10, 17, 24};
    return request;
  };
  for (const u64 seed : {1, 2, 3}) requests.push_back(drawn(12 + seed, 40, seed)); // as of n > 1
  requests.push_back(drawn(9, 50, 4));
  requests.back().sampling.frequency_penalty = 0.4F;
  requests.back().sampling.presence_penalty = -0.3F;
  requests.back().sampling.repetition_penalty = 1.1F;
  requests.push_back(drawn(20, 50, 5));
  requests.back().sampling.banned = {{3, 10}, {17, 17, 17}};
  requests.back().sampling.top_p = 0.9F;
  requests.push_back(drawn(8, 40, 6));
  requests.back().scores.answer = 3;
  requests.push_back(drawn(8, 60, 7)); // ends at a token, of which some are a guess
  requests.back().sampling.min_tokens = 5;
  requests.back().stop_tokens = {24};
  requests.push_back(request_of(30, 7, 0)); // ends within a round
  requests.push_back(request_of(18, 6, 0));
  requests.back().scores.prompt = 1;
  return requests;
}

void check_same(const std::vector<tests::Collected>& a, const std::vector<tests::Collected>& b) {
  BOOST_TEST_REQUIRE(a.size() == b.size());
  for (std::size_t i = 0; i < a.size(); ++i) {
    const Completion& x = a[i].completion;
    const Completion& y = b[i].completion;
    BOOST_TEST_CONTEXT("request " << i) {
      BOOST_TEST(x.tokens == y.tokens, boost::test_tools::per_element());
      BOOST_TEST(x.text == y.text);
      BOOST_TEST(x.ended_by == y.ended_by);
      BOOST_TEST((x.reason == y.reason && x.ended_by_token == y.ended_by_token));
      BOOST_TEST_REQUIRE(x.scores.size() == y.scores.size());
      for (std::size_t t = 0; t < x.scores.size(); ++t) {
        BOOST_TEST(x.scores[t].chosen.token == y.scores[t].chosen.token);
        BOOST_TEST(x.scores[t].chosen.logprob == y.scores[t].chosen.logprob);
        BOOST_TEST(x.scores[t].top.size() == y.scores[t].top.size());
      }
      BOOST_TEST(x.prompt_scores.size() == y.prompt_scores.size());
    }
  }
}

} // namespace

// The plain engine decides what is right; the other is to give the same in fewer rounds.
BOOST_AUTO_TEST_CASE(answers_are_the_same_bit_for_bit) {
  // Of windows, latent attention, sinks, inputs per layer, and a RoPE that changes with the length.
  for (const std::string model : {"mistral", "deepseek_v2", "gpt_oss", "gemma4_e", "phi3"}) {
    SilentProgress progress;
    std::vector<tests::Collected> expected;
    {
      Engine plain(options_of(model, 0), progress);
      expected = tests::run_together(plain, requests_of_all_kinds());
      BOOST_TEST(plain.draft_counts().rounds == 0U);
    }
    for (const bool padded : {false, true}) {
      EngineOptions options = options_of(model, padded ? 3 : 4);
      options.batch.drafts_always = false; // is decided in the middle of answers
      if (padded) options.padding = {{8, 64}, 3, {}};
      Engine engine(options, progress);
      BOOST_TEST_CONTEXT(model << (padded ? ", padded" : "")) {
        check_same(tests::run_together(engine, requests_of_all_kinds()), expected);
        engine.wait_until_idle();
        const DraftCounts counts = engine.draft_counts();
        BOOST_TEST(counts.accepted > 0U);
        BOOST_TEST(counts.accepted < counts.drafted);
        BOOST_TEST(counts.by_position[0] >= counts.by_position[1]);
      }
    }
  }
}

BOOST_AUTO_TEST_CASE(a_change_of_frequencies_in_the_middle_of_a_round_is_where_it_was) {
  SilentProgress progress;
  std::vector<std::vector<tests::Collected>> expected;
  u32 beyond = 0;
  for (const u32 drafts : {0U, 5U}) {
    Engine engine(options_of("phi3", drafts), progress);
    for (const arch::Rope& rope : engine.plan().ropes) beyond = rope.original_length;
    BOOST_TEST_REQUIRE(beyond > 24U);
    for (u32 back = 1; back <= 14; back += 3) {
      Request request = request_of(beyond - back, 24, 0);
      request.sampling.allowed = {9}; // so that every draft is right
      request.scores.answer = 1;      // which tell frequencies apart
      auto answer = tests::run_together(engine, {request});
      if (drafts == 0)
        expected.push_back(std::move(answer));
      else
        check_same(answer, expected[(back - 1) / 3]);
    }
    if (drafts != 0) BOOST_TEST(engine.draft_counts().accepted > 0U);
  }
}

BOOST_AUTO_TEST_CASE(grammars_and_stop_strings_end_an_answer_where_they_did) {
  SilentProgress progress;
  std::vector<tests::Collected> expected;
  for (const u32 drafts : {0U, 4U}) {
    Engine engine(options_of("llama3", drafts), progress);
    const auto rules = model::grammar::regex_rules("(ab|ba|, )*[0-9]{2,30}");
    std::vector<Request> requests;
    for (const u64 seed : {1, 2, 3, 4}) {
      Request request = request_of(6, 40, seed);
      request.ignore_eos = false;
      if (seed > 2) request.sampling.temperature = 1;
      request.grammar = engine.grammar(rules);
      requests.push_back(request);
      request.grammar = nullptr;
      request.stops = {"e", "0", "  "};
      request.with_stop = seed % 2 == 0;
      requests.push_back(request);
    }
    auto answers = tests::run_together(engine, requests);
    if (drafts == 0)
      expected = std::move(answers);
    else
      check_same(answers, expected);
    BOOST_TEST((drafts == 0 || engine.draft_counts().rounds > 0U));
  }
}

BOOST_AUTO_TEST_CASE(little_memory_and_kept_prompts_change_nothing) {
  SilentProgress progress;
  std::vector<tests::Collected> expected;
  for (const u32 drafts : {0U, 4U}) {
    EngineOptions options = options_of("qwen2", drafts);
    std::vector<Request> requests;
    for (u64 i = 0; i < 4; ++i) {
      requests.push_back(request_of(66 + i, 150, i)); // three blocks at first, four in the end
      requests.back().owner = "a";
    }
    std::vector<tests::Collected> first;
    {
      Engine ample(options, progress);
      first = tests::run_together(ample, requests);
      check_same(tests::run_together(ample, requests), first); // behind computed prompts
      BOOST_TEST(ample.kv_report().prefixes.hits > 0U);
      const auto layout = kv::Layout(ample.plan(), kv::Format::fp32);
      options.kv.memory_bytes = layout.bytes_for(64, 16) * 9; // some give way to others
    }
    Engine engine(options, progress);
    auto answers = tests::run_together(engine, requests);
    check_same(answers, first);
    if (drafts == 0)
      expected = std::move(answers);
    else
      check_same(answers, expected);
    BOOST_TEST(engine.kv_report().preemptions > 0U);
  }
}

BOOST_AUTO_TEST_CASE(a_wrong_answer_in_a_round_of_guesses_ends_that_request_alone) {
  SilentProgress progress;
  const auto countdown = std::make_shared<std::atomic<int>>(1 << 30);
  EngineOptions options = options_of("qwen2", 4);
  options.decorate_worker =
      decorate_worker([countdown](caf::actor_system& system, worker::Worker honest) {
        return system.spawn([=](worker::Worker::pointer self) -> worker::Worker::behavior_type {
          return tests::in_front_of(self, honest, [=](const remo::MaskedTensor& tensor) {
            auto promise = self->make_response_promise<remo::WorkerProduct>();
            self->request(honest, caf::infinite, tensor)
                .then([=](remo::WorkerProduct& product) mutable {
                  if (--*countdown == 0) product.rows += 1;
                  promise.deliver(std::move(product));
                });
            return promise;
          });
        });
      });
  Engine engine(options, progress);
  const auto expected = run_to_end(engine, request_of(20, 30, 0)).tokens;
  for (const int fail_at : {9, 14, 23}) {
    *countdown = fail_at;
    BOOST_CHECK_THROW(run_to_end(engine, request_of(20, 30, 0)), Error);
    BOOST_TEST(run_to_end(engine, request_of(20, 30, 0)).tokens == expected,
               boost::test_tools::per_element());
  }
}

BOOST_AUTO_TEST_CASE(a_request_may_ask_for_fewer_guesses_and_not_for_more) {
  SilentProgress progress;
  Engine engine(options_of("qwen2", 2), progress);
  Request request = request_of(10, 12, 0);
  request.drafts = 0;
  const auto plain = run_to_end(engine, request).tokens;
  BOOST_TEST(engine.draft_counts().rounds == 0U);
  request.drafts = 1;
  BOOST_TEST(run_to_end(engine, request).tokens == plain, boost::test_tools::per_element());
  const DraftCounts counts = engine.draft_counts();
  BOOST_TEST(counts.drafted == counts.rounds);
  request.drafts = 3;
  BOOST_CHECK_EXCEPTION(run_to_end(engine, request), Error,
                        [](const Error& error) { return error.code() == Errc::usage; });
}

BOOST_AUTO_TEST_CASE(what_cannot_go_back_or_must_not_show_is_refused_by_name) {
  SilentProgress progress;
  const auto refusal = [&](EngineOptions options) -> std::string {
    try {
      Engine engine(options, progress);
    } catch (const Error& error) {
      return error.code() == Errc::config ? error.what() : "another code";
    }
    return "";
  };
  BOOST_TEST(refusal(options_of("qwen3_5", 4)).find("Gated DeltaNet") != std::string::npos);
  EngineOptions oblivious = options_of("qwen2", 4);
  oblivious.oblivious = true;
  BOOST_TEST(refusal(oblivious).find("oblivious") != std::string::npos);
}

BOOST_AUTO_TEST_SUITE_END()

} // namespace talaria::pipeline
