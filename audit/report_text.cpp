#include "audit/report.hpp"

#include <algorithm>
#include <iterator>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "audit/statistics.hpp"

namespace talaria::audit {
namespace {

using Measure = AttackResult::Measure;
using Out = std::back_insert_iterator<std::string>;

constexpr std::size_t kColumnsAtATime = 6;

/// The cells of one scheme and attack; several if it looked at several layers.
std::vector<const AttackResult*> cells_of(const AuditReport& report, const std::string& scheme,
                                          const std::string& attack) {
  std::vector<const AttackResult*> out;
  for (const AttackResult& cell : report.cells)
    if (cell.scheme == scheme && cell.attack == attack && cell.applicable) out.push_back(&cell);
  return out;
}

/// What a cell of the overview says: the best of its layers.
std::string short_cell(const std::vector<const AttackResult*>& cells) {
  if (cells.empty()) return "-";
  const AttackResult* best = cells.front();
  for (const AttackResult* cell : cells)
    if (rate(cell->top1, cell->rows) > rate(best->top1, best->rows)) best = cell;
  if (best->measure == Measure::distinguishing) return "p " + p_text(best->p_value);
  return percent(rate(best->top1, best->rows));
}

void overview(const AuditReport& report, Out out) {
  std::size_t widest = 8;
  for (const SchemeRow& scheme : report.schemes) widest = std::max(widest, scheme.name.size() + 2);
  for (std::size_t first = 0; first < report.attacks.size(); first += kColumnsAtATime) {
    const std::size_t last = std::min(first + kColumnsAtATime, report.attacks.size());
    fmt::format_to(out, "{:<{}}", "", widest);
    for (std::size_t a = first; a < last; ++a)
      fmt::format_to(out, "{:>13}", report.attacks[a].name);
    fmt::format_to(out, "\n");
    for (const SchemeRow& scheme : report.schemes) {
      fmt::format_to(out, "{:<{}}", scheme.name + (scheme.configured ? " *" : ""), widest);
      for (std::size_t a = first; a < last; ++a)
        fmt::format_to(out, "{:>13}",
                       short_cell(cells_of(report, scheme.name, report.attacks[a].name)));
      fmt::format_to(out, "\n");
    }
    fmt::format_to(out, "\n");
  }
}

void details(const AuditReport& report, Out out) {
  fmt::format_to(out, "{} in detail\n", report.configured);
  fmt::format_to(out, "{:<13}{:<18}{:>7}{:>9}{:>19}{:>9}{:>9}{:>9}{:>10}  {}\n", "attack", "where",
                 "rows", "top-1", "95 %", "chance", "top-10", "chance", "p", "");
  for (const AttackResult& cell : report.cells) {
    if (cell.scheme != report.configured) continue;
    if (!cell.applicable) {
      fmt::format_to(out, "{:<13}{:<28}  {}\n", cell.attack, cell.where, cell.remark);
      continue;
    }
    if (cell.measure == Measure::distinguishing) {
      fmt::format_to(out, "{:<13}{:<18}{:>7}{:>9}{:>19}{:>9}{:>9}{:>9}{:>10}  {}\n", cell.attack,
                     cell.where, "", "", "", "", "", "", p_text(cell.p_value), cell.remark);
      continue;
    }
    const Interval interval = clopper_pearson(cell.top1, cell.rows);
    fmt::format_to(out, "{:<13}{:<18}{:>7}{:>9}{:>19}{:>9}{:>9}{:>9}{:>10}  {}\n", cell.attack,
                   cell.where, cell.rows, percent(rate(cell.top1, cell.rows)),
                   percent(interval.low) + " - " + percent(interval.high), percent(cell.chance1),
                   percent(rate(cell.top10, cell.rows)), percent(cell.chance10),
                   p_text(cell.p_value), cell.remark);
  }
}

const char* to_string(Measure measure) {
  switch (measure) {
  case Measure::recovery:
    return "recovery";
  case Measure::distinguishing:
    return "distinguishing";
  case Measure::leak:
    return "leak";
  }
  return "unknown";
}

nlohmann::json cell_json(const AttackResult& cell) {
  nlohmann::json out{{"scheme", cell.scheme},   {"attack", cell.attack},
                     {"where", cell.where},     {"measure", to_string(cell.measure)},
                     {"p_value", cell.p_value}, {"judges", cell.judges},
                     {"remark", cell.remark}};
  if (cell.measure == Measure::distinguishing) {
    out["tests"] = cell.rows;
    return out;
  }
  const Interval first = clopper_pearson(cell.top1, cell.rows);
  const Interval ten = clopper_pearson(cell.top10, cell.rows);
  out["rows"] = cell.rows;
  out["top1"] = {{"hits", cell.top1},
                 {"rate", rate(cell.top1, cell.rows)},
                 {"interval", {first.low, first.high}},
                 {"chance", cell.chance1}};
  out["top10"] = {{"hits", cell.top10},
                  {"rate", rate(cell.top10, cell.rows)},
                  {"interval", {ten.low, ten.high}},
                  {"chance", cell.chance10}};
  return out;
}

} // namespace

double rate(std::size_t hits, std::size_t trials) {
  return trials == 0 ? 0 : static_cast<double>(hits) / static_cast<double>(trials);
}

std::string percent(double fraction) {
  const double value = 100 * fraction;
  if (value >= 99.95 || value == 0) return fmt::format("{:.0f} %", value);
  return value >= 10 ? fmt::format("{:.1f} %", value) : fmt::format("{:.2f} %", value);
}

std::string p_text(double p) {
  if (p < 1e-300) return "<1e-300";
  return p < 0.001 ? fmt::format("{:.0e}", p) : fmt::format("{:.2g}", p);
}

std::string report_table(const AuditReport& report) {
  std::string text;
  Out out(text);
  fmt::format_to(out,
                 "{}, parameters {}: {:.0f} bits (core-SVP), {:.0f} (quantum), {:.0f} (FHE "
                 "standard's model)\n"
                 "Top-1 recovery of tokens, or p-value of a statistic; * as configured\n\n",
                 report.model, report.parameters, report.core_svp_bits,
                 report.quantum_core_svp_bits, report.fhe_standard_bits);
  overview(report, out);
  details(report, out);
  fmt::format_to(out, "\n");
  for (const AttackResult& alarm : report.alarms)
    fmt::format_to(out, "ALARM: {} on {} beats chance (p = {}, alarm below {})\n", alarm.attack,
                   alarm.where, p_text(alarm.p_value), p_text(report.alarm_level));
  if (report.passed())
    fmt::format_to(out, "{}: no attack beats chance (alarm below p = {}; {:.1f} s)\n",
                   report.configured, p_text(report.alarm_level), report.seconds);
  return text;
}

std::string report_json(const AuditReport& report) {
  nlohmann::json schemes = nlohmann::json::array();
  for (const SchemeRow& scheme : report.schemes)
    schemes.push_back(
        {{"name", scheme.name}, {"note", scheme.note}, {"configured", scheme.configured}});
  nlohmann::json attacks = nlohmann::json::array();
  for (const AttackInfo& attack : report.attacks)
    attacks.push_back({{"name", attack.name},
                       {"title", attack.title},
                       {"source", attack.source},
                       {"explanation", attack.explanation}});
  nlohmann::json cells = nlohmann::json::array();
  for (const AttackResult& cell : report.cells)
    if (cell.applicable) cells.push_back(cell_json(cell));
  nlohmann::json alarms = nlohmann::json::array();
  for (const AttackResult& alarm : report.alarms) alarms.push_back(cell_json(alarm));
  const nlohmann::json out{{"model", report.model},
                           {"parameters", report.parameters},
                           {"security_bits",
                            {{"core_svp", report.core_svp_bits},
                             {"quantum_core_svp", report.quantum_core_svp_bits},
                             {"fhe_standard", report.fhe_standard_bits}}},
                           {"configured", report.configured},
                           {"quick", report.quick},
                           {"seconds", report.seconds},
                           {"schemes", std::move(schemes)},
                           {"attacks", std::move(attacks)},
                           {"cells", std::move(cells)},
                           {"alarm_level", report.alarm_level},
                           {"alarms", std::move(alarms)},
                           {"passed", report.passed()}};
  return out.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

} // namespace talaria::audit
