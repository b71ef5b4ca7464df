#include <boost/test/unit_test.hpp>

#include <string>

#include "cli/placement_table.hpp"
#include "core/error.hpp"
#include "model/weights/plan_file.hpp"
#include "pipeline/model_loader.hpp"
#include "tests/support/models.hpp"

using namespace talaria;
using cli::placement_table;
using config::WorkerNode;

namespace {

struct Plan {
  config::PipelineConfig config;
  arch::ModelPlan model = model::load_model_plan(tests::model_folder("talaria-tiny"));

  WorkerNode& add(const std::string& name, u32 first, u32 last) {
    WorkerNode node;
    node.name = name;
    node.address = {"10.0.0.1", 7600};
    node.layers = {first, last};
    config.workers.push_back(node);
    return config.workers.back();
  }
  cli::PlacementTable table() const { return placement_table(config, model); }
};

/// What the program really loads.
u64 loaded_bytes(model::WeightFormat format) {
  u64 bytes = 0;
  SilentProgress progress;
  pipeline::ModelLoader(tests::model_folder("talaria-tiny"), format)
      .for_each_linear(progress, [&](const model::QuantizedLinear& linear) {
        bytes += linear.d_in * linear.columns.d_out();
      });
  return bytes;
}

} // namespace

BOOST_FIXTURE_TEST_SUITE(placement, Plan)

BOOST_AUTO_TEST_CASE(without_workers_one_embedded_worker_holds_what_is_loaded) {
  for (const char* weights : {"int8", "int16"}) {
    config.masking.weights = weights;
    const auto plan = table();
    BOOST_TEST_REQUIRE(plan.rows.size() == 1u);
    BOOST_TEST(plan.rows[0].node == "embedded");
    BOOST_TEST(plan.rows[0].matrices == 25u);
    BOOST_TEST(plan.rows[0].weight_bytes == loaded_bytes(model::parse_weight_format(weights)));
    BOOST_TEST(plan.round_trips == 25u);
  }
}

BOOST_AUTO_TEST_CASE(layers_shares_and_replicas_add_up) {
  const auto whole = table();
  add("a", 0, 2);
  for (u32 share = 1; share <= 3; ++share) {
    auto& node = add("b" + std::to_string(share), 3, 5);
    node.columns = {share - 1, 3};
  }
  auto& replica = add("spare", 0, 0);
  replica.layers.all = true;
  replica.role = WorkerNode::Role::replica;
  const auto plan = table();
  u64 weights = 0;
  u64 hints = 0;
  for (std::size_t i = 0; i < 4; ++i) {
    weights += plan.rows[i].weight_bytes;
    hints += plan.rows[i].hint_bytes;
  }
  BOOST_TEST(weights == whole.rows[0].weight_bytes);
  BOOST_TEST(hints == whole.hint_bytes);
  BOOST_TEST(plan.hint_bytes == whole.hint_bytes);
  BOOST_TEST(plan.round_trips == 25u);
  BOOST_TEST(plan.rows[0].round_trips == 12u);
  BOOST_TEST(plan.rows[0].layers == "0-2");
  BOOST_TEST(!plan.rows[0].head);
  BOOST_TEST(plan.rows[1].layers == "3-5");
  BOOST_TEST(plan.rows[1].head);
  BOOST_TEST(plan.rows[1].round_trips == 13u);
  BOOST_TEST(plan.rows[1].columns == "1/3");
  BOOST_TEST(plan.rows[4].round_trips == 0u);
  BOOST_TEST(plan.rows[4].weight_bytes == whole.rows[0].weight_bytes);
  BOOST_TEST(plan.rows[4].role == "replica");
}

BOOST_AUTO_TEST_CASE(only_the_lattice_scheme_needs_hints) {
  BOOST_TEST(table().hint_bytes > 0u);
  config.masking.scheme = "clear";
  BOOST_TEST(table().hint_bytes == 0u);
}

BOOST_AUTO_TEST_CASE(layers_that_the_model_lacks_are_a_config_error) {
  add("a", 0, 6);
  BOOST_CHECK_EXCEPTION(table(), Error,
                        [](const Error& error) { return error.code() == Errc::config; });
}

BOOST_AUTO_TEST_CASE(a_share_that_is_empty_is_no_matrix_and_no_round_trip) {
  const auto whole = table();
  u64 weights = 0;
  for (u32 share = 1; share <= 5; ++share) { // o and down have 256 columns: four panels
    auto& node = add("w" + std::to_string(share), 0, 5);
    node.columns = {share - 1, 5};
  }
  const auto plan = table();
  for (const auto& row : plan.rows) weights += row.weight_bytes;
  BOOST_TEST(weights == whole.rows[0].weight_bytes);
  BOOST_TEST(plan.rows[0].matrices == 13u);
  BOOST_TEST(plan.rows[0].round_trips == 13u);
  BOOST_TEST(plan.rows[1].matrices == 25u);
}

BOOST_AUTO_TEST_CASE(the_table_has_a_line_for_each_node_and_the_sums) {
  add("first", 0, 2);
  add("second", 3, 5);
  const std::string text = cli::to_text(table());
  BOOST_TEST(text.find("\nfirst   10.0.0.1:7600  never 0-2           all     primary        12") !=
                 std::string::npos,
             text);
  BOOST_TEST(cli::sums_text(table()).ends_with("; per token: 25 round trips\n"));
  BOOST_TEST(cli::to_json(table())["nodes"].size() == 2u);
}

BOOST_AUTO_TEST_SUITE_END()
