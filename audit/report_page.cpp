#include <algorithm>
#include <iterator>
#include <string_view>

#include <fmt/format.h>

#include "audit/report.hpp"
#include "audit/report_style.hpp"
#include "audit/statistics.hpp"

namespace talaria::audit {
namespace {

using Measure = AttackResult::Measure;
using Out = std::back_insert_iterator<std::string>;

std::string escaped(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '<')
      out += "&lt;";
    else if (c == '&')
      out += "&amp;";
    else if (c == '"')
      out += "&quot;";
    else
      out += c;
  }
  return out;
}

/// good: nothing leaked; poor: most of it did.
const char* colour(const AttackResult& cell, double level) {
  if (cell.p_value >= level) return "good";
  if (cell.measure == Measure::distinguishing) return "poor";
  return rate(cell.top1, cell.rows) >= 0.5 ? "poor" : "fair";
}

void cell_text(const AttackResult& cell, double level, bool with_place, Out out) {
  const char* tone = colour(cell, level);
  if (with_place) fmt::format_to(out, "<small>{}</small>", escaped(cell.where));
  if (cell.measure == Measure::distinguishing) {
    fmt::format_to(out, "<span class=\"{}\">p {}</span><small>{}</small>", tone,
                   escaped(p_text(cell.p_value)), escaped(cell.remark));
    return;
  }
  const Interval first = clopper_pearson(cell.top1, cell.rows);
  const Interval ten = clopper_pearson(cell.top10, cell.rows);
  fmt::format_to(out, "<span class=\"{}\">{}</span><small>[{}, {}]</small>", tone,
                 percent(rate(cell.top1, cell.rows)), percent(first.low), percent(first.high));
  if (cell.measure == Measure::recovery)
    fmt::format_to(out, "<small>top-10 {} [{}, {}]</small>", percent(rate(cell.top10, cell.rows)),
                   percent(ten.low), percent(ten.high));
  fmt::format_to(out, "<small>chance {} / {}; n = {}</small>", percent(cell.chance1),
                 percent(cell.chance10), cell.rows);
}

void scheme_row(const AuditReport& report, const SchemeRow& scheme,
                const std::vector<AttackInfo>& attacks, Out out) {
  fmt::format_to(out, "<tr{}><td class=\"text\">{}<small>{}</small></td>",
                 scheme.configured ? " class=\"configured\"" : "", escaped(scheme.name),
                 escaped(scheme.note));
  for (const AttackInfo& attack : attacks) {
    std::vector<const AttackResult*> cells;
    for (const AttackResult& cell : report.cells)
      if (cell.scheme == scheme.name && cell.attack == attack.name && cell.applicable)
        cells.push_back(&cell);
    fmt::format_to(out, "<td>");
    if (cells.empty()) fmt::format_to(out, "<small>-</small>");
    for (const AttackResult* cell : cells)
      cell_text(*cell, report.alarm_level, cells.size() > 1, out);
    fmt::format_to(out, "</td>");
  }
  fmt::format_to(out, "</tr>\n");
}

/// Attacks whose cells are all of (or none of) the kind that tokens are recovered by.
std::vector<AttackInfo> attacks_of(const AuditReport& report, bool recovery) {
  std::vector<AttackInfo> out;
  for (const AttackInfo& attack : report.attacks) {
    const bool tokens =
        std::any_of(report.cells.begin(), report.cells.end(), [&](const AttackResult& cell) {
          return cell.attack == attack.name && cell.measure == Measure::recovery;
        });
    if (tokens == recovery) out.push_back(attack);
  }
  return out;
}

