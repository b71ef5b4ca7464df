#pragma once

#include <CLI/CLI.hpp>
#include <string>

namespace talaria::cli {

/// The flags of talaria-worker, as given.
struct WorkerFlags {
  std::string model;
  std::string model_sha256; ///< empty: any model
  std::string layers = "all";
  std::string columns = "1/1";
  std::string weights; ///< empty: int8, or what the prepared folder holds
  std::string parameters = "S48";
  std::string device = "cpu";
  std::string isa;
  std::size_t threads = 0; ///< 0: all cores
  std::string cores;       ///< processors to keep to; empty: any
  std::string name;
  std::string listen; ///< empty: prove the products and end
  std::string cert, key, ca;
  std::string enclave_name = "talaria-enclave";
  std::string attestation_policy; ///< a file; empty: enclaves need give no evidence
  std::string seen_collateral;    ///< a file; empty: nothing outlives the process
  std::string fetch_collateral;   ///< a folder; empty: nobody is asked for collateral
  std::string seal_secret;        ///< a file; empty: enclaves are given no key for their disk
  bool allow_simulated = false;
  std::size_t enclave_jobs = 256;                      ///< requests of one enclave under way
  std::size_t enclave_bytes = std::size_t{1024} << 20; ///< of those
  std::string metrics;                                 ///< a file; empty: none
  std::string record;
  std::string trace;             ///< empty: no trace
  std::string progress = "auto"; ///< auto, none or json
  bool exit_with_stdin = false;

  void add_to(CLI::App& app);
};

} // namespace talaria::cli
