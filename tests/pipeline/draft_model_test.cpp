// Drafts of a model inside the enclave: that it computes what the stages compute, keeps in step
// with its sequences, and changes no answer.
#include <algorithm>
#include <atomic>
#include <boost/test/unit_test.hpp>
#include <filesystem>
#include <fstream>
#include <future>
#include <iterator>
#include <map>
#include <nlohmann/json.hpp>
#include <string>

#include "core/error.hpp"
#include "core/random.hpp"
#include "pipeline/batch_planner.hpp"
#include "pipeline/draft_setup.hpp"
#include "pipeline/engine.hpp"
#include "tests/support/collect.hpp"
#include "tests/support/models.hpp"
#include "tests/support/padded_vocabulary.hpp"
#include "tests/support/temporary_folder.hpp"

namespace talaria::pipeline {

BOOST_AUTO_TEST_SUITE(draft_model)

namespace {

constexpr u32 kDrafts = 4;

EngineOptions options_of(const std::string& model, const std::string& drafts = {},
                         remo::SchemeKind scheme = remo::SchemeKind::clear) {
  EngineOptions options;
  options.model_dir = tests::model_folder(model);
  options.scheme.kind = scheme;
  options.threads = 2;
  options.pool.rows_ahead = 256;
  options.batch.prefill_chunk = 16;
  options.batch.drafts_always = true;
  if (drafts.empty()) return options;
  options.batch.drafts = kDrafts;
  options.draft_model.folder = tests::model_folder(drafts);
  return options;
}

Request request_of(std::size_t prompt, u32 max_tokens, u64 seed = 0) {
  Request request;
  for (std::size_t i = 0; i < prompt; ++i)
    request.prompt.push_back(static_cast<u32>(3 + (i * i * 31 + 7 * seed) % 2000));
  request.max_tokens = max_tokens;
  request.ignore_eos = true;
  request.sampling.seed = seed;
  if (seed != 0) request.sampling.temperature = 1;
  return request;
}

/// Greedy ones and sampled ones, with what tokens may depend on besides.
std::vector<Request> requests_of_all_kinds() {
  std::vector<Request> requests = {request_of(1, 30), request_of(37, 41), request_of(20, 6)};
  for (const u64 seed : {1, 2, 3}) {
    requests.push_back(request_of(15, 30, seed)); // as of n > 1
    requests.back().sampling.allowed = {3, 10, 17, 24};
  }
  requests.push_back(request_of(90, 30, 4));
  requests.back().sampling.frequency_penalty = 0.4F;
  requests.back().sampling.top_p = 0.9F;
  requests.push_back(request_of(8, 40, 5)); // ends at a token
  requests.back().sampling.allowed = {3, 10, 17, 24};
  requests.back().stop_tokens = {24};
  requests.push_back(request_of(11, 12));
  requests.back().scores.answer = 2;
  requests.push_back(request_of(18, 6));
  requests.back().scores.prompt = 1; // goes without drafts
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
      BOOST_TEST((x.reason == y.reason && x.ended_by_token == y.ended_by_token));
      BOOST_TEST_REQUIRE(x.scores.size() == y.scores.size());
      for (std::size_t t = 0; t < x.scores.size(); ++t)
        BOOST_TEST(x.scores[t].chosen.logprob == y.scores[t].chosen.logprob);
    }
  }
}

std::string refusal(const EngineOptions& options) {
  SilentProgress progress;
  try {
    Engine engine(options, progress);
  } catch (const Error& error) {
    return error.code() == Errc::config ? error.what() : "another code";
  }
  return "";
}

} // namespace

// With the arithmetic of `plain` on both sides a model foresees itself, whatever it is made of:
// every draft is right, and rounds fall to one in five. One wrong key, position or row would show.
BOOST_AUTO_TEST_CASE(a_model_foresees_itself_to_the_last_token) {
  // Windows, latent attention, sinks and experts, inputs per layer, norms behind blocks only.
  for (const std::string model : {"mistral", "deepseek_v2", "gpt_oss", "gemma4_e", "olmo2"}) {
    SilentProgress progress;
    Engine engine(options_of(model, model, remo::SchemeKind::plain), progress);
    BOOST_TEST_CONTEXT(model) {
      run_to_end(engine, request_of(115, 1 + 4 * (1 + kDrafts))); // windows go by, a block ends
      const DraftCounts counts = engine.draft_counts(DraftKind::model);
      BOOST_TEST(counts.rounds == 4U);
      BOOST_TEST(counts.accepted == 4U * kDrafts);
      BOOST_TEST(engine.draft_counts().rounds == counts.rounds);
    }
  }
}

