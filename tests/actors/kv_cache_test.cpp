#include "actors/enclave/kv_cache.hpp"

#include <boost/test/unit_test.hpp>

#include "core/random.hpp"

namespace talaria::enclave {

namespace {

/// A recognisable value for one element of one row.
float element(SequenceId sequence, std::size_t position, std::size_t head, std::size_t d,
              bool value) {
  return static_cast<float>(sequence * 100000 + position * 20 + head * 6 + d) +
         (value ? 0.5F : 0.0F);
}

constexpr std::size_t kHeads = 3;
constexpr std::size_t kDim = 5;

void append(KvCache& cache, SequenceId sequence) {
  const std::size_t position = cache.length(sequence);
  float k[kHeads * kDim];
  float v[kHeads * kDim];
  for (std::size_t h = 0; h < kHeads; ++h)
    for (std::size_t d = 0; d < kDim; ++d) {
      k[h * kDim + d] = element(sequence, position, h, d, false);
      v[h * kDim + d] = element(sequence, position, h, d, true);
    }
  cache.append(sequence, k, v);
}

/// The newest position sees exactly the last `window` rows, itself included.
void check_newest(const KvCache& cache, SequenceId sequence, std::size_t window) {
  const std::size_t position = cache.length(sequence) - 1;
  const std::size_t expected = window == 0 ? position + 1 : std::min(window, position + 1);
  for (std::size_t h = 0; h < kHeads; ++h) {
    const auto view = cache.view(sequence, h, position);
    BOOST_TEST_REQUIRE(view.count == expected);
    for (std::size_t i = 0; i < view.count; ++i)
      for (std::size_t d = 0; d < kDim; ++d) {
        const std::size_t at = position + 1 - expected + i;
        BOOST_TEST_REQUIRE(view.k[i * kDim + d] == element(sequence, at, h, d, false));
        BOOST_TEST_REQUIRE(view.v[i * kDim + d] == element(sequence, at, h, d, true));
      }
  }
}

} // namespace

BOOST_AUTO_TEST_CASE(a_query_sees_every_position_up_to_its_own_within_the_window) {
  for (const std::size_t window : {0U, 1U, 2U, 24U, 63U, 64U, 65U, 100U}) {
    KvCache cache(kHeads, kDim, window);
    auto rng = seeded_rng(window);
    for (int i = 0; i < 700; ++i) {
      const SequenceId sequence = 1 + rng.below(3);
      append(cache, sequence);
      check_newest(cache, sequence, window);
    }
  }
}

BOOST_AUTO_TEST_CASE(a_forgotten_sequence_begins_anew) {
  KvCache cache(kHeads, kDim, 0);
  append(cache, 4);
  append(cache, 4);
  BOOST_TEST(cache.length(4) == 2U);
  cache.forget(4);
  cache.forget(99);
  BOOST_TEST(cache.length(4) == 0U);
  BOOST_TEST(cache.sequences() == 0U);
}

} // namespace talaria::enclave
