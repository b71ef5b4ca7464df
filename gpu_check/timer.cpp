#include "gpu_check/timer.hpp"

#include <algorithm>

#include "core/concat.hpp"
#include "gpu_check/samples.hpp"

namespace talaria::gpu_check {

using kernels::cuda::DeviceBuffer;

namespace {

constexpr int kWarm = 3;
constexpr int kLeastRounds = 5;

} // namespace

Timer::Timer(Context& context)
    : context_(context), memory_(context.device, concat("cuda:", context.device), 0),
      stream_(context.device),
      between_(memory_, context.workload.between_bytes, "what lies between two products"),
      begin_(context.device, true), end_(context.device, true) {
  SplitMix numbers(1);
  random_ = random_bytes(std::size_t{1} << 20, numbers);
}

void Timer::check_call(cudaError_t status, const char* call) const {
  kernels::cuda::check(status, call, context_.device);
}

double Timer::once(const std::function<void()>& body, int value) {
  check_call(cudaMemsetAsync(between_.as<void>(), value, between_.bytes(), stream()),
             "cudaMemsetAsync");
  check_call(cudaEventRecord(begin_.get(), stream()), "cudaEventRecord");
  body();
  check_call(cudaEventRecord(end_.get(), stream()), "cudaEventRecord");
  check_call(cudaEventSynchronize(end_.get()), "cudaEventSynchronize");
  float ms = 0;
  check_call(cudaEventElapsedTime(&ms, begin_.get(), end_.get()), "cudaEventElapsedTime");
  return static_cast<double>(ms);
}

Median Timer::median(Pace& pace, const std::function<void()>& body) {
  const double allowed = pace.next();
  const double warm = seconds_of([&] {
    for (int round = 0; round < kWarm; ++round) once(body, round);
  });
  const double fit = (allowed - warm) / std::max(warm / kWarm, 1e-6);
  const int most = context_.workload.rounds;
  const int rounds =
      std::clamp(static_cast<int>(std::min(fit, 1e6)), std::min(kLeastRounds, most), most);
  std::vector<double> times;
  for (int round = 0; round < rounds; ++round) times.push_back(once(body, round));
  std::sort(times.begin(), times.end());
  return {times[times.size() / 2], times.front(), times.back(), rounds};
}

DeviceBuffer Timer::random_buffer(std::size_t bytes) {
  DeviceBuffer buffer(memory_, bytes, "a buffer of the benchmark");
  for (std::size_t at = 0; at < bytes; at += random_.size())
    check_call(cudaMemcpyAsync(buffer.as<u8>() + at, random_.data(),
                               std::min(random_.size(), bytes - at), cudaMemcpyHostToDevice,
                               stream()),
               "cudaMemcpyAsync");
  check_call(cudaStreamSynchronize(stream()), "cudaStreamSynchronize");
  return buffer;
}

} // namespace talaria::gpu_check
