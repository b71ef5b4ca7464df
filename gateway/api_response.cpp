#include "gateway/api_response.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <nlohmann/json.hpp>

#include "core/random.hpp"
#include "gateway/event_text.hpp"

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

json head(const std::string& id, const char* object, i64 created, const ResponseShape& shape) {
  json out{{"id", id}, {"object", object}, {"created", created}, {"model", shape.model}};
  if (!shape.fingerprint.empty()) out["system_fingerprint"] = shape.fingerprint;
  return out;
}

json usage_json(Usage usage) {
  return {{"prompt_tokens", usage.prompt_tokens},
          {"completion_tokens", usage.completion_tokens},
          {"total_tokens", usage.prompt_tokens + usage.completion_tokens},
          {"prompt_tokens_details", {{"cached_tokens", usage.cached_tokens}}},
          {"completion_tokens_details", {{"reasoning_tokens", 0}}}};
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

json stream_choice(bool chat, std::size_t index, json delta, std::string_view text, json reason) {
  return chat ? chat_choice(index, std::move(delta), std::move(reason))
              : completion_choice(index, text, std::move(reason));
}

constexpr const char* kToolCalls = "tool_calls";
constexpr std::size_t kScoreRoom = 160; // for what most tokens' scores take
constexpr std::size_t kEventStep = 128; // sizes of events are multiples of this
constexpr std::string_view kEventStart = "data: ";
constexpr std::string_view kEventEnd = "\n\n";
constexpr std::string_view kFillerStart = R"(,"obfuscation":")";
constexpr std::string_view kFillerEnd = R"("})";

std::size_t up_to_multiple(std::size_t size, std::size_t step) {
  return (size + step - 1) / step * step;
}

/// Bytes of the event around `object`, with a filler of no characters.
std::size_t least_size(const std::string& object) {
  return kEventStart.size() + object.size() - 1 + kFillerStart.size() + kFillerEnd.size() +
         kEventEnd.size();
}

} // namespace

ResponseFormat::ResponseFormat(ResponseShape shape)
    : shape_(std::move(shape)), logprobs_(shape_.bytes, shape_.tokens_as_ids),
      offsets_(shape_.answers), calls_(shape_.answers),
      id_(random_id(shape_.chat ? "chatcmpl-" : "cmpl-")), created_(seconds_since_1970()) {
  if (shape_.room == 0) return;
  rng_ = ChaChaRng::from_system();
  event_size_ = common_size();
}

std::string ResponseFormat::whole(std::span<const WholeAnswer> answers, Usage usage) const {
  json body = head(id_, shape_.chat ? "chat.completion" : "text_completion", created_, shape_);
  json& choices = body["choices"] = json::array();
  for (std::size_t i = 0; i < answers.size(); ++i) choices.push_back(choice_of(answers[i], i));
  if (shape_.chat && answers[0].prompt_scores)
    body["prompt_logprobs"] = logprobs_.prompt(*answers[0].prompt_scores);
  if (shape_.chat && shape_.return_token_ids) body["prompt_token_ids"] = answers[0].prompt;
  body["usage"] = usage_json(usage);
  std::string out = body.dump();
  if (shape_.room > 0) out.resize(body_class(out.size()), ' '); // which JSON allows at its end
  return out;
}

json ResponseFormat::choice_of(const WholeAnswer& answer, std::size_t index) const {
  json choice{{"index", index}};
  if (shape_.chat) {
    json& message =
        choice["message"] = {{"role", "assistant"}, {"content", answer.text}, {"refusal", nullptr}};
    if (!answer.calls.empty()) {
      if (answer.text.empty()) message["content"] = nullptr;
      for (const ToolCall& call : answer.calls)
        message["tool_calls"].push_back(
            {{"id", call.id},
             {"type", "function"},
             {"function", {{"name", call.name}, {"arguments", call.arguments}}}});
    }
  } else {
    choice["text"] = answer.text;
  }
  choice["logprobs"] = scores_of(answer);
  choice["finish_reason"] = answer.reason;
  if (!answer.stopped_by.empty()) choice["stop_reason"] = answer.stopped_by;
  if (answer.stopped_by_token) choice["stop_reason"] = *answer.stopped_by_token;
  if (!shape_.chat && answer.prompt_scores)
    choice["prompt_logprobs"] = logprobs_.prompt(*answer.prompt_scores);
  if (shape_.return_token_ids) {
    if (!shape_.chat) choice["prompt_token_ids"] = answer.prompt;
    choice["token_ids"] = answer.tokens;
  }
  return choice;
}

json ResponseFormat::scores_of(const WholeAnswer& answer) const {
  if (!answer.scores) return nullptr;
  if (shape_.chat) return logprobs_.chat(*answer.scores);
  std::vector<model::TokenScores> all;
  std::span<const u32> unscored;
  if (shape_.echo && answer.prompt_scores) {
    all = *answer.prompt_scores;
    unscored = std::span(answer.prompt).first(1);
  }
  all.insert(all.end(), answer.scores->begin(), answer.scores->end());
  std::size_t offset = 0;
  return logprobs_.completion(unscored, all, offset);
}

