#include <fmt/format.h>

#include "settings/entries.hpp"
#include "settings/reading.hpp"
#include "settings/table.hpp"

namespace talaria::settings {

namespace {

using config::Presence;
using config::Value;
using config::WorkerNode;
using Start = WorkerNode::Start;

void read_keys(const Value& value, const Reading& reading, WorkerNode& node) {
  std::vector<config::Field> fields;
  for (const WorkerSetting& setting : worker_table())
    fields.push_back(
        {setting.key,
         [&](const Value& item) {
           read_row(setting, item, reading, node, item.key, {Source::file, item.at, {}});
         },
         setting.is_required ? Presence::required : Presence::optional});
  config::read_mapping(value, fields);
}

Start usual_start(const WorkerNode& node) {
  if (!node.ssh.empty()) return Start::ssh;
  return is_loopback(node.address.host) ? Start::local : Start::never;
}

/// Nothing can be guessed about the files of a machine that this one reaches only by ssh.
void check_ssh(const Value& value, const WorkerNode& node) {
  if (node.start != Start::ssh) return;
  const auto missing = [&](std::string_view key, std::string_view what) {
    value.problems.add(value.at, fmt::format("{}.{}", value.key, key),
                       fmt::format("missing; start: ssh needs {}", what));
  };
  if (node.ssh.empty()) missing("ssh", "USER@HOST");
  if (node.cert.empty()) missing("cert", "the path of the certificate on that host");
  if (node.key.empty()) missing("key", "the path of the key on that host");
}

} // namespace

/// Of workers that are found by their name.
void check_addresses(const Value& value, const WorkerNode& node) {
  const auto refuse = [&](const char* why) {
    value.problems.add(value.at, value.key + ".addresses", why);
  };
  if (!node.each_address || node.address.host.empty()) return;
  if (is_ip_address(node.address.host))
    refuse("each needs a name as address, whose addresses are looked up");
  else if (node.start != Start::never)
    refuse("each needs start: never: such workers are started by somebody else");
}

WorkerNode read_worker(const Value& value, const Reading& reading) {
  WorkerNode node;
  node.line = value.at.line;
  reading.origins.set(value.key, {Source::file, value.at, {}});
  const std::filesystem::path as_written; // whose machine a path is on is known at the end
  read_keys(value, {as_written, reading.origins}, node);
  if (!reading.origins.has(value.key + ".start")) node.start = usual_start(node);
  if (node.tls_name.empty()) node.tls_name = node.address.host;
  if (const Origin* layers = reading.origins.find(value.key + ".layers")) {
    node.layers_line = layers->at.line;
    node.layers_column = layers->at.column;
  }
  if (value.node.kind == config::YamlNode::Kind::mapping) check_ssh(value, node);
  check_addresses(value, node);
  if (node.start != Start::ssh)
    for (auto* path :
         {&node.program, &node.model, &node.cert, &node.key, &node.ca, &node.require_attestation,
          &node.seen_collateral, &node.fetch_collateral, &node.seal_secret})
      if (!path->empty()) *path = (reading.folder / *path).lexically_normal();
  return node;
}

} // namespace talaria::settings
