// Each mask hides one row, once, and is gone afterwards.
#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <memory>
#include <set>
#include <string>
#include <type_traits>

#include "kernels/kernel_set.hpp"
#include "remo/bounds.hpp"
#include "remo/mask_block.hpp"
#include "tests/remo/support/test_linear.hpp"
#include "tests/remo/support/test_worker.hpp"

using namespace talaria;
using namespace talaria::remo;
using namespace talaria::remo::testing;

static_assert(!std::is_copy_constructible_v<MaskRow> && !std::is_copy_assignable_v<MaskRow>);
static_assert(std::is_nothrow_move_constructible_v<MaskRow>);
static_assert(!std::is_copy_constructible_v<Opening> && !std::is_move_constructible_v<Opening>);
static_assert(!std::is_copy_constructible_v<Masked>);
static_assert(!std::is_copy_constructible_v<SecretBuffer<u8>>);

BOOST_AUTO_TEST_SUITE(mask_row)

namespace {

struct Prepared {
  explicit Prepared(SchemeKind kind = SchemeKind::lattice, std::size_t d_in = 40,
                    std::size_t d_out = 30)
      : random(1), rng(seeded_rng(1)), parameters(toy_parameters("S48", 16, 2)), worker(parameters),
        linear(d_in, d_out, false, Weights::uniform, false, random) {
    SchemeOptions options;
    options.kind = kind;
    options.parameters = &parameters;
    worker.hold(linear.matrix, copy_of(linear.weights));
    SilentProgress progress;
    masked_linear = make_scheme(options)->prepare(linear.spec(), worker, rng, progress);
  }

  TestRandom random;
  ChaChaRng rng;
  LatticeParameters parameters;
  TestWorker worker;
  TestLinear linear;
  std::unique_ptr<MaskedLinear> masked_linear;
};

bool is_zero(const u8* data, std::size_t bytes) {
  return std::all_of(data, data + bytes, [](u8 byte) { return byte == 0; });
}

} // namespace

BOOST_AUTO_TEST_CASE(a_row_is_wiped_when_it_goes_and_its_neighbours_stay) {
  for (const SchemeKind kind : {SchemeKind::lattice, SchemeKind::hybrid}) {
    Prepared p(kind);
    const std::size_t word = kind == SchemeKind::lattice ? 6 : 4;
    auto rows = p.masked_linear->make_block(p.rng);
    PairedMaskBlock& block = PairedMaskBlock::of(rows[0], p.masked_linear.get());
    BOOST_TEST(block.rows() == p.masked_linear->block_rows());
    for (const std::size_t gone : {rows.size() - 1, std::size_t{3}}) {
      BOOST_TEST(!is_zero(block.u(gone), 40 * word));
      BOOST_TEST(!is_zero(block.v(gone), 30 * word));
      rows.erase(rows.begin() + static_cast<std::ptrdiff_t>(gone));
    }
    std::set<std::size_t> left;
    for (const MaskRow& row : rows) left.insert(row.index());
    for (std::size_t r = 0; r < block.rows(); ++r) {
      BOOST_TEST(is_zero(block.u(r), 40 * word) == !left.count(r), r);
      BOOST_TEST(is_zero(block.v(r), 30 * word) == !left.count(r), r);
    }
  }
}

BOOST_AUTO_TEST_CASE(what_has_hidden_a_row_is_wiped_at_once_and_what_opens_it_with_its_opening) {
  for (const SchemeKind kind : {SchemeKind::lattice, SchemeKind::hybrid}) {
    Prepared p(kind);
    const std::size_t word = kind == SchemeKind::lattice ? 6 : 4;
    auto rows = p.masked_linear->make_block(p.rng);
    const auto keep = std::move(rows.back()); // holds the block
    rows.pop_back();
    PairedMaskBlock& block = PairedMaskBlock::of(keep, p.masked_linear.get());
    const std::size_t first = rows[0].index();
    const std::size_t unused = rows[2].index();
    const Matrix<float> x = test_rows(2, 40, Activations::gaussian, p.random);
    Masked masked = p.masked_linear->mask(x.view(), std::move(rows));
    BOOST_TEST(masked.opening->rows() == 2u);
    BOOST_TEST(is_zero(block.u(first), 40 * word));
    BOOST_TEST(!is_zero(block.u(keep.index()), 40 * word));
    BOOST_TEST(!is_zero(block.v(first), 30 * word));
    BOOST_TEST(is_zero(block.v(unused), 30 * word)); // handed over in excess: never to be used
    BOOST_TEST(bool(p.masked_linear->unmask(masked.opening, p.worker.product(masked.tensor), {})));
    BOOST_TEST(is_zero(block.v(first), 30 * word));
  }
}

BOOST_AUTO_TEST_CASE(a_row_whose_mask_is_wiped_hides_nothing_more) {
  for (const SchemeKind kind : {SchemeKind::lattice, SchemeKind::hybrid}) {
    Prepared p(kind);
    auto rows = p.masked_linear->make_block(p.rng);
    PairedMaskBlock::of(rows[1], p.masked_linear.get()).wipe_u(rows[1].index());
    const Matrix<float> x = test_rows(2, 40, Activations::gaussian, p.random);
    BOOST_CHECK_EXCEPTION(
        p.masked_linear->mask(x.view(), std::move(rows)), Error, [](const Error& error) {
          return error.code() == Errc::internal &&
                 std::string(error.what()).find("has hidden inputs before") != std::string::npos;
        });
  }
}

