#pragma once

#include <functional>

#include "gpu_check/context.hpp"
#include "kernels/cuda/device/handles.hpp"

namespace talaria::gpu_check {

/// Divides the time that a section has among its measurements, as it goes.
class Pace {
public:
  /// The section is to end when `share` of the budget is spent.
  Pace(const Budget& budget, double share, std::size_t measurements)
      : budget_(budget), share_(share), left_(measurements) {}
  bool over() const { return budget_.left(share_) <= 0; }
  /// Seconds for the next measurement.
  double next() {
    const double seconds = budget_.left(share_) / static_cast<double>(left_ == 0 ? 1 : left_);
    if (left_ > 0) --left_;
    return seconds;
  }
  /// Does not make so many measurements.
  void skip(std::size_t measurements) { left_ -= left_ < measurements ? left_ : measurements; }

private:
  const Budget& budget_;
  double share_;
  std::size_t left_;
};

struct Median {
  double ms = 0;
  double least = 0;
  double most = 0;
  int rounds = 0;
};

/// Times work on a stream by the device's clock.
class Timer {
public:
  explicit Timer(Context& context);

  cudaStream_t stream() const { return stream_.get(); }
  kernels::cuda::DeviceMemory& memory() { return memory_; }

  /// The median of one call in ms. Before each, Workload::between_bytes are written: meanwhile the
  /// CPU launches what is measured, and the weights leave the L2 cache, as they do in service,
  /// where other matrices come between two products of one. After three calls that do not count as
  /// many as fit into the time, 5 to Workload::rounds.
  Median median(Pace& pace, const std::function<void()>& body);

  /// Random bytes on the device: arithmetic on zeros draws less power, and so runs faster.
  kernels::cuda::DeviceBuffer random_buffer(std::size_t bytes);
  void check_call(cudaError_t status, const char* call) const;

private:
  double once(const std::function<void()>& body, int value);

  Context& context_;
  kernels::cuda::DeviceMemory memory_;
  kernels::cuda::Stream stream_;
  kernels::cuda::DeviceBuffer between_;
  kernels::cuda::Event begin_, end_;
  std::vector<u8> random_;
};

/// Seconds of one call, by the CPU's clock.
template <class Body>
double seconds_of(Body body) {
  const auto begin = std::chrono::steady_clock::now();
  body();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

} // namespace talaria::gpu_check
