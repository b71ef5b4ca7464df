// The worker's product on one GPU, step by step, for the matrices of Llama-3-8B:
//   bin/cuda_bench [SUMS_MIB] [PARAMETERS] [DEVICE]        defaults: 64 S48 0
// `share` is the bare int8 product over the whole of split, product and recombination: what is lost
// to residues being residues. split, recombine and switched are of one step (256 rows at most).
// `worker` is a product in a stream of them, copies to and from the host included; `alone` one that
// waits for the one before, as decoding a single sequence does.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <deque>
#include <functional>
#include <string>
#include <vector>

#include "core/error.hpp"
#include "core/random.hpp"
#include "kernels/cuda/accelerator.hpp"
#include "kernels/cuda/device/device_kernels.hpp"
#include "kernels/cuda/device/gemm.hpp"
#include "kernels/cuda/step_plan.hpp"
#include "remo/public/parameters.hpp"

namespace {

using namespace talaria;
using namespace talaria::kernels;
using namespace talaria::kernels::cuda;

struct Matrix {
  const char* name;
  std::size_t d_in, d_out;
};
constexpr Matrix kMatrices[] = {{"qkv", 4096, 6144},
                                {"o", 4096, 4096},
                                {"gate_up", 4096, 28672},
                                {"down", 14336, 4096},
                                {"lm_head", 4096, 128256}};
constexpr std::size_t kRows[] = {1, 8, 64, 256, 512};

/// Random bytes on the device: arithmetic on zeros draws less power, and so runs faster.
DeviceBuffer random_buffer(DeviceMemory& memory, std::size_t bytes) {
  static const std::vector<u8> block = [] {
    std::vector<u8> random(std::size_t{16} << 20);
    seeded_rng(1).fill(random);
    return random;
  }();
  DeviceBuffer buffer(memory, bytes, "a buffer of the benchmark");
  for (std::size_t at = 0; at < bytes; at += block.size())
    check(cudaMemcpy(buffer.as<u8>() + at, block.data(), std::min(block.size(), bytes - at),
                     cudaMemcpyHostToDevice),
          "cudaMemcpy", memory.device());
  return buffer;
}

class Bench {
public:
  Bench(const remo::LatticeParameters& parameters, int device, std::size_t sums_bytes)
      : parameters_(parameters), q_(parameters.modulus()), device_(device), sums_bytes_(sums_bytes),
        memory_(device, fmt::format("cuda:{}", device), 0), stream_(device), gemm_(memory_),
        other_(memory_, kOtherBytes, "what lies between two products") {
    warm_up();
  }

  void run(const Matrix& matrix) {
    const std::size_t depth = round_up(matrix.d_in, kDepthStep);
    const std::size_t columns = round_up(matrix.d_out, PackedWeights::kPanel);
    weights_ = random_buffer(memory_, depth * columns);
    for (const std::size_t rows : kRows) run(matrix, rows, depth, columns);
    weights_ = DeviceBuffer();
  }

private:
  static constexpr std::size_t kOtherBytes = std::size_t{1} << 30;

  /// An idle device runs at a fraction of its clock.
  void warm_up() {
    const DeviceBuffer a = random_buffer(memory_, std::size_t{4096} * 4096);
    const DeviceBuffer d(memory_, std::size_t{4096} * 4096 * sizeof(i32), "sums");
    const GemmShape shape{GemmKind::int8, 4096, 4096, 4096, 4096, 4096, 4096};
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(1);
    while (std::chrono::steady_clock::now() < end) {
      for (int i = 0; i < 50; ++i)
        gemm_.multiply(shape, a.as<i8>(), a.as<i8>(), d.as<i32>(), stream_.get());
      check(cudaStreamSynchronize(stream_.get()), "cudaStreamSynchronize", device_);
    }
  }

