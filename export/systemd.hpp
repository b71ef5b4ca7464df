#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "export/cluster.hpp"
#include "export/output_folder.hpp"

namespace talaria::exporting {

/// What a pipeline.yaml does not know about machines with systemd.
struct SystemdOptions {
  std::vector<std::string> gateway_addresses; ///< IP addresses or prefixes that workers talk to
  std::vector<std::string> client_addresses;  ///< the same, of clients and Prometheus
  std::string bin = "/usr/bin";               ///< where the programs are
};

/// A folder for each machine with its units, made of the shipped ones (packaging/systemd) with the
/// whole sandbox; the gateway's file; users; a README.md.
/// @throws Error{usage} for an address that is none.
std::vector<OutputFile> systemd_files(const Cluster& cluster, const SystemdOptions& options);

/// `word` in a command line of a unit: quoted, and without specifiers and variables.
std::string systemd_word(std::string_view word);

} // namespace talaria::exporting
