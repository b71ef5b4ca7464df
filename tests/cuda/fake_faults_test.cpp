#include <string>

#include "core/error.hpp"
#include "kernels/cuda/step_plan.hpp"
#include "tests/cuda/fake_runtime.hpp"
#include "tests/cuda/gpu_fixture.hpp"

// What only a device that can be made to fail shows.
namespace talaria::kernels::cuda::test {

namespace {

/// Changes the fake device for one test.
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
  BOOST_CHECK_EXCEPTION(opened(), Error, says(Errc::internal, {"cuda:0 fake", "reference"}));
}

BOOST_AUTO_TEST_CASE(a_device_without_memory_says_how_much_is_missing) {
  WithFaults faults;
  faults->device_bytes = std::size_t{16} << 20;
  BOOST_CHECK_EXCEPTION(opened(), Error,
                        says(Errc::usage, {"cuda:0 fake", "33554432 bytes", "16777216 are free"}));
}

BOOST_AUTO_TEST_CASE(a_product_that_finds_no_memory_leaves_the_device_usable) {
  constexpr std::size_t kMany = 6000; // more than idle jobs have memory for
  Stream stream(1);
  const auto weights = random_weights(kInputs, kOutputs, stream);
  const Modulus q = remo::kDefaultParameters.modulus();
  const auto accelerator = opened();
  accelerator->add(1, weights);
  const auto many = random_words(kMany * kInputs, q, stream);
  {
    WithFaults faults;
    faults->device_bytes = Runtime::get().device_bytes() + (std::size_t{64} << 10);
    const InputRows rows{many.data(), kMany};
    BOOST_CHECK_EXCEPTION(accelerator->begin(1, RowFormat::residues, {&rows, 1}), Error,
                          says(Errc::usage, {"the rows of a product", "are free"}));
  }
  BOOST_TEST((product(*accelerator, 1, RowFormat::residues, many, kMany) ==
              reference_product(many, kMany, weights, q)));
}

BOOST_AUTO_TEST_CASE(a_device_that_is_lost_is_told_from_a_call_that_failed) {
  Stream stream(3);
  const auto weights = random_weights(kInputs, kOutputs, stream);
  const auto accelerator = opened();
  accelerator->add(1, weights);
  const auto words = random_words(kInputs, remo::kDefaultParameters.modulus(), stream);
  const InputRows rows{words.data(), 1};
  const auto job = accelerator->begin(1, RowFormat::residues, {&rows, 1});
  {
    WithFaults faults;
    faults->stray_kernel = true;
    BOOST_CHECK_EXCEPTION(job->ready(), DeviceLost, says(Errc::internal, {"cuda:0"}));
  }
  {
    WithFaults faults;
    faults->failing_copies = true;
    BOOST_CHECK_EXCEPTION(
        accelerator->begin(1, RowFormat::residues, {&rows, 1}), Error,
        [](const Error& error) { return dynamic_cast<const DeviceLost*>(&error) == nullptr; });
  }
}

BOOST_AUTO_TEST_CASE(memory_of_idle_jobs_is_given_to_one_that_needs_it) {
  constexpr std::size_t kSome = 8 * kStepRows;  // 3.0 MB of rows and results
  constexpr std::size_t kMany = 16 * kStepRows; // 5.2 MB
  Stream stream(4);
  const auto weights = random_weights(kInputs, kOutputs, stream);
  const Modulus q = remo::kDefaultParameters.modulus();
  const auto accelerator = opened();
  accelerator->add(1, weights);
  const auto words = random_words(kMany * kInputs, q, stream);
  const InputRows some{words.data(), kSome};
  { // two jobs at a time leave two sets of buffers behind
    const auto one = accelerator->begin(1, RowFormat::residues, {&some, 1});
    const auto other = accelerator->begin(1, RowFormat::residues, {&some, 1});
    one->finish();
    other->finish();
  }
  WithFaults faults; // room for the large job in place of both, not beside one of them
  faults->device_bytes = Runtime::get().device_bytes() + (std::size_t{256} << 10);
  BOOST_TEST((product(*accelerator, 1, RowFormat::residues, words, kMany) ==
              reference_product(words, kMany, weights, q)));
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
