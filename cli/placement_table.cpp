#include "cli/placement_table.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "model/weights/column_shard.hpp"
#include "model/weights/quantized.hpp"
#include "remo/public/parameters.hpp"

namespace talaria::cli {
namespace {

using config::WorkerNode;

/// Sums over matrices for one node.
struct Load {
  u32 matrices = 0;
  u64 weight_bytes = 0;
  u64 columns = 0;
};

Load load_of(const LayerRange& layers, ColumnShare share, model::WeightFormat format,
             const arch::ModelPlan& model) {
  Load load;
  for (const arch::Linear& linear : model.linears) {
    if (!layers.contains(linear.layer)) continue;
    const u64 columns = model::column_range(model::columns_of(linear, format), share).count;
    if (columns == 0) continue; // fewer panels than shares: somebody else has them all
    ++load.matrices;
    load.columns += columns;
    load.weight_bytes += linear.d_in * columns;
  }
  return load;
}

/// Bytes of hint for one column; only the lattice scheme has any.
u64 hint_bytes_per_column(const config::Masking& masking) {
  if (masking.scheme != "lattice") return 0;
  const remo::LatticeParameters& parameters = remo::lattice_parameters(masking.parameters);
  return u64{parameters.dimension()} * static_cast<u64>(parameters.modulus().word_bytes);
}

const char* start_text(WorkerNode::Start start) {
  if (start == WorkerNode::Start::local) return "local";
  return start == WorkerNode::Start::ssh ? "ssh" : "never";
}

PlacementRow row_of(const WorkerNode& node, const config::PipelineConfig& config,
                    const arch::ModelPlan& model) {
  const LayerRange layers = node.layers.within(model.layer_count());
  const Load load =
      load_of(layers, node.columns, model::parse_weight_format(config.masking.weights), model);
  PlacementRow row;
  row.node = node.name;
  row.address = to_string(node.address);
  row.start = start_text(node.start);
  row.layers = to_string(layers);
  row.head = layers.last + 1 == model.layer_count();
  row.columns = node.columns.count == 1 ? "all" : to_string(node.columns);
  row.role = node.role == WorkerNode::Role::primary ? "primary" : "replica";
  row.matrices = load.matrices;
  row.weight_bytes = load.weight_bytes;
  row.hint_bytes = load.columns * hint_bytes_per_column(config.masking);
  row.round_trips = node.role == WorkerNode::Role::primary ? load.matrices : 0;
  return row;
}

} // namespace

std::string mib(u64 bytes) {
  return fmt::format("{:.1f} MiB", static_cast<double>(bytes) / (1 << 20));
}

PlacementTable placement_table(const config::PipelineConfig& config, const arch::ModelPlan& model) {
  config::check_layer_count(config, model.layer_count());
  PlacementTable table;
  WorkerNode embedded;
  embedded.name = "embedded";
  embedded.layers.all = true;
  const PlacementRow whole = row_of(embedded, config, model);
  table.hint_bytes = whole.hint_bytes;
  table.round_trips = whole.round_trips;
  for (const WorkerNode& node : config.workers) table.rows.push_back(row_of(node, config, model));
  if (config.workers.empty()) {
    table.rows.push_back(whole);
    table.rows.back().address = "-";
    table.rows.back().start = "here";
  }
  return table;
}

std::string to_text(const PlacementTable& table) {
  std::size_t name = 4;
  std::size_t address = 7;
  for (const PlacementRow& row : table.rows) {
    name = std::max(name, row.node.size());
    address = std::max(address, row.address.size());
  }
  std::string text = fmt::format("{:<{}}  {:<{}}  {:<6}{:<14}{:<8}{:<8}{:>9}{:>14}{:>14}{:>13}\n",
                                 "node", name, "address", address, "start", "layers", "columns",
                                 "role", "matrices", "weights", "hints", "round trips");
  for (const PlacementRow& row : table.rows)
    text += fmt::format("{:<{}}  {:<{}}  {:<6}{:<14}{:<8}{:<8}{:>9}{:>14}{:>14}{:>13}\n", row.node,
                        name, row.address, address, row.start,
                        row.layers + (row.head ? " + head" : ""), row.columns, row.role,
                        row.matrices, mib(row.weight_bytes), mib(row.hint_bytes), row.round_trips);
  return text;
}

std::string sums_text(const PlacementTable& table) {
  return fmt::format("enclave: {} of hints; per token: {} round trips\n", mib(table.hint_bytes),
                     table.round_trips);
}

nlohmann::json to_json(const PlacementTable& table) {
  nlohmann::json nodes = nlohmann::json::array();
  for (const PlacementRow& row : table.rows)
    nodes.push_back({{"worker", row.node},
                     {"address", row.address},
                     {"start", row.start},
                     {"layers", row.layers},
                     {"head", row.head},
                     {"columns", row.columns},
                     {"role", row.role},
                     {"matrices", row.matrices},
                     {"weight_bytes", row.weight_bytes},
                     {"hint_bytes", row.hint_bytes},
                     {"round_trips_per_token", row.round_trips}});
  return {{"nodes", std::move(nodes)},
          {"hint_bytes", table.hint_bytes},
          {"round_trips_per_token", table.round_trips}};
}

} // namespace talaria::cli
