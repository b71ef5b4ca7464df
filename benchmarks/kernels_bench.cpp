// Times every kernel of every row that this CPU runs, by name: "KERNEL/ROW/SHAPE". A row is checked
// against its known answers before it is timed. Times are per call; "values" counts the residues,
// floats or samples produced, "weights" the bytes of weights read once for each call.

#include <benchmark/benchmark.h>

#include <string>

#include "core/matrix.hpp"
#include "kernels/attention.hpp"
#include "kernels/kernel_set.hpp"

namespace {

using namespace talaria;
using namespace talaria::kernels;

constexpr u64 kPrime40 = 1099511480321;
constexpr u64 kPrime48 = 281474976694273;
constexpr u64 kPrime54 = 18014398492704769;

class Stream {
public:
  u64 next() {
    u64 z = (state_ += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
  }

private:
  u64 state_ = 1;
};

AlignedBuffer<u64> residues(std::size_t n, u64 q) {
  Stream stream;
  AlignedBuffer<u64> x(n);
  for (u64& v : x) v = stream.next() % q;
  return x;
}
AlignedBuffer<u8> words(std::size_t n, const Modulus& q) {
  const AlignedBuffer<u64> x = residues(n, q.q);
  AlignedBuffer<u8> out(n * static_cast<std::size_t>(q.word_bytes));
  for (std::size_t i = 0; i < n; ++i)
    store_word(out.data() + i * static_cast<std::size_t>(q.word_bytes), x[i], q.word_bytes);
  return out;
}
AlignedBuffer<float> reals(std::size_t n) {
  Stream stream;
  AlignedBuffer<float> x(n);
  for (float& v : x) v = static_cast<float>(static_cast<i64>(stream.next()) >> 24) * 0x1p-39f;
  return x;
}
const PackedWeights& weights(std::size_t d_in, std::size_t d_out) {
  static PackedWeights w; // one at a time: the large ones take a second to fill
  if (w.d_in() != d_in || w.d_out() != d_out) {
    Stream stream;
    w = PackedWeights(d_in, d_out);
    for (std::size_t p = 0; p < w.panels(); ++p)
      for (std::size_t i = 0; i < w.bytes() / w.panels(); ++i)
        w.panel(p)[i] = static_cast<i8>(stream.next());
  }
  return w;
}

void count_values(benchmark::State& state, std::size_t values) {
  state.counters["values/s"] = benchmark::Counter(static_cast<double>(values),
                                                  benchmark::Counter::kIsIterationInvariantRate);
}

void mask_row(benchmark::State& state, const KernelSet& row, u64 prime) {
  const std::size_t n = 4096;
  const Modulus q(prime);
  AlignedBuffer<i32> x(n);
  for (std::size_t i = 0; i < n; ++i) x[i] = static_cast<i32>(i) - 2048;
  const AlignedBuffer<u8> u = words(n, q);
  AlignedBuffer<u8> out(u.size());
  for (auto _ : state) {
    row.mask_row(x.data(), u.data(), out.data(), n, 15, q);
    benchmark::ClobberMemory();
  }
  count_values(state, n);
}

void decode_row(benchmark::State& state, const KernelSet& row, u64 prime) {
  const std::size_t n = 4096;
  const Modulus q(prime);
  const AlignedBuffer<u8> y = words(n, q);
  AlignedBuffer<i64> r(n);
  for (auto _ : state) {
    row.decode_row(y.data(), y.data(), r.data(), n, 15, q);
    benchmark::ClobberMemory();
  }
  count_values(state, n);
}

void row_dots(benchmark::State& state, const KernelSet& row, u64 prime) {
  const std::size_t n = 4096;
  const Modulus q(prime);
  const AlignedBuffer<u8> a = words(n, q);
  AlignedBuffer<i64> x(n);
  for (std::size_t i = 0; i < n; ++i) x[i] = static_cast<i64>(i) - 2048;
  const AlignedBuffer<u64> z0 = residues(n, prime), z1 = residues(n, prime);
  const CheckVectors z{{z0.data(), z1.data(), z0.data()}, q.word_bytes == 5 ? 3u : 2u};
  for (auto _ : state) benchmark::DoNotOptimize(row.row_dots(a.data(), x.data(), z, n, q));
  count_values(state, n);
}

void ntt_forward8(benchmark::State& state, const KernelSet& row, u64 prime, std::size_t n) {
  const NttPlan plan(Modulus(prime), n);
  AlignedBuffer<u64> x = residues(8 * n, prime);
  for (auto _ : state) {
    row.ntt_forward8(plan, x.data());
    benchmark::ClobberMemory();
  }
  count_values(state, 8 * n);
}

void ntt_inverse8(benchmark::State& state, const KernelSet& row, u64 prime, std::size_t n) {
  const NttPlan plan(Modulus(prime), n);
  AlignedBuffer<u64> x = residues(8 * n, prime);
  for (auto _ : state) {
    row.ntt_inverse8(plan, x.data());
    benchmark::ClobberMemory();
  }
  count_values(state, 8 * n);
}

void mask_tile(benchmark::State& state, const KernelSet& row, u64 prime, std::size_t k) {
  constexpr std::size_t n = 256;
  const NttPlan plan(Modulus(prime), n);
  const AlignedBuffer<u64> s = residues(k * n, prime);
  const AlignedBuffer<u8> b = words(8 * k * n, plan.modulus);
  AlignedBuffer<u64> out(8 * n);
  for (auto _ : state) {
    row.mask_tile(plan, s.data(), 1, b.data(), k, out.data());
    benchmark::ClobberMemory();
  }
  count_values(state, 8 * n);
}

void centered_binomial21(benchmark::State& state, const KernelSet& row) {
  const std::size_t n = 4096;
  const AlignedBuffer<u8> bytes = words(n, Modulus(kPrime48));
  AlignedBuffer<i8> e(n);
  for (auto _ : state) {
    row.centered_binomial21(bytes.data(), e.data(), n);
    benchmark::ClobberMemory();
  }
  count_values(state, n);
}

void residue_product(benchmark::State& state, const KernelSet& row, u64 prime, std::size_t rows,
                     std::size_t d_in, std::size_t d_out) {
  const Modulus q(prime);
  const PackedWeights& w = weights(d_in, d_out);
  const AlignedBuffer<u8> c = words(rows * d_in, q);
  AlignedBuffer<u8> y(rows * d_out * static_cast<std::size_t>(q.word_bytes));
  for (auto _ : state) {
    row.residue_product(c.data(), rows, w, q, y.data(), 0, w.panels());
    benchmark::ClobberMemory();
  }
  state.counters["weights/s"] = benchmark::Counter(static_cast<double>(w.bytes()),
                                                   benchmark::Counter::kIsIterationInvariantRate);
  state.counters["int8 op/s"] =
      benchmark::Counter(2.0 * static_cast<double>(rows * d_in * d_out) * q.word_bytes,
                         benchmark::Counter::kIsIterationInvariantRate);
}

void float_product(benchmark::State& state, const KernelSet& row, std::size_t rows) {
  const PackedWeights& w = weights(2048, 8192);
  const AlignedBuffer<float> c = reals(rows * w.d_in());
  AlignedBuffer<float> y(rows * w.d_out());
  for (auto _ : state) {
    row.float_product(c.data(), rows, w, y.data(), 0, w.panels());
    benchmark::ClobberMemory();
  }
  state.counters["weights/s"] = benchmark::Counter(static_cast<double>(w.bytes()),
                                                   benchmark::Counter::kIsIterationInvariantRate);
}

void plain_product(benchmark::State& state, const KernelSet& row, std::size_t rows) {
  const PackedWeights& w = weights(2048, 8192);
  AlignedBuffer<i8> x(rows * w.d_in());
  Stream stream;
  for (i8& v : x) v = static_cast<i8>(stream.next());
  AlignedBuffer<i32> y(rows * w.d_out());
  for (auto _ : state) {
    row.plain_product(x.data(), rows, w, y.data(), 0, w.panels());
    benchmark::ClobberMemory();
  }
  state.counters["weights/s"] = benchmark::Counter(static_cast<double>(w.bytes()),
                                                   benchmark::Counter::kIsIterationInvariantRate);
  state.counters["int8 op/s"] =
      benchmark::Counter(2.0 * static_cast<double>(rows * w.d_in() * w.d_out()),
                         benchmark::Counter::kIsIterationInvariantRate);
}

void pack_words(benchmark::State& state, const KernelSet& row, u64 prime) {
  const std::size_t n = 4096;
  const Modulus q(prime);
  const AlignedBuffer<u64> x = residues(n, prime);
  AlignedBuffer<u8> out(n * static_cast<std::size_t>(q.word_bytes));
  for (auto _ : state) {
    row.pack_words(x.data(), out.data(), n, q);
    benchmark::ClobberMemory();
  }
  count_values(state, n);
}

void unpack_words(benchmark::State& state, const KernelSet& row, u64 prime) {
  const std::size_t n = 4096;
  const Modulus q(prime);
  const AlignedBuffer<u8> in = words(n, q);
  AlignedBuffer<u64> out(n);
  for (auto _ : state) {
    row.unpack_words(in.data(), out.data(), n, q);
    benchmark::ClobberMemory();
  }
  count_values(state, n);
}

void sum_squares(benchmark::State& state, const KernelSet& row) {
  const std::size_t n = 4096;
  const AlignedBuffer<float> x = reals(n);
  for (auto _ : state) benchmark::DoNotOptimize(row.sum_squares(x.data(), n));
  count_values(state, n);
}

void dot(benchmark::State& state, const KernelSet& row) {
  const std::size_t n = 4096;
  const AlignedBuffer<float> x = reals(n);
  for (auto _ : state) benchmark::DoNotOptimize(row.dot(x.data(), x.data(), n));
  count_values(state, n);
}

void rope(benchmark::State& state, const KernelSet& row, std::size_t head_dim) {
  AlignedBuffer<float> x = reals(head_dim);
  const AlignedBuffer<float> cos(head_dim / 2); // zeros: whatever is rotated stays finite
  for (auto _ : state) {
    row.rope(x.data(), cos.data(), cos.data(), head_dim);
    benchmark::ClobberMemory();
  }
  count_values(state, head_dim);
}

void rms_norm(benchmark::State& state, const KernelSet& row) {
  const std::size_t n = 4096;
  const AlignedBuffer<float> x = reals(n);
  AlignedBuffer<float> out(n);
  for (auto _ : state) {
    row.rms_norm(x.data(), x.data(), out.data(), n, 1e-5f);
    benchmark::ClobberMemory();
  }
  count_values(state, n);
}

void silu_mul(benchmark::State& state, const KernelSet& row) {
  const std::size_t n = 4096;
  const AlignedBuffer<float> x = reals(n);
  AlignedBuffer<float> out(n);
  for (auto _ : state) {
    row.silu_mul(x.data(), x.data(), out.data(), n);
    benchmark::ClobberMemory();
  }
  count_values(state, n);
}

void attention(benchmark::State& state, const KernelSet& row, std::size_t head_dim) {
  const std::size_t count = 1024;
  const AlignedBuffer<float> k = reals(count * head_dim);
  const AlignedBuffer<float> v = reals(count * head_dim);
  AlignedBuffer<float> scratch(count);
  AlignedBuffer<float> out(head_dim);
  const float* q = k.data();
  float* to = out.data();
  const KvPiece piece{k.data(), v.data(), nullptr, nullptr, count};
  for (auto _ : state) {
    attend(row, {{&q, 1}, {&count, 1}, {&to, 1}}, {head_dim, 0.1f, 0}, KvFormat::fp32, {&piece, 1},
           scratch.data());
    benchmark::ClobberMemory();
  }
  count_values(state, count * head_dim);
}

void quantize_row(benchmark::State& state, const KernelSet& row) {
  const std::size_t n = 4096;
  const AlignedBuffer<float> x = reals(n);
  AlignedBuffer<i32> out(n);
  for (auto _ : state) benchmark::DoNotOptimize(row.quantize_row(x.data(), 127.0f, out.data(), n));
  count_values(state, n);
}

void dequantize_row(benchmark::State& state, const KernelSet& row) {
  const std::size_t n = 4096;
  AlignedBuffer<i64> r(n);
  for (std::size_t i = 0; i < n; ++i) r[i] = static_cast<i64>(i * i);
  const AlignedBuffer<float> x = reals(n);
  AlignedBuffer<float> out(n);
  for (auto _ : state) {
    row.dequantize_row(r.data(), 0.1f, x.data(), nullptr, x.data(), out.data(), n);
    benchmark::ClobberMemory();
  }
  count_values(state, n);
}

void weight_dot_halves(benchmark::State& state, const KernelSet& row) {
  const PackedWeights& w = weights(2048, 8192);
  const AlignedBuffer<u64> z = residues(w.d_out(), kPrime48);
  AlignedBuffer<i64> sums(8 * w.groups());
  for (auto _ : state) {
    row.weight_dot_halves(w, z.data(), sums.data(), 0, w.panels());
    benchmark::ClobberMemory();
  }
  state.counters["weights/s"] = benchmark::Counter(static_cast<double>(w.bytes()),
                                                   benchmark::Counter::kIsIterationInvariantRate);
}

void column_norm(benchmark::State& state) {
  const PackedWeights& w = weights(2048, 8192);
  for (auto _ : state) benchmark::DoNotOptimize(max_column_norm(w));
  state.counters["weights/s"] = benchmark::Counter(static_cast<double>(w.bytes()),
                                                   benchmark::Counter::kIsIterationInvariantRate);
}

/// Registers `body(state, row, arguments...)` as "kernel/row/shape".
template <class Body, class... Arguments>
void add(const char* kernel, const KernelSet& row, const std::string& shape, Body body,
         Arguments... arguments) {
  const std::string name =
      std::string(kernel) + "/" + row.name + (shape.empty() ? "" : "/") + shape;
  benchmark::RegisterBenchmark(name.c_str(), [&row, body, arguments...](benchmark::State& state) {
    body(state, row, arguments...);
  });
}

void add_row(const KernelSet& row) {
  const auto bits = [](u64 prime) {
    return std::string("q") += std::to_string(Modulus(prime).bits);
  };
  for (const u64 prime : {kPrime40, kPrime48, kPrime54}) {
    add("mask_row", row, bits(prime), mask_row, prime);
    add("decode_row", row, bits(prime), decode_row, prime);
    add("row_dots", row, bits(prime), row_dots, prime);
    add("pack_words", row, bits(prime), pack_words, prime);
    add("unpack_words", row, bits(prime), unpack_words, prime);
  }
  for (const u64 prime : {kPrime48, kPrime54})
    for (const std::size_t n : {256u, 512u, 1024u}) {
      add("ntt_forward8", row, bits(prime) + "/N" + std::to_string(n), ntt_forward8, prime, n);
      add("ntt_inverse8", row, bits(prime) + "/N" + std::to_string(n), ntt_inverse8, prime, n);
    }
  add("mask_tile", row, "q40/N256/k7", mask_tile, kPrime40, std::size_t{7});
  add("mask_tile", row, "q48/N256/k9", mask_tile, kPrime48, std::size_t{9});
  add("mask_tile", row, "q54/N256/k10", mask_tile, kPrime54, std::size_t{10});
  add("centered_binomial21", row, "", centered_binomial21);
  add("sum_squares", row, "4096", sum_squares);
  add("dot", row, "4096", dot);
  add("rope", row, "128", rope, std::size_t{128});
  add("rms_norm", row, "4096", rms_norm);
  add("silu_mul", row, "4096", silu_mul);
  add("attend", row, "1024x64", attention, std::size_t{64});
  add("attend", row, "1024x128", attention, std::size_t{128});
  add("quantize_row", row, "4096", quantize_row);
  add("dequantize_row", row, "4096", dequantize_row);
  add("weight_dot_halves", row, "2048x8192", weight_dot_halves);
  for (const std::size_t rows : {std::size_t{1}, std::size_t{8}, std::size_t{64}}) {
    const std::string count = "rows" + std::to_string(rows);
    for (const u64 prime : {kPrime40, kPrime48, kPrime54})
      add("residue_product", row, bits(prime) + "/2048x8192/" + count, residue_product, prime, rows,
          std::size_t{2048}, std::size_t{8192});
    add("plain_product", row, "2048x8192/" + count, plain_product, rows);
    add("float_product", row, "2048x8192/" + count, float_product, rows);
  }
}

} // namespace

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  for (const KernelSet& row : kernel_sets())
    if ((row.needs & ~cpu_features()) == 0) add_row(select_kernels(row.name));
  benchmark::RegisterBenchmark("max_column_norm/2048x8192", column_norm);
  benchmark::RunSpecifiedBenchmarks();
}
