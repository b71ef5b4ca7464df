// Mask values of a real matrix: hint read from memory, several blocks to a reading, masks written
// to memory. Outputs need no errors; inputs do (docs/protocol.md, Mask blocks).

#include <benchmark/benchmark.h>

#include <vector>

#include "core/aes_rng.hpp"
#include "kernels/kernel_set.hpp"
#include "remo/lattice_masks.hpp"
#include "remo/mask_block.hpp"
#include "remo/samplers.hpp"

namespace talaria::remo {

namespace {

constexpr std::size_t kColumns = 16384; ///< a hint of 226 MB: no cache holds it

/// A matrix over R_q whose words are random and below q.
HintTiles random_tiles(const LatticeParameters& parameters, Rng& rng) {
  const kernels::Modulus q = parameters.modulus();
  HintTiles tiles(parameters, kColumns);
  AlignedBuffer<u64> row(kColumns);
  AlignedBuffer<u8> words(kColumns * static_cast<std::size_t>(q.word_bytes));
  for (u64& value : row) value = rng.below(q.q);
  kernels::active_kernels().pack_words(row.data(), words.data(), kColumns, q);
  for (std::size_t r = 0; r < tiles.rows(); ++r) tiles.put_rows(r, 1, words.data());
  return tiles;
}

void mask_values(benchmark::State& state, const LatticeParameters& parameters, bool errors) {
  const auto blocks = static_cast<std::size_t>(state.range(0));
  auto rng = AesRng::from_system();
  const kernels::NttPlan plan(parameters.modulus(), parameters.n);
  const HintTiles tiles = random_tiles(parameters, rng);
  const WordFormat words =
      parameters.rounds() ? parameters.rounded_words() : parameters.full_words();
  const kernels::WordRounding to(parameters.modulus(), words.modulus);
  const std::size_t stride = kColumns * words.word_bytes();
  std::vector<SecretBuffer<u64>> secrets;
  std::vector<SecretBuffer<u8>> out;
  std::vector<MaskTarget> targets;
  for (std::size_t b = 0; b < blocks; ++b) {
    secrets.push_back(draw_secret(plan, parameters.k, rng));
    out.emplace_back(parameters.n * stride);
  }
  for (std::size_t b = 0; b < blocks; ++b) targets.push_back({&secrets[b], out[b].data()});
  const ErrorSource draw = [&rng](std::size_t, std::span<i8> e) { draw_errors(rng, e); };
  for (auto _ : state)
    make_mask_words(plan, tiles, targets, stride, errors ? draw : ErrorSource(), to);
  state.counters["ns/value"] =
      benchmark::Counter(static_cast<double>(state.iterations()) *
                             static_cast<double>(blocks * parameters.n * kColumns),
                         benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
}

void add(const LatticeParameters& parameters, bool errors) {
  const std::string name =
      std::string(errors ? "inputs/" : "outputs/") + std::string(parameters.name) + "/blocks";
  benchmark::RegisterBenchmark(name.c_str(), mask_values, parameters, errors)
      ->RangeMultiplier(2)
      ->Range(1, 4)
      ->Unit(benchmark::kMillisecond);
}

} // namespace
} // namespace talaria::remo

int main(int argc, char** argv) {
  using namespace talaria::remo;
  for (const LatticeParameters& parameters : kAcceptedParameters)
    for (const bool errors : {false, true}) add(parameters, errors);
  LatticeParameters smaller_blocks = lattice_parameters("R43"); // what its ring was chosen over
  smaller_blocks.name = "R43-256x8";
  smaller_blocks.n = 256;
  smaller_blocks.k = 8;
  for (const bool errors : {false, true}) add(smaller_blocks, errors);
  benchmark::Initialize(&argc, argv);
  benchmark::RunSpecifiedBenchmarks();
}
