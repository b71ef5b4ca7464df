// A link over loopback TLS with a worker that sends back what it gets, both ends in this process:
// bin/transport_bench [--benchmark_filter=REGEX]. "bytes_per_second" is the payload each way.

#include <benchmark/benchmark.h>

#include <condition_variable>
#include <cstdlib>
#include <filesystem>
#include <mutex>
#include <string>

#include "transport/certificates.hpp"
#include "transport/worker_link.hpp"
#include "transport/worker_server.hpp"

namespace {

using namespace talaria;
using namespace talaria::transport;

constexpr u32 kColumns = 1024;

/// Certificates in a folder that disappears at the end.
struct Folder {
  std::filesystem::path path;
  Folder() {
    std::string name = (std::filesystem::temp_directory_path() / "talaria-bench-XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr) throw Error(Errc::io, "cannot make a temporary folder");
    path = name;
    create_certificates(path, {"127.0.0.1"});
  }
  ~Folder() {
    std::error_code ignored;
    std::filesystem::remove_all(path, ignored);
  }
  TlsFiles files(const std::string& name) const {
    return {path / "ca.pem", path / (name + ".pem"), path / (name + ".key")};
  }
};

Identity identity() {
  Identity identity;
  identity.parameters = "S48";
  identity.modulus = 281474976694273;
  identity.matrices = {{1, kColumns, kColumns, 0, kColumns, {}}};
  return identity;
}

WorkerServer::Events echo() {
  return {[](std::shared_ptr<WorkerServer::Session> session, u64 id, const Request& request) {
            const auto& t = std::get<remo::MaskedTensor>(request);
            session->reply(id, remo::WorkerProduct{t.matrix, t.kind, t.rows, t.cols, t.bytes, {}});
          },
          {}};
}

/// A link, and how many answers have come.
class Loop {
public:
  Loop()
      : server_(TlsContext(folder_.files("127.0.0.1"), End::worker), {"127.0.0.1", 0}, identity(),
                {}, echo()),
        link_(TlsContext(folder_.files("enclave"), End::enclave), {"127.0.0.1", server_.port()},
              "127.0.0.1", identity(), {},
              {[this](u64, const Reply&) {
                 const std::lock_guard lock(mutex_);
                 ++answers_;
                 changed_.notify_one();
               },
               {}}) {}

  void send(const remo::MaskedTensor& tensor) {
    if (!link_.send(sent_++, tensor)) throw Error(Errc::internal, "the link is lost or full");
  }
  /// Waits until no more than `open` requests are unanswered.
  void wait(u64 open) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return sent_ - answers_ <= open; });
  }

private:
  Folder folder_;
  std::mutex mutex_;
  std::condition_variable changed_;
  u64 sent_ = 0;
  u64 answers_ = 0;
  WorkerServer server_;
  WorkerLink link_;
};

/// range(0) bytes, range(1) in flight.
void echo_over_tls(benchmark::State& state) {
  const u32 rows = static_cast<u32>(state.range(0) / (kColumns * 4));
  AlignedBuffer<u8> bytes(std::size_t{rows} * kColumns * 4);
  for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<u8>(i * 31);
  const remo::MaskedTensor tensor{1, remo::ProductKind::float32, rows, kColumns,
                                  std::make_shared<const AlignedBuffer<u8>>(std::move(bytes))};
  const u64 in_flight = static_cast<u64>(state.range(1));
  Loop loop;
  for (auto _ : state) {
    loop.send(tensor);
    loop.wait(in_flight - 1);
  }
  loop.wait(0);
  state.SetBytesProcessed(state.iterations() * state.range(0));
}
BENCHMARK(echo_over_tls)
    ->ArgNames({"bytes", "in_flight"})
    ->Args({4 << 10, 1})
    ->Args({64 << 10, 8})
    ->Args({1 << 20, 1})
    ->Args({1 << 20, 8})
    ->Args({8 << 20, 1})
    ->Args({8 << 20, 8})
    ->UseRealTime()
    ->MeasureProcessCPUTime();

} // namespace

BENCHMARK_MAIN();
