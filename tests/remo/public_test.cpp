#include <boost/test/unit_test.hpp>

#include <vector>

#include "kernels/kernel_set.hpp"
#include "remo/hint_tiles.hpp"
#include "remo/masking_scheme.hpp"
#include "remo/public/public_matrix.hpp"
#include "remo/public/reply_switch.hpp"
#include "tests/remo/support/test_linear.hpp"

using namespace talaria;
using namespace talaria::remo;
using namespace talaria::remo::testing;

BOOST_AUTO_TEST_SUITE(public_algebra)

BOOST_AUTO_TEST_CASE(switching_rounds_exactly) {
  TestRandom random(1);
  std::vector<WordFormat> formats;
  for (const LatticeParameters& set : kAcceptedParameters) {
    formats.push_back(set.full_words());
    if (set.rounds()) formats.push_back(set.rounded_words());
  }
  for (const WordFormat& format : formats) {
    const kernels::Modulus q = format.modulus;
    const u64 reply_modulus = format.reply_modulus;
    std::vector<u64> y = {0, 1, q.q - 1, q.q - 2, q.q / 2, q.q / 2 + 1};
    for (u64 m = 1; m < 50; ++m) { // around the points where the rounding changes
      const u64 edge = static_cast<u64>((u128{2 * m + 1} * q.q) / (2 * u128{reply_modulus}));
      for (const u64 value : {edge - 1, edge, edge + 1, edge + 2}) y.push_back(value);
    }
    for (int i = 0; i < 2000; ++i) y.push_back(random.bits() % q.q);
    AlignedBuffer<u8> words(y.size() * format.word_bytes());
    kernels::active_kernels().pack_words(y.data(), words.data(), y.size(), q);
    const AlignedBuffer<u8> reply = switch_reply(format, words.data(), y.size());
    const int bytes = format.reply_bytes();
    BOOST_TEST(reply.size() == y.size() * static_cast<std::size_t>(bytes));
    AlignedBuffer<u8> back(words.size());
    unswitch_reply(format, reply.data(), y.size(), back.data());
    for (std::size_t i = 0; i < y.size(); ++i) {
      const u128 exact = (2 * u128{y[i]} * reply_modulus + q.q) / (2 * u128{q.q});
      const u64 got = kernels::load_word(reply.data() + i * static_cast<std::size_t>(bytes), bytes);
      BOOST_REQUIRE_EQUAL(got, static_cast<u64>(exact % reply_modulus));
      const u64 opened = kernels::load_word(back.data() + i * format.word_bytes(), q.word_bytes);
      const u128 widened = (2 * u128{got} * q.q + reply_modulus) / (2 * u128{reply_modulus});
      BOOST_REQUIRE_EQUAL(opened, static_cast<u64>(widened % q.q));
      const i64 away = std::abs(q.centered(q.sub(opened, y[i])));
      BOOST_REQUIRE(away <= static_cast<i64>(q.q / (2 * reply_modulus)) + 1);
    }
  }
}

BOOST_AUTO_TEST_CASE(the_public_matrix_depends_on_every_input_of_its_name) {
  const LatticeParameters toy = toy_parameters("S48", 16, 2);
  const PublicMatrix a(toy, public_matrix_seed(), 5);
  BOOST_TEST(a.rows() == 32u);
  BOOST_TEST(a.bytes() == 32 * 5 * 6u);
  const auto same_start = [&a](const PublicMatrix& b) {
    return std::equal(a.row(0), a.row(0) + 30, b.row(0));
  };
  BOOST_TEST(same_start(PublicMatrix(toy, public_matrix_seed(), 5)));
  BOOST_TEST(!same_start(PublicMatrix(toy, public_matrix_seed().first(7), 5)));
  BOOST_TEST(!same_start(PublicMatrix(toy_parameters("R48", 16, 2), public_matrix_seed(), 5)));
  BOOST_TEST(!same_start(PublicMatrix(toy, public_matrix_seed(), 6)));
  BOOST_TEST(!same_start(PublicMatrix(toy_parameters("S48", 16, 3), public_matrix_seed(), 5)));
  BOOST_TEST(!same_start(PublicMatrix(toy_parameters("S46", 16, 2), public_matrix_seed(), 5)));
}

