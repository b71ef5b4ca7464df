#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "telemetry/otlp_json.hpp"

namespace talaria::telemetry {

/// Carries bodies to a collector.
class OtlpTransport {
public:
  struct Reply {
    int status = 0; ///< 0: the collector was not reached, or its answer was cut
    std::optional<std::chrono::milliseconds> retry_after; ///< what it asks for
    u64 rejected = 0; ///< of what was sent, as its body says (partialSuccess)
  };
  virtual ~OtlpTransport() = default;
  /// @param signal  "traces" or "metrics"
  virtual Reply post(const std::string& signal, const std::string& body) = 0;
  /// Ends the post() under way, and all later ones. Thread-safe.
  virtual void cancel() noexcept = 0;
};

/// Sends spans and metrics to an OpenTelemetry collector, on a thread of its own. Whoever reports
/// waits for nobody: spans that find no place in the queue are counted and forgotten. What a
/// collector cannot take now (429, 502, 503, 504, or no connection) is sent again, as OTLP says;
/// what it refuses otherwise is not. Thread-safe.
class OtlpExporter {
public:
  struct Options {
    std::vector<OtlpAttribute> resource;
    std::chrono::milliseconds interval{10'000};  ///< between two exports; a full batch goes at once
    std::size_t queue = 2048;                    ///< spans that wait
    std::size_t batch = 512;                     ///< spans in one body
    unsigned attempts = 5;                       ///< of one batch of spans
    std::chrono::milliseconds first_wait{1'000}; ///< before the second; doubles, with chance
    std::chrono::milliseconds longest_wait{30'000};
    /// Told when exporting begins to fail, and when it works again; nothing of what was sent.
    std::function<void(const std::string& line)> log;
  };
  /// What is known of the program's figures now; called on the exporter's thread.
  using Collect = std::function<std::vector<OtlpMetric>()>;

  OtlpExporter(Options options, std::unique_ptr<OtlpTransport> transport);
  ~OtlpExporter(); ///< close() without patience
  OtlpExporter(const OtlpExporter&) = delete;
  OtlpExporter& operator=(const OtlpExporter&) = delete;

  /// Whose figures are sent; empty: nobody's. Returns when no call of the one before is under way.
  void collect_from(Collect collect);
  /// Never waits.
  void add(OtlpSpan span);
  /// Sends what there is, figures once more, and ends; what has not been taken within `patience` is
  /// given up.
  void close(std::chrono::milliseconds patience);

  struct Counts {
    u64 sent = 0;    ///< spans that a collector has taken
    u64 dropped = 0; ///< for which there was no place, or whose batch was given up
  };
  Counts counts() const noexcept { return {sent_.load(), dropped_.load()}; }

private:
  using Clock = std::chrono::steady_clock;
  void run();
  bool wait_for_work();
  void send_spans();
  void send_metrics();
  bool send(const std::string& signal, const std::string& body, unsigned attempts, u64& rejected);
  bool pause(std::chrono::milliseconds wait);
  void note(bool works, const std::string& why);

  const Options options_;
  const std::unique_ptr<OtlpTransport> transport_;
  const OtlpSpan::Time start_ = std::chrono::system_clock::now();
  std::mutex collecting_;
  Collect collect_; ///< under collecting_
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<OtlpSpan> spans_;                  ///< under mutex_, as what follows
  std::optional<Clock::time_point> give_up_at_; ///< once it is to end
  bool over_ = false;                           ///< the thread has nothing more to do
  std::atomic<u64> sent_{0}, dropped_{0};
  bool works_ = true; ///< as far as the log knows
  Clock::time_point next_export_;
  std::thread thread_;
};

} // namespace talaria::telemetry