void table(const AuditReport& report, std::string_view title, std::string_view note,
           const std::vector<AttackInfo>& attacks, Out out) {
  if (attacks.empty()) return;
  fmt::format_to(out,
                 "<section class=\"card\"><h2>{}</h2><p class=\"note\">{}</p><table><thead>"
                 "<tr><th>Scheme</th>",
                 title, note);
  for (const AttackInfo& attack : attacks)
    fmt::format_to(out, "<th>{}<small>{}</small></th>", escaped(attack.title),
                   escaped(attack.name));
  fmt::format_to(out, "</tr></thead><tbody>\n");
  for (const SchemeRow& scheme : report.schemes) scheme_row(report, scheme, attacks, out);
  fmt::format_to(out, "</tbody></table></section>\n");
}

/// What attacks have to say besides their figures.
void remarks(const AuditReport& report, Out out) {
  fmt::format_to(out,
                 "<section class=\"card\"><h2>{}, remarks</h2><table><thead><tr>"
                 "<th class=\"text\">Attack</th><th class=\"text\">Where</th>"
                 "<th class=\"text\">Remark</th></tr></thead><tbody>\n",
                 escaped(report.configured));
  for (const AttackResult& cell : report.cells)
    if (cell.scheme == report.configured && !cell.remark.empty())
      fmt::format_to(out,
                     "<tr><td class=\"text\">{}</td><td class=\"text\">{}</td>"
                     "<td class=\"text wrap\">{}</td></tr>\n",
                     escaped(cell.attack), escaped(cell.where), escaped(cell.remark));
  fmt::format_to(out, "</tbody></table></section>\n");
}

void explanations(const AuditReport& report, Out out) {
  fmt::format_to(out, "<section class=\"card\"><h2>The attacks</h2><dl>\n");
  for (const AttackInfo& attack : report.attacks)
    fmt::format_to(out, "<div><dt>{}<small>{}</small></dt><dd>{}</dd></div>\n",
                   escaped(attack.title), escaped(attack.source), escaped(attack.explanation));
  fmt::format_to(out, "</dl></section>\n");
}

std::string verdict(const AuditReport& report) {
  if (report.passed())
    return fmt::format("<span class=\"verdict good\">{}: no attack beats chance</span>",
                       escaped(report.configured));
  return fmt::format("<span class=\"verdict poor\">{}: {} cell{} beat chance</span>",
                     escaped(report.configured), report.alarms.size(),
                     report.alarms.size() == 1 ? "" : "s");
}

} // namespace

std::string report_page(const AuditReport& report) {
  std::string page;
  Out out(page);
  fmt::format_to(
      out,
      "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
      "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src "
      "'unsafe-inline'\">\n<title>Audit of {0}</title>\n<style>{1}</style>\n</head>\n<body><main>\n"
      "<header><div><p class=\"brand\">Talaria · audit</p><h1>{0}</h1>{2}</div>\n"
      "<p class=\"facts\">parameters {3}: {4:.0f} bits core-SVP, {5:.0f} quantum, {6:.0f} in the "
      "FHE standard's model<br>a cell alarms below p = {7}; {8:.0f} s{9}</p></header>\n",
      escaped(report.model), kReportStyle, verdict(report), escaped(report.parameters),
      report.core_svp_bits, report.quantum_core_svp_bits, report.fhe_standard_bits,
      p_text(report.alarm_level), report.seconds, report.quick ? "; quick" : "");
  table(report, "Tokens recovered",
        "Top-1 recovery of what the worker recorded, with its exact 95 % interval. Chance is what "
        "the same guesses earn when they are dealt to the rows in another order. One interval in "
        "twenty misses its chance level by chance; an alarm is corrected for that.",
        attacks_of(report, true), out);
  table(report, "Ciphertexts and traffic",
        "p-values of statistics that would be noise if nothing leaked, corrected for the number of "
        "tests in the cell.",
        attacks_of(report, false), out);
  remarks(report, out);
  explanations(report, out);
  fmt::format_to(out, "<footer>Attacks are given what a worker received and what is public, and "
                      "nothing else. Figures only: no text, token or tensor is in here.</footer>\n"
                      "</main></body>\n</html>\n");
  return page;
}

} // namespace talaria::audit
