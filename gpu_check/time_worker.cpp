#include <algorithm>
#include <deque>
#include <optional>

#include "gpu_check/facts.hpp"
#include "gpu_check/samples.hpp"
#include "gpu_check/timer.hpp"
#include "gpu_check/timings.hpp"

namespace talaria::gpu_check {

using kernels::PackedWeights;
using kernels::cuda::Accelerator;
using kernels::cuda::InputRows;
using kernels::cuda::Job;
using kernels::cuda::RowFormat;

namespace {

constexpr u32 kMatrix = 0;
constexpr std::size_t kFewest = 4;       ///< products that are timed
constexpr std::size_t kMeasurements = 4; ///< of one shape

/// ms per product with so many under way, rows and replies in host memory.
double streamed_ms(Accelerator& gpu, RowFormat format, const InputRows& input, std::size_t most,
                   double seconds) {
  const std::size_t under_way = gpu.max_jobs();
  std::deque<std::unique_ptr<Job>> jobs;
  const auto step = [&] {
    jobs.push_back(gpu.begin(kMatrix, format, {&input, 1}));
    if (jobs.size() < under_way) return;
    jobs.front()->finish();
    jobs.pop_front();
  };
  const Budget warm_time(seconds / 4);
  for (std::size_t n = 0; n < 2 * under_way || (n < most / 6 && warm_time.left() > 0); ++n) step();
  const Budget time(seconds / 2);
  std::size_t products = 0;
  for (; products < kFewest || (products < most && time.left() > 0); ++products) step();
  return time.spent() * 1e3 / static_cast<double>(products); // as many begun as finished
}

/// A product that waits for the one before, as decoding a single sequence does: medians of the
/// whole, of begin(), and of what the device did when.
struct Alone {
  double ms = 0;
  double begin_ms = 0;
  double copy_in_ms = 0;
  double product_ms = 0;
  double copy_out_ms = 0;
};

double middle(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values.empty() ? 0 : values[values.size() / 2];
}

Alone alone(Accelerator& gpu, const InputRows& input, std::size_t most, double seconds) {
  std::vector<double> whole, begins, in, product, out;
  const Budget time(seconds);
  for (std::size_t n = 0; n < kFewest || (n < most && time.left() > 0); ++n) {
    const bool timed = n % 2 == 0; // which costs some microseconds: not those that are counted
    std::unique_ptr<Job> job;
    double begin = 0;
    const double all = seconds_of([&] {
      begin = seconds_of([&] {
        job = gpu.begin(kMatrix, RowFormat::residues, {&input, 1}, timed);
      });
      job->finish();
    });
    if (!timed) {
      whole.push_back(all * 1e3);
      begins.push_back(begin * 1e3);
      continue;
    }
    const auto times = job->times();
    in.push_back(times.copy_in.end - times.copy_in.begin);
    product.push_back(times.product.end - times.product.begin);
    out.push_back(times.copy_out.end - times.copy_out.begin);
  }
  return {middle(whole), middle(begins), middle(in), middle(product), middle(out)};
}

void time_rows(Context& context, Accelerator& gpu, Pace& pace, const Matrix& matrix,
               std::size_t rows) {
  SplitMix numbers(rows);
  const auto words = random_words(rows * matrix.d_in, context.parameters.modulus(), numbers);
  const InputRows input{words.data(), rows};
  const std::size_t most = context.workload.products;
  const double residues = streamed_ms(gpu, RowFormat::residues, input, most, pace.next());
  const double switched = streamed_ms(gpu, RowFormat::switched, input, most, pace.next());
  const double plain = streamed_ms(gpu, RowFormat::int8, input, most, pace.next());
  const Alone one = alone(gpu, input, most, pace.next());
  context.report.print("  %-8s %5zu %9.4f %9.4f %9.4f %6.2f %9.4f %9.4f %9.4f %9.4f %9.4f",
                       matrix.name, rows, residues, switched, plain, plain / residues, one.ms,
                       one.begin_ms, one.copy_in_ms, one.product_ms, one.copy_out_ms);
  context.report.add("worker", Json::object()
                                   .set("matrix", matrix.name)
                                   .set("rows", rows)
                                   .set("residues_ms", residues)
                                   .set("switched_ms", switched)
                                   .set("int8_ms", plain)
                                   .set("int8_over_residues", plain / residues)
                                   .set("alone_ms", one.ms)
                                   .set("alone_begin_ms", one.begin_ms)
                                   .set("alone_copy_in_ms", one.copy_in_ms)
                                   .set("alone_product_ms", one.product_ms)
                                   .set("alone_copy_out_ms", one.copy_out_ms));
}

/// Opens the device with one matrix of a model.
struct Loaded {
  Loaded(Context& context, const Matrix& matrix)
      : gpu(kernels::cuda::open_devices(context.options(context.parameters))) {
    gpu->add(kMatrix, many_weights(matrix.d_in, matrix.d_out, 2, context.team));
  }
  std::unique_ptr<Accelerator> gpu;
};

void time_hint(Context& context, const Matrix& matrix) {
  constexpr std::size_t kAtATime = 256; ///< rows of a request
  const std::size_t rows =
      context.workload.hint_rows != 0 ? context.workload.hint_rows : context.parameters.dimension();
  Loaded loaded(context, matrix);
  const kernels::Modulus q = context.parameters.modulus();
  SplitMix numbers(9);
  const auto a = random_words(rows * matrix.d_in, q, numbers);
  const std::size_t row_bytes = matrix.d_in * static_cast<std::size_t>(q.word_bytes);
  const auto all = [&] {
    std::deque<std::unique_ptr<Job>> jobs;
    for (std::size_t first = 0; first < rows; first += kAtATime) {
      const InputRows input{a.data() + first * row_bytes, std::min(kAtATime, rows - first)};
      jobs.push_back(loaded.gpu->begin(kMatrix, RowFormat::residues, {&input, 1}));
      if (jobs.size() < loaded.gpu->max_jobs()) continue;
      jobs.front()->finish();
      jobs.pop_front();
    }
    for (const auto& job : jobs) job->finish();
  };
  all();
  std::vector<double> times;
  for (int round = 0; round < 3; ++round) times.push_back(seconds_of(all) * 1e3);
  const double ms = middle(times);
  context.report.print("  %-8s %5zu rows %10.2f ms", matrix.name, rows, ms);
  context.report.add("hints",
                     Json::object().set("matrix", matrix.name).set("rows", rows).set("ms", ms));
}

} // namespace

void time_worker(Context& context) {
  Report& report = context.report;
  report.begin("worker", "Whole products with their copies, ms: in a stream of them, and alone "
                         "(with the host's begin() and the device's copy in, product, copy out)");
  report.print("  %-8s %5s %9s %9s %9s %6s %9s %9s %9s %9s %9s", "matrix", "rows", "residues",
               "switched", "int8", "ratio", "alone", "begin", "in", "product", "out");
  Pace pace(context.budget, kWorkerEnd,
            kMeasurements * context.workload.matrices.size() * context.workload.rows.size());
  for (const Matrix& matrix : context.workload.matrices)
    attempt(report, matrix.name, [&] {
      std::optional<Loaded> loaded;
      for (const std::size_t rows : context.workload.rows) {
        const std::string what = text("worker's %s, %zu rows", matrix.name, rows);
        if (pace.over()) {
          report.not_run(what, "the time is over (--seconds)");
          continue;
        }
        if (!loaded) loaded.emplace(context, matrix);
        attempt(report, what, [&] { time_rows(context, *loaded->gpu, pace, matrix, rows); });
      }
    });
  report_load(context, "after worker");
}

void time_hints(Context& context) {
  Report& report = context.report;
  report.begin("hints", "Hints R = A W, all rows, in requests of 256 rows");
  for (const Matrix& matrix : context.workload.matrices) {
    const std::string what = text("hint of %s", matrix.name);
    if (context.budget.left(kHintsEnd) > 0)
      attempt(report, what, [&] { time_hint(context, matrix); });
    else
      report.not_run(what, "the time is over (--seconds)");
  }
}

} // namespace talaria::gpu_check
