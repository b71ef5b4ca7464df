#include "gateway/generation.hpp"

#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <utility>

namespace talaria::gateway {

namespace {
/// The engine answers a cancellation in milliseconds. One that takes so long never will.
constexpr std::chrono::seconds kToEnd{10};

/// Of an answer whose length nobody knows: most are no longer, and those that are pay when they
/// end. The rest of the context, which a request that says nothing may have, would leave room for
/// few.
constexpr u64 kUsualAnswer = 256;

std::vector<u64> prompt_tokens(const std::vector<pipeline::Request>& requests) {
  std::vector<u64> out;
  for (const pipeline::Request& each : requests) out.push_back(each.prompt.size());
  return out;
}

std::vector<u64> costs_of(const std::vector<pipeline::Request>& requests) {
  std::vector<u64> out = prompt_tokens(requests);
  for (std::size_t i = 0; i < out.size(); ++i)
    out[i] += std::min<u64>(requests[i].max_tokens, kUsualAnswer);
  return out;
}

} // namespace

/// What the engine's threads leave for the serving thread.
class Generation::Feed {
public:
  struct Item {
    AnswerEvent event;
    pipeline::Completion completion; ///< with the last event
  };

  void put(Item item) {
    const std::lock_guard lock(mutex_);
    items_.push_back(std::move(item));
    changed_.notify_one();
  }
  /// Ends a wait: there is something to do.
  void wake() {
    const std::lock_guard lock(mutex_);
    woken_ = true;
    changed_.notify_one();
  }
  std::vector<Item> take(std::chrono::milliseconds patience) {
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, patience, [this] { return !items_.empty() || woken_; });
    woken_ = false;
    return std::exchange(items_, {});
  }

private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<Item> items_;
  bool woken_ = false;
};

class Generation::Sink final : public pipeline::RequestSink {
public:
  Sink(std::shared_ptr<Feed> feed, std::size_t answer, bool with_text,
       std::shared_ptr<TokenTimes> times)
      : feed_(std::move(feed)), answer_(answer), with_text_(with_text), times_(std::move(times)) {}
  void token() override { times_->token(answer_); }
  void chosen(u32, const model::TokenScores* scores) override {
    if (with_text_ && scores != nullptr) scores_.push_back(*scores);
  }
  void text(std::string_view piece) override {
    if (with_text_)
      feed_->put({{answer_, std::string(piece), std::exchange(scores_, {}), false}, {}});
  }
  void finished(pipeline::Completion completion) override {
    feed_->put({{answer_, {}, std::exchange(scores_, {}), true}, std::move(completion)});
  }

private:
  std::shared_ptr<Feed> feed_;
  std::size_t answer_;
  bool with_text_;
  std::shared_ptr<TokenTimes> times_;
  std::vector<model::TokenScores> scores_; ///< of tokens whose text is not certain
};

Generation::Generation(pipeline::Engine& engine, Admission& admission, const std::string& client,
                       i64 priority, std::vector<pipeline::Request> requests, bool with_text,
                       std::shared_ptr<TokenTimes> times)
    : engine_(engine), with_text_(with_text), times_(std::move(times)),
      feed_(std::make_shared<Feed>()), requests_(std::move(requests)),
      completions_(requests_.size()), over_(requests_.size()), prompts_(prompt_tokens(requests_)),
      left_(requests_.size()), ticket_(admission.enter(client, {costs_of(requests_), priority},
                                                       [feed = feed_] { feed->wake(); })) {
  try {
    submit_granted();
  } catch (...) {
    end();
    throw;
  }
}

Generation::~Generation() {
  end();
}

void Generation::submit_granted() {
  for (std::size_t places = ticket_->take(); places > 0; --places) submit(sequences_.size());
}

void Generation::submit(std::size_t answer) {
  auto sink = std::make_shared<Sink>(feed_, answer, with_text_, times_);
  submitted_at_.push_back(std::chrono::steady_clock::now());
  try {
    sequences_.push_back(engine_.submit(std::move(requests_[answer]), sink));
  } catch (const Error& error) { // its end like any other
    sequences_.push_back({});
    pipeline::Completion failed;
    failed.reason = pipeline::FinishReason::error;
    failed.error = error;
    sink->finished(std::move(failed));
  }
}

std::vector<AnswerEvent> Generation::wait(std::chrono::milliseconds patience) {
  submit_granted();
  if (ticket_->displaced()) throw Admission::Full();
  return collect(patience);
}

std::vector<AnswerEvent> Generation::collect(std::chrono::milliseconds patience) {
  std::vector<AnswerEvent> events;
  for (auto& item : feed_->take(patience)) {
    if (item.event.over) {
      completions_[item.event.answer] = std::move(item.completion);
      over_[item.event.answer] = true;
      --left_;
      ticket_->give_back(item.event.answer, prompts_[item.event.answer] +
                                                completions_[item.event.answer].tokens.size());
    }
    events.push_back(std::move(item.event));
  }
  return events;
}

void Generation::end() {
  if (over()) return;
  ticket_->want_no_more();
  left_ -= completions_.size() - sequences_.size();
  for (const auto sequence : sequences_) engine_.cancel(sequence);
  const auto deadline = std::chrono::steady_clock::now() + kToEnd;
  while (!over() && std::chrono::steady_clock::now() < deadline) collect(std::chrono::seconds(1));
  for (std::size_t i = 0; i < completions_.size(); ++i)
    if (!over_[i]) completions_[i].reason = pipeline::FinishReason::cancelled;
  left_ = 0; // of those that are left nobody hears any more
}

} // namespace talaria::gateway
