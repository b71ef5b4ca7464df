#pragma once

#include <cstddef>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/integers.hpp"

namespace talaria::planner {

/// A kind of GPU, as its maker's data sheet has it.
struct Gpu {
  std::string name = "none";
  double int8_tops = 0;       ///< 10^12 operations/s of int8 tensor cores, dense
  std::size_t memory = 0;     ///< bytes
  double memory_gb_per_s = 0; ///< 10^9 bytes/s
  double pcie_gb_per_s = 0;   ///< each way
};

/// The kinds that a file may name; docs/planning.md has the sources.
const std::vector<Gpu>& known_gpus();

/// The vector instructions of processors; without AVX-512 (IFMA, VNNI) what an enclave does takes
/// about three times as long.
enum class Simd : u8 { avx512, avx2 };

/// Confidential machines, each with a gateway; they share the load and the workers.
struct EnclaveMachines {
  std::string instance; ///< of the table of clouds; empty: none
  u32 machines = 1;
  u32 cores = 0; ///< physical
  std::size_t memory = 0;
  double memory_gb_per_s = 0;
  double link_gbit_per_s = 0; ///< each way
  Simd simd = Simd::avx512;
  std::optional<double> price_per_hour; ///< of one machine
};

/// Machines of one kind that hold weights.
struct WorkerMachines {
  std::string name;
  std::string instance; ///< as above
  u32 machines = 1;
  u32 cores = 0;
  std::size_t memory = 0;
  double memory_gb_per_s = 0;
  u32 gpus = 0; ///< of one machine; 0: its processors multiply
  Gpu gpu;
  double link_gbit_per_s = 0;
  double round_trip_us = 0; ///< between it and an enclave, without anything to do
  std::optional<double> price_per_hour;
};

/// What is asked of all of them.
struct Workload {
  double requests_per_second = 0;
  u32 prompt_tokens = 0, answer_tokens = 0; ///< of a request, on average
};

/// A file of machines (docs/planning.md, examples/plan-gpus.yaml): cells that are alike. A cell is
/// what one pipeline.yaml describes, its enclaves and workers that hold the model once; cells have
/// nothing in common but the load.
struct Fleet {
  u32 cells = 1;
  EnclaveMachines enclave;
  std::vector<WorkerMachines> workers; ///< empty: each enclave has an embedded worker
  Workload load;

  /// Machines of all cells, enclaves among them.
  u64 machines() const;
};

/// @throws Error{config} with every mistake, "file:line:column: KEY: what is wrong".
Fleet parse_fleet(std::string_view text, const std::filesystem::path& file);

} // namespace talaria::planner
