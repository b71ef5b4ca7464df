#include "kernels/attention.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>
#include <vector>

#include "tests/kernels/kernel_fixtures.hpp"

namespace talaria::kernels {

using test::for_each_row;
using test::Guarded;
using test::Stream;

BOOST_AUTO_TEST_SUITE(attention_test)

namespace {

constexpr KvFormat kFormats[] = {KvFormat::fp32, KvFormat::bf16, KvFormat::int8};

/// Keys or values of one head: packed, and the fp32 numbers that were packed mean.
struct Rows {
  Rows(KvFormat format, std::size_t count, std::size_t head_dim, Stream& stream)
      : packed(count * head_dim * bytes_per_number(format)), scales(count),
        floats(count * head_dim) {
    for (float& x : floats) x = stream.wild(4);
    for (std::size_t p = 0; p < count; ++p) {
      float* row = floats.data() + p * head_dim;
      u8* to = packed.data() + p * head_dim * bytes_per_number(format);
      pack_head(format, row, head_dim, to, &scales[p]);
      for (std::size_t d = 0; d < head_dim; ++d) row[d] = number(format, to, d, scales[p]);
    }
  }
  static float number(KvFormat format, const u8* row, std::size_t d, float scale) {
    if (format == KvFormat::fp32) return reinterpret_cast<const float*>(row)[d];
    if (format == KvFormat::int8) return static_cast<float>(static_cast<i8>(row[d])) * scale;
    u16 half;
    std::memcpy(&half, row + 2 * d, sizeof half);
    return std::bit_cast<float>(u32{half} << 16);
  }

