#pragma once

#include <cstddef>
#include <exception>
#include <string>
#include <vector>

#include "core/error.hpp"
#include "core/thread_team.hpp"
#include "gpu_check/report.hpp"
#include "kernels/cuda/accelerator.hpp"
#include "remo/public/parameters.hpp"

namespace talaria::gpu_check {

struct Matrix {
  const char* name;
  std::size_t d_in, d_out;
};

/// How much is measured: a GPU's worth of it, or, on the fake runtime of tests/cuda, as little as
/// takes the same ways through the code.
struct Workload {
  std::vector<Matrix> matrices;         ///< of docs/gpu.md, each the ones of a model's layer
  std::vector<std::size_t> rows;        ///< of each product that is timed
  std::size_t every_rows = 0;           ///< row counts 1 to this are compared, for one shape
  std::size_t most_multiplications = 0; ///< of a product that is compared in awkward shapes
  std::size_t hint_rows = 0;            ///< 0: as many as the parameters have
  std::size_t between_bytes = 0;        ///< written between two measurements
  std::size_t copy_bytes = 0;           ///< of the largest copy that is timed
  std::size_t products = 0;             ///< of which a mean is taken, at most
  int rounds = 0;                       ///< of which a median is taken
  double warm_up_seconds = 0;

  static Workload gpu();
  static Workload fake();
};

/// What every section has at hand.
struct Context {
  Report& report;
  const Budget& budget;
  ThreadTeam& team;
  Workload workload;
  const remo::LatticeParameters& parameters; ///< of what is timed
  int device = 0;
  std::size_t sums_bytes = 0;

  kernels::cuda::AcceleratorOptions options(const remo::LatticeParameters& of) const;
};

/// Does one thing; if it throws, says so in the report and goes on. What the device has no memory
/// for (Error{usage}) was not run, or was not compared; anything else has failed. A device that
/// does nothing more ends the run: that is thrown on.
template <class Body>
void attempt(Report& report, const std::string& what, Body body,
             void (Report::*left_out)(const std::string&, const std::string&) = &Report::not_run) {
  try {
    body();
  } catch (const kernels::cuda::DeviceLost&) {
    throw;
  } catch (const Error& error) {
    if (error.code() == Errc::usage)
      (report.*left_out)(what, error.what());
    else
      report.failed(what, error.what());
  } catch (const std::exception& error) {
    report.failed(what, error.what());
  }
}

/// Tries what a worker does not do today. That it does not work here is a finding, not a failure.
template <class Body>
void experiment(Report& report, const std::string& what, Body body) {
  try {
    body();
  } catch (const kernels::cuda::DeviceLost&) {
    throw;
  } catch (const Error& error) {
    report.not_run(what, error.what());
  }
}

/// Runs one comparison, unless the time is over.
template <class Body>
void compare(Context& context, const std::string& what, Body body) {
  if (context.budget.left() <= 0)
    context.report.not_compared(what, "the time is over (--seconds)");
  else
    attempt(context.report, what, body, &Report::not_compared);
}

} // namespace talaria::gpu_check
