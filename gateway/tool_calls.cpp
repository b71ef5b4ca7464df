#include "gateway/tool_calls.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <optional>

#include "core/random.hpp"
#include "gateway/client_json.hpp"
#include "gateway/python_calls.hpp"
#include "gateway/raw_json.hpp"

namespace talaria::gateway {

using nlohmann::json;

namespace {

constexpr std::string_view kOpen = "<tool_call>";
constexpr std::string_view kClose = "</tool_call>";
constexpr std::string_view kMistral = "[TOOL_CALLS]";
constexpr std::string_view kMistralArguments = "[ARGS]";
constexpr std::string_view kPythonTag = "<|python_tag|>";

std::string_view without_blanks(std::string_view text) {
  constexpr std::string_view kBlanks = " \t\r\n";
  const auto begin = text.find_first_not_of(kBlanks);
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(kBlanks) + 1 - begin);
}

/// Nine letters and digits, which Mistral's templates insist on, behind what others expect.
std::string new_call_id(ToolSyntax syntax) {
  constexpr std::string_view kCharacters =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
  std::array<u8, 24> bytes{};
  ChaChaRng::from_system().fill(bytes);
  std::string id;
  for (const u8 byte : bytes) id += kCharacters[byte % kCharacters.size()];
  return syntax == ToolSyntax::mistral ? id.substr(0, 9) : "call_" + id;
}

/// A model's JSON, which may be anything; with the limits that clients' has.
std::optional<json> parsed(std::string_view text) {
  try {
    return parse_client_json(text, nullptr).value;
  } catch (const std::exception&) {
    return std::nullopt;
  }
}

/// {"name": ..., "arguments" or "parameters": {...}}; the arguments as they are written.
std::optional<ToolCall> json_call(std::string_view text, ToolSyntax syntax) {
  const auto object = parsed(text);
  if (!object || !object->is_object()) return std::nullopt;
  const auto name = object->find("name");
  if (name == object->end() || !name->is_string()) return std::nullopt;
  ToolCall call{new_call_id(syntax), name->get<std::string>(), "{}"};
  for (const char* key : {"arguments", "parameters"}) {
    const auto arguments = object->find(key);
    if (arguments == object->end()) continue;
    if (arguments->is_object())
      call.arguments = raw_member(text, key).value_or("{}");
    else if (arguments->is_string() && parsed(arguments->get<std::string>()))
      call.arguments = arguments->get<std::string>();
    else
      return std::nullopt;
    return call;
  }
  return object->size() == 1 ? std::optional(call) : std::nullopt;
}

/// The values of a JSON text that is a list, as they are written; without a list, the whole.
std::vector<std::string_view> elements(std::string_view text) {
  text = without_blanks(text);
  if (!text.starts_with('[')) return {text};
  if (!parsed(text)) return {};
  return raw_elements(text);
}

/// All or nothing.
std::optional<std::vector<ToolCall>> json_calls(const std::vector<std::string_view>& texts,
                                                ToolSyntax syntax) {
  std::vector<ToolCall> calls;
  if (texts.empty()) return std::nullopt;
  for (const std::string_view text : texts) {
    auto call = json_call(text, syntax);
    if (!call) return std::nullopt;
    calls.push_back(*std::move(call));
  }
  return calls;
}

std::optional<std::vector<ToolCall>> llama_calls(std::string_view text) {
  if (text.starts_with(kPythonTag)) text.remove_prefix(kPythonTag.size());
  text = without_blanks(text);
  if (text.starts_with('[')) return json_calls(elements(text), ToolSyntax::llama);
  std::vector<std::string_view> parts;
  int depth = 0;
  bool in_string = false;
  std::size_t begin = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (in_string) {
      if (c == '\\') ++i;
      in_string = c != '"';
    } else if (c == '"') {
      in_string = true;
    } else if (c == '{' || c == '}') {
      depth += c == '{' ? 1 : -1;
    } else if (c == ';' && depth == 0) {
      parts.push_back(without_blanks(text.substr(begin, i - begin)));
      begin = i + 1;
    }
  }
  parts.push_back(without_blanks(text.substr(begin)));
  if (parts.size() > 1 && parts.back().empty()) parts.pop_back();
  return json_calls(parts, ToolSyntax::llama);
}

std::optional<std::vector<ToolCall>> python_call_list(std::string_view text) {
  const auto found = python_calls(without_blanks(text));
  if (!found) return std::nullopt;
  std::vector<ToolCall> calls;
  for (const auto& [name, arguments] : *found)
    calls.push_back({new_call_id(ToolSyntax::pythonic), name, arguments});
  return calls;
}

