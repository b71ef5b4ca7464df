#include "connect/tokens/prompt_tokens.hpp"

#include <nlohmann/json.hpp>

#include "gateway/chat_prompt.hpp"
#include "gateway/middle_prompt.hpp"
#include "model/weights/gguf_model.hpp"

namespace talaria::connect {

namespace {

using Json = nlohmann::ordered_json;
using gateway::ApiError;

constexpr std::size_t kMostPrompts = std::size_t{1} << 20;

/// Which model is asked for is the server's business.
gateway::ApiDefaults defaults_for(const Json& object) {
  gateway::ApiDefaults defaults;
  defaults.prompts = kMostPrompts;
  const auto name = object.find("model");
  if (name != object.end() && name->is_string()) defaults.model = name->get<std::string>();
  return defaults;
}

Json object_of(const std::string& body) {
  Json object = Json::parse(body, nullptr, /*allow_exceptions=*/false);
  if (!object.is_object()) throw ApiError(400, "the body must be a JSON object");
  return object;
}

/// An error about a text that is no path or file of ours is the client's.
template <class Make>
std::vector<u32> tokens_or_refuse(const char* field, const Make& make) {
  try {
    return make();
  } catch (const Error& error) {
    if (error.code() == Errc::usage) throw gateway::bad_field(field, error.what());
    throw;
  }
}

std::optional<model::ChatEncoder> encoder_of(const model::TextFiles& files,
                                             const model::Tokenizer& tokenizer) {
  auto chat = model::ChatTemplate::load(files);
  if (!chat) return std::nullopt;
  chat->set_clock(model::ChatClock::parse("today", "chat.date"));
  return model::ChatEncoder(std::move(*chat), tokenizer, /*allow_special=*/false);
}

} // namespace

PromptTokens::PromptTokens(const std::filesystem::path& model)
    : tokenizer_(model::Tokenizer::load(model::model_texts(model))),
      chat_(encoder_of(model::model_texts(model), tokenizer_)) {}

std::string PromptTokens::rewritten(std::string_view path, const std::string& body) const {
  if (path == "/v1/chat/completions") return chat(body);
  if (path == "/v1/completions") return completion(body);
  if (path == "/detokenize") return body;
  throw ApiError(400,
                 "nothing was sent: with --tokenize, text leaves this machine by "
                 "/v1/chat/completions and /v1/completions alone, as token ids",
                 {}, "not_tokenized");
}

std::string PromptTokens::chat(const std::string& body) const {
  Json object = object_of(body);
  gateway::ApiRequest request = gateway::parse_chat_request(body, defaults_for(object));
  if (request.messages.empty()) return body;
  if (!chat_) throw gateway::bad_field("messages", "the model has no chat template");
  const auto ids = tokens_or_refuse("messages", [&] {
    return gateway::chat_tokens(request, *chat_, model::Tokenizer::no_bound);
  });
  for (const char* field : {"messages", "documents", "chat_template_kwargs", "reasoning_effort",
                            "add_generation_prompt", "continue_final_message"})
    object.erase(field);
  object["prompt_token_ids"] = ids;
  return object.dump();
}

std::string PromptTokens::completion(const std::string& body) const {
  Json object = object_of(body);
  const gateway::ApiRequest request = gateway::parse_completion_request(body, defaults_for(object));
  const auto middle = gateway::MiddlePrompt::of(tokenizer_);
  if (!request.suffix.empty() && !middle)
    throw gateway::bad_field("suffix", "suffix is not supported: the model's tokenizer has no "
                                       "tokens for filling in a middle");
  object.erase("suffix"); // it becomes a part of the ids
  Json prompts = Json::array();
  for (const gateway::Prompt& prompt : request.prompts) {
    if (const auto* ids = std::get_if<std::vector<u32>>(&prompt)) {
      if (!request.suffix.empty())
        throw gateway::bad_field("suffix", "suffix needs a prompt that is text");
      prompts.push_back(*ids);
      continue;
    }
    const std::string& text = std::get<std::string>(prompt);
    const bool special = request.add_special_tokens.value_or(true);
    prompts.push_back(tokens_or_refuse("prompt", [&] {
      return request.suffix.empty()
                 ? tokenizer_.encode(text, special)
                 : middle->encode(text, request.suffix, special, model::Tokenizer::no_bound);
    }));
  }
  object["prompt"] = prompts.size() == 1 ? prompts[0] : prompts;
  return object.dump();
}

} // namespace talaria::connect
