#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "arch/expert_cost.hpp"
#include "cli/bench_measure.hpp"
#include "cli/machine_probe.hpp"

namespace talaria::cli {

/// The model that was measured.
struct BenchModel {
  std::string name;
  u32 layers = 0;
  std::string weights;          ///< int8 or int16
  std::size_t weight_bytes = 0; ///< read once for every step of decoding
  std::size_t head_bytes = 0;   ///< of these the lm_head's, not needed for most prompt tokens
  std::optional<arch::ExpertCost> experts; ///< of a mixture
};

/// One scheme at one batch size; medians over the rounds.
struct BenchResult {
  std::string scheme;
  bool embedded = true;        ///< the worker runs in this process
  bool on_this_machine = true; ///< all products are made here: comparable with its figures
  std::size_t batch = 1;
  double prefill_tokens_per_s = 0;
  double ttft_ms = 0;
  double decode_tokens_per_s = 0;
  u64 mask_stalls = 0;           ///< of decoding in all rounds together
  double prefill_cpu_ms = 0;     ///< of this process per token, the masks it used among it
  double decode_cpu_ms = 0;      ///< the same, for each row of prompt or answer
  double prefill_enclave_ms = 0; ///< prefill_cpu_ms without an embedded worker's products
  double decode_enclave_ms = 0;
  double mask_ns_per_value = 0; ///< CPU time; 0: no masks
  TokenBytes bytes;
  double limbs = 0; ///< int8 products per weight and activation, the mean; 0: not int8 arithmetic
};

struct BenchReport {
  MachineFigures machine;
  BenchModel model;
  u32 prefill = 0;
  u32 decode = 0;
  u32 context = 0; ///< prompt tokens of each request when decoding was measured
  u32 rounds = 0;
  u32 micro_batches = 0;
  std::string parameters; ///< of the lattice
  std::size_t hint_bytes = 0;
  std::vector<BenchResult> results;
};

/// Figures against `plain` at the same batch size, and against the machine; nothing where there is
/// nothing to compare with.
struct BenchShares {
  std::optional<double> prefill_over_plain;
  std::optional<double> decode_over_plain;
  std::optional<double> prefill_cpu_over_plain; ///< CPU time of this process
  std::optional<double> decode_cpu_over_plain;
  /// The enclave's over all of plain's: what is left to trusted cores of inference there.
  std::optional<double> prefill_enclave_over_plain;
  std::optional<double> decode_enclave_over_plain;
  double weight_bytes_per_token = 0;       ///< in decoding, each weight read once for a whole batch
  double operations_per_token = 0;         ///< int8, a multiply-add is two, all limbs; 0: not int8
  std::optional<double> read_share;        ///< of the read bandwidth, in decoding
  std::optional<double> decode_int8_share; ///< of the rate of plain products
  std::optional<double> prefill_int8_share;
};
BenchShares shares_of(const BenchReport& report, const BenchResult& result);

nlohmann::json to_json(const BenchReport& report);
/// The table for people, on standard output.
void print_table(const BenchReport& report);

} // namespace talaria::cli
