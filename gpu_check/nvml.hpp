#pragma once

#include <string>

#include "gpu_check/json.hpp"

namespace talaria::gpu_check {

/// What the driver's management library (libnvidia-ml.so.1, opened if it is there) says of the
/// device at a PCI address: driver version, link, clocks, power, temperature, MIG, and what slows
/// the clocks down. Members that it does not tell are left out. Clocks and link are those of this
/// moment: an idle device lowers both.
Json nvml_facts(const std::string& pci_address);

} // namespace talaria::gpu_check
