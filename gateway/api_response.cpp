#include "gateway/api_response.hpp"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "gateway/event_text.hpp"

namespace talaria::gateway {

using json = nlohmann::ordered_json;

namespace {

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
          {"completion_tokens_details", {{"reasoning_tokens", usage.reasoning_tokens}}}};
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
          {"max_model_len", context},
          // As Anthropic's API has it.
          {"type", "model"},
          {"display_name", model},
          {"created_at", fmt::format("{:%Y-%m-%dT%H:%M:%SZ}", fmt::gmtime(created))}};
}

/// As vLLM has it, with the digest of its files.
json adapter_json(const ServedAdapter& adapter, const std::string& model, u32 context,
                  i64 created) {
  json out = model_json(adapter.name, context, created);
  out["parent"] = model;
  out["sha256"] = to_hex(adapter.digest);
  return out;
}

json stream_choice(bool chat, std::size_t index, json delta, std::string_view text, json reason) {
  return chat ? chat_choice(index, std::move(delta), std::move(reason))
              : completion_choice(index, text, std::move(reason));
}

constexpr const char* kToolCalls = "tool_calls";
constexpr std::size_t kScoreRoom = 160; // for what most tokens' scores take

const char* end_reason(const AnswerEnd& end, bool calls) {
  const bool called = calls && end.reason == pipeline::FinishReason::stop;
  return called ? kToolCalls : to_string(end.reason);
}

} // namespace

ResponseFormat::ResponseFormat(ResponseShape given)
    : AnswerWriter(std::move(given)), logprobs_(shape().bytes, shape().tokens_as_ids),
      offsets_(shape().answers), calls_(shape().answers),
      id_(random_id(shape().chat ? "chatcmpl-" : "cmpl-")), created_(seconds_since_1970()),
      frame_(shape().room > 0) {
  if (shape().room > 0) frame_.set_common(common_size());
}

std::string ResponseFormat::whole(std::span<const WholeAnswer> answers, Usage usage) {
  json body = head(id_, shape().chat ? "chat.completion" : "text_completion", created_, shape());
  json& choices = body["choices"] = json::array();
  for (std::size_t i = 0; i < answers.size(); ++i) choices.push_back(choice_of(answers[i], i));
  if (shape().chat && answers[0].prompt_scores)
    body["prompt_logprobs"] = logprobs_.prompt(*answers[0].prompt_scores);
  if (shape().chat && shape().return_token_ids) body["prompt_token_ids"] = answers[0].prompt;
  body["usage"] = usage_json(usage);
  return whole_body(body.dump(), shape().room > 0);
}

