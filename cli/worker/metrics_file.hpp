#pragma once

#include <condition_variable>
#include <filesystem>
#include <functional>
#include <mutex>
#include <string>
#include <thread>

#include "actors/worker/service.hpp"

namespace talaria::cli {

/// What a worker has done for each enclave, and what of it is under way, in Prometheus' text
/// format. An enclave is named by the first 16 hexadecimal digits of the SHA-256 of its public key.
std::string worker_metrics(const std::string& worker, const worker::WorkerLedger& ledger,
                           const std::vector<transport::WorkerServer::Enclave>& linked);

/// A file that a collector reads (the textfile collector of Prometheus' node exporter): a worker
/// opens no port for it. Written beside itself and put in place, so that nobody reads half of it.
class MetricsFile {
public:
  /// Writes it at once, then every five seconds. @throws Error{io} if it cannot be written; later
  /// failures are lines of the log, each reason once.
  MetricsFile(std::filesystem::path file, std::function<std::string()> text,
              std::function<void(const std::string&)> log);
  ~MetricsFile(); ///< and a last time
  MetricsFile(const MetricsFile&) = delete;
  MetricsFile& operator=(const MetricsFile&) = delete;

private:
  void write() const;
  void run();

  const std::filesystem::path file_;
  const std::function<std::string()> text_;
  const std::function<void(const std::string&)> log_;
  std::mutex mutex_;
  std::condition_variable ending_;
  bool end_ = false;
  std::thread thread_;
};

} // namespace talaria::cli
