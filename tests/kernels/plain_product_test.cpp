#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <thread>
#include <vector>

#include "tests/kernels/kernel_fixtures.hpp"

using namespace talaria;
using namespace talaria::kernels;
using namespace talaria::kernels::test;

namespace {

struct Shape {
  std::size_t rows, d_in, d_out;
};
// Around the limits of tiles (6 and 4 rows), blocks (65 and 64 rows, 512 and 256 inputs), groups
// and panels.
constexpr Shape kShapes[] = {
    {1, 1, 1},    {1, 17, 63},   {2, 17, 64},   {3, 4, 65},    {4, 5, 129},   {5, 31, 200},
    {6, 100, 7},  {7, 511, 66},  {11, 513, 65}, {12, 700, 64}, {17, 130, 65}, {18, 1027, 70},
    {29, 515, 3}, {64, 130, 65}, {65, 515, 64}, {66, 66, 66},  {131, 37, 67}, {1, 4096, 65}};

i8 edgy(Stream& stream) {
  constexpr i8 kEdges[] = {127, -127, -128, 0};
  return stream.below(4) == 0 ? kEdges[stream.below(4)] : static_cast<i8>(stream.next());
}

PackedWeights random_weights(std::size_t d_in, std::size_t d_out, Stream& stream) {
  PackedWeights w(d_in, d_out);
  for (std::size_t i = 0; i < d_in; ++i)
    for (std::size_t j = 0; j < d_out; ++j) w.at(i, j) = edgy(stream);
  return w;
}

void fill(Guarded<i8>& x, Stream& stream) {
  for (i8& v : x) v = edgy(stream);
}

i64 plain_sum(const Guarded<i8>& x, std::size_t t, const PackedWeights& w, std::size_t j) {
  i64 sum = 0;
  for (std::size_t i = 0; i < w.d_in(); ++i) sum += i64{x[t * w.d_in() + i]} * w.at(i, j);
  return sum;
}

} // namespace

BOOST_AUTO_TEST_SUITE(plain_product_kernels)

BOOST_AUTO_TEST_CASE(plain_products_equal_the_definition_for_every_shape) {
  u64 seed = 0;
  for (const Shape& shape : kShapes) {
    Stream stream(++seed);
    const PackedWeights w = random_weights(shape.d_in, shape.d_out, stream);
    Guarded<i8> x(shape.rows * shape.d_in);
    fill(x, stream);
    Guarded<i32> expected(shape.rows * shape.d_out);
    for (std::size_t i = 0; i < expected.size(); ++i)
      expected[i] = static_cast<i32>(plain_sum(x, i / shape.d_out, w, i % shape.d_out));
    for_each_row([&](const KernelSet& row) {
      Guarded<i32> y(expected.size());
      row.plain_product(x.data(), shape.rows, w, y.data(), 0, w.panels());
      BOOST_TEST(y.same_bytes(expected),
                 "rows " << shape.rows << ", d_in " << shape.d_in << ", d_out " << shape.d_out);
    });
  }
}

// Biased activations and weights of one sign take the vector targets' sums beyond 2^31 on the way.
BOOST_AUTO_TEST_CASE(the_largest_plain_sums_are_exact) {
  constexpr std::size_t d_in = (std::size_t{1} << 17) - 1;
  for (const int weight : {-128, 127})
    for (const int value : {-128, 127}) {
      PackedWeights w(d_in, 2);
      for (std::size_t i = 0; i < d_in; ++i)
        for (std::size_t j = 0; j < 2; ++j) w.at(i, j) = static_cast<i8>(weight);
      for_each_row([&](const KernelSet& row) {
        Guarded<i8> x(2 * d_in);
        for (i8& v : x) v = static_cast<i8>(value);
        Guarded<i32> y(4);
        row.plain_product(x.data(), 2, w, y.data(), 0, 1);
        const i64 expected = i64{weight} * value * static_cast<i64>(d_in);
        BOOST_TEST(std::all_of(y.begin(), y.end(), [&](i32 v) { return v == expected; }),
                   weight << " times " << value);
      });
    }
}

BOOST_AUTO_TEST_CASE(plain_products_write_only_their_panels) {
  constexpr std::size_t rows = 8, d_in = 40, d_out = 200;
  for_each_row([](const KernelSet& row) {
    Stream stream(7);
    const PackedWeights w = random_weights(d_in, d_out, stream);
    Guarded<i8> x(rows * d_in);
    fill(x, stream);
    Guarded<i32> whole(rows * d_out), part(rows * d_out);
    row.plain_product(x.data(), rows, w, whole.data(), 0, w.panels());
    for (std::size_t p = 0; p < w.panels(); ++p) {
      std::fill(part.begin(), part.end(), 77);
      row.plain_product(x.data(), rows, w, part.data(), p, p + 1);
      bool right = true;
      for (std::size_t i = 0; i < part.size(); ++i)
        right = right && part[i] == (i % d_out / 64 == p ? whole[i] : 77);
      BOOST_TEST(right, "panel " << p);
    }
    std::fill(part.begin(), part.end(), 77);
    row.plain_product(x.data(), rows, w, part.data(), 2, 2);
    row.plain_product(x.data(), 0, w, part.data(), 0, w.panels());
    BOOST_TEST(std::all_of(part.begin(), part.end(), [](i32 v) { return v == 77; }));
  });
}

BOOST_AUTO_TEST_CASE(threads_may_share_a_plain_output) {
  constexpr std::size_t rows = 9, d_in = 300, d_out = 250;
  for_each_row([](const KernelSet& row) {
    Stream stream(8);
    const PackedWeights w = random_weights(d_in, d_out, stream);
    Guarded<i8> x(rows * d_in);
    fill(x, stream);
    Guarded<i32> whole(rows * d_out), shared(rows * d_out);
    row.plain_product(x.data(), rows, w, whole.data(), 0, w.panels());
    std::vector<std::thread> threads;
    for (std::size_t p = 0; p < w.panels(); ++p)
      threads.emplace_back(
          [&, p] { row.plain_product(x.data(), rows, w, shared.data(), p, p + 1); });
    for (std::thread& thread : threads) thread.join();
    BOOST_TEST(shared.same_bytes(whole));
  });
}

BOOST_AUTO_TEST_SUITE_END()
