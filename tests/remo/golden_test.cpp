// Step by step against tests/golden/remo_vectors.json, which tests/golden/make_vectors.py writes.
#include <boost/test/unit_test.hpp>

#include <fstream>
#include <vector>

#include <nlohmann/json.hpp>

#include "core/digest.hpp"
#include "kernels/kernel_set.hpp"
#include "remo/bounds.hpp"
#include "remo/lattice_masks.hpp"
#include "remo/public/public_matrix.hpp"
#include "remo/public/reply_switch.hpp"
#include "remo/samplers.hpp"

using namespace talaria;
using namespace talaria::remo;
using Json = nlohmann::json;

namespace {

const Json& vectors() {
  static const Json all =
      Json::parse(std::ifstream(TALARIA_SOURCE_DIR "/tests/golden/remo_vectors.json"));
  return all;
}

std::span<const u8> seed() {
  static const std::string text = vectors()["seed"];
  return {reinterpret_cast<const u8*>(text.data()), text.size()};
}

/// One case with what every test of it needs.
struct Case {
  explicit Case(const Json& values)
      : json(values), parameters(lattice_parameters(values["name"].get<std::string>())),
        q(parameters.modulus()),
        words(parameters.rounds() ? parameters.rounded_words() : parameters.full_words()),
        d_in(values["d_in"]), d_out(values["d_out"]), rows(values["x"].size()),
        weights(d_in, d_out) {
    parameters.n = values["n"];
    parameters.k = values["k"];
    for (std::size_t i = 0; i < d_in; ++i)
      for (std::size_t j = 0; j < d_out; ++j) weights.at(i, j) = json["weights"][i][j];
  }

  /// Bytes of a word of masks as they are made, and of one that travels.
  std::size_t word() const { return static_cast<std::size_t>(q.word_bytes); }
  std::size_t sent_word() const { return words.word_bytes(); }

  const Json& json;
  LatticeParameters parameters;
  kernels::Modulus q;
  WordFormat words; ///< that travel
  std::size_t d_in;
  std::size_t d_out;
  std::size_t rows;
  kernels::PackedWeights weights;
};

template <class Check>
void for_each_case(Check check) {
  for (const Json& values : vectors()["cases"]) {
    BOOST_TEST_CONTEXT(values["name"] << " N " << values["n"] << " d_in " << values["d_in"])
    check(Case(values));
  }
}

std::vector<std::vector<u64>> matrix_of(const u8* words, std::size_t rows, std::size_t cols,
                                        int word_bytes) {
  std::vector<std::vector<u64>> out(rows, std::vector<u64>(cols));
  for (auto& row : out)
    for (u64& value : row) {
      value = kernels::load_word(words, word_bytes);
      words += word_bytes;
    }
  return out;
}

/// The hint of a case, natural order in the file, as the rows that travel.
AlignedBuffer<u8> hint_rows(const Case& c) {
  const kernels::NttPlan plan(c.q, c.parameters.n);
  const std::size_t n = plan.n;
  AlignedBuffer<u8> rows(c.parameters.dimension() * c.d_out * c.word());
  for (std::size_t kappa = 0; kappa < c.parameters.k; ++kappa)
    for (std::size_t j = 0; j < c.d_out; ++j)
      for (std::size_t m = 0; m < n; ++m)
        kernels::store_word(rows.data() + ((kappa * n + plan.reversed(m)) * c.d_out + j) * c.word(),
                            c.json["hint"][kappa][j][m].get<u64>(), c.q.word_bytes);
  return rows;
}

HintTiles tiles_of(const Case& c, const u8* rows, std::size_t columns) {
  HintTiles tiles(c.parameters, columns);
  tiles.put_rows(0, tiles.rows(), rows);
  return tiles;
}

} // namespace

BOOST_AUTO_TEST_SUITE(golden)

