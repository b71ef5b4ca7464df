#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace talaria::planner {

/// What the arithmetic assumes. Times are of one core of 3 GHz with AVX-512 (docs/performance.md);
/// every figure is printed with a plan, and docs/planning.md says where it is from.
struct Rates {
  double mask_output_ns = 2.2; ///< making the mask of a value that comes back
  double mask_input_ns = 2.9;  ///< the same of a value that goes out, errors included
  double hide_prompt_ns = 1.1, hide_answer_ns = 2.2;  ///< putting it on, many rows and few
  double open_prompt_ns = 1.15, open_answer_ns = 2.1; ///< taking it off
  double check_ns = 0.5;                              ///< both checks, per value of either side
  double wire_ns_per_byte = 0.18 + 0.3;               ///< AES-GCM at 5.6 GB/s, three copies at 10
  double enclave_bytes_per_value = 36;                ///< memory read and written for a value
  double attention_gflops = 130;                      ///< of prompts, one core
  double attention_gb_per_s = 15;                     ///< of keys and values, one core
  double product_us = 130;      ///< threads woken on both ends of an exchange, beside the wire
  double product_cpu_us = 50;   ///< of it on the enclave's cores
  double limb_gops = 610;       ///< int8 products of residues, one core
  double plain_gops = 600;      ///< int8 products in clear, one core
  double weight_reading = 1.04; ///< times reading the weights, for one row
  double gpu_compute = 0.6;     ///< share of int8_tops that products reach
  double gpu_memory = 0.8;      ///< share of memory_gb_per_s
  double pcie = 0.85;           ///< share of pcie_gb_per_s
  double gpu_product_us = 20;   ///< to start a product and fetch its result
  double link = 0.9;            ///< share of a link
  double busy = 0.8;            ///< of capacity, beyond which queues grow

  std::vector<std::string> measured; ///< names of those that a calibration has set
};

/// Every rate by its name, in the order above, without the list of what was measured.
nlohmann::json rates_json(const Rates& rates);

/// What `talaria bench --calibrate` writes: `rates` by name (only those in `measured`), and the
/// machine they are of as free text, with the 10^9 bytes/s that a core of it reads from memory.
std::string calibration_text(const Rates& rates, const std::string& machine, double core_reads);

/// Rates with those of a calibration in the place of what is assumed.
/// @throws Error{config} "FILE: NAME: what is wrong" for anything but an object of that kind, an
/// unknown name, or a value that is no number above 0 (shares: up to 1).
Rates read_calibration(std::string_view text, const std::string& file);

} // namespace talaria::planner
