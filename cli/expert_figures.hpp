#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "arch/expert_cost.hpp"

namespace talaria::cli {

/// Bytes of the matrices of a model's mixtures, in both directions, and what they would be if rows
/// went to the chosen experts only.
struct ExpertFigures {
  arch::ExpertCost cost;
  u64 bytes_per_row = 0;
  u64 chosen_bytes_per_row = 0;
};

/// What a word of each matrix takes, in the order of plan.linears, and columns for each output.
struct WireWidths {
  std::vector<std::size_t> word_bytes;
  std::size_t columns_per_output = 1;
};

/// Nothing for a model without mixtures.
std::optional<ExpertFigures> expert_figures(const arch::ModelPlan& plan, const WireWidths& widths);

nlohmann::json to_json(const arch::ExpertCost& cost);
nlohmann::json to_json(const ExpertFigures& figures);
/// Two lines for people.
std::string to_text(const ExpertFigures& figures);
/// "48 layers choose 8 of 128 experts; ...": the first of them, for the bench as well.
std::string to_text(const arch::ExpertCost& cost);

} // namespace talaria::cli
