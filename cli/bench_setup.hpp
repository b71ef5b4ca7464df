#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cli/bench_report.hpp"
#include "cli/engine_flags.hpp"
#include "cli/interrupt.hpp"
#include "pipeline/model_loader.hpp"

namespace talaria::cli {

/// The flags of `talaria bench`, whatever it is asked to measure.
struct BenchFlags {
  EngineFlags engine;
  std::string shape;
  bool model_given = false; ///< on the command line
  u32 layers = 0;           ///< 0: all of the shape
  std::vector<std::string> schemes;
  std::vector<std::size_t> batches;
  u32 prefill = 256;
  u32 decode = 24;
  u32 context = 16; ///< BenchLoad::context
  std::optional<u32> rounds;
  bool json = false;
  bool wire = false; ///< schemes that a cluster runs are measured in this process as well
  bool trace_overhead = false;
  bool tune = false;
  bool calibrate = false;
  std::string output; ///< of --tune or --calibrate; empty: standard output

  /// Fills in what was not given and depends on what is measured. @throws Error{usage}
  void complete();
  /// "lattice, batch 1, 8": for headings.
  std::string batches_text() const;
};

/// What is measured, and how engines for it are made.
struct BenchSetup {
  config::PipelineConfig settings;
  pipeline::EngineOptions options; ///< without a scheme
  std::shared_ptr<const pipeline::ModelLoader> loader;
  BenchModel model;
  std::size_t threads = 1;      ///< that enclave and embedded worker use
  bool workers_are_here = true; ///< all products are made on this machine
};
/// Opens the model. @throws Error{usage} if there is none, or if it does not fit into this machine.
BenchSetup set_up(const BenchFlags& flags);

/// A scheme by its name in --schemes: `plain` has no other door than this. @throws Error{usage}
remo::SchemeKind parse_candidate(const std::string& name);

/// An engine for `options`, with its warning printed. @throws Error{usage} if what `flags` ask of
/// it exceeds its context.
std::unique_ptr<pipeline::Engine> start_engine(const pipeline::EngineOptions& options,
                                               const BenchFlags& flags);

/// Decode steps that are compared with each other under --trace-overhead: half of them are traced.
inline constexpr std::size_t kStepGroup = 4;

/// Of at least one value; of an even number the upper one.
double median(std::vector<double> values);

} // namespace talaria::cli
