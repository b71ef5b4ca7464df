#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "actors/enclave/micro_batch.hpp"
#include "core/error.hpp"
#include "core/integers.hpp"
#include "model/sampler.hpp"
#include "model/token_scores.hpp"
#include "pipeline/batch_planner.hpp"

namespace talaria::model {
class Adapter;
}

namespace talaria::model::grammar {
class TokenGrammar;
}

namespace talaria::pipeline {

/// One prompt to be continued.
struct Request {
  std::vector<u32> prompt; ///< at least one token
  u32 max_tokens = 0;      ///< 0: only the prompt is processed, for `logits` or prompt scores
  bool ignore_eos = false;
  model::SamplingParameters sampling;
  /// The answer ends behind one of these as behind the model's own ends. Unlike those they show in
  /// its text only with `with_stop`.
  std::vector<u32> stop_tokens;
  std::vector<std::string> stops; ///< the answer ends before the first of these
  bool with_stop = false;         ///< or behind it
  bool skip_special = true;       ///< special tokens are no text
  enclave::ScoresWanted scores;
  /// What the answer has to be: Engine::grammar(); null: anything. Several requests may share one.
  std::shared_ptr<model::grammar::TokenGrammar> grammar;
  LogitsWanted logits = LogitsWanted::none; ///< last or all if max_tokens is 0
  /// The text is to become an embedding, or a score: what Engine::pooling() says, and nothing else.
  /// max_tokens is 0.
  bool pooled = false;
  u32 dimensions = 0; ///< of the embedding, from its beginning; 0: all
  /// Tokens to guess in each round, at most what the engine's BatchLimits say; nothing: as many.
  /// None are guessed for one that wants logits, or scores of its prompt.
  std::optional<u32> drafts;
  u64 trace = 0; ///< its name in traces and logs; 0: the engine makes one
  /// What is added to the model's matrices for this request: one of Engine::adapters(); null:
  /// nothing.
  std::shared_ptr<const model::Adapter> adapter;
  /// Whose prompts it may share computed prefixes with (kv::PrefixCache): who asks, as this side
  /// has authenticated it. Empty: nobody's, so that no other request's time tells of it.
  std::string owner;
};

/// Why an answer ended.
enum class FinishReason : u8 { stop, length, cancelled, error };
const char* to_string(FinishReason reason) noexcept;

struct Timings {
  double ttft_ms = 0;              ///< from submission to the first token
  double prefill_tokens_per_s = 0; ///< prompt tokens over that time
  double decode_tokens_per_s = 0;  ///< tokens after the first over the time they took; 0 below two
  double queue_ms = 0;             ///< of ttft_ms, before the first row of the prompt was sent
  double decode_ms = 0;            ///< from the first token to the last
};

struct Completion {
  std::vector<u32> tokens;
  std::string text;
  std::vector<model::TokenScores> scores;        ///< of `tokens` but for an end, if they are wanted
  std::vector<model::TokenScores> prompt_scores; ///< of the prompt's from the second on, likewise
  std::vector<float> pooled;         ///< the embedding, or one score, if the request asks for it
  std::string ended_by;              ///< the stop string, if one ended it
  std::optional<u32> ended_by_token; ///< the one of stop_tokens, if one ended it
  FinishReason reason = FinishReason::stop;
  std::optional<Error> error; ///< set if reason is error
  Timings timings;
  u32 cached_tokens = 0; ///< of the prompt, which an earlier request of the same owner had computed
  u64 trace = 0;         ///< the request's name in traces and logs
};

/// Hears of one request while it runs; called on a thread of the engine, one call at a time.
class RequestSink {
public:
  virtual ~RequestSink() = default;
  /// One more token of the answer; before its text.
  virtual void token() {}
  /// The same token with its id and, if they are wanted, its scores (null if not); not for one that
  /// ends the answer and is no part of its text.
  virtual void chosen(u32 /*id*/, const model::TokenScores* /*scores*/) {}
  /// Text that became certain. That of all tokens of a
  /// round comes at once, so that calls do not tell how many guesses were right.
  virtual void text(std::string_view /*piece*/) {}
  /// Logits of positions start, start + 1, ... as asked for; in order.
  virtual void logits(u32 /*start*/, MatrixView<const float> /*rows*/) {}
  virtual void finished(Completion completion) = 0;
};

} // namespace talaria::pipeline
