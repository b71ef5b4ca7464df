#pragma once

#include "core/integers.hpp"

namespace talaria::gateway {

/// The languages in which clients ask for answers. Each has one reader, which makes an ApiRequest
/// of a body, and one AnswerWriter; what lies between knows none of them.
enum class Dialect : u8 {
  chat,        ///< OpenAI's /v1/chat/completions
  completions, ///< OpenAI's /v1/completions
  responses,   ///< OpenAI's /v1/responses
  messages,    ///< Anthropic's /v1/messages
  embeddings,  ///< OpenAI's /v1/embeddings
  score,       ///< vLLM's /v1/score
  rerank,      ///< Jina's and Cohere's /v1/rerank
};

/// Whether what is asked for is no text: embeddings, or what is said of texts by comparing them.
constexpr bool is_pooled(Dialect dialect) noexcept {
  return dialect == Dialect::embeddings || dialect == Dialect::score || dialect == Dialect::rerank;
}

/// Where requests in a dialect are sent.
constexpr const char* endpoint_of(Dialect dialect) noexcept {
  switch (dialect) {
  case Dialect::chat:
    return "/v1/chat/completions";
  case Dialect::completions:
    return "/v1/completions";
  case Dialect::responses:
    return "/v1/responses";
  case Dialect::messages:
    return "/v1/messages";
  case Dialect::embeddings:
    return "/v1/embeddings";
  case Dialect::score:
    return "/v1/score";
  case Dialect::rerank:
    return "/v1/rerank";
  }
  return "";
}

/// The field of a request that its prompt comes from.
constexpr const char* prompt_field(Dialect dialect) noexcept {
  switch (dialect) {
  case Dialect::completions:
    return "prompt";
  case Dialect::responses:
  case Dialect::embeddings:
    return "input";
  case Dialect::score:
    return "text_2";
  case Dialect::rerank:
    return "documents";
  default:
    return "messages";
  }
}

} // namespace talaria::gateway
