#include "telemetry/report_page.hpp"

#include <nlohmann/json.hpp>
#include <string_view>

#include "telemetry/report_assets.hpp"

namespace talaria::telemetry {

namespace {

using nlohmann::json;

json latency_json(const Latency& latency) {
  return {{"count", latency.count}, {"total", latency.total}, {"p50", latency.p50},
          {"p95", latency.p95},     {"p99", latency.p99},     {"max", latency.most}};
}

json waterfall_json(const Waterfall& waterfall) {
  json bars = json::array();
  for (const auto& bar : waterfall.bars)
    bars.push_back({{"stage", to_string(bar.kind)},
                    {"begin", bar.begin},
                    {"end", bar.end},
                    {"where", bar.where},
                    {"process", bar.process},
                    {"rows", bar.rows},
                    {"joined_rows", bar.joined_rows}});
  json others = json::array();
  for (const auto& stretch : waterfall.others) others.push_back({stretch.begin, stretch.end});
  return {{"micro_batch", waterfall.micro_batch},
          {"rows", waterfall.rows},
          {"length", waterfall.length},
          {"bars", std::move(bars)},
          {"others", std::move(others)}};
}

json phase_json(const Phase& phase, bool pictures) {
  json stages = json::array();
  for (const auto& stage : phase.stages) {
    json entry = latency_json(stage.latency);
    entry["stage"] = to_string(stage.kind);
    entry["share"] = stage.share;
    stages.push_back(std::move(entry));
  }
  json out{{"phase", phase.name},
           {"micro_batches", phase.micro_batches},
           {"rows", phase.rows},
           {"life", latency_json(phase.life)},
           {"stages", std::move(stages)},
           {"waiting", phase.waiting},
           {"overlap", phase.overlap()},
           {"outside", phase.outside},
           {"hidden", phase.hidden},
           {"bytes_up_per_token", phase.bytes_per_row(phase.bytes_up)},
           {"bytes_down_per_token", phase.bytes_per_row(phase.bytes_down)}};
  if (!pictures) return out;
  json course = json::array();
  for (const Moment& moment : phase.course) course.push_back({moment.begin, moment.life});
  out["course"] = std::move(course);
  if (phase.waterfall) out["waterfall"] = waterfall_json(*phase.waterfall);
  return out;
}

std::string dump(const json& value) {
  return value.dump(-1, ' ', false, json::error_handler_t::replace);
}

/// Text that may stand in HTML, and JSON that may stand in a script element.
std::string escaped(std::string_view text, bool html) {
  std::string out;
  for (const char c : text) {
    if (c == '<')
      out += html ? "&lt;" : "\\u003c";
    else if (c == '&' && html)
      out += "&amp;";
    else
      out += c;
  }
  return out;
}

/// `text` with "{{mark}}" replaced; the mark is in the page once.
void put(std::string& text, const std::string& mark, std::string_view value) {
  const std::string whole = "{{" + mark + "}}";
  text.replace(text.find(whole), whole.size(), value);
}

} // namespace

std::string report_json(const TraceReport& report, bool pictures) {
  json phases = json::array();
  for (const Phase& phase : report.phases) phases.push_back(phase_json(phase, pictures));
  json stock = json::array();
  for (const auto& level : report.stock)
    stock.push_back({static_cast<double>(level.time) * 1e-3, level.bytes});
  return dump({{"length", report.length},
               {"spans", report.spans},
               {"dropped_spans", report.dropped_spans},
               {"prompt_tokens", report.prompt_tokens},
               {"answer_tokens", report.answer_tokens},
               {"requests", latency_json(report.requests)},
               {"workers", report.workers},
               {"phases", std::move(phases)},
               {"mask_stock", std::move(stock)}});
}

std::string report_page(const TraceReport& report, const std::string& title) {
  std::string page(assets::page());
  // A mark in a name finds nothing left to replace behind it: the title's stands before the data.
  put(page, "style", assets::style());
  put(page, "d3", assets::d3());
  put(page, "script", assets::script());
  put(page, "data", escaped(report_json(report, true), false));
  put(page, "title", escaped(title, true));
  return page;
}

} // namespace talaria::telemetry