BOOST_AUTO_TEST_CASE(answers_are_the_same_bit_for_bit) {
  SilentProgress progress;
  std::vector<tests::Collected> expected;
  {
    Engine plain(options_of("talaria-tiny"), progress);
    expected = tests::run_together(plain, requests_of_all_kinds());
  }
  double share_of_itself = 0;
  const auto check = [&](const EngineOptions& options) {
    Engine engine(options, progress);
    check_same(tests::run_together(engine, requests_of_all_kinds()), expected);
    engine.wait_until_idle();
    return engine.draft_counts(DraftKind::model);
  };
  // Itself, and a stranger of the same vocabulary, which has a window.
  for (const std::string drafts : {"talaria-tiny", "mistral"}) {
    BOOST_TEST_CONTEXT("drafts of " << drafts) {
      const DraftCounts counts = check(options_of("talaria-tiny", drafts));
      const double share =
          static_cast<double>(counts.accepted) / static_cast<double>(counts.drafted);
      BOOST_TEST_MESSAGE("drafts of " << drafts << ": " << share << " were right");
      if (drafts == "talaria-tiny") share_of_itself = share;
      BOOST_TEST(share <= share_of_itself);
    }
  }
  BOOST_TEST(share_of_itself > 0.1); // of sampled answers too, within few tokens
  EngineOptions padded = options_of("talaria-tiny", "mistral", remo::SchemeKind::lattice);
  padded.batch.drafts_always = false;
  padded.padding = {{8, 64}, 3, {}};
  BOOST_TEST_CONTEXT("masked and padded") {
    BOOST_TEST(check(padded).rounds > 0U);
  }
  EngineOptions judged = options_of("talaria-tiny", "talaria-tiny");
  judged.batch.drafts_always = false;
  BOOST_TEST_CONTEXT("judged") {
    check(judged); // a guess that is late is none, so that nothing can be said of their number
  }
}

BOOST_AUTO_TEST_CASE(another_vocabulary_is_refused_by_the_first_token_that_differs) {
  using nlohmann::json;
  const auto read = [](const std::filesystem::path& path) {
    std::ifstream in(path);
    return std::string(std::istreambuf_iterator<char>(in), {});
  };
  const auto source = tests::model_folder("qwen2");
  const json own = json::parse(read(source / "tokenizer.json"));
  const auto why = [&](const json& other) -> std::string {
    const auto target = model::Tokenizer::parse(own.dump(), "target");
    const auto drafts = model::Tokenizer::parse(other.dump(), "drafts");
    try {
      check_same_vocabulary(target, drafts);
    } catch (const Error& error) {
      return error.what();
    }
    return "";
  };
  BOOST_TEST(why(own).empty());
  json swapped = own;
  for (auto& [token, id] : swapped["model"]["vocab"].items())
    if (id == 300 || id == 1001) id = 1301 - id.get<int>();
  BOOST_TEST(why(swapped).find("token 300 is not") != std::string::npos, why(swapped));
  json plain = own; // the same bytes, but no longer special
  for (json& token : plain["added_tokens"])
    if (token["id"] == 4094) token["special"] = false;
  BOOST_TEST(why(plain).find("token 4094 is not") != std::string::npos, why(plain));
  json longer = own;
  json added = longer["added_tokens"].back();
  added["id"] = 4096;
  added["content"] = "<|another|>";
  longer["added_tokens"].push_back(added);
  BOOST_TEST(why(longer).find("token 4096 is not") != std::string::npos, why(longer));
  BOOST_TEST(why(longer).find("another|") == std::string::npos);

  const tests::TemporaryFolder folder;
  const auto other = folder.path() / "other";
  std::filesystem::copy(source, other);
  std::ofstream(other / "tokenizer.json", std::ios::trunc) << swapped.dump();
  EngineOptions options = options_of("qwen2", "qwen2");
  options.draft_model.folder = other;
  const std::string refused = refusal(options);
  BOOST_TEST(refused.find("token 300 is not") != std::string::npos, refused);
}

