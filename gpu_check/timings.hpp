#pragma once

#include "gpu_check/context.hpp"

/// Timings, each a list of the JSON and a table of the log. Failures and what the time does not
/// suffice for are named in the report.
namespace talaria::gpu_check {

/// Shares of `--seconds` that are spent when the parts of the run are to end. Equality may take
/// longer than its share: it is never cut short for a timing.
inline constexpr double kStepsEnd = 0.70;
inline constexpr double kWorkerEnd = 0.86;
inline constexpr double kHintsEnd = 0.90;
inline constexpr double kExperimentsEnd = 1.0;

/// "copies": bytes per second across PCIe each way and both at a time, of the host's own copies,
/// of the device's memory; and what a launch and a wait cost.
void time_copies(Context& context);
/// "steps": split, bare product by cuBLASLt alone, recombination and all three, for every matrix
/// and number of rows; `share` is the bare product over the whole, beside its target.
void time_steps(Context& context);
/// "worker": whole products with their copies, in a stream of them and alone.
void time_worker(Context& context);
/// "hints": R = A W of every matrix.
void time_hints(Context& context);
/// "sums" and "offers": whole products with other sizes of column runs, and the run's product by
/// each algorithm that cuBLASLt offers instead of the first.
void time_experiments(Context& context);

/// docs/gpu.md, Measuring: what the bare product's share of a whole one is to be at least.
inline constexpr double kShareTarget = 0.70;
/// What docs/gpu.md expects of an H200; 0 where it says nothing.
double expected_share(const std::string& matrix, std::size_t rows);

} // namespace talaria::gpu_check
