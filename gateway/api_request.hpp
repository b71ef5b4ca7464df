#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "core/integers.hpp"
#include "gateway/api_error.hpp"
#include "gateway/byte_budget.hpp"
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
};

/// max_tokens of a request that does not say: whatever the context holds.
inline constexpr u32 kRestOfContext = ~u32{0};

/// Text, or token ids.
using Prompt = std::variant<std::string, std::vector<u32>>;

/// One request to /v1/chat/completions (`messages`) or /v1/completions (`prompts`), validated.
struct ApiRequest {
  std::vector<model::ChatMessage> messages;
  std::vector<Prompt> prompts;
  u32 max_tokens = 0; ///< at least 1
  bool ignore_eos = false;
  model::SamplingParameters sampling;
  std::vector<std::string> stops;
  bool stream = false;
  bool include_usage = false;      ///< only with stream
  std::optional<bool> obfuscation; ///< whether events are filled up; nothing: the server decides

  /// Answers asked for.
  std::size_t answers() const { return messages.empty() ? prompts.size() : 1; }
};

/// The body of a request to /v1/chat/completions. Sampling fields that are absent take the model's
/// defaults; without a seed each request gets a random one. A field that is null counts as absent.
/// @throws ApiError 400 naming the first field that is unknown, not supported, or wrong; 404 for
/// another model's name.
ApiRequest parse_chat_request(std::string_view body, const ApiDefaults& defaults);

/// The same for /v1/completions.
ApiRequest parse_completion_request(std::string_view body, const ApiDefaults& defaults);

} // namespace talaria::gateway
