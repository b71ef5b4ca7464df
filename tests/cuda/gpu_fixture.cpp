#include "tests/cuda/gpu_fixture.hpp"

#include <cstdio>
#include <cstdlib>
#include <string>

#include "core/error.hpp"

namespace talaria::kernels::cuda::test {

namespace {

/// The device, or -1 and why there is none.
int usable_device(std::string& why) {
  try {
    for (const DeviceInfo& device : find_devices())
      if (device.usable()) return device.index;
    why = "no CUDA device that can be used: compute capability 8.0 is the least that is supported";
  } catch (const Error& error) {
    why = error.what();
  }
  return -1;
}

struct NeedsDevice {
  NeedsDevice() {
    std::string why;
    if (usable_device(why) >= 0) return;
    std::printf("skipped: %s\n", why.c_str());
    std::fflush(stdout);
    std::_Exit(77); // ctest's SKIP_RETURN_CODE
  }
};
BOOST_GLOBAL_FIXTURE(NeedsDevice);

} // namespace

AcceleratorOptions options_for(const remo::LatticeParameters& parameters) {
  AcceleratorOptions options;
  options.modulus = parameters.modulus();
  options.rounded_modulus = parameters.p;
  options.reply_modulus = parameters.reply_modulus;
  std::string why;
  options.devices = {usable_device(why)};
  options.threads = 2;
  return options;
}

PackedWeights random_weights(std::size_t d_in, std::size_t d_out, Stream& stream) {
  PackedWeights weights(d_in, d_out);
  for (std::size_t i = 0; i < d_in; ++i)
    for (std::size_t j = 0; j < d_out; ++j) weights.at(i, j) = static_cast<i8>(stream.next() >> 56);
  return weights;
}

std::vector<u8> random_words(std::size_t count, const Modulus& q, Stream& stream) {
  const auto width = static_cast<std::size_t>(q.word_bytes);
  std::vector<u8> words(count * width);
  for (std::size_t i = 0; i < count; ++i)
    store_word(words.data() + i * width, stream.residue(q.q), q.word_bytes);
  return words;
}

std::vector<u8> reference_product(const std::vector<u8>& words, std::size_t rows,
                                  const PackedWeights& weights, const Modulus& q) {
  std::vector<u8> expected(rows * weights.d_out() * static_cast<std::size_t>(q.word_bytes));
  product_kernel_sets().back().residue_product(words.data(), rows, weights, q, expected.data(), 0,
                                               weights.panels());
  return expected;
}

std::vector<u8> bytes_of(const Job::Reply& reply) {
  return {reply->begin(), reply->end()};
}

std::vector<u8> product(Accelerator& accelerator, u32 matrix, RowFormat format,
                        const std::vector<u8>& rows, std::size_t count) {
  const InputRows input{rows.data(), count};
  const auto replies = accelerator.begin(matrix, format, {&input, 1})->finish();
  BOOST_TEST_REQUIRE(replies.size() == 1U);
  return bytes_of(replies[0]);
}

} // namespace talaria::kernels::cuda::test
