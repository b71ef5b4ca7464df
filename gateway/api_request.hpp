#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "core/integers.hpp"
#include "gateway/api_error.hpp"
#include "gateway/byte_budget.hpp"
#include "gateway/dialect.hpp"
#include "gateway/served_adapters.hpp"
#include "model/chat_template.hpp"
#include "model/generation_config.hpp"
#include "model/sampler.hpp"

namespace talaria::gateway {

/// What an endpoint knows besides the request.
struct ApiDefaults {
  std::string model;                  ///< the served name
  model::GenerationConfig generation; ///< the model's own sampling defaults
  std::size_t prompts = 1;            ///< at most in one request
  ByteBudget* parsing = nullptr;      ///< for all bodies that are being read; null: no limit
  u32 drafts = 0;            ///< that the engine guesses in a round, and a request may ask for
  ServedAdapters adapters{}; ///< which a request may name as its model
};

/// max_tokens of a request that does not say: whatever the context holds.
inline constexpr u32 kRestOfContext = ~u32{0};

/// Text, or token ids.
using Prompt = std::variant<std::string, std::vector<u32>>;

/// What a request says of calls of tools.
struct ToolUse {
  bool expected = false; ///< the answer may hold calls, which are to be found in it
  bool parallel = true;  ///< several in one answer
};

/// What an answer has to be.
struct AnswerForm {
  enum class Kind : u8 { any, json_object, json_schema, regex, choice, grammar, calls };
  Kind kind = Kind::any;
  std::string field{}; ///< that asks for it
  std::string text{};  ///< a schema, an expression or a grammar; the tool to be called, if one
  std::vector<std::string> texts{}; ///< to choose from
};

/// What a request whose texts become vectors or scores says besides them.
struct PoolingUse {
  u32 dimensions = 0;  ///< of embeddings; 0: as many as there are
  bool base64 = false; ///< embeddings are written as base64 of little-endian fp32
  /// Of a request that compares texts: so many prompts are what they are compared with. One stands
  /// for all; otherwise as many follow, each with its own.
  std::size_t firsts = 0;
  std::size_t best = 0;       ///< only so many of the best are told; 0: all
  bool with_documents = true; ///< beside their scores
  std::string instruction{};  ///< for models that score by words; empty: the usual one
};

/// One request for answers in any dialect, validated: a conversation (`messages`, or in a chat one
/// prompt of ids in their place), or `prompts` of the others.
struct ApiRequest {
  Dialect dialect = Dialect::chat;
  std::string adapter; ///< named as the model; empty: none
  std::vector<model::ChatMessage> messages;
  std::vector<Prompt> prompts;
  model::ChatOptions chat;
  ToolUse tools;
  std::string reasoning_effort;           ///< for templates that take it; empty: not told
  std::optional<bool> add_special_tokens; ///< to the prompt; nothing: the endpoint's way
  u32 truncate = 0;         ///< the last so many tokens of the prompt are taken; 0: all
  bool drop_oldest = false; ///< messages that the context has no room for, instead of refusing them

  u32 max_tokens = 0; ///< 0 only for /v1/completions: nothing is generated
  bool ignore_eos = false;
  model::SamplingParameters sampling;
  std::vector<std::string> bad_words; ///< in the answer; what tokens they are is not known here
  std::vector<std::string> stops;
  std::vector<u32> stop_tokens;
  AnswerForm form;
  bool with_stop = false;
  bool skip_special = true;

  i64 priority = 0;   ///< lower ones first, among the requests of one client
  u32 choices = 1;    ///< answers to each prompt
  u32 best_of = 1;    ///< at least `choices`: as many are made, the likeliest are given
  bool echo = false;  ///< the prompt stands before the answer
  std::string suffix; ///< what stands behind the answer; of /v1/completions
  /// Scores of the answer's tokens, with so many of the likeliest others.
  std::optional<u32> logprobs;
  std::optional<u32> prompt_logprobs; ///< the same of the prompt's tokens
  bool tokens_as_ids = false;         ///< "token_id:7" in the place of a token's text there
  bool return_token_ids = false;      ///< beside the text

  std::optional<u32> drafts; ///< tokens to guess in each round; nothing: the server decides

  bool stream = false;
  bool include_usage = false;      ///< only with stream
  std::optional<bool> obfuscation; ///< whether events are filled up; nothing: the server decides
  /// Members of a JSON object that an answer of /v1/responses repeats, in one line.
  std::string repeated;

  PoolingUse pooling; ///< of dialects for which is_pooled()

  std::size_t prompt_count() const { return messages.empty() ? prompts.size() : 1; }
};

/// The body of a request to /v1/chat/completions. Sampling fields that are absent take the model's
/// defaults; without a seed each request gets a random one. A field that is null counts as absent.
/// @throws ApiError 400 naming the first field that is unknown, not supported, or wrong; 404 for
/// another model's name.
ApiRequest parse_chat_request(std::string_view body, const ApiDefaults& defaults);

/// The same for /v1/completions.
ApiRequest parse_completion_request(std::string_view body, const ApiDefaults& defaults);

/// The same for /v1/responses, of which nothing is stored.
ApiRequest parse_responses_request(std::string_view body, const ApiDefaults& defaults);

/// The same for /v1/messages.
/// @param counts  it is for /v1/messages/count_tokens: there is no answer, and max_tokens is not
/// needed
ApiRequest parse_messages_request(std::string_view body, const ApiDefaults& defaults,
                                  bool counts = false);

/// The same for /v1/embeddings, /v1/score and /v1/rerank, which have no parameters of sampling.
ApiRequest parse_pooling_request(Dialect dialect, std::string_view body,
                                 const ApiDefaults& defaults);

/// The one of these for a dialect.
ApiRequest parse_request(Dialect dialect, std::string_view body, const ApiDefaults& defaults);

/// A request to /tokenize: of either form, with what says how its prompt is made.
struct TokenizeRequest {
  ApiRequest prompt;
  bool with_strings = false;
};
TokenizeRequest parse_tokenize_request(std::string_view body, const ApiDefaults& defaults);
/// The ids in the body of a request to /detokenize.
std::vector<u32> parse_detokenize_request(std::string_view body, const ApiDefaults& defaults);

} // namespace talaria::gateway
