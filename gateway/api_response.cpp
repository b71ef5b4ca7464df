#include "gateway/api_response.hpp"

#include <fmt/format.h>

#include <array>
#include <chrono>
#include <nlohmann/json.hpp>

#include "core/random.hpp"

namespace talaria::gateway {

using json = nlohmann::ordered_json;

namespace {

std::string random_id(const char* prefix) {
  std::array<u8, 16> bytes{};
  ChaChaRng::from_system().fill(bytes);
  std::string id = prefix;
  for (const u8 byte : bytes) id += fmt::format("{:02x}", byte);
  return id;
}

i64 seconds_since_1970() {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  return std::chrono::duration_cast<std::chrono::seconds>(now).count();
}

json head(const std::string& id, const char* object, i64 created, const std::string& model) {
  return {{"id", id}, {"object", object}, {"created", created}, {"model", model}};
}

json usage_json(Usage usage) {
  return {{"prompt_tokens", usage.prompt_tokens},
          {"completion_tokens", usage.completion_tokens},
          {"total_tokens", usage.prompt_tokens + usage.completion_tokens}};
}

std::string event(const json& object) {
  return "data: " + object.dump() + "\n\n";
}

json chat_choice(std::size_t index, json delta, json finish_reason) {
  return {{"index", index},
          {"delta", std::move(delta)},
          {"logprobs", nullptr},
          {"finish_reason", std::move(finish_reason)}};
}

json completion_choice(std::size_t index, std::string_view text, json finish_reason) {
  return {{"index", index},
          {"text", text},
          {"logprobs", nullptr},
          {"finish_reason", std::move(finish_reason)}};
}

json model_json(const std::string& model, u32 context, i64 created) {
  return {{"id", model},
          {"object", "model"},
          {"created", created},
          {"owned_by", "talaria"},
          {"max_model_len", context}};
}

} // namespace

ResponseFormat::ResponseFormat(bool chat, std::string model, bool include_usage)
    : chat_(chat), id_(random_id(chat ? "chatcmpl-" : "cmpl-")), model_(std::move(model)),
      created_(seconds_since_1970()), include_usage_(include_usage) {}

std::string ResponseFormat::whole(std::span<const pipeline::Completion> answers,
                                  Usage usage) const {
  json body = head(id_, chat_ ? "chat.completion" : "text_completion", created_, model_);
  json& choices = body["choices"] = json::array();
  for (std::size_t i = 0; i < answers.size(); ++i) {
    const char* reason = to_string(answers[i].reason);
    if (chat_)
      choices.push_back({{"index", i},
                         {"message", {{"role", "assistant"}, {"content", answers[i].text}}},
                         {"logprobs", nullptr},
                         {"finish_reason", reason}});
    else
      choices.push_back(completion_choice(i, answers[i].text, reason));
  }
  body["usage"] = usage_json(usage);
  return body.dump();
}

namespace {

std::string chunk(json body, json choice, bool include_usage) {
  body["choices"] = json::array({std::move(choice)});
  if (include_usage) body["usage"] = nullptr;
  return event(body);
}

constexpr const char* chunk_object(bool chat) {
  return chat ? "chat.completion.chunk" : "text_completion";
}

} // namespace

std::string ResponseFormat::opening(std::size_t index) const {
  if (!chat_) return {};
  return chunk(head(id_, chunk_object(chat_), created_, model_),
               chat_choice(index, {{"role", "assistant"}, {"content", ""}}, nullptr),
               include_usage_);
}

std::string ResponseFormat::text(std::size_t index, std::string_view piece) const {
  return chunk(head(id_, chunk_object(chat_), created_, model_),
               chat_ ? chat_choice(index, {{"content", piece}}, nullptr)
                     : completion_choice(index, piece, nullptr),
               include_usage_);
}

std::string ResponseFormat::ending(std::size_t index, pipeline::FinishReason reason) const {
  return chunk(head(id_, chunk_object(chat_), created_, model_),
               chat_ ? chat_choice(index, json::object(), to_string(reason))
                     : completion_choice(index, "", to_string(reason)),
               include_usage_);
}

std::string ResponseFormat::usage(Usage usage) const {
  if (!include_usage_) return {};
  json body = head(id_, chunk_object(chat_), created_, model_);
  body["choices"] = json::array();
  body["usage"] = usage_json(usage);
  return event(body);
}

std::string ResponseFormat::failure(const ApiError& error) {
  return "data: " + error.body() + "\n\n";
}

std::string model_body(const std::string& model, u32 context, i64 created) {
  return model_json(model, context, created).dump();
}

std::string models_body(const std::string& model, u32 context, i64 created) {
  const json body{{"object", "list"}, {"data", json::array({model_json(model, context, created)})}};
  return body.dump();
}

} // namespace talaria::gateway