// Of many models the matrices have rows that no token has; any of them may be sampled.
BOOST_AUTO_TEST_CASE(rows_without_a_token_may_differ) {
  const tests::TemporaryFolder folder;
  const auto padded = folder.path() / "padded";
  tests::write_padded_vocabulary(tests::model_folder("mistral"), padded);
  SilentProgress progress;
  for (const bool of_target : {true, false}) {
    EngineOptions options = options_of("mistral");
    if (of_target) options.model_dir = padded;
    Engine plain(options, progress);
    options.batch.drafts = kDrafts;
    options.draft_model.folder = of_target ? tests::model_folder("mistral") : padded;
    Engine engine(options, progress);
    const auto tokens = run_to_end(plain, request_of(9, 20)).tokens;
    BOOST_TEST(run_to_end(engine, request_of(9, 20)).tokens == tokens,
               boost::test_tools::per_element());
    BOOST_TEST(engine.draft_counts(DraftKind::model).rounds > 0U);
    BOOST_TEST(engine.draft_counts(DraftKind::ngram).rounds == 0U);
  }
}

BOOST_AUTO_TEST_CASE(models_that_cannot_guess_are_refused_by_name) {
  BOOST_TEST(refusal(options_of("llama3", "qwen3_5")).find("Gated DeltaNet") != std::string::npos);
  EngineOptions embeds = options_of("talaria-tiny", "talaria-tiny");
  embeds.task = model::Task::embed;
  BOOST_TEST(refusal(embeds).find("generates no tokens") != std::string::npos);
}

// Sequences without a place in the drafter's memory go on with drafts from their context.
BOOST_AUTO_TEST_CASE(little_memory_of_either_model_changes_nothing) {
  SilentProgress progress;
  std::vector<Request> requests;
  for (u64 i = 0; i < 4; ++i) {
    requests.push_back(request_of(66 + i, 150, i)); // two blocks at first, four in the end
    requests.back().owner = "a";
  }
  std::vector<tests::Collected> expected;
  std::size_t block = 0;
  {
    Engine plain(options_of("qwen2"), progress);
    expected = tests::run_together(plain, requests);
    block = kv::Layout(plain.plan(), kv::Format::fp32).block_bytes(0);
  }
  for (const std::size_t blocks : {0U, 5U, 64U}) {
    EngineOptions options = options_of("qwen2", "qwen2");
    options.draft_model.kv_bytes = 1 + blocks * block;
    options.kv.memory_bytes = 9 * block; // some give way to others
    Engine engine(options, progress);
    BOOST_TEST_CONTEXT(blocks << " blocks") {
      check_same(tests::run_together(engine, requests), expected);
      BOOST_TEST(engine.kv_report().preemptions > 0U);
      BOOST_TEST((engine.draft_counts(DraftKind::model).rounds > 0) == (blocks != 0));
      BOOST_TEST((engine.draft_counts(DraftKind::ngram).rounds > 0) == (blocks != 64));
      BOOST_TEST(engine.draft_model()->kv_used <= options.draft_model.kv_bytes);
    }
  }
}

BOOST_AUTO_TEST_CASE(beyond_the_context_of_its_model_the_context_guesses) {
  SilentProgress progress;
  Request request = request_of(1005, 40); // talaria-tiny ends at 1024
  EngineOptions options = options_of("qwen2");
  options.batch.prefill_chunk = 128;
  Engine plain(options, progress);
  EngineOptions drafted = options_of("qwen2", "talaria-tiny");
  drafted.batch.prefill_chunk = 128;
  Engine engine(drafted, progress);
  BOOST_TEST(run_to_end(engine, request).tokens == run_to_end(plain, request).tokens,
             boost::test_tools::per_element());
  BOOST_TEST(engine.draft_counts(DraftKind::model).rounds > 0U);
  BOOST_TEST(engine.draft_counts(DraftKind::ngram).rounds > 0U);
}

BOOST_AUTO_TEST_CASE(its_memory_is_known_before_it_is_made) {
  SilentProgress progress;
  EngineOptions options = options_of("talaria-tiny", "qwen2");
  options.kv.memory_bytes = std::size_t{8} << 20;
  const DraftMemory said = draft_memory(options);
  Engine engine(options, progress);
  const auto report = engine.draft_model();
  BOOST_TEST_REQUIRE(bool(report));
  BOOST_TEST(said.weight_bytes <= report->weight_bytes); // which has what panels are filled up by
  BOOST_TEST(said.weight_bytes >= report->weight_bytes / 10 * 9);
  // As many positions as the target has.
  const auto of = [](std::size_t bytes) { return static_cast<double>(bytes); };
  const std::size_t own = kv::Layout(engine.plan(), kv::Format::fp32).bytes_per_position();
  BOOST_TEST(of(engine.kv_report().usage.budget) / of(own) ==
                 of(report->kv_budget) / of(said.bytes_per_position),
             boost::test_tools::tolerance(1e-6));
  BOOST_TEST(said.max_position == 2048U);
}

