// Where every column is computed, from what the configuration says of workers.
#include "pipeline/cluster_plan.hpp"

#include <boost/test/unit_test.hpp>

#include "core/error.hpp"
#include "core/random.hpp"
#include "model/weights/synthetic.hpp"

namespace talaria::pipeline {

BOOST_AUTO_TEST_SUITE(cluster_plan_test)

namespace {

constexpr u32 kLayers = 4;

ClusterNode node_of(std::string name, u32 first, u32 last, ColumnShare share = {},
                    bool replica = false) {
  ClusterNode node;
  node.name = std::move(name);
  node.layers = {first, last};
  node.share = share;
  node.replica = replica;
  return node;
}

ClusterPlan plan_of(std::vector<ClusterNode> nodes,
                    model::WeightFormat format = model::WeightFormat::int8) {
  ClusterOptions options;
  options.nodes = std::move(nodes);
  return plan_cluster(options, model::shape_plan("tiny", kLayers), format,
                      remo::kDefaultParameters);
}

std::string refusal_of(std::vector<ClusterNode> nodes) {
  try {
    plan_of(std::move(nodes));
  } catch (const Error& error) {
    BOOST_TEST((error.code() == Errc::config));
    return error.what();
  }
  return "";
}

std::vector<u32> nodes_of(const cluster::Shard& shard) {
  std::vector<u32> nodes;
  for (const auto& holder : shard.holders) nodes.push_back(holder.node);
  return nodes;
}

} // namespace

BOOST_AUTO_TEST_CASE(layers_go_to_who_has_them_and_the_head_to_who_has_the_last) {
  const ClusterPlan plan = plan_of({node_of("a", 0, 1), node_of("b", 2, 3)});
  const arch::ModelPlan model = model::shape_plan("tiny", kLayers);
  BOOST_TEST(plan.placement.size() == model.linears.size());
  for (const arch::Linear& linear : model.linears) {
    const auto& matrix = plan.placement.at(linear.id.value);
    BOOST_TEST(matrix.name == linear.name);
    BOOST_TEST_REQUIRE(matrix.shards.size() == 1U);
    BOOST_TEST(matrix.shards[0].first_column == 0U);
    BOOST_TEST(matrix.shards[0].columns == matrix.columns);
    const bool first = linear.name.starts_with("layers.0") || linear.name.starts_with("layers.1");
    BOOST_TEST(nodes_of(matrix.shards[0]) == std::vector<u32>{first ? 0U : 1U},
               boost::test_tools::per_element());
  }
}

BOOST_AUTO_TEST_CASE(primaries_come_before_replicas_whatever_the_order) {
  ClusterNode all = node_of("spare", 0, 0, {}, true);
  all.layers.all = true;
  const ClusterPlan plan = plan_of({all, node_of("a", 0, 3)});
  for (const auto& matrix : plan.placement)
    BOOST_TEST(nodes_of(matrix.shards.at(0)) == (std::vector<u32>{1, 0}),
               boost::test_tools::per_element());
}

// Shards lie side by side, cover every column, are cut at panels, and every holder has all of its.
BOOST_AUTO_TEST_CASE(shares_cut_matrices_into_shards_that_cover_them) {
  for (u64 seed = 0; seed < 40; ++seed) {
    auto rng = seeded_rng(seed);
    std::vector<ClusterNode> nodes;
    const auto split = [&](u32 first, u32 last, bool replica) {
      const u32 count = 1 + static_cast<u32>(rng.below(4));
      for (u32 i = 0; i < count; ++i)
        nodes.push_back(node_of("n", first, last, {i, count}, replica));
    };
    const u32 cut = 1 + static_cast<u32>(rng.below(kLayers - 1));
    split(0, cut - 1, false);
    split(cut, kLayers - 1, false);
    split(0, kLayers - 1, true);
    const auto format = rng.below(2) == 0 ? model::WeightFormat::int8 : model::WeightFormat::int16;
    const ClusterPlan plan = plan_of(nodes, format);
    BOOST_TEST(plan.nodes.size() == nodes.size());
    for (const auto& matrix : plan.placement) {
      u64 next = 0;
      for (const auto& shard : matrix.shards) {
        BOOST_TEST_REQUIRE(shard.first_column == next);
        BOOST_TEST_REQUIRE(shard.columns > 0U);
        BOOST_TEST_REQUIRE(!shard.holders.empty());
        for (const auto& holder : shard.holders) {
          BOOST_TEST(holder.first_column <= shard.first_column);
          BOOST_TEST(holder.first_column + holder.columns >= shard.first_column + shard.columns);
        }
        next += shard.columns;
        BOOST_TEST((next == matrix.columns || next % kernels::PackedWeights::kPanel == 0));
      }
      BOOST_TEST(next == matrix.columns);
    }
  }
}

BOOST_AUTO_TEST_CASE(what_nobody_computes_is_named) {
  const std::string gap = refusal_of({node_of("a", 0, 1), node_of("b", 3, 3)});
  BOOST_TEST(gap.find("layers.2") != std::string::npos, gap);
  const std::string half = refusal_of({node_of("a", 0, 3, {0, 2})});
  BOOST_TEST(half.find("layers.0") != std::string::npos, half);
  const std::string beyond = refusal_of({node_of("far", 0, 4)});
  BOOST_TEST(beyond.find("far") != std::string::npos, beyond);
  const std::string share = refusal_of({node_of("odd", 0, 3, {2, 2})});
  BOOST_TEST(!share.empty());
}

BOOST_AUTO_TEST_SUITE_END()

} // namespace talaria::pipeline
