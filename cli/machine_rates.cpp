#include "cli/machine_rates.hpp"

#include <algorithm>
#include <array>
#include <functional>
#include <vector>

#include "core/aes_rng.hpp"
#include "core/cpu_time.hpp"
#include "core/matrix.hpp"
#include "kernels/attention.hpp"
#include "kernels/kernel_set.hpp"
#include "kernels/ntt_plan.hpp"
#include "remo/lattice_masks.hpp"
#include "remo/samplers.hpp"

namespace talaria::cli {

namespace {

constexpr int kRuns = 7;

/// Seconds of CPU time that `run` takes: the median of some runs behind a first one.
double cpu_seconds(const std::function<void()>& run) {
  run();
  std::vector<double> times;
  for (int i = 0; i < kRuns; ++i) {
    const double begin = thread_cpu_seconds();
    run();
    times.push_back(thread_cpu_seconds() - begin);
  }
  std::nth_element(times.begin(), times.begin() + kRuns / 2, times.end());
  return std::max(kNanosecond, times[kRuns / 2]);
}

void set(planner::Rates& rates, const char* name, double planner::Rates::*rate, double value) {
  rates.*rate = value;
  rates.measured.emplace_back(name);
}

/// Masks as the pool makes them: four blocks to a reading of a hint that no cache holds.
void measure_masks(planner::Rates& rates, const remo::LatticeParameters& parameters) {
  constexpr std::size_t kColumns = 8192, kBlocks = 4;
  auto rng = AesRng::from_system();
  const kernels::Modulus q = parameters.modulus();
  const kernels::NttPlan plan(q, parameters.n);
  remo::HintTiles tiles(parameters, kColumns);
  const std::size_t stride = kColumns * static_cast<std::size_t>(q.word_bytes);
  AlignedBuffer<u64> row(kColumns);
  AlignedBuffer<u8> words(stride);
  for (u64& value : row) value = rng.below(q.q);
  kernels::active_kernels().pack_words(row.data(), words.data(), kColumns, q);
  for (std::size_t r = 0; r < tiles.rows(); ++r) tiles.put_rows(r, 1, words.data());
  std::vector<SecretBuffer<u64>> secrets;
  std::vector<SecretBuffer<u8>> out;
  std::vector<remo::MaskTarget> targets;
  for (std::size_t b = 0; b < kBlocks; ++b) {
    secrets.push_back(remo::draw_secret(plan, parameters.k, rng));
    out.emplace_back(parameters.n * stride);
  }
  for (std::size_t b = 0; b < kBlocks; ++b) targets.push_back({&secrets[b], out[b].data()});
  const double values = static_cast<double>(kBlocks * parameters.n * kColumns);
  const remo::ErrorSource errors = [&rng](std::size_t, std::span<i8> e) {
    remo::draw_errors(rng, e);
  };
  const kernels::WordRounding as_made(plan.modulus);
  set(rates, "mask_output_ns", &planner::Rates::mask_output_ns,
      cpu_seconds([&] { remo::make_mask_words(plan, tiles, targets, stride, {}, as_made); }) /
          values / kNanosecond);
  set(rates, "mask_input_ns", &planner::Rates::mask_input_ns,
      cpu_seconds([&] { remo::make_mask_words(plan, tiles, targets, stride, errors, as_made); }) /
          values / kNanosecond);
}

/// Products of 64 rows with weights of some layers' size, and of one row with many. Returns the
/// 10^9 bytes/s of weights that are only read.
double measure_products(planner::Rates& rates, const remo::LatticeParameters& parameters) {
  constexpr std::size_t kRows = 64, kInputs = 2048, kOutputs = 8192, kCopies = 16;
  const kernels::Modulus q = parameters.modulus();
  const auto limbs = static_cast<std::size_t>(q.word_bytes);
  const auto& kernels = kernels::active_kernels();
  const kernels::PackedWeights weights(kInputs, kOutputs);
  AlignedBuffer<u8> c(kRows * kInputs * limbs), y(kRows * kOutputs * limbs);
  AlignedBuffer<i8> x(kRows * kInputs);
  AlignedBuffer<i32> plain(kRows * kOutputs);
  const double operations = 2.0 * kRows * kInputs * kOutputs;
  const double limb_s = cpu_seconds(
      [&] { kernels.residue_product(c.data(), kRows, weights, q, y.data(), 0, weights.panels()); });
  set(rates, "limb_gops", &planner::Rates::limb_gops,
      operations * static_cast<double>(limbs) / limb_s / kBillion);
  const double plain_s = cpu_seconds(
      [&] { kernels.plain_product(x.data(), kRows, weights, plain.data(), 0, weights.panels()); });
  set(rates, "plain_gops", &planner::Rates::plain_gops, operations / plain_s / kBillion);
  // 268 MB of weights, written so that each has memory of its own to be read from.
  std::vector<kernels::PackedWeights> many;
  for (std::size_t copy = 0; copy < kCopies; ++copy) {
    many.emplace_back(kInputs, kOutputs);
    std::fill_n(many.back().panel(0), many.back().bytes(), static_cast<i8>(copy));
  }
  u64 sum = 0;
  const double product_s = cpu_seconds([&] {
    for (const auto& w : many) kernels.residue_product(c.data(), 1, w, q, y.data(), 0, w.panels());
  });
  const double reading_s = cpu_seconds([&] {
    for (const auto& w : many) {
      const i8* bytes = w.panel(0);
      constexpr std::size_t kAhead = 4096, kLine = 64;
      for (std::size_t i = 0; i < w.bytes(); i += kLine) {
        __builtin_prefetch(bytes + i + kAhead);
        sum += static_cast<u8>(bytes[i]);
      }
    }
  });
  volatile u64 kept = sum; // the reading may not be left out
  static_cast<void>(kept);
  set(rates, "weight_reading", &planner::Rates::weight_reading,
      std::max(1.0, product_s / reading_s));
  return static_cast<double>(kCopies * weights.bytes()) / reading_s / kBillion;
}

/// Attention of one head over `positions`: by 64 queries, as of prompts, or by four, as heads of
/// one group share keys and values in decoding.
double attention_seconds(std::size_t queries, std::size_t positions, std::size_t head_dim) {
  const AlignedBuffer<u16> k(positions * head_dim), v(positions * head_dim);
  const AlignedBuffer<float> q(queries * head_dim);
  AlignedBuffer<float> out(queries * head_dim);
  std::vector<const float*> asked;
  std::vector<float*> told;
  for (std::size_t i = 0; i < queries; ++i) {
    asked.push_back(q.data() + i * head_dim);
    told.push_back(out.data() + i * head_dim);
  }
  const std::vector<std::size_t> counts(queries, positions);
  const std::array<kernels::KvPiece, 1> pieces{{{k.data(), v.data(), nullptr, nullptr, positions}}};
  constexpr auto kFormat = kernels::KvFormat::bf16;
  AlignedBuffer<float> scratch(
      kernels::attention_scratch(kFormat, queries, positions, positions, head_dim));
  return cpu_seconds([&] {
    kernels::attend(kernels::active_kernels(), {asked, counts, told}, {head_dim}, kFormat, pieces,
                    scratch.data());
  });
}

void measure_attention(planner::Rates& rates) {
  constexpr std::size_t kHeadDim = 64, kPositions = 1024, kManyPositions = 65536, kShared = 4;
  const double prompts = attention_seconds(kernels::kMaxQueries, kPositions, kHeadDim);
  set(rates, "attention_gflops", &planner::Rates::attention_gflops,
      4.0 * kernels::kMaxQueries * kPositions * kHeadDim / prompts / kBillion);
  const double answers = attention_seconds(kShared, kManyPositions, kHeadDim);
  set(rates, "attention_gb_per_s", &planner::Rates::attention_gb_per_s,
      2.0 * sizeof(u16) * kManyPositions * kHeadDim / answers / kBillion);
}

} // namespace

double measure_core(planner::Rates& rates, const remo::LatticeParameters& parameters) {
  measure_masks(rates, parameters);
  measure_attention(rates);
  return measure_products(rates, parameters);
}

} // namespace talaria::cli
