#include "cli/bench_measure.hpp"

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <utility>
#include <vector>

#include "core/cpu_time.hpp"

namespace talaria::cli {

namespace {

using Clock = std::chrono::steady_clock;
using Times = std::vector<Clock::time_point>;

double seconds(Clock::time_point from, Clock::time_point to) {
  return std::chrono::duration<double>(to - from).count();
}

/// When each token of several requests came. `lead_token` is called, on the thread that delivers
/// it, for each token of the first request.
class TokenClock : public std::enable_shared_from_this<TokenClock> {
public:
  explicit TokenClock(std::size_t requests, std::function<void()> lead_token = {})
      : times_(requests), lead_token_(std::move(lead_token)) {}

  std::shared_ptr<pipeline::RequestSink> sink(std::size_t request) {
    return std::make_shared<Sink>(shared_from_this(), request);
  }
  /// Blocks until every request has its first token, or has failed.
  void wait_for_first_tokens() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return begun_ == times_.size() || error_; });
    if (error_) throw *error_;
  }
  /// Blocks until every request is over; the times of its tokens, by request.
  std::vector<Times> wait() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return ended_ == times_.size(); });
    if (error_) throw *error_;
    return std::move(times_);
  }

private:
  class Sink final : public pipeline::RequestSink {
  public:
    Sink(std::shared_ptr<TokenClock> clock, std::size_t request)
        : clock_(std::move(clock)), request_(request) {}
    void token() override { clock_->token(request_); }
    void finished(pipeline::Completion completion) override { clock_->finished(completion); }

  private:
    std::shared_ptr<TokenClock> clock_;
    std::size_t request_;
  };

  void token(std::size_t request) {
    const auto now = Clock::now();
    if (request == 0 && lead_token_) lead_token_();
    const std::lock_guard lock(mutex_);
    times_[request].push_back(now);
    if (times_[request].size() == 1 && ++begun_ == times_.size()) changed_.notify_all();
  }
  void finished(const pipeline::Completion& completion) {
    const std::lock_guard lock(mutex_);
    ++ended_;
    if (completion.error) error_ = completion.error;
    if (completion.reason == pipeline::FinishReason::cancelled)
      error_ = Error(Errc::cancelled, "interrupted");
    changed_.notify_all();
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<Times> times_;
  const std::function<void()> lead_token_;
  std::size_t begun_ = 0;
  std::size_t ended_ = 0;
  std::optional<Error> error_;
};

pipeline::Request request(const pipeline::Engine& engine, std::size_t which, u32 prompt,
                          u32 tokens) {
  pipeline::Request out;
  const u32 vocab = engine.plan().vocab;
  for (u32 i = 0; i < prompt; ++i)
    out.prompt.push_back(static_cast<u32>((17 + 977 * which + u64{31} * i) % vocab));
  out.max_tokens = tokens;
  out.ignore_eos = true;
  return out;
}

void submit_all(pipeline::Engine& engine, TokenClock& clock, std::size_t batch, u32 prompt,
                u32 tokens) {
  std::vector<pipeline::Request> requests;
  for (std::size_t i = 0; i < batch; ++i) requests.push_back(request(engine, i, prompt, tokens));
  for (std::size_t i = 0; i < batch; ++i) engine.submit(std::move(requests[i]), clock.sink(i));
}

TokenBytes bytes_so_far(const pipeline::Engine& engine) {
  TokenBytes sum;
  for (const auto& worker : engine.workers()) {
    sum.up += worker.bytes_in;
    sum.down += worker.bytes_out;
  }
  return sum;
}

/// Of a request for `tokens` tokens.
TokenBytes bytes_of(pipeline::Engine& engine, u32 tokens) {
  const TokenBytes before = bytes_so_far(engine);
  pipeline::run_to_end(engine, request(engine, 0, BenchLoad{}.context, tokens));
  const TokenBytes after = bytes_so_far(engine);
  return {after.up - before.up, after.down - before.down};
}

/// Counts from its making on.
class CostMeter {
public:
  explicit CostMeter(pipeline::Engine& engine)
      : engine_(engine), cpu_(process_cpu_seconds()), products_(products_cpu_seconds()),
        masks_(engine.mask_stats()) {}

  TokenCost of_each(std::size_t tokens) const {
    engine_.wait_for_masks(); // what makers have not finished is nobody's
    const auto masks = engine_.mask_stats();
    const auto count = static_cast<double>(tokens);
    const double making = masks.making_seconds - masks_.making_seconds;
    const double cpu = process_cpu_seconds() - cpu_ - making;
    const double products = products_cpu_seconds() - products_;
    return {1e3 * cpu / count, 1e3 * (cpu - products) / count,
            static_cast<double>(masks.bytes_taken - masks_.bytes_taken) / count};
  }

private:
  /// Of an embedded worker; remote ones are no part of this process.
  double products_cpu_seconds() const {
    const auto products = engine_.products();
    return products == nullptr ? 0 : products->cpu_seconds();
  }

