#pragma once

#include <string>
#include <vector>

#include "export/cluster.hpp"
#include "export/output_folder.hpp"

namespace talaria::exporting {

/// What a pipeline.yaml does not know about a Slurm cluster. Empty texts: Slurm's defaults.
struct SlurmOptions {
  std::string gateway_partition, worker_partition;
  std::string gateway_constraint, worker_constraint; ///< features of nodes
  std::string account, time;                         ///< time: as sbatch takes it, 7-00:00:00
  u32 gateway_cpus = 16;                             ///< unless pipeline.threads says
  u32 worker_cpus = 8;                               ///< unless the worker's `threads` say
};

/// One heterogeneous job for a gateway and its workers wherever Slurm puts them, and a job for each
/// of them on the machines that the file names; the files of gateways; a README.md.
/// @throws Error{usage} naming the flag of an option that sbatch would not take as one word.
std::vector<OutputFile> slurm_files(const Cluster& cluster, const SlurmOptions& options);

} // namespace talaria::exporting
