// Attention over stored keys and values at long contexts, at the shape of Llama 3 8B: what one
// layer takes for rows of one sequence, and how much of the machine's bandwidth that is. Layers are
// read in turn, so many of them that no cache holds them; `read` is the plain reading of as much.
//   attention/FORMAT/POSITIONS/ROWS/THREADS   rows: 1 in decode, 8 of a prefill chunk at once
// ms/token is for all 32 layers, without products, norms and sampling.

#include <benchmark/benchmark.h>

#include <algorithm>
#include <memory>
#include <vector>

#include "core/random.hpp"
#include "core/secret.hpp"
#include "core/thread_team.hpp"
#include "kernels/attention.hpp"
#include "kernels/kernel_set.hpp"
#include "kv/block_list.hpp"
#include "kv/store.hpp"

namespace talaria::kv {

namespace {

constexpr u32 kHeads = 32, kKvHeads = 8, kHeadDim = 128, kLayersOf8B = 32;
constexpr std::size_t kBeyondCaches = std::size_t{2} << 30;

/// One sequence of `positions` in as many layers as no cache holds, at least one.
struct Context {
  std::shared_ptr<const Layout> layout;
  std::unique_ptr<Store> store;
  BlockListPtr blocks;
  std::vector<LayerView> layers;

  Context(Format format, u32 positions) {
    const LayerShape shape{kKvHeads, kHeadDim, 0};
    const std::size_t one = Layout({shape}, format).bytes_for(positions, 1);
    const std::size_t count = std::clamp<std::size_t>(kBeyondCaches / one, 1, kLayersOf8B);
    layout = std::make_shared<const Layout>(std::vector<LayerShape>(count, shape), format);
    store = std::make_unique<Store>(layout, layout->bytes_for(positions, positions));
    blocks = store->extend(1, 0, positions);
    auto rng = seeded_rng(positions);
    std::vector<float> kv(std::size_t{2} * kKvHeads * kHeadDim);
    for (std::size_t l = 0; l < count; ++l) {
      layers.emplace_back(layout, l);
      for (u32 p = 0; p < positions; ++p) {
        if (p % 64 == 0)
          for (float& x : kv) x = static_cast<float>(rng.below(2001)) / 1000 - 1;
        layers.back().write(*blocks, p, kv.data(), kv.data() + kv.size() / 2);
      }
    }
  }
};

void attention(benchmark::State& state) {
  const auto format = static_cast<Format>(state.range(0));
  const auto positions = static_cast<u32>(state.range(1));
  const auto rows = static_cast<std::size_t>(state.range(2));
  const Context context(format, positions);
  ThreadTeam team(static_cast<std::size_t>(state.range(3)));
  constexpr std::size_t kGroup = kHeads / kKvHeads;
  const std::size_t queries = rows * kGroup;
  std::vector<float> q(queries * kHeadDim, 0.01F);
  const std::size_t needed =
      kernels::attention_scratch(format, queries, positions, kBlockPositions, kHeadDim);
  std::vector<SecretBuffer<float>> scratch, out;
  for (u32 head = 0; head < kKvHeads; ++head) {
    scratch.emplace_back(needed);
    out.emplace_back(queries * kHeadDim);
  }
  std::size_t layer = 0;
  for (auto _ : state) {
    team.parallel_for(kKvHeads, 1, [&](std::size_t begin, std::size_t end) {
      for (std::size_t head = begin; head < end; ++head) {
        std::vector<kernels::KvPiece> pieces;
        context.layers[layer].pieces(*context.blocks, head, positions - 1, pieces);
        std::vector<const float*> from;
        std::vector<float*> to;
        std::vector<std::size_t> counts;
        for (std::size_t i = 0; i < queries; ++i) {
          from.push_back(q.data() + i * kHeadDim);
          to.push_back(out[head].data() + i * kHeadDim);
          counts.push_back(positions - (rows - 1 - i / kGroup));
        }
        kernels::attend(kernels::active_kernels(), {from, counts, to}, {kHeadDim, 0.088F}, format,
                        pieces, scratch[head].data());
      }
    });
    layer = (layer + 1) % context.layers.size();
  }
  const auto bytes = static_cast<double>(context.layout->bytes_per_position()) /
                     static_cast<double>(context.layers.size());
  const auto rounds = static_cast<double>(state.iterations());
  state.counters["GB/s"] =
      benchmark::Counter(rounds * bytes * positions / 1e9, benchmark::Counter::kIsRate);
  state.counters["B/position"] = bytes * kLayersOf8B;
  state.counters["ms/token"] =
      benchmark::Counter(rounds * static_cast<double>(rows) / kLayersOf8B / 1e3,
                         benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
}

/// Plain reading, the bound of all of the above.
void read(benchmark::State& state) {
  const std::vector<u64> numbers(kBeyondCaches / sizeof(u64), 1);
  ThreadTeam team(static_cast<std::size_t>(state.range(0)));
  constexpr std::size_t kPieces = 64;
  const std::size_t each = numbers.size() / kPieces;
  for (auto _ : state)
    team.parallel_for(kPieces, 1, [&](std::size_t begin, std::size_t end) {
      u64 sum = 0;
      for (std::size_t i = begin * each; i < end * each; ++i) sum ^= numbers[i];
      benchmark::DoNotOptimize(sum);
    });
  state.counters["GB/s"] = benchmark::Counter(
      static_cast<double>(state.iterations() * kBeyondCaches) / 1e9, benchmark::Counter::kIsRate);
}

void shapes(benchmark::internal::Benchmark* bench) {
  for (const int format : {0, 1, 2})
    for (const int positions : {8192, 32768, 131072})
      for (const int rows : {1, 8})
        for (const int threads : {1, 2}) bench->Args({format, positions, rows, threads});
}

BENCHMARK(read)->Arg(1)->Arg(2)->UseRealTime()->Unit(benchmark::kMillisecond);
BENCHMARK(attention)->Apply(shapes)->UseRealTime()->Unit(benchmark::kMillisecond);

} // namespace

} // namespace talaria::kv

BENCHMARK_MAIN();