/// An event of the common size around `object`, a JSON object that is not empty.
std::string ResponseFormat::event(const std::string& object) {
  std::string out(kEventStart);
  out += object;
  if (event_size_ > 0) {
    out.pop_back(); // its closing brace
    out += kFillerStart;
    const std::size_t least = least_size(object);
    out += filler(up_to_multiple(std::max(least, event_size_), event_size_) - least);
    out += kFillerEnd;
  }
  out += kEventEnd;
  return out;
}

/// Random, so that nothing on the way can compress it better than it does text.
std::string ResponseFormat::filler(std::size_t size) {
  constexpr std::string_view kCharacters =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
  std::string out(size, '\0');
  rng_->fill({reinterpret_cast<u8*>(out.data()), out.size()});
  for (char& each : out) each = kCharacters[static_cast<u8>(each) % kCharacters.size()];
  return out;
}

std::string ResponseFormat::chunk(const nlohmann::ordered_json& choice) const {
  json body =
      head(id_, shape_.chat ? "chat.completion.chunk" : "text_completion", created_, shape_);
  body["choices"] = json::array();
  if (!choice.is_null()) body["choices"].push_back(choice);
  if (shape_.include_usage) body["usage"] = nullptr;
  return body.dump();
}

std::string ResponseFormat::opening_chunk(std::size_t index) const {
  return chunk(chat_choice(index, {{"role", "assistant"}, {"content", ""}}, nullptr));
}

std::string ResponseFormat::text_chunk(std::size_t index, std::string_view piece) const {
  return chunk(stream_choice(shape_.chat, index, {{"content", piece}}, piece, nullptr));
}

std::string ResponseFormat::scored_chunk(std::size_t index, const AnswerPiece& piece) {
  json choice = stream_choice(shape_.chat, index, {{"content", piece.text}}, piece.text, nullptr);
  choice["logprobs"] = shape_.chat ? logprobs_.chat(piece.scores)
                                   : logprobs_.completion({}, piece.scores, offsets_[index]);
  return chunk(choice);
}

/// Its name first, then what it is called with.
std::string ResponseFormat::call_events(std::size_t index, const ToolCall& call) {
  const std::size_t number = calls_[index]++;
  const auto delta = [&](json function, bool first) {
    json out{{"index", number}};
    if (first) out.update(json{{"id", call.id}, {"type", "function"}});
    out["function"] = std::move(function);
    return event(chunk(chat_choice(index, {{"tool_calls", json::array({out})}}, nullptr)));
  };
  std::string out = delta({{"name", call.name}, {"arguments", ""}}, true);
  return out + delta({{"arguments", call.arguments}}, false);
}

std::string ResponseFormat::ending_chunk(std::size_t index, const char* reason) const {
  return chunk(stream_choice(shape_.chat, index, json::object(), "", reason));
}

std::string ResponseFormat::usage_chunk(Usage usage) const {
  json body = json::parse(chunk({}));
  body["usage"] = usage_json(usage);
  return body.dump();
}

/// What the largest of all events needs.
std::size_t ResponseFormat::common_size() const {
  const std::size_t last = shape_.answers - 1;
  std::size_t size = least_size(text_chunk(last, "")) + shape_.room;
  if (shape_.chat) size = std::max(size, least_size(opening_chunk(last)));
  size = std::max(size, least_size(ending_chunk(last, kToolCalls)));
  if (shape_.logprobs) size += (1 + *shape_.logprobs) * kScoreRoom;
  constexpr u64 kMany = 999'999'999;
  if (shape_.include_usage) size = std::max(size, least_size(usage_chunk({kMany, kMany})));
  return up_to_multiple(size, kEventStep);
}

std::string ResponseFormat::opening(std::size_t index) {
  if (!shape_.chat) return {};
  return event(opening_chunk(index));
}

std::string ResponseFormat::text(std::size_t index, std::string_view piece) {
  if (shape_.room == 0) return event(text_chunk(index, piece));
  std::string events;
  do {
    const std::string_view part = first_that_fits(piece, shape_.room);
    events += event(text_chunk(index, part));
    piece.remove_prefix(part.size());
  } while (!piece.empty());
  return events;
}

std::string ResponseFormat::piece(std::size_t index, const AnswerPiece& piece) {
  std::string events;
  if (!piece.scores.empty())
    events = event(scored_chunk(index, piece));
  else if (!piece.text.empty() || piece.calls.empty())
    events = text(index, piece.text);
  for (const ToolCall& call : piece.calls) events += call_events(index, call);
  return events;
}

std::string ResponseFormat::ending(std::size_t index, pipeline::FinishReason reason) {
  const bool calls = calls_[index] > 0 && reason == pipeline::FinishReason::stop;
  return event(ending_chunk(index, calls ? kToolCalls : to_string(reason)));
}

std::string ResponseFormat::usage(Usage usage) {
  if (!shape_.include_usage) return {};
  return event(usage_chunk(usage));
}

std::string ResponseFormat::failure(const ApiError& error) {
  return event(error.body());
}

std::string model_body(const std::string& model, u32 context, i64 created) {
  return model_json(model, context, created).dump();
}

std::string models_body(const std::string& model, u32 context, i64 created) {
  const json body{{"object", "list"}, {"data", json::array({model_json(model, context, created)})}};
  return body.dump();
}

} // namespace talaria::gateway