BOOST_AUTO_TEST_CASE(tiles_give_back_the_rows_they_were_given) {
  TestRandom random(2);
  const LatticeParameters toy = toy_parameters("S54", 16, 3);
  for (const std::size_t columns : {1u, 7u, 8u, 9u, 64u, 65u, 200u}) {
    HintTiles tiles(toy, columns);
    std::vector<u8> rows(48 * columns * 7);
    for (u8& byte : rows) byte = static_cast<u8>(random.bits());
    for (const std::size_t first : {0u, 13u, 40u}) { // in three chunks
      const std::size_t last = first == 0 ? 13 : first == 13 ? 40 : 48;
      tiles.put_rows(first, last - first, rows.data() + first * columns * 7);
    }
    std::vector<u8> back(rows.size());
    tiles.copy_rows(0, 20, back.data());
    tiles.copy_rows(20, 28, back.data() + 20 * columns * 7);
    BOOST_TEST((back == rows), columns);
    // Row kappa N + p of column 8 t + c lies at [t][p][kappa][c].
    const std::size_t column = columns - 1;
    const u8* word = tiles.tile(column / 8) + ((5 * 3 + 2) * 8 + column % 8) * 7;
    BOOST_TEST(std::equal(word, word + 7, rows.data() + ((2 * 16 + 5) * columns + column) * 7));
  }
}

BOOST_AUTO_TEST_CASE(schemes_and_formats_have_names) {
  for (const SchemeKind kind : {SchemeKind::lattice, SchemeKind::hybrid, SchemeKind::clear})
    BOOST_TEST((parse_scheme(to_string(kind)) == kind));
  BOOST_CHECK_EXCEPTION(parse_scheme(to_string(SchemeKind::plain)), Error, [](const Error& error) {
    return error.code() == Errc::usage && std::string(error.what()).find("'plain'") < 40;
  });
  BOOST_CHECK_EXCEPTION(parse_scheme("Lattice"), Error, [](const Error& error) {
    return error.code() == Errc::usage &&
           std::string(error.what()).find("lattice, hybrid, clear") != std::string::npos;
  });
  BOOST_TEST(to_string(ProductKind::switched) == std::string("switched"));
  BOOST_TEST(to_string(ProductKind::rounded) == std::string("rounded"));
  for (const bool rounded : {false, true})
    for (const bool switched : {false, true}) {
      const ProductKind kind = kind_of_words(rounded, switched);
      BOOST_TEST((is_words(kind) && is_rounded(kind) == rounded && is_switched(kind) == switched));
    }
  BOOST_TEST((!is_words(ProductKind::int8) && !is_words(ProductKind::float32)));
}

BOOST_AUTO_TEST_CASE(only_the_lattice_scheme_has_nothing_to_warn_of) {
  for (const SchemeKind kind :
       {SchemeKind::lattice, SchemeKind::hybrid, SchemeKind::clear, SchemeKind::plain}) {
    SchemeOptions options;
    options.kind = kind;
    const auto scheme = make_scheme(options);
    BOOST_TEST((scheme->kind() == kind));
    BOOST_TEST(scheme->warning().empty() == (kind == SchemeKind::lattice));
    BOOST_TEST(scheme->warning().find('\n') == std::string::npos);
  }
}

BOOST_AUTO_TEST_CASE(a_spec_whose_parts_do_not_fit_is_refused) {
  TestRandom random(3);
  const TestLinear linear(10, 6, false, Weights::uniform, true, random);
  class NoHints final : public HintSource {
    WorkerProduct hint_rows(u32, u32, u32) override { throw std::logic_error("asked"); }
    WorkerProduct product(const MaskedTensor&) override { throw std::logic_error("asked"); }
  } none;
  SilentProgress progress;
  auto rng = seeded_rng(3);
  const auto refused = [&](auto change) {
    LinearSpec spec = linear.spec();
    change(spec);
    BOOST_CHECK_EXCEPTION(make_scheme({})->prepare(spec, none, rng, progress), Error,
                          [](const Error& error) { return error.code() == Errc::internal; });
  };
  refused([](LinearSpec& s) { s.columns = nullptr; });
  refused([](LinearSpec& s) { s.d_in = 11; });
  refused([](LinearSpec& s) { s.d_out = 7; });
  refused([](LinearSpec& s) { s.two_column_sets = true; });
  refused([](LinearSpec& s) { s.scale = s.scale.first(5); });
  refused([](LinearSpec& s) { s.bias = s.bias.first(5); });
}

BOOST_AUTO_TEST_SUITE_END()
