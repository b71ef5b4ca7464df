#include <algorithm>
#include <cstring>

#include "gpu_check/facts.hpp"
#include "gpu_check/timer.hpp"
#include "gpu_check/timings.hpp"

namespace talaria::gpu_check {

using kernels::cuda::DeviceBuffer;
using kernels::cuda::PinnedBuffer;
using kernels::cuda::Stream;

namespace {

constexpr double kSection = 0.5; ///< of the budget, when the copies are to be done
constexpr std::size_t kMeasurements = 10;

class Copies {
public:
  explicit Copies(Context& context)
      : context_(context), timer_(context), pace_(context.budget, kSection, kMeasurements),
        device_in_(timer_.memory(), bytes(), "copies"),
        device_out_(timer_.memory(), bytes(), "copies"), other_(context.device) {
    host_in_.ensure(bytes(), context.device);
    host_out_.ensure(bytes(), context.device);
    std::memset(host_in_.data(), 1, bytes());
    std::memset(host_out_.data(), 2, bytes());
  }

  void across() {
    for (const std::size_t size : {bytes() / 1024, bytes() / 64, bytes()}) {
      report("to the device", size, timer_.median(pace_, [&] { in(size, timer_.stream()); }).ms);
      report("to the host", size, timer_.median(pace_, [&] { out(size, timer_.stream()); }).ms);
    }
    // By the CPU's clock: two streams have none in common.
    std::vector<double> both;
    for (int round = 0; round < context_.workload.rounds; ++round)
      both.push_back(seconds_of([&] {
                       in(bytes(), timer_.stream());
                       out(bytes(), other_.get());
                       wait(timer_.stream());
                       wait(other_.get());
                     }) *
                     1e3);
    std::nth_element(both.begin(), both.begin() + static_cast<long>(both.size() / 2), both.end());
    report("both ways at a time", 2 * bytes(), both[both.size() / 2]);
  }

  /// From pinned memory to a reply: what copying straight into registered memory would save.
  void on_the_host() {
    std::vector<u8> reply(bytes());
    double best = 1e9;
    double best_shared = 1e9;
    for (int round = 0; round < 5; ++round) {
      best =
          std::min(best, seconds_of([&] { std::memcpy(reply.data(), host_out_.data(), bytes()); }));
      best_shared =
          std::min(best_shared, seconds_of([&] {
                     context_.team.parallel_for(
                         bytes(), std::size_t{256} << 10, [&](std::size_t begin, std::size_t end) {
                           std::memcpy(reply.data() + begin, host_out_.data() + begin, end - begin);
                         });
                   }));
    }
    experiment(context_.report, "copies to registered memory", [&] { to_registered(reply); });
    report("from pinned memory by one thread", bytes(), best * 1e3);
    report("from pinned memory by all threads", bytes(), best_shared * 1e3);
  }

  void on_the_device() {
    const auto write = [&] {
      timer_.check_call(cudaMemsetAsync(device_out_.as<void>(), 3, bytes(), timer_.stream()),
                        "cudaMemsetAsync");
    };
    report("written on the device", bytes(), timer_.median(pace_, write).ms);
  }

  void launches() {
    constexpr int kCalls = 500;
    const double each =
        seconds_of([&] {
          for (int n = 0; n < kCalls; ++n)
            timer_.check_call(cudaMemsetAsync(device_out_.as<void>(), n, 4, timer_.stream()),
                              "cudaMemsetAsync");
        }) *
        1e6 / kCalls;
    wait(timer_.stream());
    std::vector<double> waits;
    for (int n = 0; n < 50; ++n)
      waits.push_back(seconds_of([&] {
                        in(4, timer_.stream());
                        out(4, timer_.stream());
                        wait(timer_.stream());
                      }) *
                      1e6);
    std::nth_element(waits.begin(), waits.begin() + 25, waits.end());
    context_.report.print("  a call takes the host %.1f us; four bytes there and back take %.1f us",
                          each, waits[25]);
    context_.report.add("copies", Json::object()
                                      .set("what", "calls")
                                      .set("call_us", each)
                                      .set("there_and_back_us", waits[25]));
  }

private:
  void to_registered(std::vector<u8>& reply) {
    const double seconds = seconds_of([&] {
      timer_.check_call(cudaHostRegister(reply.data(), bytes(), cudaHostRegisterDefault),
                        "cudaHostRegister");
    });
    const auto copy = [&] {
      timer_.check_call(cudaMemcpyAsync(reply.data(), device_out_.as<void>(), bytes(),
                                        cudaMemcpyDeviceToHost, timer_.stream()),
                        "cudaMemcpyAsync to registered memory");
    };
    const double ms = timer_.median(pace_, copy).ms;
    timer_.check_call(cudaHostUnregister(reply.data()), "cudaHostUnregister");
    report("to registered memory", bytes(), ms);
    report("registering memory", bytes(), seconds * 1e3);
  }
  std::size_t bytes() const { return context_.workload.copy_bytes; }
  void in(std::size_t size, cudaStream_t stream) {
    timer_.check_call(cudaMemcpyAsync(device_in_.as<void>(), host_in_.data(), size,
                                      cudaMemcpyHostToDevice, stream),
                      "cudaMemcpyAsync");
  }
  void out(std::size_t size, cudaStream_t stream) {
    timer_.check_call(cudaMemcpyAsync(host_out_.data(), device_out_.as<void>(), size,
                                      cudaMemcpyDeviceToHost, stream),
                      "cudaMemcpyAsync");
  }
  void wait(cudaStream_t stream) {
    timer_.check_call(cudaStreamSynchronize(stream), "cudaStreamSynchronize");
  }
  void report(const char* what, std::size_t size, double ms) {
    const double rate = static_cast<double>(size) / ms / 1e6;
    if (size >= bytes()) context_.report.highlight("%s: %.1f GB/s", what, rate);
    context_.report.print("  %-34s %10zu bytes %9.4f ms %8.1f GB/s", what, size, ms, rate);
    context_.report.add(
        "copies",
        Json::object().set("what", what).set("bytes", size).set("ms", ms).set("gb_per_s", rate));
  }

  Context& context_;
  Timer timer_;
  Pace pace_;
  PinnedBuffer host_in_, host_out_;
  DeviceBuffer device_in_, device_out_;
  Stream other_;
};

} // namespace

void time_copies(Context& context) {
  context.report.begin("copies", "Copies and calls");
  attempt(context.report, "copies", [&] {
    Copies copies(context);
    copies.across();
    report_load(context, "after copies"); // the link is at its full width now
    copies.on_the_host();
    copies.on_the_device();
    copies.launches();
  });
}

} // namespace talaria::gpu_check
