#include "arch/expert_cost.hpp"

#include <boost/test/unit_test.hpp>

#include <algorithm>

#include "model/weights/plan_file.hpp"
#include "tests/support/models.hpp"

using namespace talaria;
using namespace talaria::arch;

namespace {

const auto kPrinted = boost::test_tools::tolerance(5e-3); // as docs/models.md rounds

struct Published {
  const char* name;
  u32 hidden, width, experts, chosen, shared;
  double over_chosen;
  u64 columns;          ///< outputs of all matrices of a layer
  double megabytes[3];  ///< of words up and down for 1, 8 and 64 rows
  double of_chosen[3];  ///< if they went to the chosen only
  double fixed_work[3]; ///< times that work, with a fixed number of rows for each expert
  double fixed[3];      ///< megabytes of that
};

// Figures of docs/models.md, worked out apart from the program: S48 (words of 6 bytes), int8.
const Published kPublished[] = {
    {"Mixtral 8x7B",
     4096,
     14336,
     8,
     2,
     0,
     4.0,
     233'472,
     {2.11, 16.91, 135.27},
     {0.614, 4.92, 39.32},
     {4.0, 2.0, 2.0},
     {2.46, 9.83, 78.64}},
    {"Qwen3-30B-A3B",
     2048,
     768,
     128,
     8,
     0,
     16.0,
     198'656,
     {1.794, 14.35, 114.82},
     {0.307, 2.458, 19.66},
     {16.0, 2.0, 2.0},
     {4.92, 4.92, 39.32}},
    {"gpt-oss-20b",
     2880,
     2880,
     32,
     4,
     0,
     8.0,
     187'200,
     {1.693, 13.55, 108.38},
     {0.3456, 2.765, 22.12},
     {8.0, 2.0, 2.0},
     {2.765, 5.53, 44.24}},
    {"OLMoE-1B-7B",
     2048,
     1024,
     64,
     8,
     0,
     8.0,
     133'120,
     {1.204, 9.63, 77.07},
     {0.344, 2.753, 22.02},
     {8.0, 2.0, 2.0},
     {2.753, 5.505, 44.04}},
    {"DeepSeek-V2-Lite",
     2048,
     1408,
     64,
     6,
     2816,
     8.25,
     187'904,
     {1.697, 13.58, 108.63},
     {0.3748, 2.998, 23.99},
     {8.25, 2.25, 1.75},
     {3.274, 6.998, 43.16}},
    {"Qwen1.5-MoE-A2.7B",
     2048,
     1408,
     60,
     4,
     5632,
     8.0,
     182'272,
     {1.647, 13.17, 105.38},
     {0.3256, 2.605, 20.84},
     {8.0, 2.375, 1.5547},
     {3.116, 6.998, 35.02}},
};

FeedForward shape_of(const Published& model) {
  FeedForward out;
  out.router.emplace();
  out.router->chosen = model.chosen;
  for (u32 e = 0; e < model.experts; ++e) out.experts.push_back({"g", "u", "d", model.width});
  out.intermediate = model.experts * model.width + model.shared;
  if (model.shared == 0) return out;
  out.router->shared = true;
  out.experts.push_back({"g", "u", "d", model.shared});
  return out;
}

/// Of words of 6 bytes, in both directions.
double megabytes(const ExpertNumbers& numbers, double rows) {
  const u64 words =
      numbers.gate_up_inputs + numbers.gate_up_outputs + numbers.down_inputs + numbers.down_outputs;
  return 6e-6 * rows * static_cast<double>(words);
}

} // namespace

BOOST_AUTO_TEST_SUITE(expert_cost_of_plans)

BOOST_AUTO_TEST_CASE(published_mixtures_cost_what_the_documents_say) {
  constexpr u32 kRows[] = {1, 8, 64};
  for (const Published& model : kPublished) {
    BOOST_TEST_CONTEXT(model.name) {
      FeedForward shape = shape_of(model);
      const ExpertNumbers all = numbers_of_all(shape, model.hidden);
      const ExpertNumbers chosen = numbers_of_chosen(shape, model.hidden);
      const auto chosen_products = static_cast<double>(chosen.products);
      BOOST_TEST(static_cast<double>(all.products) / chosen_products == model.over_chosen);
      BOOST_TEST(all.gate_up_outputs + all.down_outputs == model.columns);
      // A fixed number of rows for each expert is as if a row had chosen all of them.
      shape.router->chosen = model.experts;
      const ExpertNumbers each = numbers_of_chosen(shape, model.hidden);
      shape.router->chosen = 0;
      const ExpertNumbers shared = numbers_of_chosen(shape, model.hidden);
      for (std::size_t i = 0; i < std::size(kRows); ++i) {
        const double rows = kRows[i];
        BOOST_TEST(megabytes(all, rows) == model.megabytes[i], kPrinted);
        BOOST_TEST(megabytes(chosen, rows) == model.of_chosen[i], kPrinted);
        const u32 even = 2 * kRows[i] * model.chosen; // twice an even spread
        const double fixed = std::min(kRows[i], (even + model.experts - 1) / model.experts);
        const double work = fixed * static_cast<double>(each.products) +
                            (rows - fixed) * static_cast<double>(shared.products);
        BOOST_TEST(work / rows / chosen_products == model.fixed_work[i], kPrinted);
        BOOST_TEST(megabytes(each, fixed) + megabytes(shared, rows - fixed) == model.fixed[i],
                   kPrinted);
      }
    }
  }
}

BOOST_AUTO_TEST_CASE(dense_layers_do_not_count) {
  // One dense layer, and two of 8 experts of 16 of which 3 are chosen, beside one of 32.
  const auto cost = expert_cost(model::load_model_plan(tests::model_folder("deepseek_v2")));
  BOOST_TEST_REQUIRE(cost.has_value());
  BOOST_TEST(cost->layers == 2U);
  BOOST_TEST(cost->routed == 8U);
  BOOST_TEST(cost->chosen == 3U);
  BOOST_TEST(cost->products == u64{2} * 3 * 64 * (8 * 16 + 32));
  BOOST_TEST(cost->chosen_products == u64{2} * 3 * 64 * (3 * 16 + 32));
  BOOST_TEST(cost->over_chosen() == 2.0);
  BOOST_TEST(!expert_cost(model::load_model_plan(tests::model_folder("qwen3"))).has_value());
}

BOOST_AUTO_TEST_SUITE_END()
