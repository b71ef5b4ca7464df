#include "gateway/responses_writer.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "gateway/event_text.hpp"

namespace talaria::gateway {

using json = nlohmann::ordered_json;

namespace {

constexpr std::size_t kRoomOfScore = 160;  // for what most tokens' scores take
constexpr std::size_t kRoomOfNumbers = 16; // for larger ones than the first event has

json usage_of_response(const Usage& usage) {
  return {{"input_tokens", usage.prompt_tokens},
          {"input_tokens_details", {{"cached_tokens", usage.cached_tokens}}},
          {"output_tokens", usage.completion_tokens},
          {"output_tokens_details", {{"reasoning_tokens", usage.reasoning_tokens}}},
          {"total_tokens", usage.prompt_tokens + usage.completion_tokens}};
}

} // namespace

ResponsesWriter::ResponsesWriter(ResponseShape given)
    : AnswerWriter(std::move(given)), logprobs_(shape().bytes, shape().tokens_as_ids),
      id_(random_id("resp_")), created_(seconds_since_1970()), frame_(shape().room > 0) {
  if (shape().room == 0) return;
  // The largest of the events that come while the text of an answer does.
  add_item(Kind::message);
  const std::size_t score_room = shape().logprobs ? (1 + *shape().logprobs) * kRoomOfScore : 0;
  std::size_t size = delta_event({}, {}).size() + shape().room + score_room;
  size = std::max(size, event("response.content_part.added", place(true)).size());
  size = std::max(size, event("response.output_item.added",
                              {{"output_index", 0}, {"item", item_json(items_[0])}})
                            .size());
  frame_.set_common(EventFrame::least_size({}, "{}") + size + kRoomOfNumbers);
  items_.clear();
  events_ = 0;
}

void ResponsesWriter::add_item(Kind kind, ToolCall call) {
  constexpr const char* kPrefix[] = {"msg_", "fc_", "rs_"};
  Item item;
  item.kind = kind;
  item.id = random_id(kPrefix[static_cast<std::size_t>(kind)]);
  item.call = std::move(call);
  items_.push_back(std::move(item));
}

json ResponsesWriter::scores_json(std::span<const model::TokenScores> scores) const {
  if (!shape().logprobs) return json::array();
  return logprobs_.chat(scores)["content"];
}

json ResponsesWriter::text_part(const Item& item) const {
  if (item.kind == Kind::reasoning) return {{"type", "reasoning_text"}, {"text", item.text}};
  return {{"type", "output_text"},
          {"text", item.text},
          {"annotations", json::array()},
          {"logprobs", scores_json(item.scores)}};
}

json ResponsesWriter::item_json(const Item& item) const {
  constexpr const char* kType[] = {"message", "function_call", "reasoning"};
  const bool is_cut = end_.is_cut() && &item == &items_.back();
  json out{{"id", item.id},
           {"type", kType[static_cast<std::size_t>(item.kind)]},
           {"status", !item.done ? "in_progress"
                      : is_cut   ? "incomplete"
                                 : "completed"}};
  if (item.kind == Kind::call) {
    out["call_id"] = item.call.id;
    out["name"] = item.call.name;
    out["arguments"] = item.call.arguments;
    return out;
  }
  if (item.kind == Kind::reasoning)
    out["summary"] = json::array();
  else
    out["role"] = "assistant";
  out["content"] = json::array();
  if (item.done) out["content"].push_back(text_part(item));
  return out;
}

/// The object that all answers and the first and last events hold.
std::string ResponsesWriter::response(Status status, const json& error, const Usage* usage) const {
  constexpr const char* kStatus[] = {"in_progress", "completed", "incomplete", "failed"};
  json incomplete = nullptr;
  if (status == Status::incomplete) incomplete = {{"reason", "max_output_tokens"}};
  json head{{"id", id_},
            {"object", "response"},
            {"created_at", created_},
            {"status", kStatus[static_cast<std::size_t>(status)]},
            {"error", error},
            {"incomplete_details", incomplete},
            {"model", shape().model}};
  if (!shape().fingerprint.empty()) head["system_fingerprint"] = shape().fingerprint;
  json output = json::array();
  if (status != Status::in_progress)
    for (const Item& item : items_) output.push_back(item_json(item));
  const json counts = usage == nullptr ? json() : usage_of_response(*usage);
  std::string out = head.dump();
  out.pop_back();
  if (!shape().repeated.empty()) out += "," + shape().repeated;
  return out + fmt::format(R"(,"output":{},"usage":{}}})", output.dump(), counts.dump());
}

std::string ResponsesWriter::whole(std::span<const WholeAnswer> answers, Usage usage) {
  const WholeAnswer& answer = answers.front();
  end_ = answer.end;
  if (!answer.reasoning.empty()) {
    add_item(Kind::reasoning);
    items_.back().text = answer.reasoning;
  }
  if (!answer.text.empty() || answer.calls.empty()) {
    add_item(Kind::message);
    items_.back().text = answer.text;
    if (answer.scores) items_.back().scores = *answer.scores;
  }
  for (const ToolCall& call : answer.calls) add_item(Kind::call, call);
  for (Item& item : items_) item.done = true;
  return whole_body(
      response(end_.is_cut() ? Status::incomplete : Status::completed, nullptr, &usage),
      shape().room > 0);
}

std::string ResponsesWriter::event(const char* name, json members, bool large) {
  json object{{"type", name}, {"sequence_number", events_++}};
  object.update(members);
  return large ? frame_.large_event(name, object.dump()) : frame_.event(name, object.dump());
}

std::string ResponsesWriter::status_event(const char* name, Status status, const json& error,
                                          const Usage* usage) {
  std::string object = fmt::format(R"({{"type":"{}","sequence_number":{},"response":{}}})", name,
                                   events_++, response(status, error, usage));
  return frame_.large_event(name, std::move(object));
}

json ResponsesWriter::place(bool in_part) const {
  json out{{"item_id", items_.back().id}, {"output_index", items_.size() - 1}};
  if (in_part) out["content_index"] = 0;
  return out;
}

std::string ResponsesWriter::opening(std::size_t) {
  std::string events = status_event("response.created", Status::in_progress, nullptr, nullptr);
  events += status_event("response.in_progress", Status::in_progress, nullptr, nullptr);
  if (shape().paced)
    events += open_text(Kind::message); // so that the events to come are like each other
  return events;
}

std::string ResponsesWriter::open_text(Kind kind) {
  add_item(kind);
  std::string events = event("response.output_item.added", {{"output_index", items_.size() - 1},
                                                            {"item", item_json(items_.back())}});
  json part = place(true);
  part["part"] = text_part(items_.back());
  return events + event("response.content_part.added", std::move(part));
}

std::string ResponsesWriter::delta_event(std::string_view text,
                                         std::span<const model::TokenScores> scores) {
  json delta = place(true);
  delta["delta"] = text;
  if (items_.back().kind == Kind::reasoning)
    return event("response.reasoning_text.delta", std::move(delta));
  delta["logprobs"] = scores_json(scores);
  return event("response.output_text.delta", std::move(delta));
}

std::string ResponsesWriter::text_events(Kind kind, std::string_view text,
                                         std::span<const model::TokenScores> scores) {
  std::string events;
  if (is_open() && items_.back().kind != kind) events = close_item();
  if (!is_open()) events += open_text(kind);
  Item& item = items_.back();
  item.text += text;
  item.scores.insert(item.scores.end(), scores.begin(), scores.end());
  do {
    const std::string_view part =
        shape().room == 0 || !scores.empty() ? text : first_that_fits(text, shape().room);
    events += delta_event(part, scores);
    text.remove_prefix(part.size());
  } while (!text.empty());
  return events;
}

std::string ResponsesWriter::call_events(const CallPiece& call) {
  std::string events;
  if (call.begins) {
    events += close_item();
    add_item(Kind::call, {call.id, call.name, {}});
    events += event("response.output_item.added",
                    {{"output_index", items_.size() - 1}, {"item", item_json(items_.back())}});
  }
  if (!call.arguments.empty()) {
    items_.back().call.arguments += call.arguments;
    events += arguments_event(call.arguments);
  }
  if (call.ends) events += close_item();
  return events;
}

std::string ResponsesWriter::piece(std::size_t, const AnswerPiece& piece) {
  std::string events;
  if (!piece.reasoning.empty()) events = text_events(Kind::reasoning, piece.reasoning, {});
  if (!piece.text.empty() || !piece.scores.empty())
    events += text_events(Kind::message, piece.text, piece.scores);
  for (const CallPiece& call : piece.calls) events += call_events(call);
  if (!events.empty()) return events;
  // An event without text, of what is open.
  if (!is_open()) return text_events(Kind::message, {}, {});
  return items_.back().kind == Kind::call ? arguments_event({}) : delta_event({}, {});
}

std::string ResponsesWriter::arguments_event(std::string_view part) {
  json delta = place(false);
  delta["delta"] = part;
  return event("response.function_call_arguments.delta", std::move(delta));
}

/// What says that the last item is whole, and repeats it.
std::string ResponsesWriter::close_item() {
  if (!is_open()) return {};
  Item& item = items_.back();
  item.done = true;
  std::string events;
  if (item.kind == Kind::call) {
    json done = place(false);
    done["name"] = item.call.name;
    done["arguments"] = item.call.arguments;
    events = event("response.function_call_arguments.done", std::move(done), true);
  } else {
    const bool is_reasoning = item.kind == Kind::reasoning;
    json text = place(true);
    text["text"] = item.text;
    if (!is_reasoning) text["logprobs"] = scores_json(item.scores);
    events = event(is_reasoning ? "response.reasoning_text.done" : "response.output_text.done",
                   std::move(text), true);
    json part = place(true);
    part["part"] = text_part(item);
    events += event("response.content_part.done", std::move(part), true);
  }
  return events + event("response.output_item.done",
                        {{"output_index", items_.size() - 1}, {"item", item_json(item)}}, true);
}

std::string ResponsesWriter::ending(std::size_t, const AnswerEnd& end) {
  end_ = end;
  std::string events;
  if (items_.empty()) events = open_text(Kind::message);
  return events + close_item();
}

std::string ResponsesWriter::closing(Usage usage) {
  return end_.is_cut() ? status_event("response.incomplete", Status::incomplete, nullptr, &usage)
                       : status_event("response.completed", Status::completed, nullptr, &usage);
}

std::string ResponsesWriter::failure(const ApiError& error) {
  const std::string code = error.code().empty() ? "server_error" : error.code();
  std::string events =
      event("error", {{"code", code}, {"message", error.what()}, {"param", nullptr}});
  return events + status_event("response.failed", Status::failed,
                               {{"code", code}, {"message", error.what()}}, nullptr);
}

} // namespace talaria::gateway
