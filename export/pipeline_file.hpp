#pragma once

#include <optional>
#include <string>
#include <vector>

#include "export/cluster.hpp"
#include "export/yaml_writer.hpp"

namespace talaria::exporting {

/// Where things are on the machine on which the gateway will run.
struct GatewayPlaces {
  std::string model;
  std::vector<std::string> addresses; ///< HOST:PORT of each worker
  std::vector<std::string> tls_names; ///< of each worker; empty: the host of its address
  std::vector<std::string> policies;  ///< require_attestation of each worker; "" for none
  std::string ca;
  std::optional<std::string> cert, key; ///< nothing: identity: ephemeral
  std::string listen;                   ///< of the API
  std::optional<std::string> api_cert, api_key;
  std::optional<std::string> keys;        ///< file of the clients' keys
  std::optional<std::string> metrics;     ///< HOST:PORT
  std::optional<std::string> trace;       ///< a folder
  std::optional<std::string> hints;       ///< a folder
  std::optional<std::string> attestation; ///< serve.attestation.folder
  std::vector<std::string> hosts;         ///< further names of the server
  std::optional<std::size_t> threads;     ///< pipeline.threads
  bool keeps_cores = false;               ///< pipeline.cores holds there as well
  bool keeps_names = true;                ///< names of workers lead to them as well
};

/// The cluster's pipeline.yaml for that machine: every setting of the file but those that say where
/// something is, or that only `talaria launch` reads. Nobody of the workers is started by the one
/// who reads it.
Json pipeline_document(const Cluster& cluster, const GatewayPlaces& places);

} // namespace talaria::exporting
