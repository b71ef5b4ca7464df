#include <algorithm>
#include <cmath>

#include "gpu_check/facts.hpp"
#include "gpu_check/steps.hpp"
#include "gpu_check/timings.hpp"

namespace talaria::gpu_check {

using kernels::cuda::Gemm;
using kernels::cuda::GemmKind;
using kernels::cuda::GemmShape;

namespace {

constexpr std::size_t kMeasurements = 6; ///< of one shape
constexpr std::size_t kSumsMib[] = {16, 24, 32, 48, 64, 72, 96};
constexpr std::size_t kManyRows = 64; ///< from which the experiments of sums begin

/// An idle device runs at a fraction of its clock.
void warm_up(Context& context, Timer& timer, Gemm& gemm) {
  constexpr std::size_t kSide = 4096;
  const auto a = timer.random_buffer(kSide * kSide);
  const kernels::cuda::DeviceBuffer d(timer.memory(), kSide * kSide * sizeof(i32), "sums");
  const GemmShape shape{GemmKind::int8, kSide, kSide, kSide, kSide, kSide, kSide};
  const Budget warm(context.workload.warm_up_seconds);
  while (warm.left() > 0) {
    for (int i = 0; i < 50; ++i)
      gemm.multiply(shape, a.as<i8>(), a.as<i8>(), d.as<i32>(), timer.stream());
    timer.check_call(cudaStreamSynchronize(timer.stream()), "cudaStreamSynchronize");
  }
}

/// Calls body(steps, matrix, rows) for every shape, while there is time.
template <class Body>
void for_shapes(Context& context, Timer& timer, Gemm& gemm, Pace& pace, std::size_t measurements,
                Body body) {
  for (const Matrix& matrix : context.workload.matrices)
    attempt(context.report, matrix.name, [&] {
      std::unique_ptr<Steps> steps;
      for (const std::size_t rows : context.workload.rows) {
        const std::string what = text("timing of %s, %zu rows", matrix.name, rows);
        if (pace.over()) {
          context.report.not_run(what, "the time is over (--seconds)");
          pace.skip(measurements);
          continue;
        }
        if (steps == nullptr) steps = std::make_unique<Steps>(context, timer, gemm, matrix);
        attempt(context.report, what, [&] {
          steps->prepare(rows);
          body(*steps, matrix, rows);
        });
      }
    });
}

std::size_t shapes(const Context& context) {
  return context.workload.matrices.size() * context.workload.rows.size();
}

/// Work on the timer's stream as one CUDA graph.
class Graph {
public:
  template <class Body>
  Graph(Timer& timer, Body body) : timer_(timer) {
    timer.check_call(cudaStreamBeginCapture(timer.stream(), cudaStreamCaptureModeThreadLocal),
                     "cudaStreamBeginCapture");
    cudaGraph_t graph = nullptr;
    try {
      body();
    } catch (...) { // the stream must not go on capturing
      cudaStreamEndCapture(timer.stream(), &graph);
      if (graph != nullptr) cudaGraphDestroy(graph);
      throw;
    }
    timer.check_call(cudaStreamEndCapture(timer.stream(), &graph), "cudaStreamEndCapture");
    const cudaError_t status = cudaGraphInstantiate(&ready_, graph, 0);
    cudaGraphDestroy(graph);
    timer.check_call(status, "cudaGraphInstantiate");
  }
  ~Graph() { cudaGraphExecDestroy(ready_); }
  Graph(const Graph&) = delete;
  void launch() const {
    timer_.check_call(cudaGraphLaunch(ready_, timer_.stream()), "cudaGraphLaunch");
  }

private:
  Timer& timer_;
  cudaGraphExec_t ready_ = nullptr;
};

/// What the summary says of the shares.
struct Shares {
  std::size_t shapes = 0;
  std::size_t reached = 0;
  double best_tops = 0;
  std::string missed;
};

struct ShapeTimes {
  Median bare, plain, split, recombine, switched, whole;
  double tops = 0; ///< of the bare product
  double share() const { return bare.ms / whole.ms; }
};

void report_shape(Context& context, const Matrix& matrix, std::size_t rows, const ShapeTimes& t,
                  Shares& shares) {
  const double expected = expected_share(matrix.name, rows);
  const bool reached = t.share() >= kShareTarget;
  ++shares.shapes;
  shares.reached += reached;
  shares.best_tops = std::max(shares.best_tops, t.tops);
  if (!reached) shares.missed += text(" %s/%zu %.2f", matrix.name, rows, t.share());
  context.report.print("  %-8s %5zu %9.4f %7.0f %9.4f %9.4f %9.4f %9.4f %9.4f %6.2f %6.2f %-3s "
                       "%8.2f",
                       matrix.name, rows, t.bare.ms, t.tops, t.split.ms, t.recombine.ms,
                       t.switched.ms, t.whole.ms, t.plain.ms, t.share(), kShareTarget,
                       reached ? "yes" : "NO", expected);
  context.report.add("steps", Json::object()
                                  .set("matrix", matrix.name)
                                  .set("d_in", matrix.d_in)
                                  .set("d_out", matrix.d_out)
                                  .set("rows", rows)
                                  .set("bare_ms", t.bare.ms)
                                  .set("bare_tops", t.tops)
                                  .set("split_ms", t.split.ms)
                                  .set("recombine_ms", t.recombine.ms)
                                  .set("switched_ms", t.switched.ms)
                                  .set("whole_ms", t.whole.ms)
                                  .set("whole_least_ms", t.whole.least)
                                  .set("whole_most_ms", t.whole.most)
                                  .set("plain_ms", t.plain.ms)
                                  .set("rounds", t.whole.rounds)
                                  .set("share", t.share())
                                  .set("target", kShareTarget)
                                  .set("reached", reached)
                                  .set("expected_h200", expected));
}

void time_shape(Context& context, Timer& timer, Pace& pace, Steps& steps, const Matrix& matrix,
                std::size_t rows, Shares& shares) {
  ShapeTimes times;
  times.bare = timer.median(pace, [&] { steps.bare(); });
  times.plain = timer.median(pace, [&] { steps.plain(); });
  times.split = timer.median(pace, [&] { steps.split(); });
  times.recombine = timer.median(pace, [&] { steps.recombine_all(); });
  times.switched = timer.median(pace, [&] { steps.switch_all(); });
  times.whole = timer.median(pace, [&] { steps.whole(context.sums_bytes); });
  times.tops = steps.operations() / times.bare.ms / 1e9;
  report_shape(context, matrix, rows, times, shares);
}

void try_sums(Context& context, Timer& timer, Pace& pace, Steps& steps, const Matrix& matrix,
              std::size_t rows) {
  if (rows < kManyRows) return pace.skip(std::size(kSumsMib)); // one run of columns either way
  std::string line;
  Json entry = Json::object();
  entry.set("matrix", matrix.name).set("rows", rows);
  std::size_t best = 0;
  double best_ms = 0;
  double now = 0;
  Json sizes = Json::array();
  Json times = Json::array();
  for (const std::size_t mib : kSumsMib) {
    const Median whole = timer.median(pace, [&] { steps.whole(mib << 20); });
    line += text(" %zu: %.4f", mib, whole.ms);
    sizes.push(mib);
    times.push(whole.ms);
    if (mib << 20 == context.sums_bytes) now = whole.ms;
    if (best == 0 || whole.ms < best_ms) {
      best = mib;
      best_ms = whole.ms;
    }
  }
  if (best_ms < 0.97 * now)
    context.report.highlight("%s, %zu rows: SUMS_MIB %zu takes %.2f of the present one's time",
                             matrix.name, rows, best, best_ms / now);
  context.report.print("  %-8s %5zu  ms by SUMS_MIB%s", matrix.name, rows, line.c_str());
  context.report.add("sums", entry.set("mib", sizes).set("whole_ms", times));
}

void try_offers(Context& context, Timer& timer, Gemm& gemm, Pace& pace, Steps& steps,
                const Matrix& matrix, std::size_t rows) {
  const GemmShape shape = steps.run_shape(context.sums_bytes);
  const std::size_t offers = gemm.offers(shape);
  std::string line;
  Json times = Json::array();
  std::size_t best = 0;
  double first_ms = 0;
  double best_ms = std::nan("");
  for (std::size_t offer = 0; offer < offers; ++offer) {
    double ms = std::nan(""); // null, of an offer that does not work
    experiment(context.report, text("offer %zu of %s, %zu rows", offer, matrix.name, rows),
               [&] { ms = timer.median(pace, [&] { steps.run_product(shape, offer); }).ms; });
    line += text(" %.4f", ms);
    times.push(ms);
    if (offer == 0) first_ms = ms;
    if (std::isnan(best_ms) || ms < best_ms) {
      best = offer;
      best_ms = ms;
    }
  }
  pace.skip(8 - offers);
  if (best_ms < 0.95 * first_ms)
    context.report.highlight("%s, %zu rows: offer %zu takes %.2f of the first one's time",
                             matrix.name, rows, best, best_ms / first_ms);
  context.report.print("  %-8s %5zu  ms by offer%s; best: number %zu, %.2f of the first",
                       matrix.name, rows, line.c_str(), best, best_ms / first_ms);
  context.report.add("offers", Json::object()
                                   .set("matrix", matrix.name)
                                   .set("rows", rows)
                                   .set("limb_rows", shape.rows)
                                   .set("columns", shape.columns)
                                   .set("depth", shape.depth)
                                   .set("ms", times)
                                   .set("best", best)
                                   .set("best_over_first", best_ms / first_ms));
}

/// One product of few rows, put on the stream call by call, or as one CUDA graph: ms of each of
/// many that follow each other, by the CPU's clock.
void try_graph(Context& context, Timer& timer, Steps& steps, const Matrix& matrix,
               std::size_t rows) {
  constexpr int kProducts = 200;
  const auto each = [&](auto put) {
    const double seconds = seconds_of([&] {
      for (int n = 0; n < kProducts; ++n) put();
      timer.check_call(cudaStreamSynchronize(timer.stream()), "cudaStreamSynchronize");
    });
    return seconds * 1e3 / kProducts;
  };
  const auto whole = [&] { steps.whole(context.sums_bytes); };
  each(whole);
  const double calls = each(whole);
  const Graph graph(timer, whole);
  each([&] { graph.launch(); });
  const double one = each([&] { graph.launch(); });
  context.report.print("  %-8s %5zu  ms by single calls %.4f, as a graph %.4f", matrix.name, rows,
                       calls, one);
  context.report.add("graphs", Json::object()
                                   .set("matrix", matrix.name)
                                   .set("rows", rows)
                                   .set("calls_ms", calls)
                                   .set("graph_ms", one));
}

} // namespace

double expected_share(const std::string& matrix, std::size_t rows) {
  if (rows >= 64) return 0.74;
  if (matrix == "lm_head") return 0.95;
  if (matrix == "gate_up") return 0.80;
  if (matrix == "down") return 0.75;
  if (matrix == "qkv") return 0.60;
  return matrix == "o" ? 0.55 : 0;
}

void time_steps(Context& context) {
  Report& report = context.report;
  report.begin("steps", text("Steps on the device, ms, %s, sums of %zu MiB; target of share: %.2f",
                             std::string(context.parameters.name).c_str(), context.sums_bytes >> 20,
                             kShareTarget)
                            .c_str());
  Shares shares;
  attempt(report, "steps", [&] {
    Timer timer(context);
    Gemm gemm(timer.memory());
    warm_up(context, timer, gemm);
    report.print("  %-8s %5s %9s %7s %9s %9s %9s %9s %9s %6s %6s %-3s %8s", "matrix", "rows",
                 "bare", "Top/s", "split", "recombine", "switched", "whole", "plain", "share",
                 "target", "", "expected");
    Pace pace(context.budget, kStepsEnd, kMeasurements * shapes(context));
    for_shapes(context, timer, gemm, pace, kMeasurements,
               [&](Steps& steps, const Matrix& matrix, std::size_t rows) {
                 time_shape(context, timer, pace, steps, matrix, rows, shares);
               });
  });
  if (shares.shapes > 0) {
    report.highlight("share of the bare product: %.2f reached in %zu of %zu shapes; missed:%s",
                     kShareTarget, shares.reached, shares.shapes,
                     shares.missed.empty() ? " none" : shares.missed.c_str());
    report.highlight("bare int8 product at best: %.0f Top/s", shares.best_tops);
  }
  report_load(context, "after steps");
}

void time_experiments(Context& context) {
  Report& report = context.report;
  report.begin("experiments", "Other column runs and other algorithms (docs/gpu.md, To try)");
  attempt(report, "experiments", [&] {
    Timer timer(context);
    Gemm gemm(timer.memory());
    const std::size_t each = std::size(kSumsMib) + 8;
    Pace pace(context.budget, kExperimentsEnd, each * shapes(context));
    for_shapes(context, timer, gemm, pace, each,
               [&](Steps& steps, const Matrix& matrix, std::size_t rows) {
                 try_offers(context, timer, gemm, pace, steps, matrix, rows);
                 try_sums(context, timer, pace, steps, matrix, rows);
                 if (rows >= kManyRows) return;
                 experiment(context.report, text("graph of %s, %zu rows", matrix.name, rows),
                            [&] { try_graph(context, timer, steps, matrix, rows); });
               });
  });
}

} // namespace talaria::gpu_check
