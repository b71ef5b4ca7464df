#include "kernels/known_answers.hpp"

#include "core/matrix.hpp"
#include "kernels/answer_stream.hpp"
#include "kernels/attention.hpp"
#include "kernels/product_answers.hpp"

namespace talaria::kernels {

using namespace answers;

namespace {

u64 answer_rows(const KernelSet& set) {
  constexpr std::size_t n = 37;
  Fingerprint print;
  Stream stream;
  for (const u64 prime : kPrimes) {
    const Modulus q(prime);
    const AlignedBuffer<u8> u = words(residues(n, prime, stream), q);
    AlignedBuffer<i32> x(n);
    for (i32& v : x) v = static_cast<i32>(stream.below(1u << 20)) - (1 << 19);
    AlignedBuffer<u8> masked(u.size());
    set.mask_row(x.data(), u.data(), masked.data(), n, 15, q);
    print.add(masked.data(), masked.size());
    AlignedBuffer<i64> r(n);
    set.decode_row(masked.data(), nullptr, r.data(), n, 15, q);
    print.add(r.data(), n);
    set.decode_row(masked.data(), u.data(), r.data(), n, 15, q);
    print.add(r.data(), n);
    AlignedBuffer<u64> z(n);
    set.unpack_words(masked.data(), z.data(), n, q);
    print.add(z.data(), n);
    set.pack_words(z.data(), masked.data(), n, q);
    print.add(masked.data(), masked.size());
  }
  return print.value();
}

u64 answer_dots(const KernelSet& set) {
  constexpr std::size_t n = 101;
  Fingerprint print;
  Stream stream;
  for (const u64 prime : kPrimes) {
    const Modulus q(prime);
    const AlignedBuffer<u64> z = residues(n, prime, stream);
    const AlignedBuffer<u64> other = residues(n, prime, stream);
    const AlignedBuffer<u64> third = residues(n, prime, stream);
    const AlignedBuffer<u8> a = words(residues(n, prime, stream), q);
    AlignedBuffer<i64> x(n);
    for (i64& v : x)
      v = static_cast<i64>(stream.below(2 * prime - 1)) - static_cast<i64>(prime) + 1;
    AlignedBuffer<i32> shorter(n);
    for (i32& v : shorter) v = static_cast<i32>(stream.below(u64{1} << 17)) - (1 << 16);
    const auto add = [&](const RowDots& dots) {
      print.add(dots.words.data(), kMaxCheckVectors);
      print.add(dots.integers.data(), kMaxCheckVectors);
      print.add(u64{dots.below});
    };
    for (const std::size_t vectors : {std::size_t{2}, kMaxCheckVectors})
      for (const std::size_t count : {n, std::size_t{0}}) {
        const CheckVectors check{{z.data(), other.data(), third.data()}, vectors};
        add(set.row_dots(a.data(), x.data(), check, count, q));
        add(set.row_dots32(a.data(), shorter.data(), check, count, q));
      }
  }
  return print.value();
}

u64 answer_transforms(const KernelSet& set) {
  constexpr std::size_t k = 3;
  Fingerprint print;
  Stream stream;
  for (const u64 prime : kPrimes)
    for (const std::size_t n : {std::size_t{16}, std::size_t{256}, std::size_t{512}}) {
      const NttPlan plan(Modulus(prime), n);
      AlignedBuffer<u64> x = residues(8 * n, prime, stream);
      set.ntt_forward8(plan, x.data());
      print.add(x.data(), x.size());
      set.ntt_inverse8(plan, x.data());
      print.add(x.data(), x.size());
      const AlignedBuffer<u64> s = residues(k * n, prime, stream);
      const AlignedBuffer<u8> b = words(residues(8 * k * n, prime, stream), plan.modulus);
      AlignedBuffer<u64> in_order(k * n); // [N][k]
      for (std::size_t i = 0; i < k * n; ++i) in_order[i % n * k + i / n] = s[i];
      set.mask_tile(plan, in_order.data(), 1, b.data(), k, x.data());
      print.add(x.data(), x.size());
    }
  return print.value();
}

u64 answer_mask_rows(const KernelSet& set) {
  constexpr std::size_t n = 16;
  constexpr u64 kRounded = (u64{1} << 39) - 7; // a prime below all of kPrimes
  Fingerprint print;
  Stream stream;
  for (const u64 prime : kPrimes)
    for (const std::size_t columns : {std::size_t{64}, std::size_t{37}}) {
      const Modulus q(prime);
      const AlignedBuffer<u64> tiles = residues(64 * n, prime, stream);
      AlignedBuffer<i8> errors(64 * n);
      for (i8& e : errors) e = static_cast<i8>(static_cast<int>(stream.below(43)) - 21);
      const std::size_t stride = 64 * static_cast<std::size_t>(q.word_bytes);
      AlignedBuffer<u8> rows(n * stride);
      for (const WordRounding& to : {WordRounding(q), WordRounding(q, Modulus(kRounded))})
        for (const i8* noise :
             {static_cast<const i8*>(errors.data()), static_cast<const i8*>(nullptr)}) {
          set.mask_rows(tiles.data(), 8 * n, noise, n, columns, rows.data(), stride, to);
          print.add(rows.data(), rows.size());
        }
    }
  return print.value();
}

u64 answer_errors(const KernelSet& set) {
  constexpr std::size_t n = 43;
  Stream stream;
  AlignedBuffer<u8> bytes(6 * n);
  for (u8& v : bytes) v = static_cast<u8>(stream.next());
  AlignedBuffer<i8> e(n);
  set.centered_binomial21(bytes.data(), e.data(), n);
  Fingerprint print;
  print.add(e.data(), n);
  return print.value();
}

u64 answer_weight_dots(const KernelSet& set) {
  Fingerprint print;
  Stream stream;
  const PackedWeights w = weights(stream);
  const AlignedBuffer<u64> z = residues(w.d_out(), kPrimes[2], stream);
  AlignedBuffer<i64> sums(8 * w.groups());
  set.weight_dot_halves(w, z.data(), sums.data(), 0, w.panels());
  print.add(sums.data(), sums.size());
  return print.value();
}

u64 answer_floats(const KernelSet& set) {
  constexpr std::size_t n = 76;
  Fingerprint print;
  Stream stream;
  const AlignedBuffer<float> x = reals(n, stream);
  const AlignedBuffer<float> gain = reals(n, stream);
  AlignedBuffer<float> out(n);
  print.add(set.sum_squares(x.data(), n));
  print.add(set.dot(x.data(), gain.data(), n));
  set.rms_norm(x.data(), gain.data(), out.data(), n, 1e-5f);
  print.add(out.data(), n);
  set.silu_mul(x.data(), gain.data(), out.data(), n);
  print.add(out.data(), n);
  set.rope(out.data(), x.data(), gain.data(), n);
  print.add(out.data(), n);

  constexpr std::size_t count = 21;
  constexpr std::size_t head_dim = 40;
  const AlignedBuffer<float> keys = reals(count * head_dim, stream);
  const AlignedBuffer<float> values = reals(count * head_dim, stream);
  AlignedBuffer<float> scratch(round_up(count, 16));
  const float* q = x.data();
  float* to = out.data();
  const KvPiece piece{keys.data(), values.data(), nullptr, nullptr, count};
  attend(set, {{&q, 1}, {&count, 1}, {&to, 1}}, {head_dim, 0.15f, 0}, KvFormat::fp32, {&piece, 1},
         scratch.data());
  print.add(out.data(), head_dim);

  AlignedBuffer<i32> integers(n);
  print.add(set.quantize_row(x.data(), 31.0f, integers.data(), n));
  print.add(integers.data(), n);
  AlignedBuffer<i64> r(n);
  for (i64& v : r) v = static_cast<i64>(stream.next()) >> 20;
  set.dequantize_row(r.data(), 0.01f, gain.data(), x.data(), gain.data(), out.data(), n);
  print.add(out.data(), n);
  return print.value();
}

u64 answer_attention_blocks(const KernelSet& set) {
  constexpr std::size_t head_dim = 72, queries = 5, most = 90;
  constexpr std::size_t counts[queries] = {70, 70, 71, 90, 90};
  Stream stream;
  const AlignedBuffer<float> q = reals(queries * head_dim, stream);
  const AlignedBuffer<float> keys = reals(most * head_dim, stream);
  const AlignedBuffer<float> values = reals(most * head_dim, stream);
  AlignedBuffer<float> out(queries * head_dim), scratch(queries * round_up(most, 16));
  const float* from[queries];
  float* to[queries];
  for (std::size_t i = 0; i < queries; ++i) {
    from[i] = q.data() + i * head_dim;
    to[i] = out.data() + i * head_dim;
  }
  const KvPiece piece{keys.data(), values.data(), nullptr, nullptr, most};
  attend(set, {from, counts, to}, {head_dim, 0.15f, 0}, KvFormat::fp32, {&piece, 1},
         scratch.data());
  Fingerprint print;
  print.add(out.data(), out.size());
  return print.value();
}

u64 answer_scores(const KernelSet& set) {
  constexpr std::size_t head_dim = 44, queries = 3, most = 30, stride = 32;
  constexpr std::size_t counts[queries] = {0, 19, most};
  Stream stream;
  const AlignedBuffer<float> q = reals(queries * head_dim, stream);
  const AlignedBuffer<float> keys = reals(most * head_dim, stream);
  AlignedBuffer<float> scores(queries * stride);
  const float* from[] = {q.data(), q.data() + head_dim, q.data() + 2 * head_dim};
  set.attend_scores(from, counts, queries, keys.data(), head_dim, 0.15f, scores.data(), stride);
  Fingerprint print;
  print.add(scores.data(), scores.size());
  return print.value();
}

u64 answer_widening(const KernelSet& set) {
  constexpr std::size_t n = 91;
  Stream stream;
  AlignedBuffer<u16> halves(n);
  AlignedBuffer<i8> bytes(n);
  for (u16& v : halves) v = static_cast<u16>(stream.below(0x7f80));
  for (i8& v : bytes) v = static_cast<i8>(stream.next());
  AlignedBuffer<float> out(n);
  Fingerprint print;
  set.widen_bf16(halves.data(), out.data(), n);
  print.add(out.data(), n);
  set.widen_i8(bytes.data(), 0.37f, out.data(), n);
  print.add(out.data(), n);
  return print.value();
}

u64 answer_selections(const KernelSet& set) {
  constexpr std::size_t rows = 21, row_bytes = 323, first = 40;
  Fingerprint print;
  Stream stream;
  AlignedBuffer<u8> table(rows * row_bytes);
  for (u8& v : table) v = static_cast<u8>(stream.next());
  AlignedBuffer<u32> ids(13);
  for (u32& id : ids) id = static_cast<u32>(first + stream.below(rows + 4));
  AlignedBuffer<u8> out(ids.size() * row_bytes);
  set.select_rows(table.data(), first, rows, row_bytes, ids.data(), ids.size(), out.data());
  print.add(out.data(), out.size());
  return print.value();
}

struct Question {
  const char* kernels;
  u64 (*answer)(const KernelSet&);
  u64 reference; ///< what the reference row must say
};

constexpr Question kQuestions[] = {
    {"masking of rows", answer_rows, 0x46a0a7955dae2a18},
    {"inner products of residues", answer_dots, 0x688f503a5148248c},
    {"transforms", answer_transforms, 0xc28775ae08ae256b},
    {"rows of mask blocks", answer_mask_rows, 0xfcac70d67279500e},
    {"binomial errors", answer_errors, 0xbe4d381a36234cd4},
    {"inner products with weights", answer_weight_dots, 0xbb48b5e729aff7c0},
    {"attention of blocks", answer_attention_blocks, 0xcc9cbf1baebe7aba},
    {"scores of attention", answer_scores, 0xbc257e6cbe94a002},
    {"widening of keys and values", answer_widening, 0x16c2f03cc5382011},
    {"selection of secret rows", answer_selections, 0xd781350e269ede55},
    {"floating-point kernels", answer_floats, 0xb4fd3149de3dcdb0},
};

} // namespace

const char* first_wrong_kernel(const KernelSet& set, const KernelSet& reference) {
  if (const char* wrong = first_wrong_product_kernel(set, reference)) return wrong;
  for (const Question& question : kQuestions) {
    if (question.answer(reference) != question.reference) return question.kernels;
    if (&set != &reference && question.answer(set) != question.reference) return question.kernels;
  }
  return nullptr;
}

} // namespace talaria::kernels
