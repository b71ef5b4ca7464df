#include "kernels/reference/modular.hpp"
#include "kernels/reference/reference.hpp"

namespace talaria::kernels::reference {

namespace {

constexpr std::size_t kLanes = 8;

} // namespace

// Cooley-Tukey, the twist by psi merged into the twiddles: natural order in, bit-reversed out.
void ntt_forward8(const NttPlan& plan, u64* x) {
  const u64 q = plan.modulus.q;
  for (std::size_t blocks = 1, half = plan.n / 2; blocks < plan.n; blocks *= 2, half /= 2)
    for (std::size_t i = 0; i < blocks; ++i) {
      const NttPlan::Twiddle& t = plan.forward[blocks + i];
      u64* a = x + i * 2 * half * kLanes;
      u64* b = a + half * kLanes;
      for (std::size_t j = 0; j < half * kLanes; ++j) {
        const u64 p = mul_constant(b[j], t, q);
        b[j] = sub_mod(a[j], p, q);
        a[j] = add_mod(a[j], p, q);
      }
    }
}

// Gentleman-Sande: the stages of ntt_forward8 undone from the last to the first.
void ntt_inverse8(const NttPlan& plan, u64* x) {
  const u64 q = plan.modulus.q;
  for (std::size_t blocks = plan.n / 2, half = 1; blocks > 0; blocks /= 2, half *= 2)
    for (std::size_t i = 0; i < blocks; ++i) {
      const NttPlan::Twiddle& t = plan.inverse[blocks + i];
      u64* a = x + i * 2 * half * kLanes;
      u64* b = a + half * kLanes;
      for (std::size_t j = 0; j < half * kLanes; ++j) {
        const u64 d = sub_mod(a[j], b[j], q);
        a[j] = add_mod(a[j], b[j], q);
        b[j] = mul_constant(d, t, q);
      }
    }
  for (std::size_t j = 0; j < plan.n * kLanes; ++j) x[j] = mul_constant(x[j], plan.n_inverse, q);
}

void mask_tile(const NttPlan& plan, const u64* s, std::size_t secrets, const u8* b, std::size_t k,
               u64* out) {
  const int bytes = plan.modulus.word_bytes;
  const Reducer reduce(plan.modulus.q);
  for (std::size_t i = 0; i < secrets; ++i, out += plan.n * kLanes) {
    for (std::size_t r = 0; r < plan.n; ++r)
      for (std::size_t c = 0; c < kLanes; ++c) {
        u128 sum = 0; // k products below 2^110
        for (std::size_t kappa = 0; kappa < k; ++kappa)
          sum += u128{s[(r * k + kappa) * secrets + i]} *
                 load_word(b + ((r * k + kappa) * kLanes + c) * bytes, bytes);
        out[r * kLanes + c] = reduce(sum);
      }
    ntt_inverse8(plan, out);
  }
}

} // namespace talaria::kernels::reference
