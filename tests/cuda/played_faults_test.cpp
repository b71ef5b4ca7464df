#include <string>

#include "core/error.hpp"
#include "tests/cuda/gpu_fixture.hpp"
#include "tests/cuda/played_runtime.hpp"

// What only a device that can be made to fail shows.
namespace talaria::kernels::cuda::test {

namespace {

/// Changes the played device for one test.
struct WithFaults {
  WithFaults() = default;
  ~WithFaults() { Runtime::get().faults = {}; }
  Faults* operator->() { return &Runtime::get().faults; }
};

constexpr std::size_t kInputs = 70;
constexpr std::size_t kOutputs = 90;

std::unique_ptr<Accelerator> opened() {
  return open_devices(options_for(remo::kDefaultParameters));
}

/// Whether the error has this code and names all of this.
auto says(Errc code, std::vector<std::string> words) {
  return [code, words = std::move(words)](const Error& error) {
    bool all = error.code() == code;
    for (const std::string& word : words)
      all = all && std::string(error.what()).find(word) != std::string::npos;
    return all;
  };
}

} // namespace

BOOST_AUTO_TEST_CASE(a_device_that_multiplies_wrongly_is_not_opened) {
  WithFaults faults;
  faults->wrong_sums = true;
  BOOST_CHECK_EXCEPTION(opened(), Error, says(Errc::internal, {"cuda:0 played", "reference"}));
}

BOOST_AUTO_TEST_CASE(a_device_without_memory_says_how_much_is_missing) {
  WithFaults faults;
  faults->device_bytes = std::size_t{16} << 20;
  BOOST_CHECK_EXCEPTION(
      opened(), Error, says(Errc::usage, {"cuda:0 played", "33554432 bytes", "16777216 are free"}));
}

BOOST_AUTO_TEST_CASE(a_product_that_finds_no_memory_leaves_the_device_usable) {
  Stream stream(1);
  const auto weights = random_weights(kInputs, kOutputs, stream);
  const Modulus q = remo::kDefaultParameters.modulus();
  const auto accelerator = opened();
  accelerator->add(1, weights);
  const auto many = random_words(600 * kInputs, q, stream);
  {
    WithFaults faults;
    faults->device_bytes = Runtime::get().device_bytes() + (std::size_t{64} << 10);
    const InputRows rows{many.data(), 600};
    BOOST_CHECK_EXCEPTION(accelerator->begin(1, RowFormat::residues, {&rows, 1}), Error,
                          says(Errc::usage, {"the rows of a product", "are free"}));
  }
  BOOST_TEST((product(*accelerator, 1, RowFormat::residues, many, 600) ==
              reference_product(many, 600, weights, q)));
}

BOOST_AUTO_TEST_CASE(a_call_that_fails_is_named_and_the_next_product_is_right) {
  Stream stream(2);
  const auto weights = random_weights(kInputs, kOutputs, stream);
  const Modulus q = remo::kDefaultParameters.modulus();
  const auto accelerator = opened();
  accelerator->add(1, weights);
  const auto words = random_words(300 * kInputs, q, stream);
  const InputRows rows{words.data(), 300};
  const auto under_way = accelerator->begin(1, RowFormat::residues, {&rows, 1});
  {
    WithFaults faults;
    faults->failing_copies = true;
    BOOST_CHECK_EXCEPTION(
        accelerator->begin(1, RowFormat::residues, {&rows, 1}), Error,
        says(Errc::internal, {"cuda:0", "cudaMemcpyAsync of rows", "nvidia-smi"}));
  }
  {
    WithFaults faults;
    faults->failing_products = true;
    BOOST_CHECK_EXCEPTION(accelerator->begin(1, RowFormat::residues, {&rows, 1}), Error,
                          says(Errc::internal, {"cuda:0", "cublasLtMatmul"}));
  }
  const auto expected = reference_product(words, 300, weights, q);
  BOOST_TEST((bytes_of(under_way->finish()[0]) == expected));
  BOOST_TEST((product(*accelerator, 1, RowFormat::residues, words, 300) == expected));
}

} // namespace talaria::kernels::cuda::test