/// What stands behind [TOOL_CALLS]: a list of calls, or "name[ARGS]{...}" and "name{...}".
std::optional<std::vector<ToolCall>> mistral_calls(std::string_view text) {
  text = without_blanks(text);
  if (text.starts_with('[') || text.starts_with('{'))
    return json_calls(elements(text), ToolSyntax::mistral);
  const auto brace = text.find('{');
  if (brace == std::string_view::npos || !parsed(text.substr(brace))) return std::nullopt;
  std::string_view name = without_blanks(text.substr(0, brace));
  if (name.ends_with(kMistralArguments)) name.remove_suffix(kMistralArguments.size());
  if (name.empty()) return std::nullopt;
  return std::vector<ToolCall>{
      {new_call_id(ToolSyntax::mistral), std::string(name), std::string(text.substr(brace))}};
}

/// Bytes at the end of `text` that may be the beginning of `marker`.
std::size_t possible_beginning(std::string_view text, std::string_view marker) {
  for (std::size_t n = std::min(marker.size() - 1, text.size()); n > 0; --n)
    if (text.ends_with(marker.substr(0, n))) return n;
  return 0;
}

} // namespace

ToolSyntax tool_syntax_of(std::string_view source) {
  const auto mentions = [source](std::string_view text) {
    return source.find(text) != std::string_view::npos;
  };
  if (mentions(kOpen)) return ToolSyntax::hermes;
  if (mentions(kMistral)) return ToolSyntax::mistral;
  if (mentions("[func_name1(params_name1=")) return ToolSyntax::pythonic;
  if (mentions("ipython") || mentions(kPythonTag)) return ToolSyntax::llama;
  return ToolSyntax::hermes;
}

bool marks_calls_by_special_tokens(ToolSyntax syntax) noexcept {
  return syntax == ToolSyntax::mistral;
}

ToolCallFinder::ToolCallFinder(ToolSyntax syntax, bool parallel)
    : syntax_(syntax), parallel_(parallel) {}

void ToolCallFinder::add(AnswerParts& parts, std::vector<ToolCall> calls) {
  for (auto& call : calls) {
    if (!parallel_ && count_ > 0) return;
    ++count_;
    parts.calls.push_back(std::move(call));
  }
}

AnswerParts ToolCallFinder::push(std::string_view piece) {
  held_ += piece;
  if (passes_) return {std::exchange(held_, {}), {}};
  if (syntax_ == ToolSyntax::hermes || syntax_ == ToolSyntax::mistral) return take_marked(false);
  // A call is all of an answer: the first character tells.
  const std::string_view begin = without_blanks(held_);
  if (begin.empty() || begin.starts_with(syntax_ == ToolSyntax::pythonic ? '[' : '{')) return {};
  if (syntax_ == ToolSyntax::llama &&
      (begin.starts_with('[') || kPythonTag.starts_with(begin.substr(0, kPythonTag.size()))))
    return {};
  passes_ = true;
  return {std::exchange(held_, {}), {}};
}

AnswerParts ToolCallFinder::finish() {
  if (passes_ || held_.empty()) return {std::exchange(held_, {}), {}};
  if (syntax_ == ToolSyntax::hermes || syntax_ == ToolSyntax::mistral) return take_marked(true);
  return take_whole();
}

AnswerParts ToolCallFinder::take_whole() {
  auto calls = syntax_ == ToolSyntax::pythonic ? python_call_list(held_) : llama_calls(held_);
  if (!calls || calls->empty()) return {std::exchange(held_, {}), {}};
  AnswerParts parts;
  add(parts, *std::move(calls));
  held_.clear();
  return parts;
}

AnswerParts ToolCallFinder::take_marked(bool at_end) {
  const bool mistral = syntax_ == ToolSyntax::mistral;
  const std::string_view open = mistral ? kMistral : kOpen;
  AnswerParts parts;
  for (;;) {
    const auto begin = held_.find(open);
    if (begin == std::string::npos) {
      const std::size_t keep = at_end ? 0 : possible_beginning(held_, open);
      std::string text = held_.substr(0, held_.size() - keep);
      held_.erase(0, text.size());
      // Blanks between calls are none of the answer.
      if (count_ == 0 || !without_blanks(text).empty()) parts.text += text;
      return parts;
    }
    const std::string_view behind = std::string_view(held_).substr(begin + open.size());
    const auto close = behind.find(mistral ? open : kClose);
    if (close == std::string_view::npos && !at_end) { // what stands before is certain
      if (count_ == 0) parts.text += held_.substr(0, begin);
      held_.erase(0, begin);
      return parts;
    }
    const bool ends = close == std::string_view::npos;
    const std::string_view inside = behind.substr(0, close);
    auto calls = mistral ? mistral_calls(inside) : json_calls({without_blanks(inside)}, syntax_);
    const std::size_t end = ends      ? held_.size()
                            : mistral ? begin + open.size() + close
                                      : begin + open.size() + close + kClose.size();
    const std::size_t text_end = calls ? begin : end;
    const std::string text = held_.substr(0, text_end);
    if (count_ == 0 || !without_blanks(text).empty()) parts.text += text;
    if (calls) add(parts, *std::move(calls));
    held_.erase(0, end);
    if (held_.empty()) return parts;
  }
}

} // namespace talaria::gateway
