#pragma once

#include <string_view>

namespace talaria::audit {

/// Style sheet of the page of an audit, in the manner of the trace report's.
inline constexpr std::string_view kReportStyle = R"css(
:root {
  color-scheme: light dark;
  --paper: #f5f6f8; --card: #ffffff; --ink: #1b2330; --soft: #667085; --faint: #e4e7ec;
  --good: #1f9d6b; --fair: #c98a10; --poor: #cc4b4b;
  --shadow: 0 1px 2px rgba(16, 24, 40, .06), 0 4px 16px rgba(16, 24, 40, .05);
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #0e1218; --card: #161c25; --ink: #e6eaf0; --soft: #93a0b4; --faint: #2a3340;
    --shadow: 0 1px 2px rgba(0, 0, 0, .4);
  }
}
* { box-sizing: border-box; }
body {
  margin: 0; background: var(--paper); color: var(--ink);
  font: 14px/1.5 Inter, "Segoe UI", system-ui, -apple-system, Roboto, "DejaVu Sans", sans-serif;
  font-variant-numeric: tabular-nums;
}
main { max-width: 1480px; margin: 0 auto; padding: 28px 24px 40px; }
header { display: flex; justify-content: space-between; align-items: flex-end; gap: 24px;
  margin-bottom: 20px; }
.brand { margin: 0; color: var(--soft); font-size: 12px; letter-spacing: .08em;
  text-transform: uppercase; }
h1 { margin: 2px 0 0; font-size: 26px; line-height: 1.2; letter-spacing: -.01em; }
h2 { margin: 0 0 8px; font-size: 16px; }
.facts { margin: 0; color: var(--soft); text-align: right; }
.verdict { font-weight: 650; }
.verdict.good, td .good { color: var(--good); }
.verdict.poor, td .poor { color: var(--poor); }
td .fair { color: var(--fair); }
.card { background: var(--card); border-radius: 14px; box-shadow: var(--shadow);
  padding: 18px 20px; margin-bottom: 16px; overflow-x: auto; }
.note { margin: 0 0 12px; color: var(--soft); font-size: 12.5px; max-width: 100ch; }
table { border-collapse: collapse; width: 100%; font-size: 12.5px; }
th, td { padding: 6px 9px; text-align: right; border-top: 1px solid var(--faint);
  vertical-align: top; white-space: nowrap; }
thead th { border-top: 0; color: var(--soft); font-weight: 600; vertical-align: bottom; }
th:first-child, td.text, th.text { text-align: left; }
td.text.wrap { white-space: normal; }
tr.configured { background: color-mix(in srgb, var(--good) 7%, transparent); }
td small, th small { display: block; color: var(--soft); font-weight: 400; font-size: 11px; }
dl { display: grid; grid-template-columns: repeat(auto-fit, minmax(380px, 1fr)); gap: 14px 28px;
  margin: 0; }
dt { font-weight: 600; }
dt small { color: var(--soft); font-weight: 400; margin-left: 6px; }
dd { margin: 2px 0 0; color: var(--soft); font-size: 13px; }
footer { color: var(--soft); font-size: 12px; text-align: center; margin-top: 20px; }
@media print { body { background: #fff; } .card { box-shadow: none; break-inside: avoid; } }
)css";

} // namespace talaria::audit