  std::vector<u8> packed;
  std::vector<float> scales;
  std::vector<float> floats;
};

float lanes_folded(float (&lane)[16]) {
  for (std::size_t apart = 8; apart > 0; apart /= 2)
    for (std::size_t l = 0; l < apart; ++l) lane[l] += lane[l + apart];
  return lane[0];
}

/// The definition in attention.hpp, without a cap.
std::vector<float> attended(const float* q, const std::vector<float>& k,
                            const std::vector<float>& v, std::size_t count, std::size_t head_dim,
                            float scale) {
  std::vector<float> w(count);
  for (std::size_t p = 0; p < count; ++p) {
    float lane[16] = {};
    for (std::size_t d = 0; d < head_dim; ++d)
      lane[d % 16] = std::fma(q[d], k[p * head_dim + d], lane[d % 16]);
    w[p] = lanes_folded(lane) * scale;
  }
  const float most = *std::max_element(w.begin(), w.end());
  float lane[16] = {};
  for (std::size_t p = 0; p < count; ++p) {
    w[p] = canonical_exp(w[p] - most);
    lane[p % 16] += w[p];
  }
  const float total = lanes_folded(lane);
  std::vector<float> out(head_dim);
  for (std::size_t p = 0; p < count; ++p)
    for (std::size_t d = 0; d < head_dim; ++d) out[d] = std::fma(w[p], v[p * head_dim + d], out[d]);
  for (float& x : out) x /= total;
  return out;
}

/// Memory of its own for every piece, which ends where an unreadable page begins.
struct Pieces {
  Pieces(const Rows& k, const Rows& v, KvFormat format, std::size_t count, std::size_t head_dim,
         Stream& stream) {
    const std::size_t row = head_dim * bytes_per_number(format);
    for (std::size_t at = 0; at < count;) {
      const std::size_t n = std::min(count - at, 1 + stream.below(70));
      const auto keep = [&](const Rows& rows) {
        memory.push_back(std::make_unique<Guarded<u8>>(n * row));
        std::copy_n(rows.packed.data() + at * row, n * row, memory.back()->data());
        return memory.back()->data();
      };
      const u8* keys = keep(k);
      pieces.push_back({keys, keep(v), k.scales.data() + at, v.scales.data() + at, n});
      at += n;
    }
  }
  std::vector<std::unique_ptr<Guarded<u8>>> memory;
  std::vector<KvPiece> pieces;
};

} // namespace

BOOST_AUTO_TEST_CASE(it_follows_the_definition_bit_for_bit_however_it_is_cut) {
  for_each_row([](const KernelSet& row) {
    Stream stream(4);
    for (const KvFormat format : kFormats)
      for (const std::size_t head_dim : {2, 8, 16, 20, 40, 64, 80, 96, 128, 200, 256})
        for (const std::size_t queries :
             {std::size_t{1}, std::size_t{3}, std::size_t{4}, std::size_t{7}, kMaxQueries}) {
          std::vector<std::size_t> counts(queries);
          for (std::size_t& count : counts) count = 1 + stream.below(150);
          const std::size_t most = *std::max_element(counts.begin(), counts.end());
          const Rows k(format, most, head_dim, stream), v(format, most, head_dim, stream);
          const Pieces cut(k, v, format, most, head_dim, stream);
          Guarded<float> q(queries * head_dim), out(queries * head_dim);
          for (float& x : q) x = stream.wild(3);
          std::vector<const float*> from;
          std::vector<float*> to;
          for (std::size_t i = 0; i < queries; ++i) {
            from.push_back(q.data() + i * head_dim);
            to.push_back(out.data() + i * head_dim);
          }
          Guarded<float> scratch(attention_scratch(format, queries, most, 70, head_dim));
          attend(row, {from, counts, to}, {head_dim, 0.25f, 0}, format, cut.pieces, scratch.data());
          for (std::size_t i = 0; i < queries; ++i) {
            const auto expected = attended(from[i], k.floats, v.floats, counts[i], head_dim, 0.25f);
            BOOST_TEST(std::memcmp(to[i], expected.data(), head_dim * sizeof(float)) == 0,
                       to_string(format)
                           << ", head_dim " << head_dim << ", query " << i << " of " << queries);
          }
        }
  });
}

BOOST_AUTO_TEST_CASE(it_is_a_softmax_weighted_mean) {
  for_each_row([](const KernelSet& row) {
    Stream stream(5);
    constexpr std::size_t head_dim = 64, count = 77;
    Guarded<float> q(head_dim), k(count * head_dim), v(count * head_dim), out(head_dim),
        scratch(round_up(count, 16));
    for (Guarded<float>* x : {&q, &k, &v})
      for (float& f : *x) f = 2 * stream.real();
    const float* from = q.data();
    float* to = out.data();
    const KvPiece piece{k.data(), v.data(), nullptr, nullptr, count};
    attend(row, {{&from, 1}, {&count, 1}, {&to, 1}}, {head_dim, 0.125f, 0}, KvFormat::fp32,
           {&piece, 1}, scratch.data());
    std::vector<double> weight(count);
    double total = 0;
    for (std::size_t p = 0; p < count; ++p) {
      double score = 0;
      for (std::size_t d = 0; d < head_dim; ++d)
        score += static_cast<double>(q[d]) * static_cast<double>(k[p * head_dim + d]);
      weight[p] = std::exp(score * 0.125);
      total += weight[p];
    }
    for (std::size_t d = 0; d < head_dim; ++d) {
      double mean = 0;
      for (std::size_t p = 0; p < count; ++p)
        mean += weight[p] * static_cast<double>(v[p * head_dim + d]) / total;
      BOOST_TEST(std::fabs(static_cast<double>(out[d]) - mean) < 1e-5);
    }
  });
}

BOOST_AUTO_TEST_CASE(of_one_position_it_is_its_value) {
  for_each_row([](const KernelSet& row) {
    Guarded<float> q(8), k(8), v(8), scratch(16), out(8);
    for (std::size_t d = 0; d < 8; ++d) {
      q[d] = 1e18f; // a huge score must not overflow exp
      k[d] = 1e18f;
      v[d] = static_cast<float>(d) - 3.5f;
    }
    const float* from = q.data();
    float* to = out.data();
    const std::size_t one = 1;
    const KvPiece piece{k.data(), v.data(), nullptr, nullptr, 1};
    attend(row, {{&from, 1}, {&one, 1}, {&to, 1}}, {8, 1.0f, 0}, KvFormat::fp32, {&piece, 1},
           scratch.data());
    BOOST_TEST(out.same_bytes(v));
  });
}

// In every format, values longer and shorter than keys, with a sink for each query.
BOOST_AUTO_TEST_CASE(sinks_take_their_share_and_values_have_their_own_length) {
  for_each_row([](const KernelSet& row) {
    Stream stream(9);
    constexpr std::size_t kDim = 20, kQueries = 3, kMost = 75;
    const std::size_t counts[kQueries] = {1, 16, kMost};
    const float sinks[kQueries] = {0.5f, -3, 40};
    for (const KvFormat format : kFormats)
      for (const std::size_t value_dim : {7, 16, 36}) {
        const Rows k(format, kMost, kDim, stream), v(format, kMost, value_dim, stream);
        Guarded<float> q(kQueries * kDim), out(kQueries * value_dim);
        for (float& x : q) x = stream.wild(3);
        const float* from[kQueries];
        float* to[kQueries];
        for (std::size_t i = 0; i < kQueries; ++i) {
          from[i] = q.data() + i * kDim;
          to[i] = out.data() + i * value_dim;
        }
        const KvPiece piece{k.packed.data(), v.packed.data(), k.scales.data(), v.scales.data(),
                            kMost};
        Guarded<float> scratch(
            attention_scratch(format, kQueries, kMost + 1, kMost, std::max(kDim, value_dim)));
        attend(row, {from, counts, to, sinks}, {kDim, 0.25f, 0, value_dim}, format, {&piece, 1},
               scratch.data());
        for (std::size_t i = 0; i < kQueries; ++i) {
          std::vector<double> weight(counts[i]);
          double top = sinks[i], total = 0;
          for (std::size_t p = 0; p < counts[i]; ++p) {
            for (std::size_t d = 0; d < kDim; ++d)
              weight[p] += double{from[i][d]} * k.floats[p * kDim + d] * 0.25;
            top = std::max(top, weight[p]);
          }
          for (double& w : weight) total += w = std::exp(w - top);
          total += std::exp(sinks[i] - top);
          for (std::size_t d = 0; d < value_dim; ++d) {
            double expected = 0, largest = 0;
            for (std::size_t p = 0; p < counts[i]; ++p) {
              expected += weight[p] / total * v.floats[p * value_dim + d];
              largest = std::max(largest, std::fabs(double{v.floats[p * value_dim + d]}));
            }
            BOOST_TEST(std::fabs(to[i][d] - expected) <= 1e-4 * largest);
          }
        }
      }
  });
}

// With a cap far above all scores it is plain attention; with a low one the formula. In two pieces.
BOOST_AUTO_TEST_CASE(capped_scores_follow_the_formula) {
  constexpr std::size_t kDim = 20, kCount = 37, kFirst = 11;
  std::vector<float> q(kDim), k(kCount * kDim), v(kCount * kDim), scratch(48);
  for (std::size_t i = 0; i < kDim; ++i) q[i] = std::sin(static_cast<float>(i + 1));
  for (std::size_t i = 0; i < kCount * kDim; ++i) {
    k[i] = std::cos(static_cast<float>(3 * i + 1));
    v[i] = std::sin(static_cast<float>(7 * i + 2));
  }
  const KvPiece pieces[] = {
      {k.data(), v.data(), nullptr, nullptr, kFirst},
      {k.data() + kFirst * kDim, v.data() + kFirst * kDim, nullptr, nullptr, kCount - kFirst}};
  for (const float cap : {1e6f, 0.7f}) {
    std::vector<float> out(kDim);
    const float* from = q.data();
    float* to = out.data();
    attend(active_kernels(), {{&from, 1}, {&kCount, 1}, {&to, 1}}, {kDim, 0.4f, cap},
           KvFormat::fp32, pieces, scratch.data());
    std::vector<double> weight(kCount);
    double sum = 0;
    for (std::size_t p = 0; p < kCount; ++p) {
      double score = 0;
      for (std::size_t d = 0; d < kDim; ++d) score += double{q[d]} * k[p * kDim + d];
      weight[p] = std::exp(cap * std::tanh(score * 0.4 / cap));
      sum += weight[p];
    }
    for (std::size_t d = 0; d < kDim; ++d) {
      double expected = 0;
      for (std::size_t p = 0; p < kCount; ++p) expected += weight[p] / sum * v[p * kDim + d];
      BOOST_TEST(std::abs(out[d] - expected) < (cap > 1 ? 2e-2 : 1e-5)); // fp32 of a cap of 1e6
    }
  }
}

BOOST_AUTO_TEST_CASE(packed_numbers_are_the_nearest_there_are) {
  Stream stream(7);
  for (int run = 0; run < 300; ++run) {
    const std::size_t n = 1 + stream.below(130);
    std::vector<float> x(n);
    for (float& v : x) v = stream.wild(1 + static_cast<int>(stream.below(60)));
    std::vector<u8> halves(2 * n), bytes(n);
    pack_head(KvFormat::bf16, x.data(), n, halves.data(), nullptr);
    float scale = -1;
    pack_head(KvFormat::int8, x.data(), n, bytes.data(), &scale);
    float largest = 0;
    for (const float v : x) largest = std::max(largest, std::fabs(v));
    BOOST_TEST((scale == largest / 127 || scale == 0));
    BOOST_TEST((scale != 0 || largest < 127 * std::numeric_limits<float>::min()));
    for (std::size_t i = 0; i < n; ++i) {
      const float bf16 = Rows::number(KvFormat::bf16, halves.data(), i, 0);
      BOOST_TEST(std::fabs(bf16 - x[i]) <=
                 std::max(std::fabs(x[i]) * 0x1p-8f, 0x1p-126f * 0x1p-8f));
      const float int8 = Rows::number(KvFormat::int8, bytes.data(), i, scale);
      BOOST_TEST(std::fabs(int8 - x[i]) <= std::max(0.501f * largest / 127, x[i] == 0 ? 0
                                                                            : scale   ? 0
                                                                                      : largest));
    }
  }
}

BOOST_AUTO_TEST_CASE(what_a_format_can_hold_comes_back_as_it_was) {
  std::vector<float> x;
  for (int i = -127; i <= 127; ++i) x.push_back(static_cast<float>(i) * 0.5f);
  std::vector<u8> packed(2 * x.size());
  float scale = 0;
  pack_head(KvFormat::int8, x.data(), x.size(), packed.data(), &scale);
  BOOST_TEST(scale == 0.5f);
  for (std::size_t i = 0; i < x.size(); ++i)
    BOOST_TEST(Rows::number(KvFormat::int8, packed.data(), i, scale) == x[i]);
  pack_head(KvFormat::bf16, x.data(), x.size(), packed.data(), &scale);
  for (std::size_t i = 0; i < x.size(); ++i)
    BOOST_TEST(Rows::number(KvFormat::bf16, packed.data(), i, 0) == x[i]);
  const float ties[] = {1.0f + 0x1p-8f, 1.0f + 0x3p-8f, -1.0f - 0x1p-8f}; // to even
  pack_head(KvFormat::bf16, ties, 3, packed.data(), &scale);
  BOOST_TEST(Rows::number(KvFormat::bf16, packed.data(), 0, 0) == 1.0f);
  BOOST_TEST(Rows::number(KvFormat::bf16, packed.data(), 1, 0) == 1.0f + 0x1p-6f);
  BOOST_TEST(Rows::number(KvFormat::bf16, packed.data(), 2, 0) == -1.0f);
}

BOOST_AUTO_TEST_SUITE_END()

} // namespace talaria::kernels
