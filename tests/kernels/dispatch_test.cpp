#include <boost/test/unit_test.hpp>

#include <cmath>
#include <string>
#include <utility>
#include <vector>

#include "core/error.hpp"
#include "kernels/known_answers.hpp"
#include "tests/kernels/kernel_fixtures.hpp"

using namespace talaria;
using namespace talaria::kernels;
using namespace talaria::kernels::test;

namespace {

const KernelSet& good() {
  return reference_row();
}

} // namespace

BOOST_AUTO_TEST_SUITE(dispatch)

BOOST_AUTO_TEST_CASE(the_reference_is_last_and_needs_nothing) {
  BOOST_TEST(std::string(good().name) == "reference");
  BOOST_TEST(good().needs == static_cast<unsigned>(kBaseline));
}

BOOST_AUTO_TEST_CASE(every_row_this_cpu_runs_can_be_forced) {
  for_each_row([](const KernelSet& row) { BOOST_TEST(&select_kernels(row.name) == &row); });
}

BOOST_AUTO_TEST_CASE(the_best_row_is_the_first_that_runs) {
  const KernelSet* best = nullptr;
  for (const KernelSet& row : kernel_sets())
    if (best == nullptr && (row.needs & ~cpu_features()) == 0) best = &row;
  BOOST_TEST(&select_kernels() == best);
}

BOOST_AUTO_TEST_CASE(an_unknown_row_is_a_usage_error_that_lists_the_choices) {
  BOOST_CHECK_EXCEPTION(select_kernels("sse9"), Error, [](const Error& e) {
    return e.code() == Errc::usage && std::string(e.what()).find("reference") != std::string::npos;
  });
}

BOOST_AUTO_TEST_CASE(the_row_of_the_process_can_be_set) {
  set_active_kernels(good());
  BOOST_TEST(&active_kernels() == &good());
}

BOOST_AUTO_TEST_CASE(the_reference_reproduces_the_answers_written_down) {
  BOOST_TEST(first_wrong_kernel(good(), good()) == nullptr);
}