json ResponseFormat::choice_of(const WholeAnswer& answer, std::size_t index) const {
  json choice{{"index", index}};
  if (shape().chat) {
    json& message =
        choice["message"] = {{"role", "assistant"}, {"content", answer.text}, {"refusal", nullptr}};
    if (!answer.reasoning.empty()) message["reasoning_content"] = answer.reasoning;
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
  choice["finish_reason"] = end_reason(answer.end, !answer.calls.empty());
  if (!answer.end.stopped_by.empty()) choice["stop_reason"] = answer.end.stopped_by;
  if (answer.end.stopped_by_token) choice["stop_reason"] = *answer.end.stopped_by_token;
  if (!shape().chat && answer.prompt_scores)
    choice["prompt_logprobs"] = logprobs_.prompt(*answer.prompt_scores);
  if (shape().return_token_ids) {
    if (!shape().chat) choice["prompt_token_ids"] = answer.prompt;
    choice["token_ids"] = answer.tokens;
  }
  return choice;
}

json ResponseFormat::scores_of(const WholeAnswer& answer) const {
  if (!answer.scores) return nullptr;
  if (shape().chat) return logprobs_.chat(*answer.scores);
  std::vector<model::TokenScores> all;
  std::span<const u32> unscored;
  if (shape().echo && answer.prompt_scores) {
    all = *answer.prompt_scores;
    unscored = std::span(answer.prompt).first(1);
  }
  all.insert(all.end(), answer.scores->begin(), answer.scores->end());
  std::size_t offset = 0;
  return logprobs_.completion(unscored, all, offset);
}

std::string ResponseFormat::chunk(const nlohmann::ordered_json& choice) const {
  json body =
      head(id_, shape().chat ? "chat.completion.chunk" : "text_completion", created_, shape());
  body["choices"] = json::array();
  if (!choice.is_null()) body["choices"].push_back(choice);
  if (shape().include_usage) body["usage"] = nullptr;
  return body.dump();
}

std::string ResponseFormat::opening_chunk(std::size_t index) const {
  return chunk(chat_choice(index, {{"role", "assistant"}, {"content", ""}}, nullptr));
}

std::string ResponseFormat::text_chunk(std::size_t index, std::string_view piece) const {
  return chunk(stream_choice(shape().chat, index, {{"content", piece}}, piece, nullptr));
}

std::string ResponseFormat::scored_chunk(std::size_t index, const AnswerPiece& piece) {
  json choice = stream_choice(shape().chat, index, {{"content", piece.text}}, piece.text, nullptr);
  choice["logprobs"] = shape().chat ? logprobs_.chat(piece.scores)
                                    : logprobs_.completion({}, piece.scores, offsets_[index]);
  return chunk(choice);
}

/// Its name first, then what it is called with.
std::string ResponseFormat::call_events(std::size_t index, const CallPiece& call) {
  if (call.begins) ++calls_[index];
  const std::size_t number = calls_[index] - 1;
  const auto delta = [&](json function, bool first) {
    json out{{"index", number}};
    if (first) out.update(json{{"id", call.id}, {"type", "function"}});
    out["function"] = std::move(function);
    return event(chunk(chat_choice(index, {{"tool_calls", json::array({out})}}, nullptr)));
  };
  std::string out;
  if (call.begins) out = delta({{"name", call.name}, {"arguments", ""}}, true);
  if (!call.arguments.empty()) out += delta({{"arguments", call.arguments}}, false);
  return out;
}

std::string ResponseFormat::ending_chunk(std::size_t index, const char* reason) const {
  return chunk(stream_choice(shape().chat, index, json::object(), "", reason));
}

std::string ResponseFormat::usage_chunk(Usage usage) const {
  json body = json::parse(chunk({}));
  body["usage"] = usage_json(usage);
  return body.dump();
}

/// What the largest of all events needs.
std::size_t ResponseFormat::common_size() const {
  const std::size_t last = shape().answers - 1;
  const auto least = [](const std::string& object) { return EventFrame::least_size({}, object); };
  // The name of its member is the longest that a piece of text can have.
  const std::string thought = chunk(chat_choice(last, {{"reasoning_content", ""}}, nullptr));
  std::size_t size = least(shape().chat ? thought : text_chunk(last, "")) + shape().room;
  if (shape().chat) size = std::max(size, least(opening_chunk(last)));
  size = std::max(size, least(ending_chunk(last, kToolCalls)));
  if (shape().logprobs) size += (1 + *shape().logprobs) * kScoreRoom;
  constexpr u64 kMany = 999'999'999;
  if (shape().include_usage)
    size = std::max(size, least(usage_chunk({kMany, kMany, kMany, kMany})));
  return size;
}

std::string ResponseFormat::opening(std::size_t index) {
  if (!shape().chat) return {};
  return event(opening_chunk(index));
}

std::string ResponseFormat::text(std::size_t index, std::string_view piece) {
  if (shape().room == 0) return event(text_chunk(index, piece));
  std::string events;
  do {
    const std::string_view part = first_that_fits(piece, shape().room);
    events += event(text_chunk(index, part));
    piece.remove_prefix(part.size());
  } while (!piece.empty());
  return events;
}

/// What the model thinks, as vLLM and DeepSeek have it.
std::string ResponseFormat::reasoning(std::size_t index, std::string_view thought) {
  std::string events;
  while (!thought.empty()) {
    const std::string_view part =
        shape().room == 0 ? thought : first_that_fits(thought, shape().room);
    events += event(chunk(chat_choice(index, {{"reasoning_content", part}}, nullptr)));
    thought.remove_prefix(part.size());
  }
  return events;
}

std::string ResponseFormat::piece(std::size_t index, const AnswerPiece& piece) {
  std::string events = reasoning(index, piece.reasoning);
  if (!piece.scores.empty())
    events += event(scored_chunk(index, piece));
  else if (!piece.text.empty() || (piece.calls.empty() && events.empty()))
    events += text(index, piece.text);
  for (const CallPiece& call : piece.calls) events += call_events(index, call);
  return events;
}

std::string ResponseFormat::ending(std::size_t index, const AnswerEnd& end) {
  return event(ending_chunk(index, end_reason(end, calls_[index] > 0)));
}

std::string ResponseFormat::usage(Usage usage) {
  if (!shape().include_usage) return {};
  return event(usage_chunk(usage));
}

std::string ResponseFormat::closing(Usage total) {
  return usage(total) + std::string(kDone);
}

std::string ResponseFormat::failure(const ApiError& error) {
  return event(error.body()) + std::string(kDone);
}

std::string model_body(const std::string& model, u32 context, i64 created) {
  return model_json(model, context, created).dump();
}

std::string adapter_body(const ServedAdapter& adapter, const std::string& model, u32 context,
                         i64 created) {
  return adapter_json(adapter, model, context, created).dump();
}

std::string models_body(const std::string& model, const ServedAdapters& adapters, u32 context,
                        i64 created) {
  json list = json::array({model_json(model, context, created)});
  for (const ServedAdapter& each : adapters.all())
    list.push_back(adapter_json(each, model, context, created));
  const json body{{"object", "list"},
                  {"data", list},
                  {"has_more", false},
                  {"first_id", model},
                  {"last_id", list.back().at("id")}};
  return body.dump();
}

} // namespace talaria::gateway
