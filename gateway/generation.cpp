#include "gateway/generation.hpp"

#include <condition_variable>
#include <mutex>
#include <utility>

namespace talaria::gateway {

namespace {
/// The engine answers a cancellation in milliseconds. One that takes so long never will.
constexpr std::chrono::seconds kToEnd{10};

/// What is said of an answer until there is one.
pipeline::Completion cancelled() {
  pipeline::Completion completion;
  completion.reason = pipeline::FinishReason::cancelled;
  return completion;
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
  std::vector<Item> take(std::chrono::milliseconds patience) {
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, patience, [this] { return !items_.empty(); });
    return std::exchange(items_, {});
  }

private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<Item> items_;
};

class Generation::Sink final : public pipeline::RequestSink {
public:
  Sink(std::shared_ptr<Feed> feed, std::size_t answer, bool with_text)
      : feed_(std::move(feed)), answer_(answer), with_text_(with_text) {}
  void text(std::string_view piece) override {
    if (with_text_) feed_->put({{answer_, std::string(piece), false}, {}});
  }
  void finished(pipeline::Completion completion) override {
    feed_->put({{answer_, {}, true}, std::move(completion)});
  }

private:
  std::shared_ptr<Feed> feed_;
  std::size_t answer_;
  bool with_text_;
};

Generation::Generation(pipeline::Engine& engine, Admission::Place place,
                       std::vector<pipeline::Request> requests, bool with_text)
    : engine_(engine), place_(std::move(place)), feed_(std::make_shared<Feed>()),
      completions_(requests.size(), cancelled()) {
  try {
    for (auto& request : requests) {
      auto sink = std::make_shared<Sink>(feed_, sequences_.size(), with_text);
      sequences_.push_back(engine_.submit(std::move(request), std::move(sink)));
      ++running_;
    }
  } catch (...) {
    end();
    throw;
  }
}

Generation::~Generation() {
  end();
}

std::vector<AnswerEvent> Generation::wait(std::chrono::milliseconds patience) {
  std::vector<AnswerEvent> events;
  for (auto& item : feed_->take(patience)) {
    if (item.event.over) {
      completions_[item.event.answer] = std::move(item.completion);
      --running_;
    }
    events.push_back(std::move(item.event));
  }
  return events;
}

void Generation::end() {
  if (over()) return;
  for (const auto sequence : sequences_) engine_.cancel(sequence);
  const auto deadline = std::chrono::steady_clock::now() + kToEnd;
  while (!over() && std::chrono::steady_clock::now() < deadline) wait(std::chrono::seconds(1));
  running_ = 0; // of those that are left nobody hears any more
}

} // namespace talaria::gateway
