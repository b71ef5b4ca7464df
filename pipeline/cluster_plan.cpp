#include "pipeline/cluster_plan.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "core/error.hpp"
#include "model/weights/column_shard.hpp"
#include "remo/public/public_matrix.hpp"

namespace talaria::pipeline {

namespace {

using cluster::Holder;
using cluster::MatrixPlan;
using cluster::Shard;

/// Primaries first, otherwise in the order of the file.
std::vector<Holder> holders_of(const ClusterOptions& options, u32 layer, u64 columns) {
  std::vector<Holder> holders;
  for (const bool replica : {false, true})
    for (u32 n = 0; n < options.nodes.size(); ++n) {
      const ClusterNode& node = options.nodes[n];
      if (node.replica != replica || !node.layers.contains(layer)) continue;
      const auto range = model::column_range(columns, node.share);
      if (range.count > 0) holders.push_back({n, range.first, range.count, node.equals});
    }
  return holders;
}

/// Cuts the columns wherever somebody's part begins or ends, so that each shard is held whole or
/// not at all.
std::vector<Shard> shards_of(const std::vector<Holder>& holders, u64 columns) {
  std::set<u64> cuts{0, columns};
  for (const Holder& holder : holders) {
    cuts.insert(holder.first_column);
    cuts.insert(holder.first_column + holder.columns);
  }
  std::vector<Shard> shards;
  for (auto cut = cuts.begin(); std::next(cut) != cuts.end(); ++cut) {
    Shard shard{*cut, *std::next(cut) - *cut, {}};
    for (const Holder& holder : holders)
      if (holder.first_column <= shard.first_column &&
          shard.first_column + shard.columns <= holder.first_column + holder.columns)
        shard.holders.push_back(holder);
    shards.push_back(std::move(shard));
  }
  return shards;
}

void check_layers(const ClusterNode& node, const arch::ModelPlan& model) {
  if (node.layers.within(model.layer_count()).last >= model.layer_count())
    throw Error(Errc::config,
                fmt::format("worker '{}' is to hold layers {}; the model has layers 0-{}",
                            node.name, to_string(node.layers), model.layer_count() - 1));
}

transport::Identity identity_wanted(const arch::ModelPlan& model, model::WeightFormat format,
                                    const remo::LatticeParameters& parameters) {
  transport::Identity wanted;
  wanted.name = "enclave";
  wanted.parameters = parameters.name;
  wanted.modulus = parameters.q;
  wanted.rounded_modulus = parameters.p;
  wanted.dimension = parameters.dimension();
  wanted.weights = model::to_string(format);
  wanted.public_seed = sha256(remo::public_matrix_seed());
  wanted.layers = model.layer_count();
  return wanted;
}

} // namespace

ClusterPlan plan_cluster(const ClusterOptions& options, const arch::ModelPlan& model,
                         model::WeightFormat format, const remo::LatticeParameters& parameters) {
  ClusterPlan plan;
  for (const ClusterNode& node : options.nodes) {
    check_layers(node, model);
    plan.nodes.push_back({node.name,
                          node.address,
                          node.tls_name,
                          identity_wanted(model, format, parameters),
                          {},
                          {}});
  }
  for (const arch::Linear& linear : model.linears) {
    MatrixPlan matrix;
    matrix.matrix = linear.id.value;
    matrix.name = linear.name;
    matrix.d_in = linear.d_in;
    matrix.columns = model::columns_of(linear, format);
    const auto holders = holders_of(options, linear.layer, matrix.columns);
    matrix.shards = shards_of(holders, matrix.columns);
    for (const Shard& shard : matrix.shards)
      if (shard.holders.empty())
        throw Error(Errc::config, fmt::format("{}: columns {} to {} have no worker; add one, or "
                                              "widen the layers of another",
                                              matrix.name, shard.first_column,
                                              shard.first_column + shard.columns - 1));
    for (const Holder& holder : holders)
      plan.nodes[holder.node].wanted.matrices.push_back({matrix.matrix, matrix.d_in, matrix.columns,
                                                         holder.first_column, holder.columns,
                                                         std::nullopt});
    plan.placement.push_back(std::move(matrix));
  }
  return plan;
}

} // namespace talaria::pipeline
