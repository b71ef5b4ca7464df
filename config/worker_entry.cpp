#include "config/worker_entry.hpp"

#include <fmt/format.h>

namespace talaria::config {
namespace {

/// What an entry says, before its pieces are put together.
struct Reading {
  WorkerEntry entry;
  std::string role = "primary";
  std::string start;
  bool is_placed = true; ///< layers, columns and role could be read
};

ReadValue address_in(WorkerEntry& entry) {
  return [&entry](const Value& value) {
    const std::string expected = "HOST:PORT with a port from 1 to 65535";
    entry.address_at = value.at;
    const auto text = scalar_text(value, expected);
    if (!text) return;
    const auto address = parse_address(*text);
    if (!address || address->port == 0) {
      value.expected(expected);
      return;
    }
    entry.node.host = address->host;
    entry.node.port = address->port;
  };
}

ReadValue layers_in(WorkerEntry& entry) {
  return [&entry](const Value& value) {
    const std::string expected =
        fmt::format("A-B with A <= B <= {}, one number, or all", kMaxLayer);
    entry.layers_at = value.at;
    entry.node.layers_line = value.at.line;
    entry.node.layers_column = value.at.column;
    const auto text = scalar_text(value, expected);
    if (!text) return;
    entry.layers = parse_layers(*text);
    if (!entry.layers) {
      value.expected(expected);
      return;
    }
    entry.node.all_layers = entry.layers->all;
    entry.node.first_layer = entry.layers->all ? 0 : entry.layers->first;
    entry.node.last_layer = entry.layers->all ? 0 : entry.layers->last;
  };
}

ReadValue columns_in(Reading& reading) {
  return [&reading](const Value& value) {
    const std::string expected = fmt::format("I/N with 1 <= I <= N <= {}", kMaxShares);
    reading.entry.columns_at = value.at;
    const auto text = scalar_text(value, expected);
    const auto share = text ? parse_share(*text) : std::nullopt;
    if (text && !share) value.expected(expected);
    reading.is_placed = reading.is_placed && share.has_value();
    if (!share) return;
    reading.entry.node.share = share->index;
    reading.entry.node.shares = share->count;
  };
}

ReadValue role_in(Reading& reading) {
  return [&reading](const Value& value) {
    const std::size_t before = value.problems.count();
    one_of(reading.role, {"primary", "replica"})(value);
    reading.is_placed = reading.is_placed && value.problems.count() == before;
  };
}

ReadValue name_in(WorkerEntry& entry) {
  return [&entry](const Value& value) {
    entry.name_at = value.at;
    text_in(entry.node.name, is_node_name, "1 to 64 letters, digits, '-', '_' and '.'")(value);
    // They would name a folder, not the log file of a node.
    if (entry.node.name == "." || entry.node.name == "..") value.expected("a name of its own");
  };
}

void read_keys(const Value& value, Reading& reading) {
  WorkerEntry& entry = reading.entry;
  WorkerNode& node = entry.node;
  const std::filesystem::path as_written; // whose machine a path is on is known at the end
  read_mapping(value,
               {{"name", name_in(entry), Presence::required},
                {"address", address_in(entry), Presence::required},
                {"device", text_in(node.device, is_device, "cpu, auto, cuda or cuda:N,N...")},
                {"layers", layers_in(entry), Presence::required},
                {"columns", columns_in(reading)},
                {"role", role_in(reading)},
                {"threads", whole_in(node.threads, 0, 1024)},
                {"cores", text_in(node.cores, is_core_list, kCoreList)},
                {"tls_name", text_in(node.tls_name, is_host_name, "a host name or an IP address")},
                {"start", one_of(reading.start, {"local", "ssh", "never"})},
                {"ssh", text_in(node.ssh, is_ssh_target, "HOST or USER@HOST")},
                {"program", path_in(node.program, as_written)},
                {"model", path_in(node.model, as_written)},
                {"cert", path_in(node.cert, as_written)},
                {"key", path_in(node.key, as_written)},
                {"ca", path_in(node.ca, as_written)},
                {"require_attestation", path_in(node.require_attestation, as_written)}});
}

WorkerNode::Start start_of(const std::string& word, const WorkerNode& node) {
  using Start = WorkerNode::Start;
  if (word.empty()) {
    if (!node.ssh.empty()) return Start::ssh;
    return is_loopback(node.host) ? Start::local : Start::never;
  }
  return word == "local" ? Start::local : word == "ssh" ? Start::ssh : Start::never;
}

/// Nothing can be guessed about the files of a machine that this one reaches only by ssh.
void check_ssh(const Value& value, const WorkerNode& node) {
  if (node.start != WorkerNode::Start::ssh) return;
  const auto missing = [&](std::string_view key, std::string_view what) {
    value.problems.add(value.at, fmt::format("{}.{}", value.key, key),
                       fmt::format("missing; start: ssh needs {}", what));
  };
  if (node.ssh.empty()) missing("ssh", "USER@HOST");
  if (node.cert.empty()) missing("cert", "the path of the certificate on that host");
  if (node.key.empty()) missing("key", "the path of the key on that host");
}

} // namespace

WorkerEntry read_worker_entry(const Value& value, const std::filesystem::path& folder) {
  Reading reading;
  WorkerEntry& entry = reading.entry;
  WorkerNode& node = entry.node;
  entry.key = value.key;
  node.line = value.at.line;
  read_keys(value, reading);
  node.role = reading.role == "replica" ? WorkerNode::Role::replica : WorkerNode::Role::primary;
  node.start = start_of(reading.start, node);
  if (node.tls_name.empty()) node.tls_name = node.host;
  if (value.node.kind == YamlNode::Kind::mapping) check_ssh(value, node);
  if (node.start != WorkerNode::Start::ssh)
    for (auto* path :
         {&node.program, &node.model, &node.cert, &node.key, &node.ca, &node.require_attestation})
      if (!path->empty()) *path = (folder / *path).lexically_normal();
  if (!reading.is_placed) entry.layers.reset();
  return std::move(reading.entry);
}

} // namespace talaria::config
