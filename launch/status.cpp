#include "launch/status.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "core/error.hpp"
#include "launch/line_reader.hpp"

namespace talaria::launch {
namespace {

using nlohmann::json;
using std::chrono::milliseconds;

double seconds_of(milliseconds time) {
  return static_cast<double>(time.count()) / 1000;
}

json node_json(const NodeState& node) {
  const auto now = NodeState::Clock::now();
  json out = {{"name", node.name},
              {"address", node.address},
              {"state", to_string(node.phase)},
              {"detail", describe(node, now)},
              {"restarts", node.restarts},
              {"pid", nullptr},
              {"last_death", nullptr}};
  if (node.pid != 0) {
    out["pid"] = node.pid;
    out["uptime_s"] = seconds_of(std::chrono::duration_cast<milliseconds>(now - node.started));
  }
  if (!node.last_death.empty()) out["last_death"] = node.last_death;
  if (node.phase == Phase::loading)
    out.update({{"what", node.what},
                {"done", node.done},
                {"total", node.total},
                {"bytes_per_second", node.bytes_per_second}});
  if (node.phase == Phase::ready)
    out.update({{"matrices", node.matrices}, {"weight_bytes", node.weight_bytes}});
  return out;
}

std::string line_of(const json& value) {
  // Other machines wrote some of these texts; a byte that is not UTF-8 is replaced, not thrown.
  return value.dump(-1, ' ', false, json::error_handler_t::replace);
}

std::string cell_text(const json& object, const char* key) {
  const auto found = object.find(key);
  if (found == object.end() || found->is_null()) return "-";
  if (found->is_string()) return one_line(found->get<std::string>(), 120);
  if (found->is_number_float()) return fmt::format("{:.2f}", found->get<double>());
  return one_line(line_of(*found), 120);
}

/// Rows of cells to lines of equally wide columns; the first row is the head.
std::string aligned(const std::vector<std::vector<std::string>>& rows) {
  std::vector<std::size_t> widths(rows.front().size());
  for (const auto& row : rows)
    for (std::size_t c = 0; c < row.size(); ++c) widths[c] = std::max(widths[c], row[c].size());
  std::string out;
  for (const auto& row : rows) {
    std::string line;
    for (std::size_t c = 0; c < row.size(); ++c) line += fmt::format("{:<{}}  ", row[c], widths[c]);
    out += line.substr(0, line.find_last_not_of(' ') + 1) + "\n";
  }
  return out;
}

std::string uptime_cell(const json& object) {
  const auto found = object.find("uptime_s");
  if (found == object.end() || !found->is_number()) return "-";
  return time_text(milliseconds(static_cast<i64>(found->get<double>() * 1000)));
}

/// ", serving on 127.0.0.1:8000 with pid 17"
std::string server_text(const json& status) {
  if (!status.value("serve", json()).is_string()) return "";
  std::string out = ", serving on " + cell_text(status, "serve");
  const json server = status.value("server", json());
  if (server.is_object()) out += " with pid " + cell_text(server, "pid");
  return out;
}

/// Of a worker that has not asked for evidence: "-".
std::string attested_cell(const json& worker) {
  const std::string text = cell_text(worker, "attestation");
  return text.empty() ? "-" : text;
}

std::string nodes_table(const json& nodes) {
  std::vector<std::vector<std::string>> rows{
      {"node", "address", "state", "pid", "restarts", "up", "last death"}};
  for (const json& node : nodes)
    rows.push_back({cell_text(node, "name"), cell_text(node, "address"), cell_text(node, "detail"),
                    cell_text(node, "pid"), cell_text(node, "restarts"), uptime_cell(node),
                    cell_text(node, "last_death")});
  return aligned(rows);
}

std::string workers_table(const json& workers) {
  std::vector<std::vector<std::string>> rows{
      {"link", "state", "attested", "round trip ms", "in flight", "strikes"}};
  for (const json& worker : workers)
    rows.push_back({cell_text(worker, "name"), cell_text(worker, "state"), attested_cell(worker),
                    cell_text(worker, "round_trip_ms"), cell_text(worker, "in_flight"),
                    cell_text(worker, "strikes")});
  return aligned(rows);
}

} // namespace

std::string to_json(const ClusterStatus& status) {
  json nodes = json::array();
  for (const NodeState& node : status.nodes) nodes.push_back(node_json(node));
  json workers = json::parse(status.workers, nullptr, false);
  if (!workers.is_array()) workers = json::array();
  json out = {{"file", status.file.string()},
              {"pid", ::getpid()},
              {"state", status.state},
              {"uptime_s", seconds_of(status.uptime)},
              {"serve", nullptr},
              {"server", nullptr},
              {"logs", status.logs.string()},
              {"nodes", std::move(nodes)},
              {"workers", std::move(workers)}};
  if (!status.serve.empty()) out["serve"] = status.serve;
  if (status.server_pid != 0) out["server"] = {{"pid", status.server_pid}};
  return line_of(out);
}

std::string node_event_json(const NodeState& node) {
  json event = node_json(node);
  event["event"] = "node";
  return line_of(event);
}

std::string status_text(std::string_view text) {
  const json status = json::parse(text, nullptr, false);
  if (!status.is_object())
    throw Error(Errc::io, "the answer of the running gateway is no status; is it another version?");
  std::string out =
      fmt::format("{}: {}, pid {}, up {}{}\nlogs in {}\n", cell_text(status, "file"),
                  cell_text(status, "state"), cell_text(status, "pid"), uptime_cell(status),
                  server_text(status), cell_text(status, "logs"));
  const json nodes = status.value("nodes", json::array());
  if (nodes.is_array() && !nodes.empty()) out += "\n" + nodes_table(nodes);
  const json workers = status.value("workers", json::array());
  if (workers.is_array() && !workers.empty()) out += "\n" + workers_table(workers);
  return out;
}

} // namespace talaria::launch
