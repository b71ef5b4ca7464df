#include "gateway/limits.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "gateway/api_error.hpp"

namespace talaria::gateway {

namespace {

constexpr double kMinute = 60;
constexpr std::size_t kMaxIdle = 4096; // clients remembered without need

double rate_of(const ClientLimits& limits) {
  return limits.tokens_per_minute / kMinute;
}

} // namespace

/// The client's state now. Under the mutex.
Limits::State& Limits::state_of(const Client& client) {
  const auto now = now_();
  const double most = client.limits.tokens_per_minute;
  State& state = states_.try_emplace(client.name, State{0, most, now}).first->second;
  const double passed = std::chrono::duration<double>(now - state.at).count();
  state.tokens = std::min(most, state.tokens + passed * rate_of(client.limits));
  state.at = now;
  return state;
}

/// Whoever used nothing for a minute is as good as new.
void Limits::forget_idle() {
  const auto now = now_();
  std::erase_if(states_, [&](const auto& each) {
    return each.second.running == 0 && each.second.tokens >= 0 &&
           now - each.second.at > std::chrono::minutes(1);
  });
}

std::unique_ptr<Limits::Visit> Limits::enter(Client client) {
  const std::lock_guard lock(mutex_);
  if (states_.size() > kMaxIdle) forget_idle();
  State& state = state_of(client);
  const u32 most = client.limits.requests;
  if (most != 0 && state.running >= most)
    throw rate_limit_exceeded(
        fmt::format("{} requests of yours are under way, as many as may be; wait for one to end",
                    state.running),
        1);
  ++state.running;
  return std::unique_ptr<Visit>(new Visit(*this, std::move(client)));
}

std::size_t Limits::size() const {
  const std::lock_guard lock(mutex_);
  return states_.size();
}

Limits::Visit::~Visit() {
  const std::lock_guard lock(limits_.mutex_);
  State& state = limits_.state_of(client_);
  --state.running;
  state.tokens += reserved_;
  const bool counts_tokens = client_.limits.tokens_per_minute != 0;
  if (!counts_tokens && state.running == 0) limits_.states_.erase(client_.name);
}

void Limits::Visit::reserve(u64 tokens) {
  if (client_.limits.tokens_per_minute == 0) return;
  const std::lock_guard lock(limits_.mutex_);
  State& state = limits_.state_of(client_);
  const double most = client_.limits.tokens_per_minute;
  const double wanted = std::min(most, static_cast<double>(tokens));
  if (state.tokens < wanted) {
    const double wait = (wanted - state.tokens) / rate_of(client_.limits);
    throw rate_limit_exceeded(
        fmt::format("you may use {} tokens a minute, and this request asks for {} with {} left; "
                    "try again in {:.0f} s",
                    client_.limits.tokens_per_minute, tokens,
                    std::max<i64>(0, static_cast<i64>(state.tokens)), std::ceil(wait)),
        static_cast<u32>(std::ceil(wait)));
  }
  state.tokens -= wanted;
  reserved_ = wanted;
}

void Limits::Visit::spend(u64 tokens) {
  if (client_.limits.tokens_per_minute == 0) return;
  const std::lock_guard lock(limits_.mutex_);
  limits_.state_of(client_).tokens += std::exchange(reserved_, 0) - static_cast<double>(tokens);
}

Limits::Visit::Left Limits::Visit::left() const {
  const std::lock_guard lock(limits_.mutex_);
  const State& state = limits_.state_of(client_);
  Left left;
  if (client_.limits.requests > state.running)
    left.requests = client_.limits.requests - state.running;
  if (client_.limits.tokens_per_minute == 0) return left;
  left.tokens = static_cast<u64>(std::max(0.0, state.tokens));
  left.reset_s = (client_.limits.tokens_per_minute - state.tokens) / rate_of(client_.limits);
  return left;
}

} // namespace talaria::gateway
