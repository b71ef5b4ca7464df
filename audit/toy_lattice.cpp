#include "audit/toy_lattice.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <numbers>
#include <numeric>
#include <optional>

#include <fmt/format.h>
#include <fplll.h>

#include "audit/public_model.hpp"
#include "audit/statistics.hpp"
#include "core/error.hpp"
#include "core/random.hpp"
#include "estimator/security_level.hpp"

namespace talaria::audit {
namespace {

using kernels::Modulus;
using Residues = Matrix<u64>;

constexpr std::size_t kMaxTests = 200; ///< dual vectors that tokens are tested with

i64 binomial_sample(Rng& rng) {
  constexpr u64 kCoins = (u64{1} << remo::kEta) - 1;
  const u64 bits = rng.below(u64{1} << (2 * remo::kEta));
  return std::popcount(bits & kCoins) - std::popcount(bits >> remo::kEta);
}

/// sum_i a[i] b[i] mod q for residues below 2^54.
u64 dot(const u64* a, const u64* b, std::size_t count, const Modulus& q) {
  u128 sum = 0; // at most 2^20 products of 108 bits
  for (std::size_t i = 0; i < count; ++i) sum += u128{a[i]} * b[i];
  return static_cast<u64>(sum % q.q);
}

void swap_rows(Residues& m, std::size_t a, std::size_t b) {
  std::swap_ranges(m.row(a), m.row(a) + m.cols(), m.row(b));
}

/// Brings the last n columns of `a` [n, m] to the identity; false if they are singular.
bool reduce_to_identity(Residues& a, const Modulus& q) {
  const std::size_t n = a.rows();
  const std::size_t m = a.cols();
  for (std::size_t k = 0; k < n; ++k) {
    const std::size_t column = m - n + k;
    std::size_t pivot = k;
    while (pivot < n && a(pivot, column) == 0) ++pivot;
    if (pivot == n) return false;
    if (pivot != k) swap_rows(a, pivot, k);
    const u64 inverse = q.inverse(a(k, column));
    for (std::size_t c = 0; c < m; ++c) a(k, c) = q.mul(a(k, c), inverse);
    for (std::size_t r = 0; r < n; ++r) {
      const u64 factor = a(r, column);
      if (r == k || factor == 0) continue;
      for (std::size_t c = 0; c < m; ++c) a(r, c) = q.sub(a(r, c), q.mul(factor, a(k, c)));
    }
  }
  return true;
}

/// A basis of { w : A w = 0 mod q } as rows, from A's reduced form.
fplll::ZZ_mat<mpz_t> kernel_basis(const Residues& reduced, const Modulus& q) {
  const auto n = static_cast<int>(reduced.rows());
  const auto m = static_cast<int>(reduced.cols());
  fplll::ZZ_mat<mpz_t> basis(m, m);
  for (int i = 0; i < m - n; ++i) {
    basis[i][i] = 1;
    for (int k = 0; k < n; ++k)
      basis[i][m - n + k] =
          -q.centered(reduced(static_cast<std::size_t>(k), static_cast<std::size_t>(i)));
  }
  for (int k = m - n; k < m; ++k) basis[k][k] = static_cast<long>(q.q);
  return basis;
}

/// Dual vectors, shortest first.
struct DualVectors {
  Residues words;              ///< [count, m]
  std::vector<double> lengths; ///< Euclidean
};

DualVectors shortest_rows(const fplll::ZZ_mat<mpz_t>& basis, const Modulus& q) {
  const auto m = static_cast<std::size_t>(basis.get_cols());
  std::vector<double> length(m);
  for (std::size_t i = 0; i < m; ++i) {
    double squares = 0;
    for (std::size_t k = 0; k < m; ++k)
      squares += std::pow(basis[static_cast<int>(i)][static_cast<int>(k)].get_d(), 2);
    length[i] = std::sqrt(squares);
  }
  std::vector<std::size_t> order(m);
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t a, std::size_t b) { return length[a] < length[b]; });
  order.resize(std::min(m, kMaxTests));
  DualVectors out{Residues(order.size(), m), {}};
  for (std::size_t j = 0; j < order.size(); ++j) {
    for (std::size_t k = 0; k < m; ++k)
      out.words(j, k) =
          q.from_signed(basis[static_cast<int>(order[j])][static_cast<int>(k)].get_si());
    out.lengths.push_back(length[order[j]]);
  }
  return out;
}