  /// The median time of one call in ms, by the device's own clock. A gigabyte is written before
  /// each: meanwhile the CPU launches what is measured, and the weights leave the L2 cache, as they
  /// do in service, where other matrices come between two products of one.
  double median(const std::function<void()>& body) {
    constexpr int kWarm = 3;
    constexpr int kRounds = 25;
    std::vector<double> times;
    const Event begin(device_, true);
    const Event end(device_, true);
    for (int round = 0; round < kWarm + kRounds; ++round) {
      check(cudaMemsetAsync(other_.as<void>(), round, kOtherBytes, stream_.get()),
            "cudaMemsetAsync", device_);
      check(cudaEventRecord(begin.get(), stream_.get()), "cudaEventRecord", device_);
      body();
      check(cudaEventRecord(end.get(), stream_.get()), "cudaEventRecord", device_);
      check(cudaEventSynchronize(end.get()), "cudaEventSynchronize", device_);
      float ms = 0;
      check(cudaEventElapsedTime(&ms, begin.get(), end.get()), "cudaEventElapsedTime", device_);
      if (round >= kWarm) times.push_back(static_cast<double>(ms));
    }
    std::nth_element(times.begin(), times.begin() + kRounds / 2, times.end());
    return times[kRounds / 2];
  }

  /// `whole` is what a Device does: steps of kStepRows, each in runs of columns.
  void run(const Matrix& matrix, std::size_t rows, std::size_t depth, std::size_t columns) {
    const LimbFormat format(q_);
    const auto limbs = static_cast<std::size_t>(format.limbs);
    const std::size_t step = std::min(rows, kStepRows);
    const std::size_t padded = product_rows(step * limbs);
    const std::size_t all = product_rows(rows * limbs);
    const std::size_t at_once = columns_at_once(padded, matrix.d_out, sums_bytes_);
    const DeviceBuffer limb_rows = random_buffer(memory_, all * depth);
    const DeviceBuffer words = random_buffer(memory_, rows * matrix.d_in * limbs);
    const DeviceBuffer out(memory_, rows * matrix.d_out * limbs, "results");
    const DeviceBuffer sums(memory_, all * columns * sizeof(i32), "sums");

    const auto multiply = [&](std::size_t count, std::size_t first, std::size_t width) {
      const GemmShape shape{GemmKind::int8, width, count, depth, depth, depth, width};
      gemm_.multiply(shape, weights_.as<i8>() + first * depth, limb_rows.as<i8>(), sums.as<i32>(),
                     stream_.get());
    };
    const auto split = [&](std::size_t row) {
      check(split_limbs({words.as<u8>() + row * matrix.d_in * limbs, limb_rows.as<u32>(), step,
                         matrix.d_in, depth, format},
                        stream_.get()),
            "split_limbs", device_);
    };
    const auto put_together = [&](std::size_t row, std::size_t first, std::size_t width,
                                  u64 reply_modulus) {
      const ReplyFormat reply(q_, reply_modulus);
      u8* to = out.as<u8>() + row * matrix.d_out * static_cast<std::size_t>(reply.bytes);
      check(recombine({sums.as<i32>(), width, step, std::min(width, matrix.d_out - first), to,
                       matrix.d_out, first, Recombination(q_), reply, Packing(reply.bytes)},
                      stream_.get()),
            "recombine", device_);
    };
    const double bare = median([&] { multiply(all, 0, columns); });
    const double plain = median([&] { multiply(product_rows(rows), 0, columns); });
    const double splitting = median([&] { split(0); });
    const double recombining = median([&] { put_together(0, 0, columns, 0); });
    const double switching =
        median([&] { put_together(0, 0, columns, parameters_.reply_modulus); });
    const double whole = median([&] {
      for (std::size_t row = 0; row < rows; row += step) {
        split(row);
        for (std::size_t first = 0; first < columns; first += at_once) {
          const std::size_t width = std::min(at_once, columns - first);
          multiply(padded, first, width);
          put_together(row, first, width, 0);
        }
      }
    });
    const double operations =
        2.0 * static_cast<double>(rows * limbs) * static_cast<double>(matrix.d_in * matrix.d_out);
    fmt::print("{:<8} {:>5} {:>9.4f} {:>8.0f} {:>9.4f} {:>9.4f} {:>9.4f} {:>9.4f} {:>9.4f} "
               "{:>6.2f}\n",
               matrix.name, rows, bare, operations / bare / 1e9, splitting, recombining, switching,
               whole, plain, bare / whole);
  }

