#include "planner/page.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "core/embedded_file.hpp"
#include "planner/svg.hpp"
#include "planner/words.hpp"

TALARIA_EMBED(talaria_plan_style, TALARIA_PLAN_STYLE);

namespace talaria::planner {

namespace {

/// The three systems with the look of their lines.
struct Shown {
  const Outcome* outcome;
  const char* look;
};

std::array<Shown, 3> all_of(const Plan& plan) {
  return {{{&plan.confidential, "confidential"}, {&plan.clear, "clear"}, {&plan.alone, "alone"}}};
}

std::string row(const char* cell, const std::vector<std::string>& texts) {
  std::string html = "<tr>";
  for (const std::string& text : texts) html += fmt::format("<{0}>{1}</{0}>", cell, escaped(text));
  return html + "</tr>\n";
}

std::string card(const std::string& title, const std::string& note, const std::string& body) {
  return fmt::format("<section class=\"card\"><h2>{}</h2><p class=\"note\">{}</p>\n{}</section>\n",
                     escaped(title), escaped(note), body);
}

std::string verdict_card(const Plan& plan) {
  std::string html = fmt::format("<section class=\"card verdict{}\">", plan.pays ? " pays" : "");
  for (const std::string& sentence : plan.verdict) html += "<p>" + escaped(sentence) + "</p>\n";
  return html + "</section>\n";
}

std::string systems_card(const Plan& plan) {
  std::string html =
      "<table>" + row("th", {"", "requests/s at most", "first token", "token to token",
                             "tokens/s at most", "cost of a million tokens", "bound by"});
  for (const Shown& shown : all_of(plan)) {
    const System& system = shown.outcome->system;
    const Prediction& told = shown.outcome->prediction;
    if (!system.impossible.empty()) {
      html += row("td", {system.name, "-", "-", "-", "-", "-", system.impossible});
      continue;
    }
    html += row(
        "td",
        {system.name, three_digits(told.capacity),
         told.sustains ? duration(told.first_token_s) : "too much",
         told.sustains ? duration(told.token_s) : "-",
         three_digits(told.capacity * plan.fleet.load.answer_tokens),
         system.has_price ? three_digits(cost_per_million(*shown.outcome, plan.fleet.load)) : "-",
         told.bottleneck});
  }
  return card("What the machines do",
              "By arithmetic. Prices are those of the file, or list prices of the table of clouds.",
              html + "</table>");
}

std::string sweep_card(const Plan& plan) {
  constexpr u32 kPoints = 60;
  std::vector<PlotLine> tokens{{"confidential", "confidential", {}},
                               {"in clear", "clear", {}},
                               {"enclave alone", "alone", {}}};
  std::vector<PlotLine> firsts = tokens;
  for (const SweepPoint& point : sweep(plan, kPoints)) {
    const Prediction* told[] = {&point.confidential, &point.clear, &point.alone};
    for (std::size_t i = 0; i < tokens.size(); ++i) {
      if (!told[i]->sustains) continue;
      tokens[i].points.emplace_back(point.requests_per_second, told[i]->token_s);
      firsts[i].points.emplace_back(point.requests_per_second, told[i]->first_token_s);
    }
  }
  const PlotAxis rate{"requests/s", AxisScale::logarithmic, three_digits};
  const auto plot = [&](const std::vector<PlotLine>& lines) {
    return line_plot(lines, rate, {"", AxisScale::logarithmic, duration});
  };
  return "<div class=\"pair\">" +
         card("From token to token, by load", "A line ends where the system can do no more.",
              plot(tokens)) +
         card("To the first token, by load", "The same.", plot(firsts)) + "</div>\n";
}

std::string busy_card(const Plan& plan) {
  const Outcome& ours = plan.confidential;
  if (ours.prediction.busy.empty()) return {};
  std::vector<PlotBar> bars;
  for (std::size_t i = 0; i < ours.system.resources.size(); ++i) {
    const double told = ours.prediction.busy[i];
    const ResourceUse* use = ours.simulation ? &ours.simulation->resources[i] : nullptr;
    bars.push_back({ours.system.resources[i].name,
                    use != nullptr
                        ? fmt::format("{:.0f} %, sim. {:.0f} %", 100 * told, 100 * use->mean)
                        : fmt::format("{:.0f} %", 100 * told),
                    "confidential", told, use != nullptr ? use->mean : -1});
  }
  return card("How busy resources are", "Under the load; the stroke is what the simulation has.",
              bar_plot(bars));
}

std::string changes_card(const Plan& plan) {
  if (plan.changes.empty()) return {};
  std::string html = "<table>" + row("th", {"", "requests/s at most", "times", "token to token"});
  for (const Change& change : plan.changes)
    html +=
        row("td", {change.what, three_digits(change.capacity),
                   fmt::format("{:.2f}", change.capacity / plan.confidential.prediction.capacity),
                   change.sustains ? duration(change.token_s) : "too much"});
  return card("What would help most", "One change at a time.", html + "</table>");
}

/// The share of durations, upwards, that stay below each.
PlotLine curve(const Histogram& histogram, const Shown& shown) {
  constexpr int kPoints = 100;
  PlotLine line{shown.outcome->system.name, shown.look, {}};
  if (histogram.count() > 0)
    for (int i = 1; i <= kPoints; ++i)
      line.points.emplace_back(histogram.quantile(i / double{kPoints}), i);
  return line;
}

std::string percent(double value) {
  return fmt::format("{:.0f} %", value);
}

std::string whole(double value) {
  return fmt::format("{:.0f}", value);
}

std::string simulation_table(const Plan& plan) {
  std::string html = "<table>" + row("th", {"", "requests/s", "tokens/s", "first token p50", "p90",
                                            "p99", "token to token p50", "p90", "p99", "busiest"});
  for (const Shown& shown : all_of(plan)) {
    if (!shown.outcome->simulation) continue;
    const Simulation& told = *shown.outcome->simulation;
    std::vector<std::string> cells{
        shown.outcome->system.name + (told.keeps_up ? "" : " (does not keep up)"),
        three_digits(told.requests_per_second), three_digits(told.answer_tokens_per_second)};
    for (const Histogram* histogram : {&told.first_token, &told.token})
      for (const double share : {0.5, 0.9, 0.99})
        cells.push_back(duration(histogram->quantile(share)));
    cells.push_back(told.bottleneck);
    html += row("td", cells);
  }
  return html + "</table>";
}

std::string simulation_cards(const Plan& plan) {
  if (plan.requests_from.empty()) return {};
  std::vector<PlotLine> firsts, tokens, present;
  for (const Shown& shown : all_of(plan)) {
    if (!shown.outcome->simulation) continue;
    const Simulation& told = *shown.outcome->simulation;
    firsts.push_back(curve(told.first_token, shown));
    tokens.push_back(curve(told.token, shown));
    PlotLine line{shown.outcome->system.name, shown.look, {}};
    for (std::size_t i = 0; i < told.present.size(); ++i)
      line.points.emplace_back(told.present_seconds * static_cast<double>(i) /
                                   static_cast<double>(told.present.size() - 1),
                               told.present[i]);
    present.push_back(std::move(line));
  }
  const PlotAxis time{"", AxisScale::logarithmic, duration};
  const PlotAxis share{"share of all", AxisScale::linear, percent};
  return card("Simulated", plan.requests_from, simulation_table(plan)) + "<div class=\"pair\">" +
         card("To the first token", "Simulated.", line_plot(firsts, time, share)) +
         card("From token to token", "Simulated.", line_plot(tokens, time, share)) +
         card("Requests that are there", "A line that rises to the end is a load that is too much.",
              line_plot(present, {"seconds", AxisScale::linear, whole},
                        {"requests", AxisScale::linear, whole})) +
         busy_card(plan) + "</div>\n";
}

std::string assumptions_card(const Plan& plan) {
  std::string html = "<table>" + row("th", {"", "value", "from"});
  const nlohmann::json rates = rates_json(plan.rates);
  for (const auto& [name, value] : rates.items()) {
    const auto& measured = plan.rates.measured;
    const bool is_measured = std::find(measured.begin(), measured.end(), name) != measured.end();
    html += row("td", {name, fmt::format("{:g}", value.get<double>()),
                       is_measured ? "calibration" : "docs/planning.md"});
  }
  return card("Assumptions", "docs/planning.md says where each is from.", html + "</table>");
}

} // namespace

std::string to_page(const Plan& plan) {
  const Workload& load = plan.fleet.load;
  std::string html = "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
                     "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
                     "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; "
                     "style-src 'unsafe-inline'\">\n<title>Plan: " +
                     escaped(plan.model_name) + "</title>\n<style>\n";
  html += TALARIA_EMBEDDED(talaria_plan_style);
  html += "</style>\n</head>\n<body>\n<main>\n<p class=\"brand\">Talaria · plan</p>\n<h1>" +
          escaped(plan.model_name) + "</h1>\n";
  html += fmt::format(
      "<p class=\"note\">{} machines; {} requests/s of {} tokens, answered with {}; "
      "weights {}, hints {}</p>\n",
      plan.fleet.machines(), three_digits(load.requests_per_second), load.prompt_tokens,
      load.answer_tokens, gigabytes(plan.costs.all().weights), gigabytes(plan.costs.hint_bytes));
  html += verdict_card(plan) + systems_card(plan) + sweep_card(plan);
  html += plan.requests_from.empty() ? busy_card(plan) : simulation_cards(plan);
  html += changes_card(plan) + assumptions_card(plan);
  return html + "<footer>Predicted, not measured. This page has no scripts and asks nothing of any "
                "network.</footer>\n</main>\n</body>\n</html>\n";
}

} // namespace talaria::planner
