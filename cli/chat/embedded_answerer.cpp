#include "cli/chat/embedded_answerer.hpp"

#include <fmt/format.h>

#include <future>
#include <memory>
#include <utility>

#include "cli/chat/answer_clock.hpp"

namespace talaria::cli {

namespace {

/// Gives the text on and keeps the end. What the taker of the text throws ends the answer, and is
/// thrown by whoever waits for it.
class ChatSink final : public pipeline::RequestSink {
public:
  ChatSink(Answerer::TakeText take, std::function<void()> give_up)
      : take_(std::move(take)), give_up_(std::move(give_up)) {}
  void token() override { clock_.token(); }
  void text(std::string_view piece) override {
    if (failure_) return;
    try {
      take_(piece);
    } catch (...) { // on a thread of the engine
      failure_ = std::current_exception();
      give_up_();
    }
  }
  void finished(pipeline::Completion completion) override {
    if (failure_)
      done_.set_exception(failure_);
    else
      done_.set_value(std::move(completion));
  }
  pipeline::Completion wait() { return done_.get_future().get(); }
  /// Once it has finished.
  const AnswerClock& clock() const noexcept { return clock_; }

private:
  const Answerer::TakeText take_;
  const std::function<void()> give_up_;
  AnswerClock clock_;
  std::exception_ptr failure_;
  std::promise<pipeline::Completion> done_;
};

/// "2 of 3 workers ready", with the names of the others.
std::string worker_line(const std::vector<pipeline::WorkerReport>& workers) {
  std::size_t ready = 0;
  std::string others;
  for (const auto& worker : workers) {
    if (worker.state == "ready")
      ++ready;
    else
      others += fmt::format("; {} is {}", worker.name, worker.state);
  }
  return fmt::format("{} of {} workers ready{}", ready, workers.size(), others);
}

} // namespace

EmbeddedAnswerer::EmbeddedAnswerer(pipeline::Engine& engine, model::ChatEncoder encoder,
                                   Options options)
    : engine_(engine), encoder_(std::move(encoder)), options_(std::move(options)) {}

AnswerFigures EmbeddedAnswerer::answer(const std::vector<model::ChatMessage>& messages,
                                       const TakeText& text) {
  for (const auto& message : messages)
    if (const auto bad = model::find_invalid_utf8(message.content))
      throw Error(Errc::usage, fmt::format("the message is not valid UTF-8 at byte {}", *bad));
  pipeline::Request request;
  request.prompt = encoder_.encode(messages);
  request.max_tokens = options_.max_tokens;
  request.sampling = options_.sampling();
  request.adapter = options_.adapter;
  request.owner = "chat"; // what was said before need not be computed again
  const auto sink = std::make_shared<ChatSink>(text, [this] { engine_.cancel_all(); });
  engine_.submit(std::move(request), sink);
  if (cancelled_) engine_.cancel_all(); // it came before there was anything to cancel
  const pipeline::Completion completion = sink->wait();
  if (completion.error) throw *completion.error;
  AnswerFigures figures = sink->clock().figures();
  figures.is_cut = completion.reason == pipeline::FinishReason::length;
  return figures;
}

void EmbeddedAnswerer::cancel() noexcept {
  cancelled_ = true;
  try {
    engine_.cancel_all();
  } catch (...) { // no memory for a message: the next Ctrl-C ends the program
  }
}

std::string EmbeddedAnswerer::status() {
  const auto workers = engine_.workers();
  const bool is_embedded = workers.size() == 1 && workers.front().address == "embedded";
  std::string out =
      fmt::format("  answers       the engine in this process, scheme {}\n", options_.scheme);
  if (is_embedded)
    out += "  worker        in this process too\n";
  else
    out += fmt::format("  workers       {}\n", worker_line(workers));
  return out + "  attestation   none needed: prompts and answers stay in this process\n";
}

} // namespace talaria::cli
