#include <stdlib.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <filesystem>
#include <mutex>
#include <string>
#include <vector>

#include "cli/machine_rates.hpp"
#include "core/cpu_time.hpp"
#include "core/error.hpp"
#include "transport/certificates.hpp"
#include "transport/worker_link.hpp"
#include "transport/worker_server.hpp"

namespace talaria::cli {

namespace {

using Clock = std::chrono::steady_clock;
constexpr u32 kEchoColumns = 1024;

/// Certificates in a folder that disappears at the end.
class LoopCertificates {
public:
  LoopCertificates() {
    std::string name =
        (std::filesystem::temp_directory_path() / "talaria-calibrate-XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr)
      throw Error(Errc::io, name + ": certificates need a folder; is TMPDIR writable?");
    folder_ = name;
    transport::create_certificates(folder_, {"127.0.0.1"});
  }
  ~LoopCertificates() {
    std::error_code ignored;
    std::filesystem::remove_all(folder_, ignored);
  }
  LoopCertificates(const LoopCertificates&) = delete;
  LoopCertificates& operator=(const LoopCertificates&) = delete;
  transport::TlsFiles files(const std::string& name) const {
    return {folder_ / "ca.pem", folder_ / (name + ".pem"), folder_ / (name + ".key")};
  }

private:
  std::filesystem::path folder_;
};

transport::Identity identity() {
  transport::Identity identity;
  identity.parameters = "S48";
  identity.modulus = 281474976694273;
  identity.matrices = {{1, kEchoColumns, kEchoColumns, 0, kEchoColumns, {}}};
  return identity;
}

transport::WorkerServer::Events echo() {
  return {[](std::shared_ptr<transport::WorkerServer::Session> session, u64 id,
             const transport::Request& request) {
            const auto& t = std::get<remo::MaskedTensor>(request);
            session->reply(id, remo::WorkerProduct{t.matrix, t.kind, t.rows, t.cols, t.bytes, {}});
          },
          {}};
}

/// A link to a worker that sends back what it gets.
class Loop {
public:
  Loop()
      : server_(transport::TlsContext(certificates_.files("127.0.0.1"), transport::End::worker),
                {"127.0.0.1", 0}, identity(), {}, echo()),
        link_(transport::TlsContext(certificates_.files("enclave"), transport::End::enclave),
              {"127.0.0.1", server_.port()}, "127.0.0.1", identity(), {},
              {[this](u64, const transport::Reply&) {
                 const std::lock_guard lock(mutex_);
                 ++answers_;
                 changed_.notify_one();
               },
               {}}) {}

  /// There and back `times` times, one at a time.
  void exchange(const remo::MaskedTensor& tensor, int times) {
    for (int i = 0; i < times; ++i) {
      if (!link_.send(sent_++, tensor)) throw Error(Errc::internal, "the loopback link was lost");
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [&] { return answers_ == sent_; });
    }
  }

private:
  LoopCertificates certificates_;
  std::mutex mutex_;
  std::condition_variable changed_;
  u64 sent_ = 0;
  u64 answers_ = 0;
  transport::WorkerServer server_;
  transport::WorkerLink link_;
};

struct Exchange {
  double seconds = 0, cpu_seconds = 0; ///< of one; CPU time of both ends
};

/// The median of some groups of exchanges of `rows` times 4 KiB each way.
Exchange measure_exchange(Loop& loop, u32 rows, int times) {
  constexpr int kGroups = 9;
  const remo::MaskedTensor tensor{
      1, remo::ProductKind::float32, rows, kEchoColumns,
      std::make_shared<const AlignedBuffer<u8>>(std::size_t{rows} * kEchoColumns * sizeof(float))};
  loop.exchange(tensor, times);
  std::vector<double> walls, cpus;
  for (int group = 0; group < kGroups; ++group) {
    const double cpu = process_cpu_seconds();
    const auto begin = Clock::now();
    loop.exchange(tensor, times);
    walls.push_back(std::chrono::duration<double>(Clock::now() - begin).count() / times);
    cpus.push_back((process_cpu_seconds() - cpu) / times);
  }
  std::sort(walls.begin(), walls.end());
  std::sort(cpus.begin(), cpus.end());
  return {walls[kGroups / 2], cpus[kGroups / 2]};
}

} // namespace

void measure_wire(planner::Rates& rates) {
  constexpr u32 kLargeRows = 1024; // 4 MiB
  Loop loop;
  const Exchange small = measure_exchange(loop, 1, 100);
  const Exchange large = measure_exchange(loop, kLargeRows, 4);
  rates.product_us = small.seconds / kMicrosecond;
  rates.product_cpu_us = small.cpu_seconds / 2 / kMicrosecond; // of one end
  // Each end has every byte twice, there and back.
  const double bytes = 2.0 * kLargeRows * kEchoColumns * sizeof(float);
  rates.wire_ns_per_byte =
      std::max(0.01, (large.cpu_seconds - small.cpu_seconds) / 2 / bytes / kNanosecond);
  for (const char* name : {"product_us", "product_cpu_us", "wire_ns_per_byte"})
    rates.measured.emplace_back(name);
}

} // namespace talaria::cli
