#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "gateway/admission.hpp"
#include "pipeline/engine.hpp"

namespace talaria::gateway {

/// Something that happened to one of the answers of a generation.
struct AnswerEvent {
  std::size_t answer = 0;
  std::string text;  ///< became certain
  bool over = false; ///< the last event of this answer
};

/// The answers of one HTTP request while they are made. Used by the thread that serves the request.
class Generation {
public:
  /// Submits every request. `place` is given back with this object.
  /// @param with_text  events for text too, not only for ends
  /// @throws Error as Engine::submit(); nothing runs on then.
  Generation(pipeline::Engine& engine, Admission::Place place,
             std::vector<pipeline::Request> requests, bool with_text);
  ~Generation(); ///< cancels what still runs and waits for it
  Generation(const Generation&) = delete;
  Generation& operator=(const Generation&) = delete;

  /// What happened since the last call; waits for something at most as long as `patience`.
  std::vector<AnswerEvent> wait(std::chrono::milliseconds patience);
  /// True once wait() has handed over the end of every answer.
  bool over() const noexcept { return running_ == 0; }
  /// Cancels what still runs and waits until it has ended, ten seconds at most: the completion of
  /// one that has not is as if it had been cancelled.
  void end();

  /// In the order of the requests; complete once over().
  const std::vector<pipeline::Completion>& completions() const noexcept { return completions_; }

private:
  class Feed;
  class Sink;

  pipeline::Engine& engine_;
  Admission::Place place_;
  std::shared_ptr<Feed> feed_;
  std::vector<enclave::SequenceId> sequences_;
  std::vector<pipeline::Completion> completions_;
  std::size_t running_ = 0;
};

} // namespace talaria::gateway
