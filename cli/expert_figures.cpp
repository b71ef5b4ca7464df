#include "cli/expert_figures.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace talaria::cli {

namespace {

/// Rows of a micro-batch that costs are told for.
constexpr u64 kBatches[] = {1, 8, 64};

struct RowBytes {
  std::size_t gate_up = 0; ///< of a word
  std::size_t down = 0;
  std::size_t columns_per_output = 1;

  u64 of(const arch::ExpertNumbers& numbers) const {
    return gate_up * (numbers.gate_up_inputs + columns_per_output * numbers.gate_up_outputs) +
           down * (numbers.down_inputs + columns_per_output * numbers.down_outputs);
  }
};

std::string megabytes(u64 bytes) {
  return fmt::format("{:.1f}", static_cast<double>(bytes) / 1e6);
}

} // namespace

std::optional<ExpertFigures> expert_figures(const arch::ModelPlan& plan, const WireWidths& widths) {
  const auto cost = arch::expert_cost(plan);
  if (!cost) return std::nullopt;
  ExpertFigures out;
  out.cost = *cost;
  for (u32 l = 0; l < plan.layer_count(); ++l) {
    const arch::FeedForward& shape = plan.layers[l].feed_forward;
    if (!shape.router) continue;
    const auto word = [&](arch::LinearKind kind) {
      return widths.word_bytes.at(plan.linears.of(l, kind).id.value);
    };
    const RowBytes bytes{word(arch::LinearKind::gate_up), word(arch::LinearKind::down),
                         widths.columns_per_output};
    out.bytes_per_row += bytes.of(arch::numbers_of_all(shape, plan.hidden));
    out.chosen_bytes_per_row += bytes.of(arch::numbers_of_chosen(shape, plan.hidden));
  }
  return out;
}

nlohmann::json to_json(const arch::ExpertCost& cost) {
  return {{"layers", cost.layers},
          {"routed", cost.routed},
          {"chosen", cost.chosen},
          {"padding", "full"},
          {"waiting_rounds", 0},
          {"products_per_row", cost.products},
          {"chosen_products_per_row", cost.chosen_products}};
}

nlohmann::json to_json(const ExpertFigures& figures) {
  nlohmann::json out = to_json(figures.cost);
  for (const u64 rows : kBatches)
    out["batches"].push_back({{"rows", rows},
                              {"bytes", rows * figures.bytes_per_row},
                              {"chosen_bytes", rows * figures.chosen_bytes_per_row}});
  return out;
}

std::string to_text(const arch::ExpertCost& cost) {
  return fmt::format("{} layers choose {} of {} experts; every row goes to all of them: {:.1f} "
                     "times the products of the chosen, and no row waits",
                     cost.layers, cost.chosen, cost.routed, cost.over_chosen());
}

std::string to_text(const ExpertFigures& figures) {
  std::string out = "experts   " + to_text(figures.cost) + "\n          MB up and down for";
  for (const u64 rows : kBatches)
    out += fmt::format("{} {} row{} {} ({} for the chosen)", rows == kBatches[0] ? "" : ",", rows,
                       rows == 1 ? "" : "s", megabytes(rows * figures.bytes_per_row),
                       megabytes(rows * figures.chosen_bytes_per_row));
  return out + "\n";
}

} // namespace talaria::cli