  const remo::LatticeParameters& parameters_;
  Modulus q_;
  int device_;
  std::size_t sums_bytes_;
  DeviceMemory memory_;
  Stream stream_;
  Gemm gemm_;
  DeviceBuffer other_;
  DeviceBuffer weights_;
};

/// ms per product when so many are under way, rows and replies in host memory.
double worker_ms(Accelerator& accelerator, RowFormat format, const std::vector<u8>& rows,
                 std::size_t count, std::size_t under_way) {
  constexpr int kProducts = 60;
  const InputRows input{rows.data(), count};
  std::deque<std::unique_ptr<Job>> jobs;
  std::chrono::steady_clock::time_point begun;
  for (int n = 0; n < kProducts + 10; ++n) {
    if (n == 10) begun = std::chrono::steady_clock::now();
    jobs.push_back(accelerator.begin(0, format, {&input, 1}));
    if (jobs.size() < under_way) continue;
    jobs.front()->finish();
    jobs.pop_front();
  }
  for (const auto& job : jobs) job->finish();
  return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - begun)
             .count() /
         kProducts;
}

void run_worker(const Matrix& matrix, const AcceleratorOptions& options) {
  auto rng = seeded_rng(2);
  PackedWeights weights(matrix.d_in, matrix.d_out);
  rng.fill({reinterpret_cast<u8*>(weights.panel(0)), weights.bytes()});
  const auto accelerator = open_devices(options);
  accelerator->add(0, weights);
  const auto width = static_cast<std::size_t>(options.modulus.word_bytes);
  for (const std::size_t rows : kRows) {
    std::vector<u8> words(rows * matrix.d_in * width);
    for (std::size_t i = 0; i < rows * matrix.d_in; ++i)
      store_word(words.data() + i * width, rng.below(options.modulus.q),
                 options.modulus.word_bytes);
    const auto ms = [&](RowFormat format, std::size_t under_way) {
      return worker_ms(*accelerator, format, words, rows, under_way);
    };
    const std::size_t most = accelerator->max_jobs();
    const double residues = ms(RowFormat::residues, most);
    const double plain = ms(RowFormat::int8, most);
    fmt::print("{:<8} {:>5} {:>9.4f} {:>9.4f} {:>9.4f} {:>6.2f} {:>9.4f}\n", matrix.name, rows,
               residues, ms(RowFormat::switched, most), plain, plain / residues,
               ms(RowFormat::residues, 1));
  }
}

void run(int argc, char** argv) {
  const std::size_t sums_bytes = (argc > 1 ? std::strtoull(argv[1], nullptr, 10) : 64) << 20;
  const auto& parameters = remo::lattice_parameters(argc > 2 ? argv[2] : "S48");
  AcceleratorOptions options;
  options.modulus = parameters.modulus();
  options.reply_modulus = parameters.reply_modulus;
  options.devices = {argc > 3 ? std::atoi(argv[3]) : 0};
  options.sums_bytes = sums_bytes;
  options.threads = 4;
  for (const DeviceInfo& device : find_devices())
    fmt::print("cuda:{} {}\n", device.index, device.name);
  fmt::print("\n{}, ms on the device, sums of {} MiB\n", parameters.name, sums_bytes >> 20);
  fmt::print("{:<8} {:>5} {:>9} {:>8} {:>9} {:>9} {:>9} {:>9} {:>9} {:>6}\n", "matrix", "rows",
             "bare", "Top/s", "split", "recombine", "switched", "whole", "plain", "share");
  {
    Bench bench(parameters, options.devices[0], sums_bytes);
    for (const Matrix& matrix : kMatrices) bench.run(matrix);
  }
  fmt::print("\nworker, ms per product with copies\n"
             "{:<8} {:>5} {:>9} {:>9} {:>9} {:>6} {:>9}\n",
             "matrix", "rows", "residues", "switched", "plain", "ratio", "alone");
  for (const Matrix& matrix : kMatrices) run_worker(matrix, options);
}

} // namespace

int main(int argc, char** argv) {
  try {
    run(argc, argv);
    return 0;
  } catch (const Error& error) {
    fmt::print(stderr, "cuda_bench: {}\n", error.what());
    return exit_status(error.code());
  }
}
