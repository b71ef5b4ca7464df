// Where the numbers of latent attention go, by the definition.
#include "model/latent_heads.hpp"

#include <boost/test/unit_test.hpp>
#include <cmath>
#include <numeric>
#include <vector>

#include "model/head_preparation.hpp"

using namespace talaria;
using namespace talaria::model;

BOOST_AUTO_TEST_SUITE(latent_heads)

namespace {

arch::Attention attention(u32 query_rank) {
  arch::Attention out;
  out.heads = out.kv_heads = 2;
  out.head_dim = 5; // 3 that stay and 2 that turn
  out.value_dim = 4;
  out.latent = arch::Latent{query_rank, 6, 2, {"", 1e-6f, false}, {"", 1e-6f, false}};
  return out;
}

std::vector<float> counted(std::size_t n, float first) {
  std::vector<float> out(n);
  std::iota(out.begin(), out.end(), first);
  return out;
}

void check_normed(const float* ours, const float* from, std::size_t n) {
  double squares = 0;
  for (std::size_t i = 0; i < n; ++i) squares += double{from[i]} * from[i];
  const double rms = std::sqrt(squares / static_cast<double>(n) + 1e-6);
  for (std::size_t i = 0; i < n; ++i) BOOST_TEST(std::abs(ours[i] - from[i] / rms) < 1e-6);
}

/// k [rope, nope] of both heads, then v, for made = k_nope and v of each head counted from 100.
const std::vector<float> kKeysAndValues{51,  52,  100, 101, 102, 51,  52,  107, 108,
                                        109, 103, 104, 105, 106, 110, 111, 112, 113};

} // namespace

BOOST_AUTO_TEST_CASE(queries_that_need_no_second_matrix_are_kept) {
  const LatentHeads heads(attention(0));
  BOOST_TEST((heads.latent_width() == 6 && heads.kept_width() == 12 && heads.joined_width() == 28));
  std::vector<float> row = counted(16, 1); // 10 of queries, 6 of keys and values
  row.insert(row.end(), {51, 52});
  std::vector<float> latent(6), kept(12), joined(28);
  heads.split(row.data(), latent.data(), kept.data());
  check_normed(latent.data(), row.data() + 10, 6);
  heads.join(kept.data(), counted(14, 100).data(), joined.data());
  std::vector<float> expected{4, 5, 1, 2, 3, 9, 10, 6, 7, 8}; // what turns comes first
  expected.insert(expected.end(), kKeysAndValues.begin(), kKeysAndValues.end());
  BOOST_TEST(joined == expected, boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(queries_made_of_a_few_numbers_come_from_the_second_matrix) {
  const LatentHeads heads(attention(3));
  BOOST_TEST((heads.latent_width() == 9 && heads.kept_width() == 2));
  std::vector<float> row = counted(9, 1);
  row.insert(row.end(), {51, 52});
  std::vector<float> latent(9), kept(2), joined(28);
  heads.split(row.data(), latent.data(), kept.data());
  check_normed(latent.data(), row.data(), 3);
  check_normed(latent.data() + 3, row.data() + 3, 6);
  std::vector<float> made = counted(10, 1);
  const std::vector<float> rest = counted(14, 100);
  made.insert(made.end(), rest.begin(), rest.end());
  heads.join(kept.data(), made.data(), joined.data());
  std::vector<float> expected{4, 5, 1, 2, 3, 9, 10, 6, 7, 8};
  expected.insert(expected.end(), kKeysAndValues.begin(), kKeysAndValues.end());
  BOOST_TEST(joined == expected, boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(clipped_queries_keys_and_values_stay_within_the_bound) {
  arch::Attention attention;
  attention.heads = 2;
  attention.kv_heads = 1;
  attention.head_dim = 2;
  attention.clip = 1.5f;
  const RowPositions nowhere;
  const std::vector<float> row{-4, 1.5f, 1, 9, -1.5f, 2, 0.5f, -3}; // q, k and v
  std::vector<float> out(row.size());
  HeadPreparation(attention, LayerGains{}, false).prepare_row(row.data(), out.data(), nowhere, 0);
  BOOST_TEST(out == (std::vector<float>{-1.5f, 1.5f, 1, 1.5f, -1.5f, 1.5f, 0.5f, -1.5f}),
             boost::test_tools::per_element());
}

BOOST_AUTO_TEST_SUITE_END()
