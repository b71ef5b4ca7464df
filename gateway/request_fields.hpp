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
  std::optional<std::vector<std::string>> allowed_tools{}; ///< others are as if they were not sent
  bool with_strings = false;
  std::optional<u32> ignored{};            ///< a number that changes nothing
  std::vector<std::string> first_texts{};  ///< of a request that compares them
  std::vector<std::string> second_texts{}; ///< with these
  std::string system{}; ///< what stands before all messages; of dialects with a field for it
};

/// Puts a field that is not null into the draft. @throws ApiError naming it
using FieldReader =
    std::function<void(const std::string& field, const nlohmann::json& value, Draft& draft)>;
using FieldReaders = std::map<std::string, FieldReader, std::less<>>;

/// A field that asks for something only with other values than these, which it may not have because
/// of what `why` says ("... is not supported: <why>").
FieldReader only(std::vector<nlohmann::json> neutral, const std::string& why);

/// The model's name: a 404 if it is another one.
void read_model(const std::string& field, const nlohmann::json& value, Draft& draft);
/// Prompts: a string, token ids, or a list of strings or of lists of token ids.
void read_prompt(const std::string& field, const nlohmann::json& value, Draft& draft);
/// Into a member of the draft, from `least` on.
FieldReader token_count(std::optional<u32> Draft::*member, u32 least);
/// `stream`.
void read_stream(const std::string& field, const nlohmann::json& value, Draft& draft);
/// `stream_options`.
void read_stream_options(const std::string& field, const nlohmann::json& value, Draft& draft);
/// Text, or a list of parts of the types given, each with a `text`; their texts, one a line.
std::string joined_texts(const std::string& field, const nlohmann::json& value,
                         const std::vector<std::string_view>& types);
/// All fields of a body, and what they say together. The body's memory counts against the budget
/// while it is read.
/// @param default_tokens  max_tokens of a request that does not say
Draft read_draft(std::string_view body, const ApiDefaults& defaults, const FieldReaders& readers,
                 u32 default_tokens);
/// Puts draft.system before the messages, or before the text of a first one of the system.
void prepend_system(Draft& draft);

/// Definitions of tools whose fields stand side by side, as all dialects but a chat's have them:
/// into the form that templates take.
struct FlatTools {
  const char* schema;                           ///< the field that holds the arguments' schema
  std::vector<std::string_view> types;          ///< that are served; "": none is told
  std::vector<std::string_view> without_effect; ///< fields that change nothing
};
void read_flat_tools(const std::string& field, const nlohmann::json& value, const FlatTools& form,
                     Draft& draft);
/// A grammar makes the model call a tool. @param name  which one; empty: any
void force_call(const std::string& field, const std::string& name, Draft& draft);
/// {"mode": auto or required, "tools": [...]}: the tools that may be called.
/// @param name_of  the name of one of them
void allow_tools(
    const std::string& field, const nlohmann::json& choice,
    const std::function<std::string(const std::string& path, const nlohmann::json&)>& name_of,
    Draft& draft);
/// What form answers have. @throws ApiError if another field has said so
AnswerForm& new_form(const std::string& field, AnswerForm::Kind kind, Draft& draft);
/// A schema as it is written, or the text of one. @param raw  its text
void read_schema(const std::string& field, const nlohmann::json& value, std::string_view raw,
                 Draft& draft);

/// How many of the likeliest tokens are asked for.
u32 top_scores_of(const std::string& field, const nlohmann::json& value);
/// A text that ends an answer.
std::string stop_string_of(const std::string& field, const nlohmann::json& value);

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
