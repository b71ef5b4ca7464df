#pragma once

#include <functional>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "gateway/api_request.hpp"

namespace talaria::gateway {

/// A request being read.
struct Draft {
  const ApiDefaults& defaults;
  std::string_view body; ///< as it came
  ApiRequest request;
  std::optional<u32> max_tokens;
  std::optional<u32> max_completion_tokens;
  std::optional<u64> seed;
  std::optional<u32> top_logprobs;
  std::optional<u32> best_of;
  std::optional<bool> add_generation_prompt;
  bool wants_logprobs = false; ///< of a chat
  bool has_stream_options = false;
  bool chooses_no_tool = false;
  bool with_strings = false;
};

/// Puts a field that is not null into the draft. @throws ApiError naming it
using FieldReader =
    std::function<void(const std::string& field, const nlohmann::json& value, Draft& draft)>;
using FieldReaders = std::map<std::string, FieldReader, std::less<>>;

/// A field that asks for something only with other values than these, which it may not have because
/// of what `why` says ("... is not supported: <why>").
FieldReader only(std::vector<nlohmann::json> neutral, const std::string& why);

/// How tokens are chosen, and where an answer ends: both endpoints.
void add_sampling_fields(FieldReaders& readers);
/// What an answer holds beside its text: both endpoints.
void add_answer_fields(FieldReaders& readers);
/// Fields whose value changes nothing, and those that cannot be honoured: both endpoints.
void add_fields_without_effect(FieldReaders& readers);
/// What form an answer has to have: both endpoints.
void add_form_fields(FieldReaders& readers);
/// Tools, and what else a chat template takes.
void add_template_fields(FieldReaders& readers);

} // namespace talaria::gateway