BOOST_AUTO_TEST_CASE(the_transform_is_the_reference_transform_in_reversed_order) {
  for_each_case([](const Case& c) {
    const kernels::NttPlan plan(c.q, c.parameters.n);
    AlignedBuffer<u64> lanes(8 * plan.n);
    for (std::size_t i = 0; i < plan.n; ++i) lanes[8 * i + 3] = c.json["polynomial"][i].get<u64>();
    kernels::active_kernels().ntt_forward8(plan, lanes.data());
    for (std::size_t m = 0; m < plan.n; ++m)
      BOOST_TEST(lanes[8 * plan.reversed(m) + 3] == c.json["polynomial_ntt"][m].get<u64>());
  });
}

BOOST_AUTO_TEST_CASE(the_public_matrix_is_the_reference_expansion) {
  for_each_case([](const Case& c) {
    const PublicMatrix a(c.parameters, seed(), c.d_in);
    const kernels::NttPlan plan(c.q, c.parameters.n);
    for (std::size_t kappa = 0; kappa < c.parameters.k; ++kappa)
      for (std::size_t i = 0; i < c.d_in; ++i)
        for (std::size_t m = 0; m < plan.n; ++m)
          BOOST_TEST(kernels::load_word(a.row(kappa * plan.n + plan.reversed(m)) + i * c.word(),
                                        c.q.word_bytes) == c.json["a"][kappa][i][m].get<u64>());
  });
}

BOOST_AUTO_TEST_CASE(words_beyond_the_modulus_are_rejected_as_in_the_reference) {
  const Json& json = vectors()["rejections"];
  LatticeParameters small = kDefaultParameters;
  small.q = json["q"];
  small.n = json["n"];
  small.k = json["k"];
  const PublicMatrix a(small, seed(), json["d_in"]);
  const kernels::NttPlan plan(small.modulus(), small.n);
  for (std::size_t kappa = 0; kappa < small.k; ++kappa)
    for (std::size_t i = 0; i < a.d_in(); ++i)
      for (std::size_t m = 0; m < plan.n; ++m)
        BOOST_TEST(kernels::load_word(a.row(kappa * plan.n + plan.reversed(m)) + 2 * i, 2) ==
                   json["a"][kappa][i][m].get<u64>());
}

BOOST_AUTO_TEST_CASE(the_expansion_of_every_accepted_set_has_the_reference_digest) {
  BOOST_TEST(vectors()["expansions"].size() == kAcceptedParameters.size());
  for (const Json& expected : vectors()["expansions"]) {
    const LatticeParameters& set = lattice_parameters(expected["name"].get<std::string>());
    const kernels::NttPlan plan(set.modulus(), set.n);
    const std::size_t d_in = expected["d_in"];
    const PublicMatrix a(set, public_matrix_seed(), d_in);
    const int word = set.modulus().word_bytes;
    std::vector<u8> natural(8 * set.dimension() * d_in);
    u8* out = natural.data();
    for (std::size_t kappa = 0; kappa < set.k; ++kappa)
      for (std::size_t i = 0; i < d_in; ++i)
        for (std::size_t m = 0; m < set.n; ++m, out += 8)
          kernels::store_word(out,
                              kernels::load_word(a.row(kappa * set.n + plan.reversed(m)) +
                                                     i * static_cast<std::size_t>(word),
                                                 word),
                              8);
    BOOST_TEST(to_hex(sha256(natural)) == expected["sha256"].get<std::string>(), set.name);
  }
}

BOOST_AUTO_TEST_CASE(the_hint_is_the_product_of_the_public_rows) {
  for_each_case([](const Case& c) {
    const PublicMatrix a(c.parameters, seed(), c.d_in);
    AlignedBuffer<u8> hint(a.rows() * c.d_out * c.word());
    kernels::active_kernels().residue_product(a.row(0), a.rows(), c.weights, c.q, hint.data(), 0,
                                              c.weights.panels());
    const AlignedBuffer<u8> expected = hint_rows(c);
    BOOST_TEST(hint.span() == expected.span(), boost::test_tools::per_element());
  });
}

