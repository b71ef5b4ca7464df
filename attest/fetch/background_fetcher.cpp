#include "attest/fetch/background_fetcher.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "attest/collateral/collateral_key.hpp"
#include "core/error.hpp"

namespace talaria::attest {
namespace {

constexpr std::size_t kMostMachines = 256; ///< remembered at once

/// By what services know it: a chip and its TCB, or a platform. Empty if it cannot be read.
std::string machine_of(const EvidenceSet& set) {
  const auto places = collateral_places(set);
  for (const char* item : {"leaf", "tcb_info"})
    if (const auto found = places.find(item); found != places.end()) return found->second;
  return {};
}

FetchOptions options_at(TimePoint now) {
  FetchOptions options;
  options.attempts = 1; // whoever wanted it comes again
  options.now = [now] { return now; };
  options.pause = [](std::chrono::seconds) {};
  return options;
}

} // namespace

BackgroundFetcher::BackgroundFetcher(std::unique_ptr<HttpsClient> client, CollateralFolder folder,
                                     Log log, FetchPace pace)
    : client_(std::move(client)), folder_(std::move(folder)), log_(std::move(log)), pace_(pace),
      turns_(pace.burst), turns_at_(Steady::now()), thread_([this] { run(); }) {}

BackgroundFetcher::~BackgroundFetcher() {
  {
    const std::lock_guard lock(mutex_);
    end_ = true;
  }
  client_->stop();
  changed_.notify_all();
  thread_.join();
}

std::vector<FetchedItem> BackgroundFetcher::items_of(EvidenceSet& set,
                                                     const FetchOptions& options) const {
  return CollateralFetcher(*client_, folder_, options).complete(set);
}

bool BackgroundFetcher::complete(EvidenceSet& set, TimePoint now) const {
  FetchOptions options = options_at(now);
  options.offline = true;
  const auto items = items_of(set, options);
  return !items.empty() && std::ranges::all_of(items, [](const FetchedItem& each) {
    return each.from != FetchedItem::From::nowhere && each.problem.empty();
  });
}

std::string BackgroundFetcher::fetch(EvidenceSet& set, TimePoint now,
                                     std::chrono::milliseconds patience) {
  if (complete(set, now)) return {};
  const std::string machine = machine_of(set);
  if (machine.empty()) return "it does not say which machine it is of";
  const auto until = Steady::now() + patience;
  std::string trouble = enqueue({machine, set, now, std::chrono::seconds(0), false});
  if (trouble.empty()) {
    std::unique_lock lock(mutex_);
    const auto is_answered = [&] { return end_ || !machines_[machine].is_waiting; };
    if (changed_.wait_until(lock, until, is_answered))
      trouble = machines_[machine].trouble;
    else
      trouble = fmt::format("no answer of the services within {} ms; they are still being asked",
                            patience.count());
  }
  complete(set, now);
  return trouble;
}

void BackgroundFetcher::refresh(const EvidenceSet& set, TimePoint now, std::chrono::seconds ahead) {
  const std::string machine = machine_of(set);
  if (!machine.empty()) enqueue({machine, set, now, ahead, true});
}

/// Why not, if the question is not put.
std::string BackgroundFetcher::enqueue(Question question) {
  const std::lock_guard lock(mutex_);
  const auto now = Steady::now();
  forget_some();
  Asked& asked = machines_[question.machine];
  if (asked.is_waiting) return {}; // with whoever asked first
  if (now < asked.not_before) {
    const auto left = std::chrono::ceil<std::chrono::seconds>(asked.not_before - now);
    return fmt::format("{}; not asked again for {} s", asked.trouble, left.count());
  }
  if (question.is_refresh && now < asked.refresh_not_before) return "it was asked for just now";
  if (line_.size() >= pace_.most_waiting)
    return fmt::format("{} questions to the services are waiting already", line_.size());
  if (!question.is_refresh && !take_turn())
    return fmt::format("the services are asked about one more machine in {} ms at most, and it is "
                       "not this one's turn",
                       pace_.between.count());
  if (question.is_refresh) asked.refresh_not_before = now + pace_.longest_wait;
  asked.is_waiting = true;
  line_.push_back(std::move(question));
  changed_.notify_all();
  return {};
}

/// With mutex_: a bucket of turns that fills by the time.
bool BackgroundFetcher::take_turn() {
  const auto now = Steady::now();
  if (pace_.between.count() > 0)
    turns_ += std::chrono::duration<double>(now - turns_at_) / pace_.between;
  turns_ = std::min<double>(turns_, pace_.burst);
  turns_at_ = now;
  if (turns_ < 1) return false;
  turns_ -= 1;
  return true;
}

/// With mutex_: whoever shows evidence of ever other machines takes no memory by it.
void BackgroundFetcher::forget_some() {
  if (machines_.size() < kMostMachines) return;
  const auto oldest =
      std::min_element(machines_.begin(), machines_.end(), [](const auto& a, const auto& b) {
        return std::pair(a.second.is_waiting, a.second.not_before) <
               std::pair(b.second.is_waiting, b.second.not_before);
      });
  if (!oldest->second.is_waiting) machines_.erase(oldest);
}

/// What could not be had, in one line.
std::string BackgroundFetcher::ask(Question& question) const {
  FetchOptions options = options_at(question.now);
  options.ahead = question.ahead;
  std::string trouble;
  try {
    for (const FetchedItem& each : items_of(question.set, options)) {
      if (each.problem.empty()) continue;
      log_(fmt::format("collateral: {}: {}", each.item, each.problem));
      if (trouble.empty()) trouble = fmt::format("{}: {}", each.item, each.problem);
    }
  } catch (const Error& error) { // the folder cannot be written
    trouble = error.what();
    log_("collateral: " + trouble);
  }
  return trouble;
}

/// With mutex_.
void BackgroundFetcher::note(Asked& asked, std::string trouble) const {
  asked.is_waiting = false;
  asked.trouble = std::move(trouble);
  if (asked.trouble.empty()) {
    asked.wait = std::chrono::milliseconds(0);
    return;
  }
  asked.wait =
      asked.wait.count() == 0 ? pace_.first_wait : std::min(asked.wait * 2, pace_.longest_wait);
  asked.not_before = Steady::now() + asked.wait;
}

void BackgroundFetcher::run() {
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait(lock, [this] { return end_ || !line_.empty(); });
    if (end_) return;
    Question question = std::move(line_.front());
    line_.pop_front();
    lock.unlock();
    std::string trouble = ask(question);
    lock.lock();
    note(machines_[question.machine], std::move(trouble));
    changed_.notify_all();
  }
}

} // namespace talaria::attest
