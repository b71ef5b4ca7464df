#include "cli/chat/endpoint_answerer.hpp"

#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <utility>

#include "cli/chat/answer_clock.hpp"
#include "cli/chat/chat_line.hpp"
#include "cli/web/event_lines.hpp"
#include "core/error.hpp"

namespace talaria::cli {

namespace {

using nlohmann::json;

/// Text of the endpoint's, in one line and without control characters.
std::string one_line(std::string_view text) {
  constexpr std::size_t kMost = 500;
  std::string out = for_terminal(text.substr(0, kMost));
  for (char& c : out)
    if (c == '\n' || c == '\t') c = ' ';
  return out;
}

std::string text_at(const json& object, const char* key) {
  const auto found = object.is_object() ? object.find(key) : object.end();
  return found != object.end() && found->is_string() ? found->get<std::string>() : std::string();
}

/// The error object of OpenAI's API, or what there is.
Error refusal(const Url& url, int status, const std::string& body) {
  const json answer = json::parse(body, nullptr, false);
  std::string why;
  if (answer.is_object() && answer.contains("error"))
    why = answer["error"].is_string() ? answer["error"].get<std::string>()
                                      : text_at(answer["error"], "message");
  if (why.empty()) why = "no reason given";
  const char* hint = status == 401 ? "; give a key by --key-file" : "";
  return {status < 500 ? Errc::usage : Errc::io,
          fmt::format("{} answers {}: {}{}", url.text, status, one_line(why), hint)};
}

/// One streamed answer, event by event.
class StreamedAnswer {
public:
  StreamedAnswer(const Url& url, const Answerer::TakeText& take) : url_(url), take_(take) {}

  bool feed(std::string_view part) {
    return lines_.feed(part, [this](const std::string& data) { return event(data); });
  }
  AnswerFigures figures() const {
    AnswerFigures out = clock_.figures(tokens_);
    out.tokens_are_counted = tokens_ != 0;
    out.is_cut = is_cut_;
    return out;
  }
  /// Whether the endpoint has said that this is all.
  bool is_over() const noexcept { return is_over_; }

private:
  bool event(const std::string& data) {
    if (data == "[DONE]") return is_over_ = true, false;
    const json object = json::parse(data, nullptr, false);
    if (!object.is_object()) throw Error(Errc::io, url_.text + ": an event is not a JSON object");
    if (object.contains("error")) throw refusal(url_, 500, data);
    if (const auto usage = object.find("usage"); usage != object.end() && usage->is_object())
      tokens_ = usage->value("completion_tokens", std::size_t{0});
    const auto choices = object.find("choices");
    if (choices == object.end() || !choices->is_array() || choices->empty()) return true;
    const json& choice = choices->front();
    if (const std::string reason = text_at(choice, "finish_reason"); !reason.empty()) {
      is_over_ = true;
      is_cut_ = reason == "length";
    }
    const std::string piece = text_at(choice.value("delta", json::object()), "content");
    if (piece.empty()) return true;
    clock_.token();
    take_(piece);
    return true;
  }

  const Url& url_;
  const Answerer::TakeText& take_;
  EventLines lines_;
  AnswerClock clock_;
  std::size_t tokens_ = 0;
  bool is_cut_ = false;
  bool is_over_ = false;
};

template <class Value>
void put_given(json& body, const char* name, const std::optional<Value>& value) {
  if (value) body[name] = *value;
}

/// What the verdict of `talaria connect` says (attest::to_json).
std::string verdict_line(const json& verdict) {
  if (!verdict.is_object()) return "talaria connect has not reached a server yet";
  if (!verdict.value("accepted", false))
    return fmt::format("REFUSED by talaria connect: {} ({})", one_line(text_at(verdict, "reason")),
                       one_line(text_at(verdict, "check")));
  const std::string image = text_at(verdict, "image");
  return fmt::format("{}verified by talaria connect: {}, image {}, policy {}{}",
                     verdict.value("simulated", false) ? "SIMULATED, which proves nothing; " : "",
                     one_line(text_at(verdict, "platform")),
                     image.empty() ? "any" : one_line(image),
                     one_line(text_at(verdict.value("policy", json::object()), "name")),
                     text_at(verdict, "valid_until").empty()
                         ? ""
                         : ", valid until " + one_line(text_at(verdict, "valid_until")));
}

} // namespace

EndpointAnswerer::EndpointAnswerer(WebClient::Options web, Options options)
    : web_(std::move(web)), base_(web_.url().path.empty() ? "/v1" : web_.url().path),
      options_(std::move(options)) {
  if (options_.model.empty()) options_.model = first_model();
}

std::string EndpointAnswerer::first_model() {
  const WebClient::Answer answer = web_.request(base_ + "/models", {});
  if (answer.status != 200) throw refusal(web_.url(), answer.status, answer.body);
  const json list = json::parse(answer.body, nullptr, false);
  if (list.is_object() && list.contains("data") && list["data"].is_array() &&
      !list["data"].empty()) {
    const std::string name = text_at(list["data"].front(), "id");
    if (!name.empty()) return name;
  }
  throw Error(Errc::io, web_.url().text + ": it names no model; give one by --served-model");
}

std::string EndpointAnswerer::body_of(const std::vector<model::ChatMessage>& messages) const {
  json body{{"model", options_.model},
            {"stream", true},
            {"stream_options", {{"include_usage", true}}},
            {"messages", json::array()}};
  for (const auto& message : messages)
    body["messages"].push_back({{"role", message.role}, {"content", message.content}});
  put_given(body, "max_tokens", options_.max_tokens);
  put_given(body, "temperature", options_.sampling.temperature);
  put_given(body, "top_p", options_.sampling.top_p);
  put_given(body, "top_k", options_.sampling.top_k);
  put_given(body, "repetition_penalty", options_.sampling.repetition_penalty);
  put_given(body, "seed", options_.sampling.seed);
  return body.dump(-1, ' ', false, json::error_handler_t::replace);
}

AnswerFigures EndpointAnswerer::answer(const std::vector<model::ChatMessage>& messages,
                                       const TakeText& text) {
  StreamedAnswer streamed(web_.url(), text);
  try {
    const WebClient::Answer answer =
        web_.request(base_ + "/chat/completions", body_of(messages),
                     [&](std::string_view part) { return streamed.feed(part); });
    if (answer.status != 200) throw refusal(web_.url(), answer.status, answer.body);
  } catch (const Error& error) {
    if (error.code() == Errc::cancelled) return streamed.figures();
    throw;
  }
  if (!streamed.is_over())
    throw Error(Errc::io, web_.url().text + ": the answer ended before its end");
  return streamed.figures();
}

/// Only `talaria connect` verifies; what an endpoint says of itself proves nothing.
std::string EndpointAnswerer::attestation() {
  const WebClient::Answer answer = web_.request("/talaria/verdict", {});
  if (answer.status == 200) return verdict_line(json::parse(answer.body, nullptr, false));
  return "NOT VERIFIED: nothing proves who answers here (talaria connect does)";
}

std::string EndpointAnswerer::status() {
  std::string said;
  try {
    said = attestation();
  } catch (const Error& error) {
    said = fmt::format("unknown: {}", error.what());
  }
  return fmt::format("  answers       {} at {}{}\n  attestation   {}\n", one_line(options_.model),
                     web_.url().text, base_, said);
}

} // namespace talaria::cli
