#include "cli/machine_probe.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <functional>

#include "core/matrix.hpp"
#include "core/thread_team.hpp"
#include "kernels/kernel_set.hpp"

namespace talaria::cli {

namespace {

using Clock = std::chrono::steady_clock;
constexpr auto kPatience = std::chrono::milliseconds(200);
constexpr std::size_t kReadBytes = std::size_t{512} << 20; ///< more than any cache holds
constexpr std::size_t kPieceBytes = std::size_t{8} << 20;  ///< one thread's at a time
constexpr std::size_t kAhead = 4096;                       ///< bytes fetched in advance

/// Runs `pass` until the time is over, at least three times; the best of `work` per second.
double best_rate(double work, const std::function<void()>& pass) {
  pass();
  double best = 0;
  const auto end = Clock::now() + kPatience;
  for (int i = 0; i < 3 || Clock::now() < end; ++i) {
    const auto start = Clock::now();
    pass();
    best = std::max(best, work / std::chrono::duration<double>(Clock::now() - start).count());
  }
  return best;
}

u64 sum_of(const u64* data, std::size_t count) {
  u64 sums[8] = {};
  for (std::size_t i = 0; i < count; i += 8) {
    __builtin_prefetch(reinterpret_cast<const char*>(data + i) + kAhead);
    for (std::size_t k = 0; k < 8; ++k) sums[k] += data[i + k];
  }
  u64 sum = 0;
  for (const u64 s : sums) sum += s;
  return sum;
}

double read_rate(ThreadTeam& team) {
  const AlignedBuffer<u64> data(kReadBytes / sizeof(u64));
  const std::size_t piece = kPieceBytes / sizeof(u64);
  std::atomic<u64> total{0}; // so that the reading is not left out
  return best_rate(static_cast<double>(kReadBytes), [&] {
    team.parallel_for(data.size() / piece, 1, [&](std::size_t begin, std::size_t end) {
      total += sum_of(data.data() + begin * piece, (end - begin) * piece);
    });
  });
}

double product_rate(ThreadTeam& team) {
  constexpr std::size_t kRows = 64, kInputs = 1024, kOutputs = 1024; // 1 MiB: the second level
  struct Work {
    kernels::PackedWeights weights{kInputs, kOutputs};
    AlignedBuffer<i8> x{kRows * kInputs};
    AlignedBuffer<i32> y{kRows * kOutputs};
  };
  constexpr std::size_t kRuns = 16; // per thread and pass, so that waking them does not count
  std::vector<Work> work(team.threads());
  const double operations = 2.0 * kRows * kInputs * kOutputs * kRuns;
  return best_rate(operations * static_cast<double>(work.size()), [&] {
    team.parallel_for(work.size(), 1, [&](std::size_t begin, std::size_t) {
      Work& own = work[begin];
      for (std::size_t run = 0; run < kRuns; ++run)
        kernels::active_kernels().plain_product(own.x.data(), kRows, own.weights, own.y.data(), 0,
                                                own.weights.panels());
    });
  });
}

} // namespace

MachineFigures probe_machine(std::size_t threads) {
  ThreadTeam team(threads);
  MachineFigures figures;
  figures.kernels = kernels::active_kernels().name;
  figures.threads = threads;
  figures.read_bytes_per_s = read_rate(team);
  figures.int8_ops_per_s = product_rate(team);
  return figures;
}

MachineFigures best_of(MachineFigures a, const MachineFigures& b) {
  a.read_bytes_per_s = std::max(a.read_bytes_per_s, b.read_bytes_per_s);
  a.int8_ops_per_s = std::max(a.int8_ops_per_s, b.int8_ops_per_s);
  return a;
}

} // namespace talaria::cli
