// Two ways to look up the embedding of a token that nobody may see, at the size of Llama-3.2-1B
// (docs/adr/0008-oblivious-lookup.md): a pass over the table, and one more product of the worker's,
// whose input is the one-hot row of the token and whose matrix is the table's bytes as two column
// sets. Of the product each step is timed by itself; making masks by the value.

#include <benchmark/benchmark.h>

#include <vector>

#include "core/aes_rng.hpp"
#include "kernels/kernel_set.hpp"
#include "remo/lattice_masks.hpp"
#include "remo/public/parameters.hpp"
#include "remo/samplers.hpp"

namespace talaria::remo {

namespace {

constexpr std::size_t kVocab = 128'256;
constexpr std::size_t kHidden = 2'048;
constexpr std::size_t kRowBytes = 2 * kHidden;
constexpr std::size_t kMaskColumns = 16'384; ///< of A at a time: no cache holds them

const LatticeParameters& parameters() {
  return lattice_parameters("S48");
}
std::size_t word_bytes() {
  return static_cast<std::size_t>(parameters().modulus().word_bytes);
}

void scan(benchmark::State& state) {
  const auto rows = static_cast<std::size_t>(state.range(0));
  static AlignedBuffer<u8> table(kVocab * kRowBytes);
  std::vector<u32> ids(rows);
  for (std::size_t i = 0; i < rows; ++i) ids[i] = static_cast<u32>(i * 997 % kVocab);
  AlignedBuffer<u8> out(rows * kRowBytes);
  for (auto _ : state)
    kernels::active_kernels().select_rows(table.data(), 0, kVocab, kRowBytes, ids.data(), rows,
                                          out.data());
  state.SetBytesProcessed(static_cast<i64>(state.iterations() * table.size()));
}

/// Masks of a token: kVocab values with errors, and kRowBytes without.
void product_masks(benchmark::State& state) {
  const bool errors = state.range(0) != 0;
  auto rng = AesRng::from_system();
  const kernels::NttPlan plan(parameters().modulus(), parameters().n);
  HintTiles tiles(parameters(), kMaskColumns);
  AlignedBuffer<u64> row(kMaskColumns);
  AlignedBuffer<u8> words(kMaskColumns * word_bytes());
  for (u64& value : row) value = rng.below(parameters().q);
  kernels::active_kernels().pack_words(row.data(), words.data(), kMaskColumns,
                                       parameters().modulus());
  for (std::size_t r = 0; r < tiles.rows(); ++r) tiles.put_rows(r, 1, words.data());
  const std::size_t stride = kMaskColumns * word_bytes();
  const auto secret = draw_secret(plan, parameters().k, rng);
  SecretBuffer<u8> out(parameters().n * stride);
  const std::vector<MaskTarget> targets{{&secret, out.data()}};
  const ErrorSource draw = [&rng](std::size_t, std::span<i8> e) { draw_errors(rng, e); };
  const kernels::WordRounding as_made(plan.modulus);
  for (auto _ : state)
    make_mask_words(plan, tiles, targets, stride, errors ? draw : ErrorSource(), as_made);
  const double values = static_cast<double>(parameters().n * kMaskColumns);
  const double of_token = static_cast<double>(errors ? kVocab : kRowBytes);
  state.counters["s/token"] =
      benchmark::Counter(static_cast<double>(state.iterations()) * values / of_token,
                         benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
}

/// c = Delta x + u, and the sums that the checks compare with.
void product_hide(benchmark::State& state) {
  const kernels::Modulus q = parameters().modulus();
  AlignedBuffer<i32> x(kVocab);
  x[4711] = 1;
  AlignedBuffer<u8> u(kVocab * word_bytes()), c(u.size());
  AlignedBuffer<u64> z(kVocab);
  for (std::size_t i = 0; i < kVocab; ++i) z[i] = i * 1'000'003 % q.q;
  for (auto _ : state) {
    kernels::active_kernels().mask_row(x.data(), u.data(), c.data(), kVocab, 20, q);
    benchmark::DoNotOptimize(kernels::active_kernels().row_dots32(
        c.data(), x.data(), {{z.data(), z.data()}, 2}, kVocab, q));
  }
}

/// What the worker does.
void product_worker(benchmark::State& state) {
  static kernels::PackedWeights table(kVocab, kRowBytes);
  const kernels::Modulus q = parameters().modulus();
  AlignedBuffer<u8> c(kVocab * word_bytes()), y(kRowBytes * word_bytes());
  for (auto _ : state)
    kernels::active_kernels().residue_product(c.data(), 1, table, q, y.data(), 0, table.panels());
  state.SetBytesProcessed(static_cast<i64>(state.iterations() * kVocab * kRowBytes));
}

BENCHMARK(scan)->Arg(1)->Arg(2)->Arg(4)->Arg(8)->Arg(16)->Arg(128)->Unit(benchmark::kMillisecond);
BENCHMARK(product_masks)->ArgName("errors")->Arg(1)->Arg(0)->Unit(benchmark::kMillisecond);
BENCHMARK(product_hide)->Unit(benchmark::kMillisecond);
BENCHMARK(product_worker)->Unit(benchmark::kMillisecond);

} // namespace
} // namespace talaria::remo

BENCHMARK_MAIN();
