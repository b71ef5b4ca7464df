// The promise of docs/architecture.md, Exactness: masks, kernels, threads and batch composition
// change no bit of any logit and no token.
#include <boost/test/data/test_case.hpp>
#include <boost/test/unit_test.hpp>
#include <cstring>
#include <span>

#include "kernels/kernel_set.hpp"
#include "tests/support/collect.hpp"
#include "tests/support/models.hpp"

namespace talaria {

using pipeline::LogitsWanted;
using pipeline::Request;

namespace {

constexpr std::size_t kPromptLengths[] = {1, 7, 64, 300};
/// One row, and several with rows left over: what SIMD targets know of lengths.
constexpr auto kShortPrompts = std::span(kPromptLengths).first(2);
constexpr u32 kGenerated = 12;

std::vector<u32> prompt_of(std::size_t length, u32 variant) {
  auto rng = seeded_rng(length, variant);
  std::vector<u32> prompt(length);
  for (auto& token : prompt) token = static_cast<u32>(rng.below(4096));
  return prompt;
}

/// All that a model says to one prompt: logits of every position, and a sampled continuation.
struct Answer {
  std::vector<std::vector<float>> logits;
  std::vector<u32> tokens;
};

std::vector<Request> requests_for(std::size_t length, u32 variant) {
  Request logits;
  logits.prompt = prompt_of(length, variant);
  logits.logits = LogitsWanted::all;
  Request text;
  text.prompt = logits.prompt;
  text.max_tokens = kGenerated;
  text.ignore_eos = true;
  text.sampling.temperature =
      0.8F; // sampling sees every bit of the logits, greedy only their order
  text.sampling.top_p = 0.95F;
  text.sampling.seed = 11;
  return {logits, text};
}

/// Answers to `batch` prompts of one length, submitted together.
std::vector<Answer> answers(pipeline::Engine& engine, std::size_t length, u32 batch) {
  std::vector<Request> requests;
  for (u32 variant = 0; variant < batch; ++variant)
    for (auto& request : requests_for(length, variant)) requests.push_back(std::move(request));
  auto results = tests::run_together(engine, requests);
  std::vector<Answer> out;
  for (u32 variant = 0; variant < batch; ++variant)
    out.push_back({std::move(results[2 * variant].logits),
                   std::move(results[2 * variant + 1].completion.tokens)});
  return out;
}

struct World {
  const char* name;
  remo::SchemeKind scheme = remo::SchemeKind::lattice;
  std::size_t threads = 2;
  std::string_view isa; ///< empty: the best
  model::WeightFormat weights = model::WeightFormat::int8;
  remo::ReplyFormat reply = remo::ReplyFormat::full;
  const char* parameters = "S48";
};

std::unique_ptr<pipeline::Engine> engine_in(const World& world, const std::string& model) {
  kernels::set_active_kernels(kernels::select_kernels(world.isa));
  pipeline::EngineOptions options;
  options.model_dir = tests::model_folder(model);
  options.scheme.kind = world.scheme;
  options.scheme.reply = world.reply;
  options.scheme.parameters = &remo::lattice_parameters(world.parameters);
  options.weights = world.weights;
  options.threads = world.threads;
  options.pool.rows_ahead = 512; // what a stock of the default size holds is never used here
  SilentProgress progress;
  return std::make_unique<pipeline::Engine>(options, progress);
}

void check_equal(const Answer& ours, const Answer& expected) {
  BOOST_TEST_REQUIRE(ours.logits.size() == expected.logits.size());
  for (std::size_t i = 0; i < ours.logits.size(); ++i) {
    BOOST_TEST_REQUIRE(ours.logits[i].size() == expected.logits[i].size());
    BOOST_TEST_REQUIRE(std::memcmp(ours.logits[i].data(), expected.logits[i].data(),
                                   ours.logits[i].size() * sizeof(float)) == 0,
                       "logits of position " << i);
  }
  BOOST_TEST(ours.tokens == expected.tokens, boost::test_tools::per_element());
}

/// Every prompt length in batches of the given sizes equals the expectation made one prompt at a
/// time.
void check_world(const World& world, const std::string& model, std::initializer_list<u32> batches,
                 const std::vector<std::vector<Answer>>& expected,
                 std::span<const std::size_t> lengths = kPromptLengths) {
  BOOST_TEST_CONTEXT("world " << world.name) {
    const auto engine = engine_in(world, model);
    for (std::size_t l = 0; l < lengths.size(); ++l)
      for (const u32 batch : batches) {
        BOOST_TEST_CONTEXT(batch << " prompts of " << lengths[l]) {
          const auto ours = answers(*engine, lengths[l], batch);
          for (u32 variant = 0; variant < batch; ++variant)
            check_equal(ours[variant], expected[l][variant]);
        }
      }
  }
}

/// In the clear, one prompt at a time, one thread.
std::vector<std::vector<Answer>> expectation(const std::string& model, model::WeightFormat weights,
                                             u32 variants, const char* parameters = "S48") {
  const auto engine = engine_in({.name = "clear",
                                 .scheme = remo::SchemeKind::clear,
                                 .threads = 1,
                                 .isa = {},
                                 .weights = weights,
                                 .parameters = parameters},
                                model);
  std::vector<std::vector<Answer>> out;
  for (const std::size_t length : kPromptLengths) {
    auto& row = out.emplace_back();
    for (u32 variant = 0; variant < variants; ++variant) {
      auto results = tests::run_together(*engine, requests_for(length, variant));
      row.push_back({std::move(results[0].logits), std::move(results[1].completion.tokens)});
    }
  }
  return out;
}

} // namespace

BOOST_DATA_TEST_CASE(lattice_equals_clear_bit_for_bit, boost::unit_test::data::make(tests::kModels),
                     model) {
  const auto expected = expectation(model, model::WeightFormat::int8, 8);
  check_world({.name = "lattice, 2 threads", .isa = {}}, model, {1, 3, 8}, expected);
  check_world({.name = "lattice, 1 thread", .threads = 1, .isa = {}}, model, {1, 3, 8}, expected);
  check_world(
      {.name = "lattice, switched replies", .isa = {}, .reply = remo::ReplyFormat::switched}, model,
      {1, 3}, expected);
}

// Everything that a family adds to a plan: norms behind blocks, caps, windows of some layers, RoPE
// of parts of a head, multipliers.
BOOST_DATA_TEST_CASE(every_family_is_exact_on_every_simd_target,
                     boost::unit_test::data::make(tests::kFamilies), model) {
  if (std::string_view(model) == "gpt_oss_mxfp4")
    return; // has gpt_oss's matrices: matrix_rows_test
  const auto expected = expectation(model, model::WeightFormat::int8, 1);
  const std::string_view best = kernels::select_kernels().name;
  const unsigned here = kernels::cpu_features();
  for (const auto& row : kernels::kernel_sets())
    if ((row.needs & here) == row.needs) BOOST_TEST_CONTEXT("kernels " << row.name) {
        check_world({.name = "lattice", .isa = row.name}, model, {1}, expected,
                    row.name == best ? std::span(kPromptLengths) : kShortPrompts);
      }
}

BOOST_DATA_TEST_CASE(every_kernel_row_gives_the_same_bits,
                     boost::unit_test::data::make(tests::kModels), model) {
  const auto expected = expectation(model, model::WeightFormat::int8, 1);
  const unsigned here = kernels::cpu_features();
  for (const auto& row : kernels::kernel_sets()) {
    if ((row.needs & here) != row.needs) {
      BOOST_TEST_MESSAGE("SIMD target " << row.name << " skipped: this CPU lacks its instructions");
      continue;
    }
    BOOST_TEST_CONTEXT("kernels " << row.name) {
      check_world({.name = "lattice", .isa = row.name}, model, {1}, expected);
    }
  }
}

BOOST_DATA_TEST_CASE(rounded_masks_are_exact_on_every_simd_target,
                     boost::unit_test::data::make(std::vector<const char*>{"R48", "R43"}),
                     parameters) {
  const unsigned here = kernels::cpu_features();
  for (const auto weights : {model::WeightFormat::int8, model::WeightFormat::int16}) {
    const auto expected = expectation("qwen3", weights, 3, parameters);
    for (const auto& row : kernels::kernel_sets())
      if ((row.needs & here) == row.needs) BOOST_TEST_CONTEXT("kernels " << row.name) {
          check_world(
              {.name = "lattice", .isa = row.name, .weights = weights, .parameters = parameters},
              "qwen3", {1, 3}, expected, kShortPrompts);
        }
    check_world({.name = "lattice, switched replies",
                 .isa = {},
                 .weights = weights,
                 .reply = remo::ReplyFormat::switched,
                 .parameters = parameters},
                "qwen3", {3}, expected);
  }
}

BOOST_AUTO_TEST_CASE(rounded_masks_of_a_wider_model_are_exact) {
  const auto expected = expectation("talaria-tiny", model::WeightFormat::int8, 3, "R43");
  check_world({.name = "lattice", .isa = {}, .parameters = "R43"}, "talaria-tiny", {1, 3},
              expected);
}

BOOST_DATA_TEST_CASE(int16_weights_are_exact_too,
                     boost::unit_test::data::make(std::vector<std::string>{"talaria-tiny",
                                                                           "qwen3"}),
                     model) {
  const auto expected = expectation(model, model::WeightFormat::int16, 1);
  check_world({.name = "lattice int16", .isa = {}, .weights = model::WeightFormat::int16}, model,
              {1}, expected);
}

} // namespace talaria