BOOST_AUTO_TEST_CASE(assigning_over_a_row_wipes_it) {
  Prepared p;
  auto rows = p.masked_linear->make_block(p.rng);
  PairedMaskBlock& block = PairedMaskBlock::of(rows[0], p.masked_linear.get());
  rows[0] = std::move(rows[1]);
  BOOST_TEST(is_zero(block.u(0), 40 * 6));
  BOOST_TEST(!is_zero(block.u(1), 40 * 6));
  BOOST_TEST(rows[0].index() == 1u);
  BOOST_TEST(rows[1].block() == nullptr);
}

BOOST_AUTO_TEST_CASE(used_foreign_or_missing_rows_are_refused) {
  Prepared p;
  Prepared other;
  const Matrix<float> x = test_rows(2, 40, Activations::gaussian, p.random);
  const auto refused = [](const Error& error) {
    return error.code() == Errc::internal && std::string(error.what()).find("layers.3.qkv") == 0;
  };
  auto rows = p.masked_linear->make_block(p.rng);
  std::vector<MaskRow> moved_from(2);
  moved_from[0] = std::move(rows[0]);
  BOOST_CHECK_EXCEPTION(p.masked_linear->mask(x.view(), std::move(moved_from)), Error, refused);
  BOOST_CHECK_EXCEPTION(p.masked_linear->mask(x.view(), other.masked_linear->make_block(p.rng)),
                        Error, refused);
  std::vector<MaskRow> one;
  one.push_back(std::move(rows[5]));
  BOOST_CHECK_EXCEPTION(p.masked_linear->mask(x.view(), std::move(one)), Error, refused);
  const Matrix<float> narrow = test_rows(1, 39, Activations::gaussian, p.random);
  BOOST_CHECK_EXCEPTION(p.masked_linear->mask(narrow.view(), p.masked_linear->make_block(p.rng)),
                        Error, refused);
}

BOOST_AUTO_TEST_CASE(equal_rows_never_look_equal_to_the_worker) {
  Prepared p;
  Matrix<float> x(32, 40);
  for (float& value : std::span(x.data(), 32 * 40)) value = 0.25f;
  const Masked masked = p.masked_linear->mask(x.view(), masks_for(*p.masked_linear, 32, p.rng));
  std::set<std::string> seen;
  const char* bytes = reinterpret_cast<const char*>(masked.tensor.bytes->data());
  for (std::size_t r = 0; r < 32; ++r) seen.insert(std::string(bytes + r * 240, 240));
  BOOST_TEST(seen.size() == 32u);
}

BOOST_AUTO_TEST_CASE(masks_open_up_to_noise_within_its_bound) {
  // v - sum_i u_i W_i must be the small e.W, never zero everywhere and never near Delta / 2.
  for (const char* set : {"S48", "S40", "S54", "R48", "R43"}) {
    Prepared p(SchemeKind::lattice, 100, 130);
    p.parameters = toy_parameters(set, 64, 2);
    SchemeOptions options;
    options.parameters = &p.parameters;
    TestWorker worker(p.parameters);
    worker.hold(p.linear.matrix, copy_of(p.linear.weights));
    SilentProgress progress;
    const auto linear = make_scheme(options)->prepare(p.linear.spec(), worker, p.rng, progress);
    const LinearBounds bounds =
        linear_bounds(p.parameters, set, 100, kernels::max_column_norm(p.linear.weights));
    BOOST_TEST(bounds.rounded == p.parameters.rounds());
    const kernels::Modulus q = words_of(p.parameters, bounds).modulus;
    const auto word = static_cast<std::size_t>(q.word_bytes);
    const double step = static_cast<double>(q.q) / static_cast<double>(p.parameters.q);
    const double variance = 10.5 * step * step + (bounds.rounded ? 1.0 / 12 : 0.0);

    const auto rows = linear->make_block(p.rng);
    double energy = 0;
    double expected = 0;
    for (const MaskRow& row : rows) {
      PairedMaskBlock& block = PairedMaskBlock::of(row, linear.get());
      AlignedBuffer<u8> y(130 * word);
      AlignedBuffer<u8> u(100 * word);
      std::memcpy(u.data(), block.u(row.index()), u.size());
      kernels::active_kernels().residue_product(u.data(), 1, p.linear.weights, q, y.data(), 0,
                                                p.linear.weights.panels());
      for (std::size_t j = 0; j < 130; ++j) {
        const u64 v = kernels::load_word(block.v(row.index()) + j * word, q.word_bytes);
        const double noise = static_cast<double>(
            q.centered(q.sub(kernels::load_word(y.data() + j * word, q.word_bytes), v)));
        BOOST_REQUIRE(std::fabs(noise) < bounds.noise);
        energy += noise * noise;
        for (std::size_t i = 0; i < 100; ++i)
          expected += variance * p.linear.weights.at(i, j) * p.linear.weights.at(i, j);
      }
    }
    BOOST_TEST(std::fabs(energy / expected - 1) < 0.1, set << " " << energy / expected);
  }
}

BOOST_AUTO_TEST_CASE(the_clear_scheme_needs_no_rows) {
  Prepared p(SchemeKind::clear);
  BOOST_TEST(p.masked_linear->mask_row_bytes() == 0u);
  BOOST_TEST(p.masked_linear->make_block(p.rng).empty());
  BOOST_TEST(p.masked_linear->hint_bytes() == 0u);
}

BOOST_AUTO_TEST_CASE(sizes_are_those_of_the_design) {
  Prepared p;
  BOOST_TEST(p.masked_linear->mask_row_bytes() == 256u + 192u); // 40 and 30 words in cache lines
  BOOST_TEST(p.masked_linear->block_rows() == 16u);
  BOOST_TEST(p.masked_linear->hint_bytes() ==
             2 * 16 * 32 * 6u); // k N words, columns to a tile of 8
}

BOOST_AUTO_TEST_SUITE_END()