BOOST_AUTO_TEST_CASE(masks_of_a_given_secret_are_the_reference_masks) {
  for_each_case([](const Case& c) {
    const kernels::NttPlan plan(c.q, c.parameters.n);
    std::vector<i8> coefficients;
    for (const Json& poly : c.json["secret"])
      for (const Json& value : poly) coefficients.push_back(value.get<i8>());
    const SecretBuffer<u64> secret = secret_to_ntt(plan, coefficients);
    const PublicMatrix a(c.parameters, seed(), c.d_in);

    const auto errors = [&c, &plan](std::size_t first, std::span<i8> out) {
      std::fill(out.begin(), out.end(), i8{0});
      for (std::size_t i = first; i < std::min(c.d_in, first + kMaskGroup); ++i)
        for (std::size_t t = 0; t < plan.n; ++t)
          out[t * kMaskGroup + i - first] = c.json["errors"][i][t].get<i8>();
    };
    const auto compare = [&](const kernels::Modulus& words, const char* u_name,
                             const char* v_name) {
      const auto word = static_cast<std::size_t>(words.word_bytes);
      const kernels::WordRounding to(c.q, words);
      AlignedBuffer<u8> u(plan.n * c.d_in * word);
      AlignedBuffer<u8> v(plan.n * c.d_out * word);
      const MaskTarget to_u{&secret, u.data()}, to_v{&secret, v.data()};
      make_mask_words(plan, tiles_of(c, a.row(0), c.d_in), {&to_u, 1}, c.d_in * word, errors, to);
      make_mask_words(plan, tiles_of(c, hint_rows(c).data(), c.d_out), {&to_v, 1}, c.d_out * word,
                      nullptr, to);
      for (std::size_t t = 0; t < plan.n; ++t) {
        for (std::size_t i = 0; i < c.d_in; ++i)
          BOOST_TEST(kernels::load_word(u.data() + (t * c.d_in + i) * word, words.word_bytes) ==
                     c.json[u_name][i][t].get<u64>());
        for (std::size_t j = 0; j < c.d_out; ++j)
          BOOST_TEST(kernels::load_word(v.data() + (t * c.d_out + j) * word, words.word_bytes) ==
                     c.json[v_name][j][t].get<u64>());
      }
    };
    compare(c.words.modulus, "u", "v");
    if (c.parameters.rounds()) compare(c.q, "unrounded_u", "unrounded_v");
  });
}

BOOST_AUTO_TEST_CASE(ciphertexts_replies_and_results_are_the_references) {
  for_each_case([](const Case& c) {
    const kernels::KernelSet& kernels = kernels::active_kernels();
    const int delta_bits = c.json["delta_bits"];
    const auto x = c.json["x"].get<std::vector<std::vector<i32>>>();
    AlignedBuffer<u8> sent(c.rows * c.d_in * c.sent_word());
    for (std::size_t r = 0; r < c.rows; ++r) {
      const std::size_t used = c.json["used_rows"][r];
      std::vector<u64> u;
      for (const Json& column : c.json["u"]) u.push_back(column[used].get<u64>());
      AlignedBuffer<u8> mask(c.d_in * c.sent_word());
      kernels.pack_words(u.data(), mask.data(), u.size(), c.words.modulus);
      kernels.mask_row(x[r].data(), mask.data(), sent.data() + r * c.d_in * c.sent_word(), c.d_in,
                       delta_bits, c.words.modulus);
    }
    BOOST_TEST((matrix_of(sent.data(), c.rows, c.d_in, c.words.modulus.word_bytes) ==
                c.json["ciphertext"].get<std::vector<std::vector<u64>>>()));

    AlignedBuffer<u8> reply(c.rows * c.d_out * c.sent_word());
    kernels.residue_product(sent.data(), c.rows, c.weights, c.words.modulus, reply.data(), 0,
                            c.weights.panels());
    BOOST_TEST((matrix_of(reply.data(), c.rows, c.d_out, c.words.modulus.word_bytes) ==
                c.json["reply"].get<std::vector<std::vector<u64>>>()));
    const AlignedBuffer<u8> switched = switch_reply(c.words, reply.data(), c.rows * c.d_out);
    BOOST_TEST((matrix_of(switched.data(), c.rows, c.d_out, c.words.reply_bytes()) ==
                c.json["switched_reply"].get<std::vector<std::vector<u64>>>()));

    AlignedBuffer<u8> widened(reply.size());
    unswitch_reply(c.words, switched.data(), c.rows * c.d_out, widened.data());
    for (const u8* words : {reply.data(), widened.data()})
      for (std::size_t r = 0; r < c.rows; ++r) {
        const std::size_t used = c.json["used_rows"][r];
        std::vector<u64> v;
        for (const Json& column : c.json["v"]) v.push_back(column[used].get<u64>());
        AlignedBuffer<u8> mask(c.d_out * c.sent_word());
        kernels.pack_words(v.data(), mask.data(), v.size(), c.words.modulus);
        std::vector<i64> decoded(c.d_out);
        kernels.decode_row(words + r * c.d_out * c.sent_word(), mask.data(), decoded.data(),
                           c.d_out, delta_bits, c.words.modulus);
        BOOST_TEST(decoded == c.json["decoded"][r].get<std::vector<i64>>(),
                   boost::test_tools::per_element());
      }
  });
}

