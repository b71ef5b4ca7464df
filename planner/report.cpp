#include <fmt/format.h>

#include <cmath>

#include "planner/plan.hpp"
#include "planner/words.hpp"

namespace talaria::planner {

std::string gigabytes(double bytes) {
  return fmt::format("{:.1f} GB", bytes / 1e9);
}

std::string duration(double seconds) {
  if (seconds < 1) return fmt::format("{:.3g} ms", seconds * 1e3);
  return seconds < 1000 ? fmt::format("{:.3g} s", seconds) : fmt::format("{:.0f} s", seconds);
}

std::string three_digits(double value) {
  if (!(std::abs(value) >= 1000 && std::abs(value) < 1e9)) return fmt::format("{:.3g}", value);
  const double step = std::pow(10, std::floor(std::log10(std::abs(value))) - 2);
  return fmt::format("{:.0f}", std::round(value / step) * step);
}

namespace {

std::string outcome_row(const Outcome& outcome, const Workload& load) {
  const System& system = outcome.system;
  const Prediction& told = outcome.prediction;
  if (!system.impossible.empty()) return fmt::format("{:<24}{}\n", system.name, system.impossible);
  const std::string cost =
      system.has_price ? fmt::format("{:.3g}", cost_per_million(outcome, load)) : "-";
  if (!told.sustains)
    return fmt::format("{:<24}{:>11.3g}{:>12}{:>12}{:>12}{:>13}{:>11}  {}\n", system.name,
                       told.capacity, "too much", "-", "-",
                       three_digits(told.capacity * load.answer_tokens), cost, told.bottleneck);
  return fmt::format("{:<24}{:>11.3g}{:>12}{:>12}{:>12.3g}{:>13}{:>11}  {}\n", system.name,
                     told.capacity, duration(told.first_token_s), duration(told.token_s),
                     1 / told.token_s, three_digits(told.capacity * load.answer_tokens), cost,
                     told.bottleneck);
}

std::string memory_text(const Plan& plan) {
  const EnclaveMachines& enclave = plan.fleet.enclave;
  return fmt::format("Each enclave's memory: hints {}, masks made ahead up to {}, embedding {}, "
                     "keys and values {:.1f} KiB "
                     "a token (at most {:.0f} requests at once), of {}\n",
                     gigabytes(plan.costs.hint_bytes),
                     gigabytes(std::min(plan.mask_bytes, static_cast<double>(enclave.memory) / 4)),
                     gigabytes(plan.costs.embedding_bytes), plan.costs.kv_bytes / 1024,
                     std::max(0.0, plan.confidential.system.max_sequences),
                     gigabytes(static_cast<double>(enclave.memory)));
}

std::string placement_text(const Plan& plan) {
  if (plan.placement.empty()) return {};
  std::string text = "\nPlacement\n";
  constexpr std::size_t kMostRows = 16;
  for (std::size_t i = 0; i < plan.placement.size() && i < kMostRows; ++i) {
    const PlacementPart& part = plan.placement[i];
    text += fmt::format("  {:<24}layers {:<10}{:>10} of {}\n", part.name, part.layers,
                        gigabytes(part.weight_bytes), gigabytes(part.memory_bytes));
  }
  if (plan.placement.size() > kMostRows)
    text += fmt::format("  and {} more; --json has all\n", plan.placement.size() - kMostRows);
  return text;
}

std::string busy_text(const Plan& plan) {
  const Outcome& ours = plan.confidential;
  if (ours.prediction.busy.empty()) return {};
  std::string text = fmt::format("\n{}: {:.0f} answers at once in each enclave, in {} "
                                 "micro-batches; {:.1f} enclave cores; "
                                 "{:.3g} GB/s up, {:.3g} GB/s down\n",
                                 ours.prediction.sustains ? "Under this load"
                                                          : "This load is too much; it would take",
                                 ours.prediction.sequences, ours.prediction.micro_batches,
                                 plan.enclave_cores, plan.up_bytes / 1e9, plan.down_bytes / 1e9);
  for (std::size_t i = 0; i < ours.system.resources.size(); ++i)
    text += fmt::format("  {:<28}{:>6.1f} % busy\n", ours.system.resources[i].name,
                        100 * ours.prediction.busy[i]);
  return text;
}

std::string changes_text(const Plan& plan) {
  if (plan.changes.empty()) return {};
  std::string text = "\nWhat would help most\n";
  for (const Change& change : plan.changes)
    text += fmt::format("  {:<40}{:.3g} requests/s at most ({:.2f} times){}\n", change.what,
                        change.capacity, change.capacity / plan.confidential.prediction.capacity,
                        change.sustains ? ", " + duration(change.token_s) + " from token to token"
                                        : ", still too few");
  return text;
}

nlohmann::json simulation_json(const Simulation& told) {
  const auto times = [](const Histogram& histogram) {
    return nlohmann::json{{"count", histogram.count()},      {"mean", histogram.mean()},
                          {"p50", histogram.quantile(0.5)},  {"p90", histogram.quantile(0.9)},
                          {"p95", histogram.quantile(0.95)}, {"p99", histogram.quantile(0.99)},
                          {"most", histogram.most()}};
  };
  nlohmann::json use;
  for (const ResourceUse& resource : told.resources)
    use[resource.name] = {{"mean", resource.mean}, {"most", resource.most}};
  return {{"machines", told.machines},
          {"requests", told.requests},
          {"too_large", told.too_large},
          {"events", told.events},
          {"seconds", told.seconds},
          {"keeps_up", told.keeps_up},
          {"requests_per_second", told.requests_per_second},
          {"answer_tokens_per_second", told.answer_tokens_per_second},
          {"prompt_tokens_per_second", told.prompt_tokens_per_second},
          {"time_to_first_token_s", times(told.first_token)},
          {"time_per_token_s", times(told.token)},
          {"time_of_request_s", times(told.request)},
          {"rows_per_step", told.mean_rows},
          {"mask_wait_s", told.mask_wait_s},
          {"bottleneck", told.bottleneck},
          {"busy", std::move(use)}};
}

nlohmann::json outcome_json(const Outcome& outcome, const Workload& load) {
  const System& system = outcome.system;
  const Prediction& told = outcome.prediction;
  nlohmann::json out{{"name", system.name}, {"possible", system.impossible.empty()}};
  if (!system.impossible.empty()) {
    out["reason"] = system.impossible;
    return out;
  }
  out["requests_per_second_max"] = told.capacity;
  out["answer_tokens_per_second_max"] = told.capacity * load.answer_tokens;
  out["prompt_tokens_per_second_max"] = told.prompt_tokens_per_s;
  out["sustains_load"] = told.sustains;
  out["bottleneck"] = told.bottleneck;
  out["requests_at_once_max"] = system.max_sequences;
  if (told.sustains) {
    out["time_to_first_token_s"] = told.first_token_s;
    out["time_per_token_s"] = told.token_s;
    out["answers_at_once"] = told.sequences;
    out["micro_batches"] = told.micro_batches;
    for (std::size_t i = 0; i < system.resources.size(); ++i)
      out["busy"][system.resources[i].name] = told.busy[i];
  }
  if (outcome.simulation) out["simulation"] = simulation_json(*outcome.simulation);
  if (system.has_price) {
    out["price_per_hour"] = system.price_per_hour;
    out["cost_per_million_answer_tokens"] = cost_per_million(outcome, load);
  }
  return out;
}

std::string simulation_row(const Outcome& outcome) {
  const Simulation& told = *outcome.simulation;
  std::string text =
      fmt::format("{:<24}{:>11.3g}{:>13}", outcome.system.name, told.requests_per_second,
                  three_digits(told.answer_tokens_per_second));
  for (const Histogram* histogram : {&told.first_token, &told.token})
    for (const double share : {0.5, 0.9, 0.99})
      text += fmt::format("{:>9}", duration(histogram->quantile(share)));
  text += "  " + told.bottleneck;
  if (told.too_large > 0)
    text += fmt::format("; {} requests have no memory for their keys and values", told.too_large);
  else if (!told.keeps_up)
    text += "; does not keep up";
  return text + '\n';
}

std::string simulation_text(const Plan& plan) {
  if (plan.requests_from.empty()) return {};
  std::string text = fmt::format("\nSimulated: {}\n", plan.requests_from);
  text += fmt::format("{:<24}{:>11}{:>13}{:>27}{:>27}  {}\n", "", "requests/s", "tokens/s",
                      "first token p50, 90, 99", "token to token p50, 90, 99", "busiest");
  for (const Outcome* outcome : {&plan.confidential, &plan.clear, &plan.alone})
    if (outcome->simulation) text += simulation_row(*outcome);
  return text;
}

} // namespace

std::string to_text(const Plan& plan) {
  const Workload& load = plan.fleet.load;
  std::string text =
      fmt::format("{}: {} of weights in int8; {:.3g} requests/s of {} tokens, answered with {}\n",
                  plan.model_name, gigabytes(plan.costs.all().weights), load.requests_per_second,
                  load.prompt_tokens, load.answer_tokens);
  text += memory_text(plan) + placement_text(plan);
  text +=
      fmt::format("\n{:<24}{:>11}{:>12}{:>12}{:>12}{:>13}{:>11}  {}\n", "", "requests/s", "first",
                  "token to", "tokens/s", "tokens/s", "cost per", "bound at capacity by");
  text += fmt::format("{:<24}{:>11}{:>12}{:>12}{:>12}{:>13}{:>11}\n", "", "at most", "token",
                      "token", "of one", "at most", "million");
  for (const Outcome* outcome : {&plan.confidential, &plan.clear, &plan.alone})
    text += outcome_row(*outcome, load);
  text += busy_text(plan) + simulation_text(plan) + changes_text(plan) + '\n';
  for (const std::string& sentence : plan.verdict) text += sentence + '\n';
  return text +
         (plan.rates.measured.empty()
              ? "Predicted, not measured here; the assumptions are in docs/planning.md.\n"
              : fmt::format(
                    "Predicted with {} figures of the calibration; the other assumptions are in "
                    "docs/planning.md.\n",
                    plan.rates.measured.size()));
}

nlohmann::json to_json(const Plan& plan) {
  nlohmann::json out{{"model", plan.model_name}, {"pays", plan.pays}, {"verdict", plan.verdict}};
  out["load"] = {{"requests_per_second", plan.fleet.load.requests_per_second},
                 {"prompt_tokens", plan.fleet.load.prompt_tokens},
                 {"answer_tokens", plan.fleet.load.answer_tokens}};
  out["memory"] = {{"weights", plan.costs.all().weights},
                   {"hints", plan.costs.hint_bytes},
                   {"masks", plan.mask_bytes},
                   {"embedding", plan.costs.embedding_bytes},
                   {"kv_per_token", plan.costs.kv_bytes}};
  out["placement"] = nlohmann::json::array();
  for (const PlacementPart& part : plan.placement)
    out["placement"].push_back({{"machine", part.name},
                                {"layers", part.layers},
                                {"weight_bytes", part.weight_bytes},
                                {"memory_bytes", part.memory_bytes}});
  out["links"] = {{"up_bytes_per_second", plan.up_bytes},
                  {"down_bytes_per_second", plan.down_bytes}};
  out["enclave_cores"] = plan.enclave_cores;
  out["confidential"] = outcome_json(plan.confidential, plan.fleet.load);
  out["clear_on_workers"] = outcome_json(plan.clear, plan.fleet.load);
  out["enclave_alone"] = outcome_json(plan.alone, plan.fleet.load);
  out["changes"] = nlohmann::json::array();
  for (const Change& change : plan.changes)
    out["changes"].push_back({{"what", change.what},
                              {"requests_per_second_max", change.capacity},
                              {"sustains_load", change.sustains},
                              {"time_per_token_s", change.token_s},
                              {"time_to_first_token_s", change.first_token_s}});
  out["assumptions"] = rates_json(plan.rates);
  out["measured"] = plan.rates.measured;
  if (!plan.requests_from.empty()) out["simulated"] = plan.requests_from;
  return out;
}

} // namespace talaria::planner