// One bit wrong in one kernel must be noticed, whichever it is.
BOOST_AUTO_TEST_CASE(a_spoilt_kernel_fails_its_known_answer) {
  std::vector<KernelSet> spoilt;
  const auto spoil = [&](auto kernel, auto wrong) { // some are members of ProductKernels
    KernelSet set = good();
    set.*kernel = wrong;
    spoilt.push_back(set);
  };
  spoil(&KernelSet::mask_row,
        [](const i32* x, const u8* u, u8* out, std::size_t n, int d, const Modulus& q) {
          good().mask_row(x, u, out, n, d, q);
          out[n - 1] ^= 1;
        });
  spoil(&KernelSet::decode_row,
        [](const u8* y, const u8* v, i64* r, std::size_t n, int d, const Modulus& q) {
          good().decode_row(y, v, r, n, d, q);
          r[n - 1] ^= 1;
        });
  spoil(&KernelSet::row_dots,
        [](const u8* words, const i64* x, const CheckVectors& z, std::size_t n, const Modulus& q) {
          RowDots dots = good().row_dots(words, x, z, n, q);
          dots.words[1] ^= 1;
          return dots;
        });
  spoil(&KernelSet::row_dots,
        [](const u8* words, const i64* x, const CheckVectors& z, std::size_t n, const Modulus& q) {
          RowDots dots = good().row_dots(words, x, z, n, q);
          dots.integers[0] ^= 1;
          return dots;
        });
  spoil(&KernelSet::row_dots,
        [](const u8* words, const i64* x, const CheckVectors& z, std::size_t n, const Modulus& q) {
          RowDots dots = good().row_dots(words, x, z, n, q);
          if (z.count == 3) dots.words[2] ^= 1;
          return dots;
        });
  spoil(&KernelSet::row_dots32,
        [](const u8* words, const i32* x, const CheckVectors& z, std::size_t n, const Modulus& q) {
          RowDots dots = good().row_dots32(words, x, z, n, q);
          dots.integers[1] ^= 1;
          return dots;
        });
  spoil(&KernelSet::ntt_forward8, [](const NttPlan& plan, u64* x) {
    good().ntt_forward8(plan, x);
    std::swap(x[0], x[8]);
  });
  spoil(&KernelSet::ntt_inverse8, [](const NttPlan& plan, u64* x) {
    good().ntt_inverse8(plan, x);
    x[7] ^= 1;
  });
  spoil(&KernelSet::mask_tile, [](const NttPlan& plan, const u64* s, std::size_t secrets,
                                  const u8* b, std::size_t k, u64* out) {
    good().mask_tile(plan, s, secrets, b, k, out);
    out[8 * plan.n - 1] ^= 1;
  });
  spoil(&KernelSet::mask_rows,
        [](const u64* tiles, std::size_t tile_stride, const i8* errors, std::size_t n,
           std::size_t columns, u8* out, std::size_t stride, const WordRounding& to) {
          good().mask_rows(tiles, tile_stride, errors, n, columns, out, stride, to);
          if (!to.rounds()) out[(n - 1) * stride] ^= 1;
        });
  spoil(&KernelSet::mask_rows,
        [](const u64* tiles, std::size_t tile_stride, const i8* errors, std::size_t n,
           std::size_t columns, u8* out, std::size_t stride, const WordRounding& to) {
          good().mask_rows(tiles, tile_stride, errors, n, columns, out, stride, to);
          if (to.rounds()) out[(n - 1) * stride] ^= 1;
        });
  spoil(&KernelSet::centered_binomial21, [](const u8* bytes, i8* out, std::size_t n) {
    good().centered_binomial21(bytes, out, n);
    out[n - 1] = static_cast<i8>(out[n - 1] ^ 1);
  });
  spoil(&KernelSet::pack_words, [](const u64* x, u8* out, std::size_t n, const Modulus& q) {
    good().pack_words(x, out, n, q);
    out[0] ^= 1;
  });
  spoil(&KernelSet::unpack_words, [](const u8* in, u64* out, std::size_t n, const Modulus& q) {
    good().unpack_words(in, out, n, q);
    out[n - 1] ^= 1;
  });
  spoil(&KernelSet::residue_product,
        [](const u8* c, std::size_t rows, const PackedWeights& w, const Modulus& q, u8* y,
           std::size_t begin, std::size_t end) {
          good().residue_product(c, rows, w, q, y, begin, end);
          y[0] ^= 1;
        });
  spoil(&KernelSet::float_product, [](const float* c, std::size_t rows, const PackedWeights& w,
                                      float* y, std::size_t begin, std::size_t end) {
    good().float_product(c, rows, w, y, begin, end);
    y[0] = std::nextafter(y[0], 9e9f);
  });
  spoil(&KernelSet::plain_product, [](const i8* x, std::size_t rows, const PackedWeights& w, i32* y,
                                      std::size_t begin, std::size_t end) {
    good().plain_product(x, rows, w, y, begin, end);
    y[rows * w.d_out() - 1] ^= 1;
  });
  spoil(&KernelSet::weight_dot_halves,
        [](const PackedWeights& w, const u64* z, i64* sums, std::size_t begin, std::size_t end) {
          good().weight_dot_halves(w, z, sums, begin, end);
          sums[8 * w.groups() - 2] ^= 1;
        });
  spoil(&KernelSet::sum_squares, [](const float* x, std::size_t n) {
    return std::nextafter(good().sum_squares(x, n), 9e9f);
  });
  spoil(&KernelSet::dot, [](const float* a, const float* b, std::size_t n) {
    return std::nextafter(good().dot(a, b, n), 9e9f);
  });
  spoil(&KernelSet::rms_norm,
        [](const float* x, const float* gain, float* out, std::size_t n, float eps) {
          good().rms_norm(x, gain, out, n, eps);
          out[0] = std::nextafter(out[0], 9e9f);
        });
  spoil(&KernelSet::silu_mul, [](const float* gate, const float* up, float* out, std::size_t n) {
    good().silu_mul(gate, up, out, n);
    out[n - 1] = std::nextafter(out[n - 1], 9e9f);
  });
  spoil(&KernelSet::attend_scores,
        [](const float* const* q, const std::size_t* counts, std::size_t queries, const float* k,
           std::size_t head_dim, float scale, float* scores, std::size_t stride) {
          good().attend_scores(q, counts, queries, k, head_dim, scale, scores, stride);
          scores[(queries - 1) * stride] = std::nextafter(scores[(queries - 1) * stride], 9e9f);
        });
  spoil(&KernelSet::softmax_weights, [](float* w, std::size_t count) {
    return std::nextafter(good().softmax_weights(w, count), 9e9f);
  });
  spoil(&KernelSet::attend_values,
        [](const float* weights, std::size_t stride, const std::size_t* counts, std::size_t queries,
           const float* v, std::size_t head_dim, float* const* out) {
          good().attend_values(weights, stride, counts, queries, v, head_dim, out);
          out[queries - 1][0] = std::nextafter(out[queries - 1][0], 9e9f);
        });
  spoil(&KernelSet::widen_bf16, [](const u16* x, float* out, std::size_t n) {
    good().widen_bf16(x, out, n);
    out[n - 1] = std::nextafter(out[n - 1], 9e9f);
  });
  spoil(&KernelSet::widen_i8, [](const i8* x, float scale, float* out, std::size_t n) {
    good().widen_i8(x, scale, out, n);
    out[n - 1] = std::nextafter(out[n - 1], 9e9f);
  });
  spoil(&KernelSet::rope, [](float* x, const float* cos, const float* sin, std::size_t n) {
    good().rope(x, cos, sin, n);
    x[n - 1] = std::nextafter(x[n - 1], 9e9f);
  });
  spoil(&KernelSet::quantize_row, [](const float* x, float scale, i32* out, std::size_t n) {
    return good().quantize_row(x, scale, out, n) + 1;
  });
  spoil(&KernelSet::dequantize_row,
        [](const i64* r, float row_scale, const float* column_scale, const float* bias,
           const float* residual, float* out, std::size_t n) {
          good().dequantize_row(r, row_scale, column_scale, bias, residual, out, n);
          out[n - 1] = std::nextafter(out[n - 1], 9e9f);
        });
  for (std::size_t i = 0; i < spoilt.size(); ++i)
    BOOST_TEST(first_wrong_kernel(spoilt[i], good()) != nullptr, "spoilt kernel number " << i);
}

BOOST_AUTO_TEST_SUITE_END()
