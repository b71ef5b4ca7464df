#pragma once

// The part of the CUDA runtime, of cuBLASLt and of our kernels' launches that the GPU worker uses,
// faked by the CPU: the same programs of streams, events and buffers run without a GPU. Work on a
// stream is done late and in any order that the events allow, device memory begins as garbage, and
// every access to it is checked.
#include <cuda_runtime_api.h>

#include <cstdio>
#include <cstdlib>
#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <set>
#include <utility>
#include <vector>

#include "core/integers.hpp"
#include "core/splitmix.hpp"

struct CUevent_st {
  bool timed = false;
  talaria::u64 recorded = 0;  // how often it was put on a stream
  talaria::u64 completed = 0; // the last of those that was reached
  talaria::u64 at = 0;        // by the clock of work done
};

struct Work {
  std::function<void()> run;
  const CUevent_st* awaited = nullptr;
  talaria::u64 record = 0; // of `awaited`
};

struct CUgraph_st {
  std::vector<std::function<void()>> work;
};

struct CUstream_st {
  std::deque<Work> work;
  CUgraph_st* captured = nullptr; // what is put on the stream goes there instead
};

namespace talaria::kernels::cuda::test {

[[noreturn]] inline void give_up(const char* why) {
  std::fprintf(stderr, "fake CUDA runtime: %s\n", why);
  std::fflush(stderr);
  std::_Exit(1); // at once: whoever holds locks is to take nothing else with it
}

/// What goes wrong from now on.
struct Faults {
  bool wrong_sums = false;                         ///< of int8 products
  bool wrong_outside_self_checks = false;          ///< the same, but for self-checks
  bool failing_copies = false;                     ///< to the device
  bool failing_products = false;                   ///< refused by cuBLASLt
  bool stray_kernel = false;                       ///< the context is lost, and events say so
  std::size_t device_bytes = std::size_t{8} << 30; ///< of memory that the device has
};

class Runtime {
public:
  Faults faults;
  std::recursive_mutex mutex;
  std::set<CUstream_st*> streams;
  std::map<const u8*, std::size_t> device; // allocations
  std::map<const u8*, std::size_t> pinned;
  u64 clock = 0;

  static Runtime& get() {
    static Runtime runtime;
    return runtime;
  }

  /// One piece of work of any stream that may go on. False if there is none.
  bool run_one() {
    std::vector<CUstream_st*> able;
    bool pending = false;
    for (CUstream_st* stream : streams) {
      if (stream->work.empty()) continue;
      pending = true;
      const Work& next = stream->work.front();
      if (next.awaited == nullptr || next.awaited->completed >= next.record) able.push_back(stream);
    }
    if (able.empty() && pending) give_up("all streams wait for each other");
    if (able.empty()) return false;
    CUstream_st& stream = *able[choice_.below(able.size())];
    const Work work = std::move(stream.work.front());
    stream.work.pop_front();
    ++clock;
    if (work.run) work.run();
    return true;
  }
  template <class Done>
  void run_until(Done done) {
    while (!done())
      if (!run_one()) give_up("waits for what was never begun");
  }
  void run_some() {
    for (u64 n = choice_.below(4); n > 0; --n) run_one();
  }
  void run_all() {
    while (run_one()) {
    }
  }

  std::size_t device_bytes() const {
    std::size_t sum = 0;
    for (const auto& [at, size] : device) sum += size;
    return sum;
  }
  static bool lies_in(const std::map<const u8*, std::size_t>& blocks, const void* memory,
                      std::size_t bytes) {
    const u8* at = static_cast<const u8*>(memory);
    auto it = blocks.upper_bound(at);
    if (it == blocks.begin()) return false;
    --it;
    return at + bytes <= it->first + it->second;
  }
  void want_device(const void* memory, std::size_t bytes) const {
    if (!lies_in(device, memory, bytes)) give_up("an access outside device memory");
  }

private:
  SplitMix choice_{20};
};

using Lock = std::lock_guard<std::recursive_mutex>;

inline void put(cudaStream_t stream, std::function<void()> run) {
  if (stream->captured != nullptr)
    stream->captured->work.push_back(std::move(run));
  else
    stream->work.push_back({std::move(run)});
}

} // namespace talaria::kernels::cuda::test
