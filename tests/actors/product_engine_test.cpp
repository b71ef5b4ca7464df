#include "actors/worker/product_engine.hpp"

#include <boost/test/unit_test.hpp>

#include "core/error.hpp"
#include "core/random.hpp"

namespace talaria::worker {

namespace {

model::QuantizedLinear random_linear(u32 id, std::size_t d_in, std::size_t d_out, Rng& rng) {
  model::QuantizedLinear linear;
  linear.id = {id};
  linear.d_in = d_in;
  linear.d_out = d_out;
  linear.columns = kernels::PackedWeights(d_in, d_out);
  for (std::size_t i = 0; i < d_in; ++i)
    for (std::size_t j = 0; j < d_out; ++j)
      linear.columns.at(i, j) = static_cast<i8>(static_cast<int>(rng.below(255)) - 127);
  return linear;
}

remo::MaskedTensor random_rows(u32 id, u32 rows, u32 cols, const kernels::Modulus& q, Rng& rng) {
  const auto width = static_cast<std::size_t>(q.word_bytes);
  AlignedBuffer<u8> bytes(std::size_t{rows} * cols * width);
  for (std::size_t i = 0; i < std::size_t{rows} * cols; ++i)
    kernels::store_word(bytes.data() + i * width, rng.below(q.q), q.word_bytes);
  return {id, remo::ProductKind::residues, rows, cols,
          std::make_shared<const AlignedBuffer<u8>>(std::move(bytes))};
}

} // namespace

BOOST_AUTO_TEST_CASE(products_equal_the_definition_for_any_number_of_threads) {
  auto rng = seeded_rng(3);
  const auto& parameters = remo::kDefaultParameters;
  const auto q = parameters.modulus();
  for (const std::size_t threads : {1U, 2U, 3U}) {
    ProductEngine engine(parameters, remo::public_matrix_seed(), threads);
    engine.add(random_linear(4, 37, 211, rng));
    const auto tensor = random_rows(4, 3, 37, q, rng);
    const auto product = engine.multiply(tensor);
    BOOST_TEST_REQUIRE(product.cols == 211U);
    for (std::size_t t = 0; t < 3; ++t)
      for (std::size_t j = 0; j < 211; ++j) {
        u64 expected = 0;
        for (std::size_t i = 0; i < 37; ++i)
          expected =
              q.add(expected, q.mul(kernels::load_word(tensor.bytes->data() + (t * 37 + i) * 6, 6),
                                    q.from_signed(engine.linear(4).columns.at(i, j))));
        BOOST_TEST_REQUIRE(kernels::load_word(product.bytes->data() + (t * 211 + j) * 6, 6) ==
                           expected);
      }
  }
}

BOOST_AUTO_TEST_CASE(plain_products_are_the_same_for_any_threads_and_company) {
  auto rng = seeded_rng(5);
  std::vector<remo::MaskedTensor> tensors;
  for (const u32 rows : {1U, 7U, 3U}) {
    AlignedBuffer<u8> bytes(std::size_t{rows} * 1100);
    for (u8& value : bytes) value = static_cast<u8>(rng.below(256));
    tensors.push_back({4, remo::ProductKind::int8, rows, 1100,
                       std::make_shared<const AlignedBuffer<u8>>(std::move(bytes))});
  }
  for (const std::size_t threads : {1U, 3U}) {
    ProductEngine engine(remo::kDefaultParameters, remo::public_matrix_seed(), threads);
    auto weights = seeded_rng(6);
    engine.add(random_linear(4, 1100, 8000, weights)); // large enough to be shared
    const auto products = engine.multiply_together(tensors);
    for (std::size_t n = 0; n < tensors.size(); ++n) {
      BOOST_TEST_REQUIRE(products[n].bytes->size() == std::size_t{tensors[n].rows} * 8000 * 4);
      for (const std::size_t j : {0U, 4095U, 7999U}) {
        const std::size_t t = tensors[n].rows - 1;
        i32 expected = 0;
        for (std::size_t i = 0; i < 1100; ++i)
          expected += static_cast<i8>((*tensors[n].bytes)[t * 1100 + i]) *
                      engine.linear(4).columns.at(i, j);
        BOOST_TEST(reinterpret_cast<const i32*>(products[n].bytes->data())[t * 8000 + j] ==
                   expected);
      }
      const auto alone = engine.multiply(tensors[n]);
      BOOST_TEST(std::equal(alone.bytes->begin(), alone.bytes->end(), products[n].bytes->begin()));
    }
  }
  ProductEngine engine(remo::kDefaultParameters, remo::public_matrix_seed(), 1);
  engine.add(random_linear(4, 1099, 16, rng));
  BOOST_CHECK_THROW(engine.check(tensors[0]), Error);
}

BOOST_AUTO_TEST_CASE(a_header_that_does_not_fit_its_bytes_is_refused) {
  auto rng = seeded_rng(4);
  ProductEngine engine(remo::kDefaultParameters, remo::public_matrix_seed(), 1);
  engine.add(random_linear(0, 16, 16, rng));
  const auto good = random_rows(0, 2, 16, remo::kDefaultParameters.modulus(), rng);
  BOOST_CHECK_NO_THROW(engine.multiply(good));
  auto bad = good;
  bad.rows = 3;
  BOOST_CHECK_THROW(engine.multiply(bad), Error);
  bad = good;
  bad.cols = 15;
  BOOST_CHECK_THROW(engine.multiply(bad), Error);
  bad = good;
  bad.matrix = 1;
  BOOST_CHECK_THROW(engine.multiply(bad), Error);
  bad = good;
  bad.bytes = nullptr;
  BOOST_CHECK_THROW(engine.multiply(bad), Error);
  BOOST_CHECK_THROW(engine.hint_rows({0, remo::kDefaultParameters.dimension(), 1}), Error);
  BOOST_CHECK_THROW(engine.hint_rows({0, 1, 0xffffffff}), Error);
}

} // namespace talaria::worker
