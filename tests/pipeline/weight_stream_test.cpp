// Weights that workers stream are those of the manifest, or the workers that sent others are named.
#include "pipeline/weight_stream.hpp"

#include <boost/test/unit_test.hpp>
#include <map>
#include <set>

#include "core/error.hpp"
#include "core/random.hpp"

namespace talaria::pipeline {

BOOST_AUTO_TEST_SUITE(weight_stream)

namespace {

using cluster::MatrixPlan;
using cluster::SentPanels;
using Nodes = std::set<u32>;

constexpr std::size_t kIn = 12;
constexpr std::size_t kColumns = 64 * 5 + 7; // six panels, the last one narrow
constexpr u64 kPanelBytes = 64 * kIn;

model::QuantizedLinear weights() {
  model::QuantizedLinear linear;
  linear.id = {3};
  linear.format = model::WeightFormat::int8;
  linear.d_in = kIn;
  linear.d_out = kColumns;
  linear.columns = kernels::PackedWeights(kIn, kColumns);
  auto rng = seeded_rng(5);
  for (std::size_t i = 0; i < kIn; ++i)
    for (std::size_t j = 0; j < kColumns; ++j)
      linear.columns.at(i, j) = static_cast<i8>(static_cast<int>(rng.below(255)) - 127);
  return linear;
}

/// Two shards of three panels: nodes 0 and 2 hold the left one, 1 and 3 the right one, 4 both.
MatrixPlan plan() {
  return {3,
          "layers.0.down",
          kIn,
          kColumns,
          {{0, 192, {{0, 0, 192}, {2, 0, 192}, {4, 0, kColumns}}},
           {192,
            kColumns - 192,
            {{1, 192, kColumns - 192}, {3, 192, kColumns - 192}, {4, 0, kColumns}}}}};
}

/// Fake workers: who is there, who is asked first, and how each one lies.
struct Workers {
  model::QuantizedLinear truth = weights();
  MatrixPlan where = plan();
  Nodes gone;
  std::map<u32, u64> lies; ///< node to the panel in which one bit is wrong
  std::map<u32, u32> asked;

  SentPanels send(const remo::WeightRequest& request, std::optional<u32> from) {
    for (const auto& shard : where.shards) {
      const u64 begin = shard.first_column / 64, end = begin + (shard.columns + 63) / 64;
      if (request.first < begin || request.first >= end) continue;
      for (const auto& holder : shard.holders) {
        if (gone.contains(holder.node) || (from && *from != holder.node)) continue;
        ++asked[holder.node];
        remo::WeightRequest clipped = request;
        clipped.count = static_cast<u32>(std::min<u64>({clipped.count, end - clipped.first, 2}));
        return {panels(clipped, holder.node), holder.node};
      }
    }
    throw Error(Errc::no_worker, "nobody");
  }

  StreamedWeights stream() {
    model::WeightAssembler assembler(where.name, {3}, model::WeightFormat::int8, kIn, kColumns);
    return stream_weights(
        std::move(assembler), where, model::digest(truth),
        [this](const remo::WeightRequest& request, std::optional<u32> from) {
          return send(request, from);
        },
        [](u32 node) { return "node " + std::to_string(node); });
  }

  void check(const Nodes& liars) {
    const StreamedWeights streamed = stream();
    BOOST_TEST((model::digest(streamed.linear) == model::digest(truth)));
    BOOST_TEST(streamed.liars == liars, boost::test_tools::per_element());
  }

private:
  remo::WeightPanels panels(const remo::WeightRequest& request, u32 node) const {
    AlignedBuffer<u8> bytes(request.count * kPanelBytes);
    std::copy_n(reinterpret_cast<const u8*>(truth.columns.panel(request.first)), bytes.size(),
                bytes.data());
    const auto lie = lies.find(node);
    if (lie != lies.end() && lie->second >= request.first &&
        lie->second < request.first + request.count)
      bytes[(lie->second - request.first) * kPanelBytes + 17] ^= 4;
    return {request.matrix, request.first, request.count,
            std::make_shared<const AlignedBuffer<u8>>(std::move(bytes))};
  }
};

} // namespace

BOOST_AUTO_TEST_CASE(right_weights_are_fetched_once) {
  Workers workers;
  workers.check({});
  BOOST_TEST(workers.asked[0] == 2U);
  BOOST_TEST(workers.asked[1] == 2U);
  BOOST_TEST(workers.asked.size() == 2U);
}

BOOST_AUTO_TEST_CASE(whoever_sent_a_wrong_panel_is_named_and_nobody_else) {
  for (u64 panel = 0; panel < 6; ++panel) {
    Workers workers;
    const u32 liar = panel < 3 ? 0 : 1;
    workers.lies[liar] = panel;
    workers.check({liar});
  }
}

BOOST_AUTO_TEST_CASE(liars_of_both_shards_are_named) {
  Workers workers;
  workers.lies = {{0, 2}, {1, 5}};
  workers.check({0, 1});
}

BOOST_AUTO_TEST_CASE(a_second_copy_may_be_a_lie_as_well) {
  Workers workers;
  workers.lies = {{0, 0}, {2, 0}};
  workers.check({0, 2});
  workers.lies = {{0, 0}, {2, 1}, {1, 3}};
  workers.check({0, 1, 2});
}

BOOST_AUTO_TEST_CASE(an_honest_first_copy_stays_although_the_second_lies) {
  Workers workers;
  workers.lies = {{1, 4}, {2, 1}};
  workers.check({1, 2});
}

BOOST_AUTO_TEST_CASE(a_spare_that_is_gone_is_passed_over) {
  Workers workers;
  workers.gone = {2};
  workers.lies = {{0, 2}};
  workers.check({0});
}

BOOST_AUTO_TEST_CASE(without_right_weights_whoever_sent_some_is_named) {
  Workers workers;
  workers.gone = {2, 3, 4};
  workers.lies = {{0, 2}};
  BOOST_CHECK_EXCEPTION(workers.stream(), Error, [](const Error& error) {
    const std::string text = error.what();
    return error.code() == Errc::verification && text.starts_with("layers.0.down: ") &&
           text.find("node 0") != std::string::npos;
  });
}

BOOST_AUTO_TEST_CASE(nobody_who_sends_any_is_no_worker) {
  Workers workers;
  workers.gone = {1, 3, 4};
  BOOST_CHECK_EXCEPTION(workers.stream(), Error,
                        [](const Error& error) { return error.code() == Errc::no_worker; });
}

BOOST_AUTO_TEST_SUITE_END()

} // namespace talaria::pipeline
