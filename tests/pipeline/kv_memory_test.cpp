// Memory for keys and values changes when an answer comes, never what it is.
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <fstream>
#include <future>
#include <nlohmann/json.hpp>
#include <vector>

#include "pipeline/engine.hpp"
#include "tests/support/models.hpp"
#include "tests/support/temporary_folder.hpp"

namespace talaria::pipeline {

BOOST_AUTO_TEST_SUITE(kv_memory_test)

namespace {

struct Collected final : RequestSink {
  std::vector<u32> rows_from; ///< positions where logits began
  std::vector<float> values;
  std::promise<Completion> done;
  void logits(u32 start, MatrixView<const float> rows) override {
    for (std::size_t r = 0; r < rows.rows; ++r) {
      rows_from.push_back(start + static_cast<u32>(r));
      values.insert(values.end(), rows.row(r), rows.row(r) + rows.cols);
    }
  }
  void finished(Completion completion) override { done.set_value(std::move(completion)); }
};

EngineOptions options_for(const std::string& model) {
  EngineOptions options;
  options.model_dir = tests::model_folder(model);
  options.threads = 2;
  options.batch = {.micro_batches = 2, .max_rows = 32, .prefill_chunk = 20};
  return options;
}

Request request_of(u32 seed, u32 prompt, u32 max_tokens) {
  Request request;
  for (u32 i = 0; i < prompt; ++i) request.prompt.push_back((seed * 131 + i * 17) % 1000);
  request.max_tokens = max_tokens;
  request.ignore_eos = true;
  request.sampling.temperature = 0.8F;
  request.sampling.seed = seed;
  return request;
}

/// Requests of several lengths at once. Returns their tokens, in order.
std::vector<std::vector<u32>> answers(Engine& engine) {
  std::vector<std::shared_ptr<Collected>> sinks;
  for (u32 i = 0; i < 7; ++i) {
    sinks.push_back(std::make_shared<Collected>());
    engine.submit(request_of(i + 1, 5 + 31 * (i % 3), 20 + 25 * (i % 4)), sinks.back());
  }
  std::vector<std::vector<u32>> tokens;
  for (const auto& sink : sinks) {
    const Completion completion = sink->done.get_future().get();
    BOOST_TEST(!completion.error);
    tokens.push_back(completion.tokens);
  }
  return tokens;
}

} // namespace

// mistral: with a window; qwen3_5: with a state, which begins again from its tokens; gemma4_e:
// layers that read others' keys. The longest request alone needs three blocks.
BOOST_AUTO_TEST_CASE(answers_are_the_same_however_little_memory_there_is) {
  for (const std::string model : {"qwen3", "mistral", "qwen3_5", "gemma4_e"}) {
    SilentProgress progress;
    Engine roomy(options_for(model), progress);
    const auto expected = answers(roomy);
    const kv::Layout layout(roomy.plan(), kv::Format::fp32);
    for (const u32 positions : {192U, 256U, 448U}) {
      EngineOptions options = options_for(model);
      options.kv.memory_bytes = layout.bytes_for(positions, 20);
      options.products = roomy.products();
      options.linears = roomy.linears();
      Engine tight(options, progress);
      BOOST_TEST(tight.kv_report().usage.budget == options.kv.memory_bytes);
      BOOST_TEST((answers(tight) == expected), model << ", " << positions);
      tight.wait_until_idle();
      BOOST_TEST(tight.kv_report().usage.used == 0U);
      BOOST_TEST(tight.kv_report().usage.reserved == 0U);
      BOOST_TEST(tight.kv_report().queued == 0U);
    }
  }
}

// A chat that sends its history again: the same answers, less work; nothing of it for others.
BOOST_AUTO_TEST_CASE(prefixes_that_were_computed_change_no_answer) {
  for (const std::string model : {"qwen3", "mistral"}) {
    SilentProgress progress;
    Engine engine(options_for(model), progress);
    const auto chat = [&](const std::string& owner) {
      std::vector<std::pair<std::vector<u32>, u32>> turns; ///< tokens, and how many were cached
      Request turn = request_of(5, 70, 40);
      for (int i = 0; i < 4; ++i) {
        turn.owner = owner;
        const Completion answer = run_to_end(engine, turn);
        turns.emplace_back(answer.tokens, answer.cached_tokens);
        turn.prompt.insert(turn.prompt.end(), answer.tokens.begin(), answer.tokens.end());
        for (u32 more = 0; more < 9; ++more) turn.prompt.push_back(900 + more);
      }
      return turns;
    };
    const auto alone = chat("");
    const auto first = chat("key a");
    const auto again = chat("key a");
    const auto other = chat("key b");
    for (std::size_t i = 0; i < alone.size(); ++i) BOOST_TEST_CONTEXT(model << ", turn " << i) {
        BOOST_TEST((first[i].first == alone[i].first));
        BOOST_TEST((again[i].first == alone[i].first));
        BOOST_TEST((other[i].first == alone[i].first));
        BOOST_TEST(alone[i].second == 0U);
        BOOST_TEST(first[i].second == other[i].second);
      }
    BOOST_TEST(first[0].second == 0U);
    if (model == "qwen3") {
      BOOST_TEST(first[1].second == 64U); // 109 were computed
      BOOST_TEST(first[3].second == 192U);
      BOOST_TEST(again[0].second == 64U);
    }
  }
}

// The first block is everybody's once anybody has computed it, and changes nothing.
BOOST_AUTO_TEST_CASE(a_public_prefix_changes_no_answer_and_is_everybodys) {
  SilentProgress progress;
  Request request = request_of(5, 150, 10);
  const Completion alone = [&] {
    Engine engine(options_for("qwen3"), progress);
    return run_to_end(engine, request);
  }();
  const tests::TemporaryFolder folder;
  EngineOptions options = options_for("qwen3");
  options.kv.public_prefix = folder.path() / "prefix.json";
  std::ofstream(options.kv.public_prefix) << nlohmann::json(
      std::vector<u32>(request.prompt.begin(), request.prompt.begin() + 70)); // one whole block
  Engine engine(options, progress);
  const auto cached = [&](const std::string& owner) {
    request.owner = owner;
    const Completion answer = run_to_end(engine, request);
    BOOST_TEST((answer.tokens == alone.tokens), owner);
    return answer.cached_tokens;
  };
  BOOST_TEST(cached("") == 0U);
  BOOST_TEST(cached("") == 64U);
  BOOST_TEST(cached("key a") == 64U);
  BOOST_TEST(cached("key a") == 128U);
  BOOST_TEST(cached("key b") == 64U);
  BOOST_TEST(cached("") == 64U);
}

BOOST_AUTO_TEST_CASE(no_prefix_is_shared_where_layers_have_a_state) {
  SilentProgress progress;
  Engine engine(options_for("qwen3_5"), progress);
  Request request = request_of(5, 70, 8);
  request.owner = "key a";
  const Completion first = run_to_end(engine, request);
  const Completion again = run_to_end(engine, request);
  BOOST_TEST(again.cached_tokens == 0U);
  BOOST_TEST((again.tokens == first.tokens));
  engine.wait_until_idle();
  BOOST_TEST(engine.kv_report().usage.used == 0U);
}

BOOST_AUTO_TEST_CASE(
    what_can_never_fit_is_refused_with_the_figure_and_answers_end_where_memory_does) {
  EngineOptions options = options_for("qwen3");
  SilentProgress progress;
  Engine roomy(options, progress);
  const kv::Layout layout(roomy.plan(), kv::Format::fp32);
  options.kv.memory_bytes = layout.bytes_for(128, 20);
  Engine engine(options, progress);
  BOOST_TEST(engine.kv_report().max_tokens == 128U);
  try {
    engine.submit(request_of(1, 128, 1), std::make_shared<Collected>());
    BOOST_ERROR("not refused");
  } catch (const Error& error) {
    const std::string text = error.what();
    BOOST_TEST((error.code() == Errc::usage));
    BOOST_TEST(text.find("128 tokens") != std::string::npos, text);
    BOOST_TEST(text.find(std::to_string(options.kv.memory_bytes)) != std::string::npos, text);
    BOOST_TEST(text.find("pipeline.kv") != std::string::npos, text);
  }
  BOOST_TEST(run_to_end(engine, request_of(1, 100, 1000)).tokens.size() == 28U);
  options.kv.memory_bytes = 100;
  BOOST_CHECK_THROW(Engine(options, progress), Error);
}

// Smaller formats change answers, a little; the same little whatever the batches are.
BOOST_AUTO_TEST_CASE(smaller_formats_stay_close_and_do_not_depend_on_batches) {
  const auto logits_of = [](kv::Format format, u32 chunk) {
    EngineOptions options = options_for("qwen3");
    options.kv.format = format;
    options.batch.prefill_chunk = chunk;
    SilentProgress progress;
    Engine engine(options, progress);
    Request request = request_of(3, 90, 0);
    request.logits = LogitsWanted::all;
    const auto sink = std::make_shared<Collected>();
    engine.submit(std::move(request), sink);
    sink->done.get_future().wait();
    return sink->values;
  };
  const auto exact = logits_of(kv::Format::fp32, 20);
  double square = 0;
  for (const float x : exact) square += double{x} * x;
  for (const auto& [format, most] : {std::pair{kv::Format::bf16, 0.01}, {kv::Format::int8, 0.05}}) {
    const auto values = logits_of(format, 20);
    BOOST_TEST((logits_of(format, 7) == values), kernels::to_string(format));
    double distance = 0;
    for (std::size_t i = 0; i < values.size(); ++i)
      distance += (double{values[i]} - exact[i]) * (double{values[i]} - exact[i]);
    const double relative = std::sqrt(distance / square);
    BOOST_TEST(relative > 0.0);
    BOOST_TEST(relative < most, kernels::to_string(format) << ": " << relative);
  }
}

BOOST_AUTO_TEST_SUITE_END()

} // namespace talaria::pipeline