DualVectors dual_vectors(const Residues& a, bool reduce, const Modulus& q) {
  Residues echelon(a.rows(), a.cols());
  std::copy_n(a.data(), a.rows() * a.cols(), echelon.data());
  if (!reduce_to_identity(echelon, q))
    throw Error(Errc::internal, "the toy matrix is singular; choose another seed");
  auto basis = kernel_basis(echelon, q);
  if (reduce && fplll::lll_reduction(basis) != fplll::RED_SUCCESS)
    throw Error(Errc::internal, "LLL failed on the toy lattice; is libfplll in order?");
  return shortest_rows(basis, q);
}

/// The attacker's side: what every token would give, ready to be compared with a masked row.
class TokenTests {
public:
  TokenTests(DualVectors duals, const Residues& scaled, const Modulus& q)
      : duals_(std::move(duals)), q_(q), predicted_(duals_.words.rows(), scaled.rows()) {
    for (std::size_t j = 0; j < predicted_.rows(); ++j)
      for (std::size_t v = 0; v < scaled.rows(); ++v)
        predicted_(j, v) = angle(dot(duals_.words.row(j), scaled.row(v), scaled.cols(), q_));
    // What the error leaves of a cosine, relative to the shortest vector: exp(-2 pi^2 tau^2).
    for (const double length : duals_.lengths)
      weights_.push_back(
          static_cast<float>(std::exp(2 * kPi * kPi * (square(tau()) - square(tau_of(length))))));
  }

  /// The ratio of the error in the best test to q: 0.25 and less opens rows.
  double tau() const { return tau_of(duals_.lengths.front()); }

  std::vector<float> scores(const u64* row) const {
    std::vector<float> out(predicted_.cols());
    for (std::size_t j = 0; j < predicted_.rows(); ++j) {
      const float seen = angle(dot(duals_.words.row(j), row, duals_.words.cols(), q_));
      for (std::size_t v = 0; v < out.size(); ++v)
        out[v] += weights_[j] * std::cos(seen - predicted_(j, v));
    }
    return out;
  }

private:
  static constexpr double kPi = std::numbers::pi;
  static double square(double x) { return x * x; }
  double tau_of(double length) const { return remo::kSigma * length / static_cast<double>(q_.q); }
  float angle(u64 residue) const {
    return static_cast<float>(2 * kPi * static_cast<double>(q_.centered(residue)) /
                              static_cast<double>(q_.q));
  }

  DualVectors duals_;
  Modulus q_;
  Matrix<float> predicted_; ///< [tests, tokens], radians
  std::vector<float> weights_;
};

/// Inputs that are worth using: more make the dual vectors shorter, but the reduction slower.
std::size_t useful_inputs(std::size_t dimension, std::size_t available) {
  return std::min(available, std::max(dimension + 12, dimension * 4 / 3));
}

Residues uniform_matrix(std::size_t rows, std::size_t cols, const Modulus& q, Rng& rng) {
  Residues out(rows, cols);
  for (std::size_t i = 0; i < rows * cols; ++i) out.data()[i] = rng.below(q.q);
  return out;
}

/// c = Delta x + A^T s + e
std::vector<u64> mask_row(const Residues& a, const u64* scaled, const Modulus& q, Rng& rng) {
  std::vector<u64> out(scaled, scaled + a.cols());
  for (std::size_t r = 0; r < a.rows(); ++r) {
    const u64 s = q.from_signed(binomial_sample(rng));
    for (std::size_t i = 0; i < out.size(); ++i) out[i] = q.add(out[i], q.mul(s, a(r, i)));
  }
  for (u64& word : out) word = q.add(word, q.from_signed(binomial_sample(rng)));
  return out;
}

std::size_t rank_of(u32 token, const std::vector<float>& scores) {
  const auto better = std::count_if(scores.begin(), scores.end(),
                                    [&](float score) { return score > scores[token]; });
  const auto equal = std::count(scores.begin(), scores.end(), scores[token]) - 1;
  return static_cast<std::size_t>(better + equal); // ties are no success
}

/// Rows of every token before masking, as the enclave would send them.
Matrix<i32> vocabulary_integers(const PublicModel& model) {
  Matrix<i32> out(model.vocab(), model.hidden());
  for (u32 token = 0; token < model.vocab(); ++token) {
    const auto row = model.integers(token);
    std::copy(row.begin(), row.end(), out.row(token));
  }
  return out;
}

