#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "planner/fleet.hpp"

namespace talaria::planner {

/// A kind of machine that a cloud rents, as its documents describe it. What a document does not say
/// is 0, and must then be in the file of machines.
struct Instance {
  std::string name;
  std::string confidential; ///< what the processor attests: SEV-SNP or TDX; empty: nothing
  u32 vcpus = 0;            ///< two for a core
  double memory_gib = 0;
  double memory_gb_per_s = 0; ///< four fifths of the sockets' channels, by the share of the cores
  double link_gbit_per_s = 0; ///< for TCP, each way
  u32 gpus = 0;
  std::string gpu;
  Simd simd = Simd::avx512;
  std::optional<double> price_per_hour; ///< USD, list price
  std::string source;                   ///< of the figures, and of the price with its date
};

/// The kinds that `instance:` may name.
const std::vector<Instance>& known_instances();
/// Null if there is none of this name.
const Instance* find_instance(std::string_view name);

} // namespace talaria::planner
