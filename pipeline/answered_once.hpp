#pragma once

#include <memory>
#include <utility>

#include "pipeline/request.hpp"
#include "pipeline/vitals.hpp"

namespace talaria::pipeline {

/// The sink of a request as the engine's actors hold it: whatever becomes of them, of their
/// messages and of the request, the caller's sink hears finished() exactly once. If the last holder
/// lets go without a word, it hears of an error.
class AnsweredOnce final : public RequestSink {
public:
  AnsweredOnce(std::shared_ptr<RequestSink> sink, std::shared_ptr<const Vitals> vitals, u64 trace)
      : sink_(std::move(sink)), vitals_(std::move(vitals)), trace_(trace) {}
  ~AnsweredOnce() override {
    if (finished_) return;
    try {
      Completion completion;
      completion.reason = FinishReason::error;
      completion.error = vitals_->broken().value_or(
          Error(Errc::internal, "the engine is broken: it lost this request"));
      completion.trace = trace_;
      sink_->finished(std::move(completion));
    } catch (...) { // nobody is left to be told
    }
  }
  AnsweredOnce(const AnsweredOnce&) = delete;
  AnsweredOnce& operator=(const AnsweredOnce&) = delete;

  void token() override { sink_->token(); }
  void chosen(u32 id, const model::TokenScores* scores) override { sink_->chosen(id, scores); }
  void text(std::string_view piece) override { sink_->text(piece); }
  void logits(u32 start, MatrixView<const float> rows) override { sink_->logits(start, rows); }
  void finished(Completion completion) override {
    if (std::exchange(finished_, true)) return;
    sink_->finished(std::move(completion));
  }

private:
  std::shared_ptr<RequestSink> sink_;
  std::shared_ptr<const Vitals> vitals_;
  u64 trace_;
  bool finished_ = false;
};

} // namespace talaria::pipeline