BOOST_AUTO_TEST_CASE(signed_limbs_of_the_reference_recombine_to_the_words_sent) {
  for_each_case([](const Case& c) {
    for (std::size_t r = 0; r < c.rows; ++r)
      for (std::size_t i = 0; i < c.d_in; ++i) {
        const auto limbs = c.json["limbs"][r][i].get<std::vector<i64>>();
        BOOST_TEST(limbs.size() == c.sent_word());
        i64 value = 0;
        for (std::size_t l = limbs.size(); l-- > 0;) {
          BOOST_TEST((limbs[l] >= -128 && limbs[l] <= 127));
          value = 256 * value + limbs[l];
        }
        BOOST_TEST(c.words.modulus.from_signed(value) == c.json["ciphertext"][r][i].get<u64>());
      }
  });
}

BOOST_AUTO_TEST_CASE(integrity_vectors_and_bounds_are_the_references) {
  for_each_case([](const Case& c) {
    BOOST_TEST(c.json["z"].size() == c.parameters.check_vectors);
    for (std::size_t v = 0; v < c.parameters.check_vectors; ++v) {
      const auto z = c.json["z"][v].get<std::vector<u64>>();
      std::vector<u64> t(c.d_in);
      kernels::weight_dot(c.weights, z.data(), t.data(), c.words.modulus);
      BOOST_TEST(t == c.json["t"][v].get<std::vector<u64>>(), boost::test_tools::per_element());
    }
    const double norm = kernels::max_column_norm(c.weights);
    const LinearBounds bounds = linear_bounds(c.parameters, "golden", c.d_in, norm);
    BOOST_TEST(bounds.rounded == c.parameters.rounds());
    BOOST_TEST(norm == c.json["column_norm"].get<double>(), boost::test_tools::tolerance(1e-12));
    BOOST_TEST(bounds.delta_bits == c.json["delta_bits"].get<int>());
    BOOST_TEST(bounds.noise == c.json["noise"].get<double>(), boost::test_tools::tolerance(1e-12));
    BOOST_TEST(bounds.activation_norm == c.json["activation_norm"].get<double>(),
               boost::test_tools::tolerance(1e-12));
  });
}

BOOST_AUTO_TEST_CASE(secrets_transform_linearly_for_any_rank) {
  // More polynomials than lanes of one transform, fewer, and exactly as many.
  const kernels::NttPlan plan(kDefaultParameters.modulus(), 16);
  for (const std::size_t k : {1u, 7u, 8u, 9u, 17u}) {
    std::vector<i8> coefficients(k * plan.n);
    for (std::size_t i = 0; i < coefficients.size(); ++i)
      coefficients[i] = static_cast<i8>(static_cast<int>(i * 7 % 43) - 21);
    const SecretBuffer<u64> all = secret_to_ntt(plan, coefficients);
    for (std::size_t kappa = 0; kappa < k; ++kappa) {
      const SecretBuffer<u64> one =
          secret_to_ntt(plan, std::span(coefficients).subspan(kappa * plan.n, plan.n));
      for (std::size_t p = 0; p < plan.n; ++p) BOOST_TEST(all[kappa * plan.n + p] == one[p]);
    }
  }
}

BOOST_AUTO_TEST_SUITE_END()