  pipeline::Engine& engine_;
  double cpu_;
  double products_;
  remo::MaskPool::Stats masks_;
};

/// The first requests generate while the last are still in their prompts: by a token for each
/// micro-batch of prompts, or more where this thread was interrupted between two submissions. That
/// much more is asked for, and the time before not counted.
u32 lead_of(const BenchLoad& load, u32 max_rows) {
  const auto prompts = static_cast<u32>(load.batch * load.context / max_rows);
  return load.batch == 1 ? 0 : prompts + 3;
}

/// Nothing if the first request was over before the last one generated. Each is asked for `lead`
/// tokens more than are to be measured.
std::optional<DecodeFigures> decode_with(pipeline::Engine& engine, const BenchLoad& load,
                                         u32 lead) {
  engine.wait_for_masks();
  const CostMeter meter(engine);
  const auto clock = std::make_shared<TokenClock>(load.batch);
  submit_all(engine, *clock, load.batch, load.context, 1 + load.decode + lead);
  clock->wait_for_first_tokens();
  const u64 stalls = engine.mask_stats().stalls;
  const std::vector<Times> times = clock->wait();
  Clock::time_point begin = times[0].front();
  Clock::time_point end = times[0].back();
  for (const Times& t : times) {
    begin = std::max(begin, t.front());
    end = std::min(end, t.back());
  }
  std::ptrdiff_t tokens = 0;
  for (const Times& t : times)
    tokens += std::count_if(t.begin(), t.end(), [&](auto at) { return at > begin && at <= end; });
  if (tokens == 0) return std::nullopt;
  DecodeFigures figures;
  figures.tokens_per_s = static_cast<double>(tokens) / seconds(begin, end);
  figures.mask_stalls = engine.mask_stats().stalls - stalls;
  figures.cost = meter.of_each(load.batch * (load.context + load.decode + lead));
  return figures;
}

} // namespace

PrefillFigures measure_prefill(pipeline::Engine& engine, const BenchLoad& load) {
  engine.wait_for_masks();
  const CostMeter meter(engine);
  const auto clock = std::make_shared<TokenClock>(load.batch);
  const auto start = Clock::now();
  submit_all(engine, *clock, load.batch, load.prefill, 1);
  std::vector<double> to_first;
  for (const Times& times : clock->wait()) to_first.push_back(seconds(start, times.at(0)));
  std::sort(to_first.begin(), to_first.end());
  const std::size_t tokens = load.batch * load.prefill;
  return {static_cast<double>(tokens) / to_first.back(), 1e3 * to_first[to_first.size() / 2],
          meter.of_each(tokens)};
}

DecodeFigures measure_decode(pipeline::Engine& engine, const BenchLoad& load, u32 max_rows) {
  for (u32 lead = lead_of(load, max_rows);; lead = 2 * lead + 8) {
    const auto figures = decode_with(engine, load, lead);
    if (figures) return *figures;
    if (lead > engine.plan().max_position)
      throw Error(Errc::internal, "requests that were submitted together never ran together");
  }
}

std::vector<StepFigures> measure_steps(pipeline::Engine& engine, const BenchLoad& load,
                                       u32 max_rows, std::function<void(std::size_t)> before_step) {
  struct Moment {
    Clock::time_point wall;
    double cpu = 0;
  };
  const u32 lead = lead_of(load, max_rows);
  std::vector<Moment> moments; // of the first request's tokens
  moments.reserve(1 + lead + load.decode);
  engine.wait_for_masks();
  const auto clock = std::make_shared<TokenClock>(load.batch, [&] {
    moments.push_back({Clock::now(), process_cpu_seconds()});
    if (moments.size() > lead) before_step(moments.size() - 1 - lead);
  });
  submit_all(engine, *clock, load.batch, load.context, 1 + lead + load.decode);
  clock->wait();
  std::vector<StepFigures> steps;
  for (std::size_t i = lead; i + 1 < moments.size(); ++i)
    steps.push_back(
        {seconds(moments[i].wall, moments[i + 1].wall), moments[i + 1].cpu - moments[i].cpu});
  return steps;
}

TokenBytes measure_bytes(pipeline::Engine& engine) {
  const TokenBytes one = bytes_of(engine, 1);
  const TokenBytes two = bytes_of(engine, 2);
  return {two.up - one.up, two.down - one.down};
}

} // namespace talaria::cli
