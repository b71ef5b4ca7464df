#include "connect/channel_pool.hpp"

#include <fmt/format.h>

namespace talaria::connect {

namespace {

constexpr int kUndecided = 6;

std::string line_about(const attest::Verdict& verdict) {
  if (verdict.accepted)
    return fmt::format("attestation: accepted{}, image {}, policy {}",
                       verdict.simulated ? ", SIMULATED" : "", verdict.image.name,
                       verdict.policy_name);
  return fmt::format("attestation: refused (status {}): {}: {}", verdict.status,
                     verdict.refusal->code, verdict.refusal->reason);
}

bool says_the_same(const std::optional<attest::Verdict>& before, const attest::Verdict& now) {
  return before && before->accepted == now.accepted && before->image.name == now.image.name &&
         (now.accepted || before->refusal->code == now.refusal->code);
}

/// What stands in the place of a verdict while there is no policy to form one by.
attest::Verdict without_policy() {
  return attest::refuse_unread({attest::Stage::policy, "policy", "the policy cannot be read"}, {},
                               {});
}

} // namespace

ChannelPool::ChannelPool(Options options, std::shared_ptr<const Trust> trust, Log log)
    : options_(std::move(options)), log_(std::move(log)), trust_(std::move(trust)),
      backoff_(options_.first_wait, options_.most_wait), keeper_([this] { keep_trying(); }) {}

ChannelPool::~ChannelPool() {
  stop();
  keeper_.join();
}

void ChannelPool::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopped_ = true;
  }
  changed_.notify_all();
}

Attempt ChannelPool::attempt() {
  std::shared_ptr<const Trust> trust;
  {
    const std::lock_guard lock(mutex_);
    trust = trust_;
  }
  if (!trust) return {without_policy(), nullptr};
  const Patience patience{transport::SteadyClock::now() + options_.verify_within,
                          [this] { return is_stopped(); }};
  Attempt made = UnverifiedConnection::attempt(options_.server, trust, patience);
  const std::lock_guard lock(mutex_);
  if (trust == trust_) note(made.verdict);
  return made;
}

/// Under the mutex.
void ChannelPool::note(const attest::Verdict& verdict) {
  if (!says_the_same(verdict_, verdict)) log_(line_about(verdict));
  verdict_ = verdict;
  if (verdict.accepted)
    backoff_.succeeded();
  else
    backoff_.failed(Clock::now(), verdict.status == kUndecided ? options_.most_wait_for_server
                                                               : options_.most_wait);
  changed_.notify_all();
}

attest::Verdict ChannelPool::first_attempt() {
  Attempt made = attempt();
  if (made.channel) release(std::move(made.channel));
  return std::move(made.verdict);
}

/// Under the mutex. The newest first, so that the others can be closed by their age.
std::unique_ptr<VerifiedChannel> ChannelPool::take_idle() {
  while (!idle_.empty()) {
    std::unique_ptr<VerifiedChannel> channel = std::move(idle_.back());
    idle_.pop_back();
    if (trust_ && channel->is_fresh(*trust_) && channel->is_quiet()) return channel;
  }
  return nullptr;
}

std::unique_ptr<VerifiedChannel> ChannelPool::acquire(bool fresh, attest::Verdict& why) {
  {
    const std::lock_guard lock(mutex_);
    if (!fresh)
      if (auto channel = take_idle()) return channel;
    if (!trust_) {
      why = without_policy();
      return nullptr;
    }
    if (verdict_ && !verdict_->accepted && Clock::now() < backoff_.next()) {
      why = *verdict_;
      return nullptr;
    }
  }
  Attempt made = attempt();
  why = std::move(made.verdict);
  const std::lock_guard lock(mutex_);
  // A policy that came meanwhile has not seen this one.
  if (made.channel && !(trust_ && made.channel->is_fresh(*trust_))) {
    why = attest::refuse_unread(
        {attest::Stage::policy, "policy", "the policy has changed; try again"}, {}, {});
    return nullptr;
  }
  return std::move(made.channel);
}

void ChannelPool::release(std::unique_ptr<VerifiedChannel> channel) {
  const std::lock_guard lock(mutex_);
  if (stopped_ || idle_.size() >= options_.most_idle || !trust_ || !channel->is_fresh(*trust_) ||
      !channel->is_quiet())
    return;
  idle_.push_back(std::move(channel));
}

void ChannelPool::set_trust(std::shared_ptr<const Trust> trust) {
  const std::lock_guard lock(mutex_);
  trust_ = std::move(trust);
  idle_.clear();
  verdict_.reset();
  if (!trust_) verdict_ = without_policy();
  backoff_.succeeded();
  log_(trust_ ? "attestation: another policy is in force"
              : "attestation: the policy cannot be read; nobody is talked to");
  changed_.notify_all();
}

std::optional<attest::Verdict> ChannelPool::verdict() const {
  const std::lock_guard lock(mutex_);
  return verdict_;
}

unsigned ChannelPool::retry_after_s() const {
  const std::lock_guard lock(mutex_);
  const auto left = std::chrono::ceil<std::chrono::seconds>(backoff_.next() - Clock::now());
  return static_cast<unsigned>(std::max<std::int64_t>(1, left.count()));
}

/// On a thread of its own: as long as the server is refused, asks again by itself.
void ChannelPool::keep_trying() {
  std::unique_lock lock(mutex_);
  while (!stopped_) {
    const bool is_due = trust_ && verdict_ && !verdict_->accepted;
    if (!is_due) {
      changed_.wait(lock);
    } else if (Clock::now() < backoff_.next()) {
      changed_.wait_until(lock, backoff_.next());
    } else {
      lock.unlock();
      Attempt made = attempt();
      if (made.channel) release(std::move(made.channel));
      lock.lock();
    }
  }
}

} // namespace talaria::connect
