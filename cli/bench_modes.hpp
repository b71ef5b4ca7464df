#pragma once

#include "cli/bench_setup.hpp"

namespace talaria::cli {

/// `talaria bench --trace-overhead`: tokens per second while one engine traces over those while it
/// does not, in turns. Prints a table or JSON; returns the exit status.
/// @throws as pipeline::Engine and its requests.
int bench_trace_overhead(const BenchFlags& flags, const BenchSetup& setup,
                         InterruptWatch& interrupts);

/// `talaria bench --tune`: prints what was tried, and writes the best settings as a fragment of a
/// pipeline.yaml. @throws as pipeline::Engine and its requests; Error{io} for --output.
int bench_tune(const BenchFlags& flags, const BenchSetup& setup, InterruptWatch& interrupts);

/// `talaria bench --calibrate`: what this machine does, as a file for `talaria plan --calibration`:
/// the kernels, a link over loopback, and an embedded engine's enclave. Returns the exit status.
/// @throws as pipeline::Engine and its requests; Error{io} for --output.
int bench_calibrate(const BenchFlags& flags, const BenchSetup& setup, InterruptWatch& interrupts);

} // namespace talaria::cli
