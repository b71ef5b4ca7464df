#include <algorithm>
#include <atomic>
#include <thread>

#include "gpu_check/equality.hpp"
#include "gpu_check/samples.hpp"
#include "kernels/cuda/step_plan.hpp"

namespace talaria::gpu_check {

using kernels::Modulus;
using kernels::PackedWeights;
using kernels::cuda::InputRows;
using kernels::cuda::kStepRows;
using kernels::cuda::RowFormat;

namespace {

constexpr std::size_t kInputs = 96;
constexpr std::size_t kOutputs = 203;
constexpr u32 kMatrices = 3;

/// Some matrices of one shape on the device, and on the CPU.
class Site {
public:
  explicit Site(Context& context)
      : context_(context), q_(context.parameters.modulus()),
        gpu(kernels::cuda::open_devices(context.options(context.parameters))) {
    for (u32 matrix = 0; matrix < kMatrices; ++matrix) {
      weights_.push_back(random_weights(kInputs, kOutputs, numbers_));
      gpu->add(matrix, weights_.back());
    }
  }
  std::vector<u8> words(std::size_t rows) { return random_words(rows * kInputs, q_, numbers_); }
  std::size_t rows_of(const std::vector<u8>& words) const {
    return words.size() / (kInputs * static_cast<std::size_t>(q_.word_bytes));
  }
  InputRows input(const std::vector<u8>& words) const { return {words.data(), rows_of(words)}; }
  std::vector<u8> expected(u32 matrix, const std::vector<u8>& words) {
    return cpu_product(words, rows_of(words), weights_[matrix], q_, context_.team).bytes;
  }
  bool right(const kernels::cuda::Job::Reply& reply, u32 matrix, const std::vector<u8>& words) {
    const auto wanted = expected(matrix, words);
    return std::equal(reply->begin(), reply->end(), wanted.begin(), wanted.end());
  }
  void report(const char* what, std::size_t products, std::size_t different) {
    context_.report.compared(what, products, different,
                             Json::object().set("kind", "jobs").set("what", what));
  }

private:
  Context& context_;
  Modulus q_;
  SplitMix numbers_{11};
  std::vector<PackedWeights> weights_;

public:
  std::unique_ptr<kernels::cuda::Accelerator> gpu;
};

/// The borders of groups and of steps differ, and one group is longer than a step.
void groups(Site& site) {
  const std::size_t counts[] = {1, kStepRows - 3, 7, 2 * kStepRows + 1, 2};
  std::vector<std::vector<u8>> rows;
  std::vector<InputRows> inputs;
  for (const std::size_t count : counts) rows.push_back(site.words(count));
  for (const auto& group : rows) inputs.push_back(site.input(group));
  const auto replies = site.gpu->begin(1, RowFormat::residues, inputs, true)->finish();
  std::size_t different = replies.size() != rows.size();
  for (std::size_t g = 0; g < replies.size(); ++g) different += !site.right(replies[g], 1, rows[g]);
  site.report("groups of rows joined into one product", rows.size(), different);
}

void under_way_together(Site& site) {
  constexpr int kRounds = 20;
  constexpr u32 kJobs = 7;
  std::size_t different = 0;
  for (int round = 0; round < kRounds; ++round) {
    std::vector<std::vector<u8>> rows;
    std::vector<std::unique_ptr<kernels::cuda::Job>> jobs;
    for (u32 n = 0; n < kJobs; ++n) {
      rows.push_back(site.words(1 + (static_cast<std::size_t>(round) * kJobs + n) % 70));
      std::vector<u8> given = rows.back();
      const InputRows input = site.input(given);
      jobs.push_back(site.gpu->begin(n % kMatrices, RowFormat::residues, {&input, 1}));
      std::fill(given.begin(), given.end(), u8{0xff}); // begin() has read them
    }
    for (u32 n = kJobs; n-- > 0;) // in the other order
      different += !site.right(jobs[n]->finish()[0], n % kMatrices, rows[n]);
  }
  site.report("seven jobs under way at a time", kRounds * kJobs, different);
}

void dropped(Site& site) {
  const auto rows = site.words(300);
  const InputRows input = site.input(rows);
  for (int n = 0; n < 5; ++n) site.gpu->begin(0, RowFormat::residues, {&input, 1});
  const auto job = site.gpu->begin(2, RowFormat::residues, {&input, 1});
  while (!job->ready()) std::this_thread::yield();
  site.report("after jobs that were dropped", 1, site.right(job->finish()[0], 2, rows) ? 0 : 1);
}

void threads(Site& site) {
  constexpr int kRounds = 30;
  std::vector<std::vector<u8>> rows;
  std::vector<std::vector<u8>> wanted;
  for (u32 n = 0; n < kMatrices; ++n) {
    rows.push_back(site.words(9 + 50 * n));
    wanted.push_back(site.expected(n, rows[n]));
  }
  std::atomic<std::size_t> different{0};
  std::atomic<std::size_t> stopped{0};
  std::vector<std::thread> callers;
  for (u32 n = 0; n < kMatrices; ++n)
    callers.emplace_back([&, n] {
      try {
        for (int round = 0; round < kRounds; ++round)
          different += gpu_product(*site.gpu, n, RowFormat::residues, rows[n].data(),
                                   site.rows_of(rows[n])) != wanted[n];
      } catch (const std::exception&) {
        ++stopped;
      }
    });
  for (std::thread& caller : callers) caller.join();
  site.report("three threads share the device", kRounds * kMatrices, different + stopped);
}

} // namespace

void compare_jobs(Context& context) {
  context.report.begin("jobs", "Several jobs and threads at a time");
  compare(context, "jobs and threads", [&] {
    Site site(context);
    compare(context, "groups", [&] { groups(site); });
    compare(context, "jobs under way together", [&] { under_way_together(site); });
    compare(context, "dropped jobs", [&] { dropped(site); });
    compare(context, "threads", [&] { threads(site); });
  });
}

} // namespace talaria::gpu_check