// Whenever requests are cancelled, the others go on, and nothing of those that are over stays.
BOOST_AUTO_TEST_CASE(cancelled_requests_leave_nothing_behind) {
  SilentProgress progress;
  Engine engine(options_of("qwen2", "qwen2"), progress);
  const auto expected = run_to_end(engine, request_of(40, 60)).tokens;
  struct Cancelling final : RequestSink {
    Engine* engine = nullptr;
    enclave::SequenceId sequence = 0;
    std::atomic<int> left{0};
    std::shared_future<enclave::SequenceId> id;
    std::promise<FinishReason> done;
    void token() override {
      if (--left == 0) engine->cancel(id.get());
    }
    void finished(Completion completion) override { done.set_value(completion.reason); }
  };
  for (const int after : {1, 2, 7, 12}) {
    std::promise<enclave::SequenceId> id;
    auto sink = std::make_shared<Cancelling>();
    sink->engine = &engine;
    sink->left = after;
    sink->id = id.get_future().share();
    auto done = sink->done.get_future();
    id.set_value(engine.submit(request_of(50, 400), sink));
    BOOST_TEST(run_to_end(engine, request_of(40, 60)).tokens == expected,
               boost::test_tools::per_element());
    BOOST_TEST((done.get() == FinishReason::cancelled));
  }
  engine.wait_until_idle();
  for (int i = 0; i < 1000 && engine.draft_model()->kv_used != 0; ++i)
    run_to_end(engine, request_of(1, 1)); // the drafter hears of an end a moment later
  BOOST_TEST(engine.draft_model()->kv_used == 0U);
}

// A chat's history is not read again by either model.
BOOST_AUTO_TEST_CASE(prompts_that_were_read_are_shared_within_an_owner) {
  SilentProgress progress;
  const auto loader = std::make_shared<const ModelLoader>(tests::model_folder("mistral"),
                                                          model::WeightFormat::int8);
  const auto model = std::make_shared<DraftModel>(loader, 1, kv::Format::fp32, progress);
  Drafter drafter(model, {.kv_bytes = std::size_t{64} << 20, .vocab = 4096, .drafts = 3});
  const auto guess = [&](u64 sequence, const std::string& owner) {
    drafter.order({sequence, 0, request_of(150, 1).prompt, 3, 400, owner});
    std::vector<DraftAnswer> answers;
    while (answers.empty()) answers = drafter.step();
    BOOST_TEST_REQUIRE(answers.size() == 1U);
    drafter.forget(sequence);
    return answers[0].drafts;
  };
  const auto alone = guess(1, "");
  BOOST_TEST(alone.size() == 3U);
  BOOST_TEST(drafter.usage().used == 0U);
  BOOST_TEST(guess(2, "a") == alone, boost::test_tools::per_element());
  const u64 before = drafter.prefix_counts().hits;
  BOOST_TEST(guess(3, "b") == alone, boost::test_tools::per_element());
  BOOST_TEST(drafter.prefix_counts().hits == before);
  BOOST_TEST(guess(4, "a") == alone, boost::test_tools::per_element());
  BOOST_TEST(!drafter.busy());
}

namespace {

/// What a model would say of a sequence, for tests of planning: the same from the same tokens.
std::vector<u32> said_of(const std::vector<u32>& tokens, u32 count) {
  std::vector<u32> drafts;
  for (u32 i = 0; i < count; ++i) drafts.push_back((tokens.back() + i + 1) % 3);
  return drafts;
}

} // namespace

