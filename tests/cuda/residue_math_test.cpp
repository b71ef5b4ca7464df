#include "kernels/cuda/residue_math.hpp"

#include <boost/test/unit_test.hpp>
#include <limits>
#include <vector>

#include "remo/public/parameters.hpp"
#include "remo/public/reply_switch.hpp"
#include "tests/kernels/kernel_fixtures.hpp"

namespace talaria::kernels::cuda {

namespace {

using test::kPrimes;
using test::Stream;

std::vector<u64> residues(const Modulus& q, const LimbFormat& format, std::size_t count) {
  std::vector<u64> values{0, 1, q.q - 1, q.q - 2, q.q / 2, q.q / 2 + 1};
  for (const u64 edge : {format.largest - 1, format.largest, format.largest + 1})
    if (edge < q.q) values.push_back(edge);
  Stream stream(q.q);
  while (values.size() < count) values.push_back(stream.residue(q.q));
  return values;
}

/// Those of the kernels' tests, and that of rounded words.
std::vector<u64> tested_primes() {
  std::vector<u64> primes(std::begin(kPrimes), std::end(kPrimes));
  primes.push_back(remo::kRoundedPrime);
  return primes;
}

/// sum_l s[l] 256^l mod q as it is defined.
u64 put_together(const i32* s, int limbs, const Modulus& q) {
  u64 word = 0;
  u64 power = 1;
  for (int l = 0; l < limbs; ++l) {
    word = q.add(word, q.mul(q.from_signed(s[l]), power));
    power = q.mul(power, 256);
  }
  return word;
}

template <int kLimbs>
void check_recombination(const Modulus& q) {
  constexpr i32 kMax = std::numeric_limits<i32>::max();
  constexpr i32 kLeast = std::numeric_limits<i32>::min();
  constexpr i32 kLargestSum = 128 * 128 * ((1 << 17) - 1); // d_in = 2^17 - 1
  const i32 edges[] = {0, 1, -1, kMax, kLeast, kMax - 1, kLargestSum, -kLargestSum};
  const Recombination recombination(q);
  Stream stream(q.q + 1);
  std::size_t wrong = 0;
  for (int n = 0; n < 20'000; ++n) {
    i32 s[kLimbs];
    for (i32& sum : s)
      sum = stream.below(2) == 0 ? edges[stream.below(8)] : static_cast<i32>(stream.next());
    if (n < 8)
      for (i32& sum : s) sum = edges[n];
    wrong += recombination.word<kLimbs>(s) != put_together(s, kLimbs, q);
  }
  BOOST_TEST(wrong == 0U, "q = " << q.q);
}

} // namespace

BOOST_AUTO_TEST_CASE(the_digits_of_a_residue_are_that_residue) {
  for (const u64 prime : tested_primes()) {
    const Modulus q(prime);
    const LimbFormat format(q);
    for (const u64 x : residues(q, format, 20'000)) {
      const u64 digits = format.digits(x);
      i32 limbs[kMaxLimbs];
      for (int l = 0; l < format.limbs; ++l) limbs[l] = static_cast<i8>(digits >> (8 * l));
      BOOST_TEST_REQUIRE(put_together(limbs, format.limbs, q) == x);
      BOOST_TEST_REQUIRE(digits >> (8 * format.limbs) == 0U);
    }
  }
}

BOOST_AUTO_TEST_CASE(any_int32_sums_are_put_together_exactly) {
  for (const u64 prime : tested_primes()) {
    const Modulus q(prime);
    switch (q.word_bytes) {
    case 4:
      check_recombination<4>(q);
      break;
    case 5:
      check_recombination<5>(q);
      break;
    case 6:
      check_recombination<6>(q);
      break;
    default:
      check_recombination<7>(q);
      break;
    }
  }
}

BOOST_AUTO_TEST_CASE(values_are_switched_as_the_protocol_defines_it) {
  for (const auto& parameters : remo::kAcceptedParameters) {
    const remo::WordFormat format =
        parameters.rounds() ? parameters.rounded_words() : parameters.full_words();
    const Modulus q = format.modulus;
    const ReplyFormat reply(q, parameters.reply_modulus);
    BOOST_TEST_REQUIRE(reply.bytes == format.reply_bytes());
    std::vector<u64> values = residues(q, LimbFormat(q), 50'000);
    // Next to where the rounded value changes: y = (m + 1/2) q / q_d.
    for (u64 m = 0; m < 2000; ++m)
      for (const u64 off : {0, 1, 2}) {
        const u128 half = (u128{2} * (m * 977 % parameters.reply_modulus) + 1) * q.q;
        values.push_back(static_cast<u64>(half / (2 * parameters.reply_modulus)) + off);
      }
    for (u64& y : values) y %= q.q;
    std::vector<u8> words(values.size() * static_cast<std::size_t>(q.word_bytes) + 8);
    for (std::size_t i = 0; i < values.size(); ++i)
      store_word(words.data() + i * static_cast<std::size_t>(q.word_bytes), values[i],
                 q.word_bytes);
    const auto expected = remo::switch_reply(format, words.data(), values.size());
    std::size_t wrong = 0;
    for (std::size_t i = 0; i < values.size(); ++i)
      wrong += reply.switched_value(values[i]) !=
               load_word(expected.data() + i * static_cast<std::size_t>(reply.bytes), reply.bytes);
    BOOST_TEST(wrong == 0U, parameters.name);
  }
}

BOOST_AUTO_TEST_CASE(pieces_of_four_bytes_are_the_packed_run) {
  Stream stream(1);
  for (int bytes = 4; bytes <= 7; ++bytes) {
    constexpr std::size_t kCount = 1024;
    const Packing packing(bytes);
    std::vector<u64> values(kCount + 1, ~u64{0}); // the last is read, but must not show
    std::vector<u8> run(kCount * static_cast<std::size_t>(bytes) + 8);
    for (std::size_t i = 0; i < kCount; ++i) {
      values[i] = stream.next() >> (64 - 8 * bytes);
      store_word(run.data() + i * static_cast<std::size_t>(bytes), values[i], bytes);
    }
    const u32 end = static_cast<u32>(kCount) * static_cast<u32>(bytes);
    for (u32 at = 0; at < end; ++at) {
      BOOST_TEST_REQUIRE(packing.byte(values.data(), at) == run[at]);
      if (at + 4 <= end)
        BOOST_TEST_REQUIRE(packing.piece(values.data(), at) == word_at<4>(run.data() + at));
    }
  }
}

} // namespace talaria::kernels::cuda
