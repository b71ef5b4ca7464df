#include "gateway/messages_writer.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "gateway/event_text.hpp"

namespace talaria::gateway {

using json = nlohmann::ordered_json;

namespace {

constexpr std::size_t kRoomOfIndex = 8; // for larger ones than the first event has

/// Tokens that came from the cache are none of the input here.
json usage_of_message(const Usage& usage) {
  return {{"input_tokens", usage.prompt_tokens - usage.cached_tokens},
          {"cache_creation_input_tokens", 0},
          {"cache_read_input_tokens", usage.cached_tokens},
          {"output_tokens", usage.completion_tokens}};
}

json text_or_null(const std::string& text) {
  if (text.empty()) return nullptr;
  return text;
}

json tool_use(const std::string& id, const std::string& name, json input) {
  return {{"type", "tool_use"}, {"id", id}, {"name", name}, {"input", std::move(input)}};
}

/// Arguments that were cut off are none that a client could use.
json input_of(const ToolCall& call) {
  json input = json::parse(call.arguments, nullptr, /*allow_exceptions=*/false);
  return input.is_object() ? input : json::object();
}

} // namespace

const char* stop_reason(const AnswerEnd& end, bool uses_tools) {
  if (end.is_cut()) return "max_tokens";
  if (!end.stopped_by.empty()) return "stop_sequence";
  return uses_tools ? "tool_use" : "end_turn";
}

MessagesWriter::MessagesWriter(ResponseShape given)
    : AnswerWriter(std::move(given)), id_(random_id("msg_")), frame_(shape().room > 0) {
  if (shape().room == 0) return;
  constexpr u64 kMany = 999'999'999;
  // The largest of the events that come while the text of an answer does, and of the last ones.
  open_ = Open::thinking; // whose members have the longest names
  std::size_t size = text_delta({}).size() + shape().room;
  size = std::max(size, open_block(Open::thinking).size());
  size = std::max(size, last_delta({2 * kMany, kMany, kMany}).size());
  frame_.set_common(EventFrame::least_size({}, "{}") + size + kRoomOfIndex);
  open_ = Open::nothing;
  blocks_ = 0;
}

json MessagesWriter::message(Usage usage) const {
  json out{{"id", id_},
           {"type", "message"},
           {"role", "assistant"},
           {"model", shape().model},
           {"content", json::array()},
           {"stop_reason", nullptr},
           {"stop_sequence", nullptr},
           {"usage", usage_of_message(usage)}};
  if (!shape().fingerprint.empty()) out["system_fingerprint"] = shape().fingerprint;
  return out;
}

std::string MessagesWriter::whole(std::span<const WholeAnswer> answers, Usage usage) {
  const WholeAnswer& answer = answers.front();
  json out = message(usage);
  if (!answer.reasoning.empty())
    out["content"].push_back(
        {{"type", "thinking"}, {"thinking", answer.reasoning}, {"signature", ""}});
  if (!answer.text.empty()) out["content"].push_back({{"type", "text"}, {"text", answer.text}});
  for (const ToolCall& call : answer.calls)
    out["content"].push_back(tool_use(call.id, call.name, input_of(call)));
  out["stop_reason"] = stop_reason(answer.end, !answer.calls.empty());
  out["stop_sequence"] = text_or_null(answer.end.stopped_by);
  return whole_body(out.dump(), shape().room > 0);
}

std::string MessagesWriter::event(const char* name, json members) {
  json object{{"type", name}};
  object.update(members);
  return frame_.event(name, object.dump());
}

std::string MessagesWriter::opening(std::size_t) {
  // What came from the cache is known at the end.
  std::string events =
      event("message_start", {{"message", message({shape().prompt_tokens, 0, 0})}});
  if (shape().paced)
    events += open_block(Open::text); // so that the events to come are like each other
  return events;
}

std::string MessagesWriter::open_block(Open kind) {
  open_ = kind;
  const json block = kind == Open::thinking
                         ? json{{"type", "thinking"}, {"thinking", ""}, {"signature", ""}}
                         : json{{"type", "text"}, {"text", ""}};
  return event("content_block_start", {{"index", blocks_++}, {"content_block", block}});
}

/// Of the block that is open.
std::string MessagesWriter::text_delta(std::string_view text) {
  const json delta = open_ == Open::thinking ? json{{"type", "thinking_delta"}, {"thinking", text}}
                                             : json{{"type", "text_delta"}, {"text", text}};
  return event("content_block_delta", {{"index", blocks_ - 1}, {"delta", delta}});
}

std::string MessagesWriter::text_events(Open kind, std::string_view text) {
  std::string events;
  if (open_ != kind) {
    events = close_block();
    events += open_block(kind);
  }
  do {
    const std::string_view part = shape().room == 0 ? text : first_that_fits(text, shape().room);
    events += text_delta(part);
    text.remove_prefix(part.size());
  } while (!text.empty());
  return events;
}

std::string MessagesWriter::arguments_delta(std::string_view part) {
  return event(
      "content_block_delta",
      {{"index", blocks_ - 1}, {"delta", {{"type", "input_json_delta"}, {"partial_json", part}}}});
}

std::string MessagesWriter::tool_events(const CallPiece& call) {
  std::string events;
  if (call.begins) {
    events = close_block();
    open_ = Open::tool;
    uses_tools_ = true;
    events += event(
        "content_block_start",
        {{"index", blocks_++}, {"content_block", tool_use(call.id, call.name, json::object())}});
  }
  if (!call.arguments.empty()) events += arguments_delta(call.arguments);
  if (call.ends) events += close_block();
  return events;
}

std::string MessagesWriter::close_block() {
  if (std::exchange(open_, Open::nothing) == Open::nothing) return {};
  return event("content_block_stop", {{"index", blocks_ - 1}});
}

std::string MessagesWriter::piece(std::size_t, const AnswerPiece& piece) {
  std::string events;
  if (!piece.reasoning.empty()) events = text_events(Open::thinking, piece.reasoning);
  if (!piece.text.empty()) events += text_events(Open::text, piece.text);
  for (const CallPiece& call : piece.calls) events += tool_events(call);
  if (!events.empty()) return events;
  // An event without text, of what is open.
  if (open_ == Open::nothing) return text_events(Open::text, {});
  return open_ == Open::tool ? arguments_delta({}) : text_delta({});
}

std::string MessagesWriter::ending(std::size_t, const AnswerEnd& end) {
  end_ = end;
  return close_block();
}

std::string MessagesWriter::last_delta(Usage usage) {
  return event("message_delta", {{"delta",
                                  {{"stop_reason", stop_reason(end_, uses_tools_)},
                                   {"stop_sequence", text_or_null(end_.stopped_by)}}},
                                 {"usage", usage_of_message(usage)}});
}

std::string MessagesWriter::closing(Usage usage) {
  return last_delta(usage) + event("message_stop", json::object());
}

std::string MessagesWriter::failure(const ApiError& error) {
  return frame_.event("error", error.body(ErrorShape::anthropic, shape().trace));
}

std::string_view MessagesWriter::waiting() const {
  return "event: ping\ndata: {\"type\":\"ping\"}\n\n";
}

} // namespace talaria::gateway