// Whenever a model answers, or that it has no place: rounds have as many rows, a round that is to
// have drafts has those of all its tokens, and each token is told once.
BOOST_AUTO_TEST_CASE(a_planner_waits_for_its_model_and_tells_it_everything_once) {
  for (u64 seed = 0; seed < 60; ++seed) {
    auto rng = seeded_rng(seed);
    const u32 drafts = static_cast<u32>(1 + rng.below(4));
    const bool padded = rng.below(2) == 0;
    BatchLimits limits{static_cast<u32>(1 + rng.below(3)),
                       120,
                       static_cast<u32>(1 + rng.below(20)),
                       drafts,
                       true,
                       true};
    Padding padding;
    if (padded) padding.rounds = static_cast<u32>(2 + rng.below(3));
    BatchPlanner planner(limits, padding);
    struct Known {
      std::vector<u32> tokens; ///< of the sequence
      std::vector<u32> told;   ///< to the model
      std::size_t left = 0;
      bool lost = false, over = false;
    };
    std::map<enclave::SequenceId, Known> sequences;
    for (enclave::SequenceId id = 1; id <= 4; ++id) {
      Known& known = sequences[id];
      known.tokens.resize(1 + rng.below(40));
      for (u32& token : known.tokens) token = static_cast<u32>(rng.below(3));
      known.left = 1 + rng.below(30);
      planner.add(id, known.tokens, true, LogitsWanted::none, 60, {}, drafts);
    }
    std::vector<DraftOrder> asked;
    std::vector<enclave::MicroBatch> flying;
    while (!planner.idle()) {
      for (DraftOrder& order : planner.draft_orders()) {
        Known& known = sequences.at(order.sequence);
        BOOST_TEST_REQUIRE(!known.lost);
        BOOST_TEST_REQUIRE(order.from == known.told.size());
        known.told.insert(known.told.end(), order.tokens.begin(), order.tokens.end());
        if (!known.over) BOOST_TEST_REQUIRE(known.told == known.tokens);
        if (order.drafts != 0) asked.push_back(std::move(order));
      }
      if (!asked.empty() && rng.below(2) == 0) {
        const std::size_t pick = rng.below(asked.size());
        DraftAnswer answer{asked[pick].sequence, asked[pick].length(), {}};
        Known& known = sequences.at(answer.sequence);
        known.lost = rng.below(40) == 0;
        if (!known.lost) answer.drafts = said_of(known.told, asked[pick].drafts);
        asked.erase(asked.begin() + static_cast<std::ptrdiff_t>(pick));
        planner.guessed(answer);
      }
      if (auto batch = planner.next()) {
        std::size_t row = 0;
        for (const auto& s : batch->segments) {
          row += s.count;
          const Known& known = sequences.at(s.sequence);
          for (const DraftOrder& order : asked) BOOST_TEST_REQUIRE(order.sequence != s.sequence);
          const bool decodes = s.dummy || s.start + 1 == known.tokens.size();
          BOOST_TEST_REQUIRE(s.drafts == (decodes ? drafts : 0));
          if (!decodes || known.lost) continue;
          BOOST_TEST_REQUIRE((planner.draft_kind(s.sequence) == DraftKind::model));
          const std::vector<u32> sent(batch->tokens.begin() + static_cast<std::ptrdiff_t>(row) -
                                          drafts,
                                      batch->tokens.begin() + static_cast<std::ptrdiff_t>(row));
          BOOST_TEST_REQUIRE(sent == said_of(known.told, drafts), boost::test_tools::per_element());
        }
        flying.push_back(*std::move(batch));
        continue;
      }
      if (flying.empty()) {
        BOOST_TEST_REQUIRE(!asked.empty());
        continue;
      }
      const std::size_t pick = rng.below(flying.size());
      const auto done = std::move(flying[pick]);
      flying.erase(flying.begin() + static_cast<std::ptrdiff_t>(pick));
      planner.retire(done.id);
      for (const auto& s : done.segments) {
        if (!s.sample || s.dummy) continue;
        Known& known = sequences.at(s.sequence);
        const std::size_t right = rng.below(s.drafts + 1);
        for (std::size_t i = 0; i <= right; ++i) {
          if (--known.left == 0) {
            known.over = true;
            planner.end(s.sequence);
            break;
          }
          known.tokens.push_back(static_cast<u32>(rng.below(3)));
          planner.append(s.sequence, known.tokens.back(), i < right);
        }
      }
    }
  }
}

BOOST_AUTO_TEST_CASE(a_judge_looks_before_it_decides_and_at_nothing_it_has_not_seen) {
  DraftJudge judge;
  for (u32 round = 0; round < 8; ++round) {
    BOOST_TEST(judge.looks());
    judge.round(true);
  }
  BOOST_TEST(judge.worth_it());
  for (u32 round = 8; round < 64; ++round) {
    const u32 next = round < 16 ? 16 : round < 32 ? 32 : 64;
    BOOST_TEST(judge.looks() == (next - round <= 8));
    judge.unseen_round();
    BOOST_TEST(judge.worth_it()); // nothing says otherwise
  }
  for (u32 round = 64; round < 128; ++round)
    if (judge.looks())
      judge.round(false);
    else
      judge.unseen_round();
  BOOST_TEST(!judge.worth_it());
}

BOOST_AUTO_TEST_SUITE_END()

} // namespace talaria::pipeline
