#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "gateway/admission.hpp"
#include "gateway/token_times.hpp"
#include "pipeline/engine.hpp"

namespace talaria::gateway {

/// Something that happened to one of the answers of a generation.
struct AnswerEvent {
  std::size_t answer = 0;
  std::string text;                       ///< became certain
  std::vector<model::TokenScores> scores; ///< of the tokens it came of, if they are wanted
  bool over = false;                      ///< the last event of this answer
};

/// The answers of one HTTP request while they wait and are made, each as soon as it has a place.
/// Used by the thread that serves the request.
class Generation {
public:
  /// Asks for a place for every request, and submits those that have one.
  /// @param client     whose turn they take
  /// @param priority   among this client's requests
  /// @param with_text  events for text too, not only for ends
  /// @param times      hears of every token, of as many answers as there are requests
  /// @throws Admission::Full
  Generation(pipeline::Engine& engine, Admission& admission, const std::string& client,
             i64 priority, std::vector<pipeline::Request> requests, bool with_text,
             std::shared_ptr<TokenTimes> times);
  ~Generation(); ///< cancels what still runs and waits for it
  Generation(const Generation&) = delete;
  Generation& operator=(const Generation&) = delete;

  /// Submits what has a place, and returns what happened since the last call; waits for something
  /// at most as long as `patience`.
  /// @throws Admission::Full if the request had to leave the queue to another client
  std::vector<AnswerEvent> wait(std::chrono::milliseconds patience);
  /// At least one answer has been submitted.
  bool begun() const noexcept { return !sequences_.empty(); }
  /// Answers that have been submitted: the first ones.
  std::size_t submitted() const noexcept { return sequences_.size(); }
  std::chrono::steady_clock::time_point submitted_at(std::size_t answer) const {
    return submitted_at_[answer];
  }
  /// True once wait() has handed over the end of every answer.
  bool over() const noexcept { return left_ == 0; }
  /// Cancels everything that is not over and waits until it has ended, ten seconds at most: the
  /// completion of one that has not is as if it had been cancelled.
  void end();

  /// In the order of the requests; complete once over().
  const std::vector<pipeline::Completion>& completions() const noexcept { return completions_; }

private:
  class Feed;
  class Sink;
  void submit_granted();
  void submit(std::size_t answer);
  std::vector<AnswerEvent> collect(std::chrono::milliseconds patience);

  pipeline::Engine& engine_;
  const bool with_text_;
  const std::shared_ptr<TokenTimes> times_;
  std::shared_ptr<Feed> feed_;
  std::vector<pipeline::Request> requests_;
  std::vector<enclave::SequenceId> sequences_;                      ///< of the first requests
  std::vector<std::chrono::steady_clock::time_point> submitted_at_; ///< the same
  std::vector<pipeline::Completion> completions_;
  std::vector<bool> over_;   ///< which of them
  std::vector<u64> prompts_; ///< tokens of each
  std::size_t left_;         ///< answers that are not over
  std::unique_ptr<Admission::Ticket> ticket_;
};

} // namespace talaria::gateway
