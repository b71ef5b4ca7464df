#include <algorithm>
#include <string>
#include <thread>

#include "core/error.hpp"
#include "kernels/cuda/step_plan.hpp"
#include "tests/cuda/gpu_fixture.hpp"

namespace talaria::kernels::cuda::test {

namespace {

const remo::LatticeParameters& kParameters = remo::kDefaultParameters;
constexpr std::size_t kInputs = 96;
constexpr std::size_t kOutputs = 203;

/// Matrices 0 to 2 of one shape on a device, and what they are.
struct Fixture {
  explicit Fixture(AcceleratorOptions options = options_for(kParameters))
      : accelerator(open_devices(options)) {
    for (u32 matrix = 0; matrix < 3; ++matrix) {
      weights.push_back(random_weights(kInputs, kOutputs, stream));
      accelerator->add(matrix, weights.back());
    }
  }
  std::vector<u8> words(std::size_t rows) { return random_words(rows * kInputs, q, stream); }
  std::vector<u8> expected(u32 matrix, const std::vector<u8>& rows) const {
    return reference_product(rows, rows.size() / (kInputs * 6), weights[matrix], q);
  }

  Modulus q = kParameters.modulus();
  Stream stream{11};
  std::unique_ptr<Accelerator> accelerator;
  std::vector<PackedWeights> weights;
};

} // namespace

BOOST_AUTO_TEST_CASE(groups_of_rows_get_their_own_replies) {
  Fixture f;
  // The borders of groups and of steps differ, and one group is longer than a step.
  const std::size_t counts[] = {1, kStepRows - 3, 7, 2 * kStepRows + 1, 2};
  std::vector<std::vector<u8>> groups;
  std::vector<InputRows> rows;
  for (const std::size_t count : counts) groups.push_back(f.words(count));
  for (std::size_t g = 0; g < groups.size(); ++g) rows.push_back({groups[g].data(), counts[g]});
  auto job = f.accelerator->begin(1, RowFormat::residues, rows, true);
  const auto replies = job->finish();
  BOOST_TEST_REQUIRE(replies.size() == groups.size());
  for (std::size_t g = 0; g < groups.size(); ++g)
    BOOST_TEST((bytes_of(replies[g]) == f.expected(1, groups[g])), "group " << g);
  const JobTimes times = job->times();
  BOOST_TEST(times.copy_in.end <= times.product.end);
  BOOST_TEST(times.product.begin <= times.copy_out.begin);
  BOOST_TEST(times.product.end <= times.copy_out.end);
}

BOOST_AUTO_TEST_CASE(jobs_under_way_together_do_not_disturb_each_other) {
  Fixture f;
  for (int round = 0; round < 20; ++round) {
    std::vector<std::vector<u8>> rows;
    std::vector<std::unique_ptr<Job>> jobs;
    for (u32 n = 0; n < 7; ++n) {
      rows.push_back(f.words(1 + (static_cast<std::size_t>(round) * 7 + n) % 70));
      std::vector<u8> given = rows.back();
      const InputRows input{given.data(), given.size() / (kInputs * 6)};
      jobs.push_back(f.accelerator->begin(n % 3, RowFormat::residues, {&input, 1}));
      std::fill(given.begin(), given.end(), u8{0xff}); // begin() has read them
    }
    for (u32 n = 7; n-- > 0;) // in the other order
      BOOST_TEST_REQUIRE((bytes_of(jobs[n]->finish()[0]) == f.expected(n % 3, rows[n])));
  }
}

BOOST_AUTO_TEST_CASE(threads_may_share_a_device) {
  Fixture f;
  std::vector<std::vector<u8>> rows;
  std::vector<std::vector<u8>> got(3);
  for (u32 n = 0; n < 3; ++n) rows.push_back(f.words(9 + n));
  std::vector<std::thread> threads;
  for (u32 n = 0; n < 3; ++n)
    threads.emplace_back([&, n] {
      for (int round = 0; round < 30; ++round) {
        const InputRows input{rows[n].data(), 9 + n};
        got[n] = bytes_of(f.accelerator->begin(n, RowFormat::residues, {&input, 1})->finish()[0]);
      }
    });
  for (std::thread& thread : threads) thread.join();
  for (u32 n = 0; n < 3; ++n) BOOST_TEST((got[n] == f.expected(n, rows[n])));
}

BOOST_AUTO_TEST_CASE(a_job_may_be_dropped_and_readiness_asked_for) {
  Fixture f;
  const auto rows = f.words(300);
  const InputRows input{rows.data(), 300};
  for (int n = 0; n < 5; ++n) f.accelerator->begin(0, RowFormat::residues, {&input, 1});
  const auto job = f.accelerator->begin(2, RowFormat::residues, {&input, 1});
  while (!job->ready()) std::this_thread::yield();
  BOOST_TEST((bytes_of(job->finish()[0]) == f.expected(2, rows)));
  BOOST_TEST(job->ready());
}

BOOST_AUTO_TEST_CASE(matrices_are_spread_over_several_devices) {
  auto options = options_for(kParameters);
  options.devices.push_back(options.devices[0]); // the same GPU twice will do
  Fixture f(options);
  BOOST_TEST(f.accelerator->max_jobs() == 6U);
  const auto used = f.accelerator->used_bytes();
  BOOST_TEST_REQUIRE(used.size() == 2U);
  // Three matrices of 256 x 128 bytes: both have one, and one of them has two.
  BOOST_TEST(std::max(used[0], used[1]) - std::min(used[0], used[1]) == 256U * 128U);
  for (u32 matrix = 0; matrix < 3; ++matrix) {
    const auto rows = f.words(5);
    BOOST_TEST((product(*f.accelerator, matrix, RowFormat::residues, rows, 5) ==
                f.expected(matrix, rows)));
  }
}

BOOST_AUTO_TEST_CASE(a_matrix_without_room_is_refused_with_the_figures) {
  auto options = options_for(kParameters);
  options.max_bytes = (std::size_t{512} << 20) + (std::size_t{300} << 20);
  const auto accelerator = open_devices(options);
  Stream stream(12);
  const PackedWeights large(16384, 16384); // 256 MiB; with what products need it does not fit
  BOOST_CHECK_EXCEPTION(accelerator->add(3, large), Error, [](const Error& error) {
    const std::string message = error.what();
    return error.code() == Errc::usage && message.find("matrix 3") != std::string::npos &&
           message.find("268435456 bytes") != std::string::npos &&
           message.find("are free") != std::string::npos &&
           message.find("--columns") != std::string::npos;
  });
  const auto small = random_weights(kInputs, kOutputs, stream); // and goes on with what fits
  accelerator->add(4, small);
  const auto rows = random_words(2 * kInputs, kParameters.modulus(), stream);
  BOOST_TEST((product(*accelerator, 4, RowFormat::residues, rows, 2) ==
              reference_product(rows, 2, small, kParameters.modulus())));
}

BOOST_AUTO_TEST_CASE(what_cannot_be_multiplied_is_refused) {
  Fixture f;
  const auto rows = f.words(1);
  const InputRows input{rows.data(), 1};
  const InputRows nothing{rows.data(), 0};
  BOOST_CHECK_THROW(f.accelerator->begin(77, RowFormat::residues, {&input, 1}), Error);
  BOOST_CHECK_THROW(f.accelerator->begin(0, RowFormat::residues, {&nothing, 1}), Error);
  BOOST_CHECK_THROW(f.accelerator->add(5, PackedWeights(std::size_t{1} << 17, 1)), Error);
}

} // namespace talaria::kernels::cuda::test
