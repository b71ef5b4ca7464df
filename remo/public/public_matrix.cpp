#include "remo/public/public_matrix.hpp"

#include <algorithm>
#include <cstring>
#include <string_view>
#include <vector>

#include <fmt/format.h>

#include "core/digest.hpp"
#include "core/error.hpp"
#include "kernels/ntt_plan.hpp"

namespace talaria::remo {
namespace {

u64 load64(const std::vector<u8>& bytes, std::size_t index) {
  return kernels::load_word(bytes.data() + 8 * index, 8);
}

/// The accepted values of the XOF, [k][d_in][N] in natural order, as 8-byte words.
std::vector<u8> accepted_values(const LatticeParameters& parameters, std::span<const u8> seed,
                                std::size_t d_in) {
  const std::size_t need = std::size_t{parameters.k} * d_in * parameters.n;
  std::vector<u8> input(seed.begin(), seed.end());
  std::string suffix =
      fmt::format("|A|{}|{}|{}|{}", parameters.k, d_in, parameters.n, parameters.q);
  if (parameters.rounds()) suffix += fmt::format("|{}", parameters.p);
  input.insert(input.end(), suffix.begin(), suffix.end());

  const std::size_t drawn = need + need / 64 + 64;
  std::vector<u8> values = shake256(input, 8 * drawn);
  const int shift = 64 - parameters.modulus().bits;
  std::size_t kept = 0;
  for (std::size_t i = 0; i < drawn && kept < need; ++i) { // in place: kept <= i
    const u64 value = load64(values, i) >> shift;
    if (value >= parameters.q) continue;
    kernels::store_word(values.data() + 8 * kept++, value, 8);
  }
  if (kept < need)
    throw Error(Errc::internal, fmt::format("public matrix for d_in {}: the modulus {} rejects too "
                                            "many words; it must lie just below a power of two",
                                            d_in, parameters.q));
  return values;
}

} // namespace

PublicMatrix::PublicMatrix(const LatticeParameters& parameters, std::span<const u8> seed,
                           std::size_t d_in)
    : rows_(parameters.dimension()), d_in_(d_in),
      word_bytes_(static_cast<std::size_t>(parameters.modulus().word_bytes)),
      words_(rows_ * d_in * word_bytes_) {
  const std::vector<u8> values = accepted_values(parameters, seed, d_in);
  const kernels::NttPlan plan(parameters.modulus(), parameters.n);
  const int bytes = static_cast<int>(word_bytes_);
  const std::size_t n = parameters.n;
  constexpr std::size_t kBlock = 16; // inputs transposed together: keeps their cache lines
  for (std::size_t kappa = 0; kappa < parameters.k; ++kappa)
    for (std::size_t first = 0; first < d_in; first += kBlock)
      for (std::size_t m = 0; m < n; ++m) {
        u8* out = words_.data() + ((kappa * n + plan.reversed(m)) * d_in + first) * word_bytes_;
        const std::size_t last = std::min(d_in, first + kBlock);
        for (std::size_t i = first; i < last; ++i, out += word_bytes_)
          kernels::store_word(out, load64(values, (kappa * d_in + i) * n + m), bytes);
      }
}

std::span<const u8> public_matrix_seed() noexcept {
  static constexpr std::string_view kSeed = "talaria " TALARIA_RELEASE " public matrix";
  return {reinterpret_cast<const u8*>(kSeed.data()), kSeed.size()};
}

} // namespace talaria::remo