AttackResult real_instance(const remo::LatticeParameters& parameters) {
  const auto level = estimator::security_level(parameters);
  AttackResult out;
  out.where = fmt::format("n = {}", parameters.dimension());
  out.applicable = false;
  out.judges = false;
  out.remark = fmt::format("{}: would take block size {} in dimension {}, 2^{:.0f} operations",
                           parameters.name, level.block, level.dimension, level.core);
  return out;
}

} // namespace

AttackResult attack_toy(const ToyLattice& toy, const Modulus& q, int delta_bits,
                        const Matrix<i32>& vocabulary) {
  const std::size_t m = useful_inputs(toy.dimension, vocabulary.cols());
  if (m < toy.dimension)
    throw Error(Errc::internal, "a toy secret has more coefficients than rows have inputs");
  ChaChaRng rng = seeded_rng(toy.seed, toy.dimension);
  const u64 delta = u64{1} << delta_bits;
  Residues scaled(vocabulary.rows(), m);
  for (std::size_t v = 0; v < scaled.rows(); ++v)
    for (std::size_t i = 0; i < m; ++i)
      scaled(v, i) = q.mul(delta, q.from_signed(vocabulary(v, i)));

  const Residues a = uniform_matrix(toy.dimension, m, q, rng);
  const TokenTests tests(dual_vectors(a, toy.reduce, q), scaled, q);
  AttackResult out;
  out.where = fmt::format("n = {}{}", toy.dimension, toy.reduce ? "" : ", not reduced");
  out.judges = false;
  out.rows = toy.trials;
  for (std::size_t trial = 0; trial < toy.trials; ++trial) {
    const auto token = static_cast<u32>(rng.below(vocabulary.rows()));
    const auto row = mask_row(a, scaled.row(token), q, rng);
    const std::size_t rank = rank_of(token, tests.scores(row.data()));
    out.top1 += rank == 0 ? 1 : 0;
    out.top10 += rank < RowGuesses::kRanks ? 1 : 0;
  }
  const auto tokens = static_cast<double>(vocabulary.rows());
  out.chance1 = 1 / tokens;
  out.chance10 = std::min(1.0, RowGuesses::kRanks / tokens);
  out.p_value = binomial_upper_tail(out.top1, out.rows, out.chance1);
  out.remark = fmt::format("{} in dimension {}, error over q in the best test {:.2g}",
                           toy.reduce ? "LLL" : "kernel vectors", m, tests.tau());
  return out;
}

AttackInfo toy_lattice_info() {
  return {"toy-lattice", "Lattice decoding of toy masks",
          "Micciancio and Regev 2009; docs/protocol.md, Attacks tried (g)",
          "The scheme's own modulus and scale with a secret of some dozen coefficients: reduced "
          "vectors of A's kernel tell which token a row was, so the attack works. At the real "
          "dimension it would need the block size that the estimator gives."};
}

std::vector<AttackResult> toy_lattice(const CloudView& view, const Effort& effort) {
  const MatrixRows* matrix = view.find("layers.0.qkv");
  if (view.parameters == nullptr || matrix == nullptr || matrix->delta_bits == 0) return {};
  const Modulus q = matrix->modulus;
  const Matrix<i32> vocabulary = vocabulary_integers(*view.model);
  constexpr std::size_t kSmall = 32;
  constexpr std::size_t kLarger = 48;
  constexpr std::size_t kEnoughForLarger = 256; // its reduction takes seconds
  const std::size_t trials = std::min<std::size_t>(effort.slow_rows, 64);
  const auto attack = [&](std::size_t dimension, bool reduce) {
    return attack_toy({dimension, reduce, trials}, q, matrix->delta_bits, vocabulary);
  };

  std::vector<AttackResult> out{attack(kSmall, true)};
  if (effort.slow_rows >= kEnoughForLarger) out.push_back(attack(kLarger, true));
  out.push_back(attack(kSmall, false));
  out.push_back(real_instance(*view.parameters));
  for (AttackResult& result : out) {
    result.attack = toy_lattice_info().name;
    result.scheme = view.scheme;
  }
  return out;
}

} // namespace talaria::audit
