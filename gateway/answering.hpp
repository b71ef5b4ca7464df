#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "gateway/admission.hpp"
#include "gateway/answer_parser.hpp"
#include "gateway/event_stream.hpp"
#include "gateway/exchange.hpp"
#include "gateway/generation.hpp"
#include "gateway/live_requests.hpp"
#include "gateway/metrics.hpp"
#include "gateway/prompt_reader.hpp"
#include "gateway/receipt_draft.hpp"
#include "gateway/token_times.hpp"

namespace talaria::gateway {

/// How far the server's end has come.
struct Shutdown {
  std::atomic<bool> draining{false}; ///< new requests are refused
  std::atomic<bool> over{false};     ///< the grace is over: running requests are cancelled
};

/// What answering needs besides the request. All must outlive the answers.
struct AnswerSetup {
  pipeline::Engine& engine;
  Admission& admission;
  Metrics& metrics;
  LiveRequests& requests;
  const Shutdown& shutdown;
  const StreamOptions& stream;
  const std::string& model; ///< the served name
  const std::string& fingerprint;
  const ServedAdapters& adapters;
  std::size_t longest_token; ///< in escaped bytes
  ToolSyntax syntax;         ///< how the model writes calls
  bool thinks_in_tags;       ///< and that it writes what it thinks between <think> and </think>
  std::function<void(const Error&, u64 trace)> log_failure;
};

/// Thrown through a handler whose client is no longer there; the response reaches nobody.
ApiError client_left();
/// 429: so many wait that this request cannot.
ApiError queue_full(std::size_t waiting);

/// One request, in whatever dialect, until its response is complete: first it waits for a place,
/// then its answers are made. Lives on the thread that serves the connection, inside the exchange.
class Answering {
public:
  /// @throws Admission::Full
  Answering(const AnswerSetup& setup, Prepared prepared, std::optional<ReceiptDraft> receipt);
  ~Answering();
  Answering(const Answering&) = delete;
  Answering& operator=(const Answering&) = delete;

  /// Writes the whole body, and the receipt. @throws ApiError if the answer failed, or nobody waits
  /// for it any more.
  void whole(HttpResponse& response);
  /// Waits for the first event, for a while, in which an error can still become the status of the
  /// response. Not while the request waits for a place: its client shall see that somebody is
  /// there; and not with a pace, which the headers would undo.
  /// @throws ApiError if the answer fails before
  void begin_stream();
  /// Sends what there is, waiting a moment for it. False ends the connection.
  bool continue_stream(BodySink& sink);

private:
  using Clock = std::chrono::steady_clock;

  ResponseShape shape() const;
  std::unique_ptr<AnswerWriter> writer() const;
  AnswerContents contents() const;
  void add_parsers();
  u64 reasoning_tokens(std::size_t answer) const;
  std::vector<pipeline::Request> engine_requests() const;
  std::vector<std::size_t> best_of(std::size_t prompt) const;
  std::vector<WholeAnswer> whole_answers();
  WholeAnswer whole_answer(std::size_t prompt, const pipeline::Completion& completion,
                           std::size_t index);
  void step(std::chrono::milliseconds patience);
  std::chrono::milliseconds patience() const;
  void take(const AnswerEvent& event);
  bool interrupted();
  std::optional<ApiError> failure() const;
  void throw_if_failed() const;
  std::string ending();
  std::string comment();
  attest::ReceiptRecord sign(bool cut);
  void sign_cut() noexcept;
  LiveRequests::Line line() const;
  void note_submission();
  void note_end();
  AnswerReport report() const;
  void account();

  const AnswerSetup setup_;
  Exchange& exchange_;
  const ApiRequest request_;
  std::optional<ReceiptDraft> receipt_; ///< until it is signed
  const std::vector<std::vector<u32>> prompts_;
  const std::shared_ptr<model::grammar::TokenGrammar> grammar_;
  const std::vector<std::string> texts_; ///< of the prompts, if they stand before answers
  Usage usage_;
  EventStream stream_;
  std::vector<AnswerParser> parsers_; ///< of the answers given, if they may hold more than text
  std::vector<AnswerParser> fresh_;   ///< one for each prompt, as parsers begin
  std::vector<bool> echoed_ = std::vector<bool>(prompts_.size() * request_.choices);
  std::shared_ptr<TokenTimes> times_;
  std::unique_ptr<LiveRequests::Visit> live_;
  std::optional<Generation> generation_;
  std::optional<ApiError> refused_; ///< left the queue to another client
  Clock::time_point last_sent_;     ///< long ago at first
  bool accounted_ = false;
};

} // namespace talaria::gateway
