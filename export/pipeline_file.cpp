#include "export/pipeline_file.hpp"

#include <algorithm>

#include "config/scalars.hpp"

namespace talaria::exporting {

namespace {

using config::WorkerNode;
using config::YamlNode;

constexpr std::size_t kMaxRealDigits = 24; // a digest that looks like a number is longer

/// Quoted texts stay texts; numbers and truth values are written without quotes again.
Json scalar_of(const YamlNode& node) {
  if (node.is_quoted) return node.text;
  if (node.text == "true" || node.text == "false") return node.text == "true";
  const auto whole = config::parse_whole(node.text);
  if (whole && std::to_string(*whole) == node.text) return *whole;
  const bool is_short = node.text.size() <= kMaxRealDigits;
  if (const auto real = config::parse_real(node.text); real && !whole && is_short) return *real;
  return node.text;
}

Json tree_of(const YamlNode& node) {
  switch (node.kind) {
  case YamlNode::Kind::null:
    return nullptr;
  case YamlNode::Kind::scalar:
    return scalar_of(node);
  case YamlNode::Kind::sequence: {
    Json list = Json::array();
    for (const YamlNode& item : node.items) list.push_back(tree_of(item));
    return list;
  }
  case YamlNode::Kind::mapping:
    break;
  }
  Json mapping = Json::object();
  for (std::size_t i = 0; i + 1 < node.items.size(); i += 2)
    mapping[node.items[i].text] = tree_of(node.items[i + 1]);
  return mapping;
}

/// The section, made if it is not there.
Json& section(Json& document, const char* name) {
  Json& found = document[name];
  if (!found.is_object()) found = Json::object();
  return found;
}

void set_or_erase(Json& mapping, const char* key, const std::optional<std::string>& value) {
  if (value)
    mapping[key] = *value;
  else
    mapping.erase(key);
}

void erase_empty(Json& document, const char* name) {
  const auto found = document.find(name);
  if (found != document.end() && (found->is_null() || (found->is_object() && found->empty())))
    document.erase(found);
}

Json worker_entries(const Cluster& cluster, const GatewayPlaces& places) {
  Json entries = Json::array();
  for (std::size_t i = 0; i < cluster.config.workers.size(); ++i) {
    const WorkerNode& node = cluster.config.workers[i];
    Json entry{{"name", node.name}, {"address", places.addresses.at(i)}};
    entry["layers"] = to_string(node.layers);
    if (node.columns.count > 1) entry["columns"] = to_string(node.columns);
    if (node.role == WorkerNode::Role::replica) entry["role"] = "replica";
    if (node.each_address && places.keeps_names) entry["addresses"] = "each";
    entry["device"] = node.device;
    if (!places.tls_names.empty()) entry["tls_name"] = places.tls_names.at(i);
    entry["start"] = "never";
    if (!places.policies.at(i).empty()) entry["require_attestation"] = places.policies[i];
    entries.push_back(std::move(entry));
  }
  return entries;
}

void place_tls(Json& document, const Cluster& cluster, const GatewayPlaces& places) {
  Json tls = Json::object();
  tls["ca"] = places.ca;
  set_or_erase(tls, "cert", places.cert);
  set_or_erase(tls, "key", places.key);
  if (!places.cert) tls["identity"] = "ephemeral";
  if (cluster.config.tls && cluster.config.tls->enclave_name != config::Tls().enclave_name)
    tls["enclave_name"] = cluster.config.tls->enclave_name;
  document["tls"] = std::move(tls);
}

void place_serve(Json& document, const Cluster& cluster, const GatewayPlaces& places) {
  Json& serve = section(document, "serve");
  serve["listen"] = places.listen;
  if (places.api_cert)
    serve["tls"] = Json{{"cert", *places.api_cert}, {"key", places.api_key.value()}};
  else
    serve.erase("tls");
  set_or_erase(serve, "keys", places.keys);
  if (places.attestation) section(serve, "attestation")["folder"] = *places.attestation;
  Json hosts = Json::array();
  for (const std::string& host : cluster.config.serve.hosts) hosts.push_back(host);
  for (const std::string& host : places.hosts)
    if (std::find(hosts.begin(), hosts.end(), Json(host)) == hosts.end()) hosts.push_back(host);
  if (!hosts.empty()) serve["hosts"] = std::move(hosts);
}

void place_files(Json& document, const Cluster& cluster, const GatewayPlaces& places) {
  Json& telemetry = section(document, "telemetry");
  set_or_erase(telemetry, "metrics", places.metrics);
  set_or_erase(telemetry, "trace", places.trace);
  Json& hints = section(document, "hints");
  if (cluster.config.hints.use_cache) set_or_erase(hints, "cache", places.hints);
  Json& pipeline = section(document, "pipeline");
  if (!places.keeps_cores) pipeline.erase("cores");
  if (places.threads) pipeline["threads"] = *places.threads;
}

} // namespace

Json pipeline_document(const Cluster& cluster, const GatewayPlaces& places) {
  Json document = tree_of(cluster.document);
  document["model"] = places.model;
  document["workers"] = worker_entries(cluster, places);
  place_tls(document, cluster, places);
  place_serve(document, cluster, places);
  place_files(document, cluster, places);
  document.erase("launch");
  for (const char* name : {"telemetry", "hints", "pipeline", "masking", "faults"})
    erase_empty(document, name);
  return document;
}

} // namespace talaria::exporting
