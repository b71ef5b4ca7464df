#include "gpu_check/equality.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "gpu_check/samples.hpp"
#include "kernels/cuda/residue_math.hpp"
#include "kernels/product_kernels.hpp"
#include "remo/public/reply_switch.hpp"

namespace talaria::gpu_check {

using kernels::Modulus;
using kernels::PackedWeights;
using kernels::cuda::Accelerator;
using kernels::cuda::open_devices;
using kernels::cuda::RowFormat;
using remo::LatticeParameters;

namespace {

struct Shape {
  std::size_t d_in, d_out;
};
constexpr Shape kShapes[] = {{1, 1},    {5, 3},     {16, 64},   {63, 65},    {64, 1001},
                             {65, 129}, {333, 257}, {1024, 70}, {4097, 131}, {4096, 1027}};
constexpr Shape kEveryRowShape = {333, 257};
constexpr std::size_t kRowCounts[] = {1, 2, 3, 7, 16, 17, 64, 65, 130};
constexpr u32 kMatrix = 12;

/// The row counts for which a shape is compared.
std::vector<std::size_t> row_counts(const Context& context, const Shape& shape) {
  std::vector<std::size_t> counts;
  const std::size_t one = shape.d_in * shape.d_out;
  for (const std::size_t rows : kRowCounts)
    if (rows == 1 || rows * one <= context.workload.most_multiplications) counts.push_back(rows);
  if (shape.d_in == kEveryRowShape.d_in && shape.d_out == kEveryRowShape.d_out)
    for (std::size_t rows = 1; rows <= context.workload.every_rows; ++rows) counts.push_back(rows);
  return counts;
}

std::string rows_text(const std::vector<std::size_t>& counts) {
  return text("%zu row counts up to %zu", counts.size(),
              *std::max_element(counts.begin(), counts.end()));
}

Json shape_entry(const char* kind, const LatticeParameters& parameters, const Shape& shape) {
  return Json::object()
      .set("kind", kind)
      .set("parameters", std::string(parameters.name))
      .set("d_in", shape.d_in)
      .set("d_out", shape.d_out);
}

/// Full words or rounded ones, and switched replies to both, of one shape. A product's rows do not
/// depend on each other: the CPU multiplies once, the largest number of rows.
void compare_words(Context& context, const LatticeParameters& parameters, bool rounded,
                   Accelerator& gpu, const Shape& shape) {
  const remo::WordFormat words_of_set =
      rounded ? parameters.rounded_words() : parameters.full_words();
  const Modulus q = words_of_set.modulus;
  SplitMix numbers(q.q + shape.d_in * shape.d_out);
  const PackedWeights weights = random_weights(shape.d_in, shape.d_out, numbers);
  gpu.add(kMatrix, weights);
  const std::vector<std::size_t> counts = row_counts(context, shape);
  const std::size_t most = *std::max_element(counts.begin(), counts.end());
  const auto words = random_words(most * shape.d_in, q, numbers);
  CpuProduct expected = cpu_product(words, most, weights, q, context.team);
  const std::size_t values = most * shape.d_out;
  AlignedBuffer<u8> padded(expected.bytes.size()); // words are read 8 bytes at a time
  std::memcpy(padded.data(), expected.bytes.data(), expected.bytes.size());
  const auto switched = remo::switch_reply(words_of_set, padded.data(), values);

  const auto count_different = [&](RowFormat format, const u8* right, std::size_t bytes) {
    std::size_t different = 0;
    for (const std::size_t rows : counts) {
      const auto got = gpu_product(gpu, kMatrix, format, words.data(), rows);
      const std::size_t wanted = rows * (bytes / most);
      different += got.size() != wanted || std::memcmp(got.data(), right, wanted) != 0;
    }
    return different;
  };
  const auto report = [&](const char* kind, std::size_t different) {
    context.report.compared(
        text("%s %s %zu x %zu, %s", std::string(parameters.name).c_str(), kind, shape.d_in,
             shape.d_out, rows_text(counts).c_str()),
        counts.size(), different,
        shape_entry(kind, parameters, shape).set("most_rows", most).set("cpu", expected.kernels));
  };
  report(rounded ? "rounded" : "residues",
         count_different(rounded ? RowFormat::rounded : RowFormat::residues, expected.bytes.data(),
                         expected.bytes.size()));
  report(rounded ? "rounded_switched" : "switched",
         count_different(rounded ? RowFormat::rounded_switched : RowFormat::switched,
                         switched.data(), switched.size()));
}

/// R = A W is the product with as many rows as A has: k N words each. A itself is not needed, any
/// words will do (and making it takes SHAKE-256 of OpenSSL).
void compare_hint(Context& context, const LatticeParameters& parameters, Accelerator& gpu) {
  constexpr Shape kShape = {48, 70};
  const Modulus q = parameters.modulus();
  const std::size_t rows =
      context.workload.hint_rows != 0 ? context.workload.hint_rows : parameters.dimension();
  SplitMix numbers(6);
  const auto weights = random_weights(kShape.d_in, kShape.d_out, numbers);
  gpu.add(kMatrix, weights);
  const auto a = random_words(rows * kShape.d_in, q, numbers);
  const CpuProduct expected = cpu_product(a, rows, weights, q, context.team);
  const bool same =
      gpu_product(gpu, kMatrix, RowFormat::residues, a.data(), rows) == expected.bytes;
  context.report.compared(
      text("%s hint of %zu rows", std::string(parameters.name).c_str(), rows), 1, same ? 0 : 1,
      shape_entry("hint", parameters, kShape).set("most_rows", rows).set("cpu", expected.kernels));
}

void compare_int8(Context& context, Accelerator& gpu, const Shape& shape) {
  const auto& set = kernels::product_kernel_sets().back();
  SplitMix numbers(3);
  const auto weights = random_weights(shape.d_in, shape.d_out, numbers);
  gpu.add(kMatrix, weights);
  const std::vector<std::size_t> counts = {1, 16, 65};
  const auto x = random_bytes(65 * shape.d_in, numbers);
  std::vector<i32> expected(65 * shape.d_out);
  set.plain_product(reinterpret_cast<const i8*>(x.data()), 65, weights, expected.data(), 0,
                    weights.panels());
  std::size_t different = 0;
  for (const std::size_t rows : counts) {
    const auto got = gpu_product(gpu, kMatrix, RowFormat::int8, x.data(), rows);
    const std::size_t wanted = rows * shape.d_out * sizeof(i32);
    different += got.size() != wanted || std::memcmp(got.data(), expected.data(), wanted) != 0;
  }
  context.report.compared(
      text("int8 %zu x %zu, %s", shape.d_in, shape.d_out, rows_text(counts).c_str()), counts.size(),
      different,
      shape_entry("int8", context.parameters, shape).set("most_rows", 65).set("cpu", set.name));
}

/// Against the exact value in double, with the bound of a sum of d_in terms in any order.
void compare_float32(Context& context, Accelerator& gpu, const Shape& shape) {
  SplitMix numbers(7);
  const auto weights = random_weights(shape.d_in, shape.d_out, numbers);
  gpu.add(kMatrix, weights);
  std::size_t different = 0;
  for (const std::size_t rows : {1U, 5U, 33U}) {
    std::vector<float> x(rows * shape.d_in);
    for (float& value : x)
      value = static_cast<float>(static_cast<i64>(numbers.next()) >> 24) * 0x1p-39f;
    const auto got =
        gpu_product(gpu, kMatrix, RowFormat::float32, reinterpret_cast<const u8*>(x.data()), rows);
    bool within = got.size() == rows * shape.d_out * sizeof(float);
    for (std::size_t t = 0; within && t < rows; ++t)
      for (std::size_t j = 0; j < shape.d_out; j += 13) {
        double exact = 0;
        double size = 0;
        for (std::size_t i = 0; i < shape.d_in; ++i) {
          const double term = static_cast<double>(x[t * shape.d_in + i]) * weights.at(i, j);
          exact += term;
          size += std::abs(term);
        }
        float y = 0;
        std::memcpy(&y, got.data() + (t * shape.d_out + j) * sizeof y, sizeof y);
        within = within && std::abs(static_cast<double>(y) - exact) <=
                               1.05 * static_cast<double>(shape.d_in) * 0x1p-24 * size;
      }
    different += !within;
  }
  context.report.compared(
      text("float32 %zu x %zu, within its bound", shape.d_in, shape.d_out), 3, different,
      shape_entry("float32", context.parameters, shape).set("most_rows", 33).set("cpu", "double"));
}

/// An int16 matrix is two column sets, high halves and low halves: 256 high + low is the product
/// with the 16-bit weights, computed here from them.
void compare_int16(Context& context, Accelerator& gpu) {
  constexpr Shape kShape = {129, 67};
  const Modulus q = context.parameters.modulus();
  const int width = q.word_bytes;
  SplitMix numbers(5);
  const auto sets = random_weights(kShape.d_in, 2 * kShape.d_out, numbers);
  gpu.add(kMatrix, sets);
  const auto words = random_words(kShape.d_in, q, numbers);
  const auto word = [width](const std::vector<u8>& of, std::size_t i) {
    return kernels::load_word(of.data() + i * static_cast<std::size_t>(width), width);
  };
  const auto got = gpu_product(gpu, kMatrix, RowFormat::residues, words.data(), 1);
  bool same = got.size() == 2 * kShape.d_out * static_cast<std::size_t>(width);
  for (std::size_t j = 0; same && j < kShape.d_out; ++j) {
    u64 expected = 0;
    for (std::size_t i = 0; i < kShape.d_in; ++i) {
      const i64 weight = 256 * sets.at(i, j) + sets.at(i, kShape.d_out + j);
      expected = q.add(expected, q.mul(word(words, i), q.from_signed(weight)));
    }
    same = q.add(q.mul(word(got, j), 256), word(got, kShape.d_out + j)) == expected;
  }
  context.report.compared(
      "int16 as two column sets", 1, same ? 0 : 1,
      shape_entry("int16", context.parameters, kShape).set("most_rows", 1).set("cpu", "Modulus"));
}

/// Sums at the bound of int32: every digit -128 or next to it, 2^17 - 1 of them.
void compare_extremes(Context& context, Accelerator& gpu) {
  constexpr Shape kShape = {(1 << 17) - 1, 2};
  const Modulus q = context.parameters.modulus();
  const auto width = static_cast<std::size_t>(q.word_bytes);
  PackedWeights weights(kShape.d_in, kShape.d_out);
  std::vector<u8> words(kShape.d_in * width);
  const u64 lowest = kernels::cuda::LimbFormat(q).largest + 1;
  for (std::size_t i = 0; i < kShape.d_in; ++i) {
    weights.at(i, 0) = -128;
    weights.at(i, 1) = 127;
    kernels::store_word(words.data() + i * width, lowest, q.word_bytes);
  }
  gpu.add(kMatrix, weights);
  const CpuProduct expected = cpu_product(words, 1, weights, q, context.team);
  const bool same =
      gpu_product(gpu, kMatrix, RowFormat::residues, words.data(), 1) == expected.bytes;
  context.report.compared("sums at the bound of int32", 1, same ? 0 : 1,
                          shape_entry("extremes", context.parameters, kShape)
                              .set("most_rows", 1)
                              .set("cpu", expected.kernels));
}

/// Sums that do not fit at once are cut into runs of columns.
void compare_cuts(Context& context) {
  constexpr Shape kShape = {200, 1027};
  constexpr std::size_t kRows = 70;
  const Modulus q = context.parameters.modulus();
  SplitMix numbers(4);
  const auto weights = random_weights(kShape.d_in, kShape.d_out, numbers);
  const auto words = random_words(kRows * kShape.d_in, q, numbers);
  const CpuProduct expected = cpu_product(words, kRows, weights, q, context.team);
  std::size_t different = 0;
  for (const std::size_t sums_bytes : {std::size_t{1}, std::size_t{300'000}}) {
    auto options = context.options(context.parameters);
    options.sums_bytes = sums_bytes;
    const auto gpu = open_devices(options);
    gpu->add(kMatrix, weights);
    different +=
        gpu_product(*gpu, kMatrix, RowFormat::residues, words.data(), kRows) != expected.bytes;
  }
  context.report.compared("sums cut into runs of columns", 2, different,
                          shape_entry("cuts", context.parameters, kShape)
                              .set("most_rows", kRows)
                              .set("cpu", expected.kernels));
}

} // namespace

void self_check(Context& context) {
  context.report.begin("self_check", "Self-check: what a worker does before it uses a device");
  for (const LatticeParameters& parameters : remo::kAcceptedParameters) {
    const std::string name(parameters.name);
    compare(context, name + " self-check", [&] {
      const auto gpu = open_devices(context.options(parameters)); // throws if a bit differs
      context.report.compared(name + " self-check on " + gpu->name(), 2, 0,
                              Json::object().set("kind", "self_check").set("parameters", name));
    });
  }
}

void compare_products(Context& context) {
  context.report.begin("products", "Products of every kind against the CPU");
  for (const LatticeParameters& parameters : remo::kAcceptedParameters) {
    const std::string name(parameters.name);
    compare(context, name + " products", [&] {
      const auto gpu = open_devices(context.options(parameters));
      compare(context, name + " hint", [&] { compare_hint(context, parameters, *gpu); });
      for (const Shape& shape : kShapes)
        for (const bool rounded : {false, true}) {
          if (rounded && !parameters.rounds()) continue;
          compare(context, text("%s words %zu x %zu", name.c_str(), shape.d_in, shape.d_out),
                  [&] { compare_words(context, parameters, rounded, *gpu, shape); });
        }
    });
  }
  compare(context, "int8, int16 and float32 products", [&] {
    const auto gpu = open_devices(context.options(context.parameters));
    compare(context, "int16", [&] { compare_int16(context, *gpu); });
    compare(context, "extremes", [&] { compare_extremes(context, *gpu); });
    for (const Shape& shape : kShapes) {
      compare(context, "int8", [&] { compare_int8(context, *gpu, shape); });
      compare(context, "float32", [&] { compare_float32(context, *gpu, shape); });
    }
  });
  compare(context, "cuts", [&] { compare_cuts(context); });
}

} // namespace talaria::gpu_check
