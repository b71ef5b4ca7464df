#include "telemetry/otlp_exporter.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <random>
#include <utility>

namespace talaria::telemetry {

namespace {

bool can_be_repeated(int status) {
  return status == 0 || status == 429 || status == 502 || status == 503 || status == 504;
}

/// Between half of `wait` and all of it, so that gateways that failed at once do not come back at
/// once.
std::chrono::milliseconds with_chance(std::chrono::milliseconds wait) {
  static thread_local std::minstd_rand random{std::random_device{}()};
  return wait / 2 + std::chrono::milliseconds(random() % (static_cast<u64>(wait.count()) / 2 + 1));
}

} // namespace

OtlpExporter::OtlpExporter(Options options, std::unique_ptr<OtlpTransport> transport)
    : options_(std::move(options)), transport_(std::move(transport)),
      next_export_(Clock::now() + options_.interval), thread_([this] { run(); }) {}

OtlpExporter::~OtlpExporter() {
  close(std::chrono::milliseconds(0));
}

void OtlpExporter::collect_from(Collect collect) {
  const std::lock_guard lock(collecting_);
  collect_ = std::move(collect);
}

void OtlpExporter::add(OtlpSpan span) {
  const std::lock_guard lock(mutex_);
  if (give_up_at_ || spans_.size() >= options_.queue) {
    ++dropped_;
    return;
  }
  spans_.push_back(std::move(span));
  if (spans_.size() == options_.batch) changed_.notify_all();
}

void OtlpExporter::close(std::chrono::milliseconds patience) {
  if (!thread_.joinable()) return;
  {
    std::unique_lock lock(mutex_);
    give_up_at_ = Clock::now() + patience;
    changed_.notify_all();
    changed_.wait_until(lock, *give_up_at_, [this] { return over_; });
  }
  transport_->cancel();
  thread_.join();
  dropped_ += spans_.size();
  spans_.clear();
}

void OtlpExporter::run() {
  while (wait_for_work()) {
    send_spans();
    if (Clock::now() < next_export_) continue;
    send_metrics();
    next_export_ = Clock::now() + options_.interval;
  }
  send_spans();
  send_metrics();
  const std::lock_guard lock(mutex_);
  over_ = true;
  changed_.notify_all();
}

/// False once it is to end.
bool OtlpExporter::wait_for_work() {
  std::unique_lock lock(mutex_);
  changed_.wait_until(lock, next_export_,
                      [this] { return give_up_at_ || spans_.size() >= options_.batch; });
  return !give_up_at_;
}

/// All that wait, in batches. A batch under way counts as waiting: the queue is what memory may
/// hold.
void OtlpExporter::send_spans() {
  for (;;) {
    std::vector<OtlpSpan> batch;
    {
      const std::lock_guard lock(mutex_);
      if (give_up_at_ && Clock::now() >= *give_up_at_) return;
      const std::size_t count = std::min(spans_.size(), options_.batch);
      batch.assign(spans_.begin(), spans_.begin() + static_cast<std::ptrdiff_t>(count));
    }
    if (batch.empty()) return;
    u64 rejected = 0;
    const bool taken =
        send("traces", otlp_traces(options_.resource, batch), options_.attempts, rejected);
    rejected = taken ? std::min<u64>(rejected, batch.size()) : batch.size();
    sent_ += batch.size() - rejected;
    dropped_ += rejected;
    const std::lock_guard lock(mutex_);
    spans_.erase(spans_.begin(), spans_.begin() + static_cast<std::ptrdiff_t>(batch.size()));
  }
}

/// Once: the next figures hold what these do.
void OtlpExporter::send_metrics() {
  std::vector<OtlpMetric> metrics;
  {
    const std::lock_guard lock(collecting_);
    if (collect_) metrics = collect_();
  }
  u64 rejected = 0;
  if (!metrics.empty())
    send("metrics",
         otlp_metrics(options_.resource, metrics, start_, std::chrono::system_clock::now()), 1,
         rejected);
}

/// True if the collector took it.
bool OtlpExporter::send(const std::string& signal, const std::string& body, unsigned attempts,
                        u64& rejected) {
  auto wait = options_.first_wait;
  for (unsigned attempt = 1;; ++attempt) {
    const OtlpTransport::Reply reply = transport_->post(signal, body);
    const bool taken = reply.status >= 200 && reply.status < 300;
    rejected = reply.rejected;
    note(taken,
         reply.status == 0 ? "it cannot be reached" : fmt::format("it answers {}", reply.status));
    if (taken || !can_be_repeated(reply.status) || attempt >= attempts) return taken;
    if (!pause(reply.retry_after ? std::min(*reply.retry_after, options_.longest_wait)
                                 : with_chance(wait)))
      return false;
    wait = std::min(2 * wait, options_.longest_wait);
  }
}

/// False if that would be too late.
bool OtlpExporter::pause(std::chrono::milliseconds wait) {
  std::unique_lock lock(mutex_);
  const auto until = Clock::now() + wait;
  while (Clock::now() < until) {
    if (give_up_at_ && until > *give_up_at_) return false;
    changed_.wait_until(lock, until);
  }
  return true;
}

void OtlpExporter::note(bool works, const std::string& why) {
  if (std::exchange(works_, works) == works || !options_.log) return;
  options_.log(works ? std::string("the OpenTelemetry collector takes spans and metrics again")
                     : fmt::format("the OpenTelemetry collector takes nothing: {}; spans beyond "
                                   "{} are dropped",
                                   why, options_.queue));
}

} // namespace talaria::telemetry
