#include "gateway/tool_calls.hpp"

#include <algorithm>
#include <span>
#include <utility>

namespace talaria::gateway {

namespace {

constexpr std::string_view kOpen = "<tool_call>";
constexpr std::string_view kClose = "</tool_call>";
constexpr std::string_view kMistral = "[TOOL_CALLS]";
constexpr std::string_view kPythonTagOfLlama = "<|python_tag|>";
constexpr std::string_view kDeepseekOpen = "<｜tool▁call▁begin｜>";
constexpr std::string_view kDeepseekName = "<｜tool▁sep｜>";
constexpr std::string_view kDeepseekClose = "<｜tool▁call▁end｜>";
constexpr std::string_view kDeepseekListOpen = "<｜tool▁calls▁begin｜>";
constexpr std::string_view kDeepseekListClose = "<｜tool▁calls▁end｜>";
constexpr std::string_view kHarmonyChannel = "<|channel|>";

/// What begins a call, then what only stands around calls.
std::span<const std::string_view> markers_of(ToolSyntax syntax) {
  static constexpr std::string_view kHermes[] = {kOpen};
  static constexpr std::string_view kMistralMarkers[] = {kMistral};
  static constexpr std::string_view kDeepseek[] = {kDeepseekOpen, kDeepseekListOpen,
                                                   kDeepseekListClose};
  if (syntax == ToolSyntax::mistral) return kMistralMarkers;
  if (syntax == ToolSyntax::deepseek) return kDeepseek;
  return kHermes;
}

bool is_whole_answer(ToolSyntax syntax) {
  return syntax == ToolSyntax::llama || syntax == ToolSyntax::pythonic;
}

/// Where `rest` begins in `whole`, whose end it is.
std::size_t offset_of(std::string_view rest, std::string_view whole) {
  return static_cast<std::size_t>(rest.data() - whole.data());
}

std::string_view without_front_blanks(std::string_view text) {
  return text.substr(std::min(text.find_first_not_of(" \t\r\n"), text.size()));
}

/// "function<｜tool▁sep｜>NAME ```json {": of V3 and R1; "NAME<｜tool▁sep｜>{": of V3.1.
CallHead deepseek_head(std::string_view text) {
  const auto separator = text.find(kDeepseekName);
  if (separator == std::string_view::npos) return {CallHead::Kind::incomplete};
  const std::string_view first = without_blanks(text.substr(0, separator));
  const std::string_view rest = text.substr(separator + kDeepseekName.size());
  const auto brace = rest.find('{');
  if (brace == std::string_view::npos) return {CallHead::Kind::incomplete};
  std::string_view name = without_blanks(rest.substr(0, brace));
  constexpr std::string_view kFence = "```json";
  if (name.ends_with(kFence)) name = without_blanks(name.substr(0, name.size() - kFence.size()));
  if (name.empty()) name = first;
  return {CallHead::Kind::found, std::string(name), separator + kDeepseekName.size() + brace};
}

} // namespace

void add_piece(std::vector<ToolCall>& calls, CallPiece piece) {
  if (piece.begins || calls.empty())
    calls.push_back({std::move(piece.id), std::move(piece.name), std::move(piece.arguments)});
  else
    calls.back().arguments += piece.arguments;
}

ToolSyntax tool_syntax_of(std::string_view source) {
  const auto mentions = [source](std::string_view text) {
    return source.find(text) != std::string_view::npos;
  };
  if (mentions(kHarmonyChannel)) return ToolSyntax::harmony;
  if (mentions(kDeepseekListOpen)) return ToolSyntax::deepseek;
  if (mentions(kOpen)) return ToolSyntax::hermes;
  if (mentions(kMistral)) return ToolSyntax::mistral;
  if (mentions("[func_name1(params_name1=")) return ToolSyntax::pythonic;
  if (mentions("ipython") || mentions(kPythonTagOfLlama)) return ToolSyntax::llama;
  return ToolSyntax::hermes;
}

bool marks_calls_by_special_tokens(ToolSyntax syntax) noexcept {
  return syntax == ToolSyntax::mistral || syntax == ToolSyntax::deepseek ||
         syntax == ToolSyntax::harmony;
}

bool marks_all_answers(ToolSyntax syntax) noexcept {
  return syntax == ToolSyntax::harmony;
}

ToolCallFinder::ToolCallFinder(ToolSyntax syntax, bool parallel)
    : syntax_(syntax), parallel_(parallel), channels_(parallel) {}

AnswerParts ToolCallFinder::push(std::string_view piece) {
  held_ += piece;
  return run(false);
}

AnswerParts ToolCallFinder::finish() {
  return run(true);
}

AnswerParts ToolCallFinder::run(bool at_end) {
  if (syntax_ == ToolSyntax::harmony) {
    AnswerParts parts = channels_.take(held_, at_end);
    count_ = channels_.calls();
    return parts;
  }
  AnswerParts parts;
  while (step(parts, at_end)) {
  }
  return parts;
}

/// False if more of the answer is needed.
bool ToolCallFinder::step(AnswerParts& parts, bool at_end) {
  switch (state_) {
  case State::text:
    return is_whole_answer(syntax_) ? look_at_beginning(parts, at_end)
                                    : look_for_call(parts, at_end);
  case State::head:
    return read_head(parts, at_end);
  case State::arguments:
    return read_arguments(parts, at_end);
  case State::tail:
    return read_tail(at_end);
  case State::unusual:
    return read_unusual(parts, at_end);
  default:
    if (at_end || !waits_for_text(held_)) add_text(parts, held_.size());
    return false;
  }
}

/// Behind a call blanks wait for what they stand before: a text, to which they belong, or another
/// call or the end, and then they are none of the answer.
bool ToolCallFinder::waits_for_text(std::string_view text) const {
  return count_ > 0 && !in_text_ && without_blanks(text).empty();
}

/// Gives the first bytes as text.
void ToolCallFinder::add_text(AnswerParts& parts, std::size_t size) {
  const std::string text = held_.substr(0, size);
  if (!waits_for_text(text)) {
    parts.text += text;
    in_text_ = true;
  }
  held_.erase(0, size);
}

bool ToolCallFinder::look_for_call(AnswerParts& parts, bool at_end) {
  const auto markers = markers_of(syntax_);
  std::size_t begin = std::string::npos;
  std::size_t keep = 0;
  std::string_view found;
  for (const std::string_view marker : markers) {
    const auto at = held_.find(marker);
    if (at < begin) {
      begin = at;
      found = marker;
    }
    keep = std::max(keep, possible_beginning(held_, marker));
  }
  if (begin == std::string::npos) {
    const std::size_t size = held_.size() - (at_end ? 0 : keep);
    if (at_end || !waits_for_text(std::string_view(held_).substr(0, size))) add_text(parts, size);
    return false;
  }
  add_text(parts, begin);
  if (found == markers.front())
    state_ = State::head;
  else
    held_.erase(0, found.size());
  return true;
}

/// A call is all of an answer: the first characters tell.
bool ToolCallFinder::look_at_beginning(AnswerParts& parts, bool at_end) {
  const std::string_view begin = without_blanks(held_);
  if (begin.empty()) {
    if (at_end) add_text(parts, held_.size());
    return false;
  }
  if (begin.starts_with(syntax_ == ToolSyntax::pythonic ? '[' : '{'))
    state_ = syntax_ == ToolSyntax::pythonic ? State::unusual : State::head;
  else if (syntax_ == ToolSyntax::llama &&
           (begin.starts_with('[') ||
            kPythonTagOfLlama.starts_with(begin.substr(0, kPythonTagOfLlama.size()))))
    state_ = State::head;
  else
    state_ = State::passes;
  return true;
}

/// What `held_` begins with, its places counted in `held_`.
CallHead ToolCallFinder::head() const {
  std::string_view rest = without_front_blanks(held_);
  const auto skip = [&rest](std::string_view marker) {
    if (rest.starts_with(marker)) rest = without_front_blanks(rest.substr(marker.size()));
  };
  skip(markers_of(syntax_).front());
  if (syntax_ == ToolSyntax::llama) skip(kPythonTagOfLlama);
  if (syntax_ != ToolSyntax::deepseek) skip("[");
  CallHead head;
  if (rest.empty())
    head.kind = CallHead::Kind::incomplete;
  else if (syntax_ == ToolSyntax::deepseek)
    head = deepseek_head(rest);
  else if (syntax_ == ToolSyntax::mistral && !rest.starts_with('{'))
    head = named_call_head(rest);
  else
    head = json_call_head(rest);
  head.arguments += offset_of(rest, held_);
  return head;
}

bool ToolCallFinder::read_head(AnswerParts& parts, bool at_end) {
  if (syntax_ == ToolSyntax::llama && !at_end &&
      kPythonTagOfLlama.starts_with(without_blanks(held_)))
    return false; // the tag is not complete
  CallHead found = head();
  if (found.kind == CallHead::Kind::incomplete && !at_end) return false;
  if (found.kind != CallHead::Kind::found) {
    state_ = State::unusual;
    return true;
  }
  held_.erase(0, found.arguments);
  begin_call(parts, std::move(found.name));
  state_ = State::arguments;
  return true;
}

void ToolCallFinder::begin_call(AnswerParts& parts, std::string name) {
  arguments_ = {};
  in_text_ = false;
  given_ = parallel_ || count_ == 0;
  if (!given_) return;
  ++count_;
  parts.calls.push_back({new_call_id(syntax_), std::move(name), {}, true, false});
}

void ToolCallFinder::add_arguments(AnswerParts& parts, std::string_view part, bool ends) {
  if (!given_) return;
  if (parts.calls.empty() || parts.calls.back().ends)
    parts.calls.push_back({{}, {}, {}, false, false});
  parts.calls.back().arguments += part;
  parts.calls.back().ends = ends;
}

bool ToolCallFinder::read_arguments(AnswerParts& parts, bool at_end) {
  const std::size_t size = arguments_.feed(held_);
  const bool ends = arguments_.done() || at_end;
  if (size > 0 || ends) add_arguments(parts, std::string_view(held_).substr(0, size), ends);
  held_.erase(0, size);
  if (!ends) return false;
  state_ = State::tail;
  return true;
}

/// What belongs to no call and is no text: brackets, fences, and what closes a call.
bool ToolCallFinder::read_tail(bool at_end) {
  if (syntax_ == ToolSyntax::hermes || syntax_ == ToolSyntax::deepseek) {
    const std::string_view close = syntax_ == ToolSyntax::hermes ? kClose : kDeepseekClose;
    const auto end = held_.find(close);
    if (end == std::string::npos) {
      if (at_end) held_.clear();
      return false;
    }
    held_.erase(0, end + close.size());
    state_ = State::text;
    return true;
  }
  held_.erase(0, std::min(held_.find_first_not_of(" \t\r\n}]"), held_.size()));
  if (held_.empty()) return false;
  const bool goes_on = held_.front() == ',' || held_.front() == ';';
  if (goes_on) held_.erase(0, 1);
  state_ = goes_on ? State::head : syntax_ == ToolSyntax::mistral ? State::text : State::passes;
  return true;
}

/// A call whose fields stand in another order, or several: read when it is whole. What turns out to
/// be none is text.
bool ToolCallFinder::read_unusual(AnswerParts& parts, bool at_end) {
  const bool marked = !is_whole_answer(syntax_);
  const std::string_view open = markers_of(syntax_).front();
  const std::string_view close = syntax_ == ToolSyntax::mistral  ? kMistral
                                 : syntax_ == ToolSyntax::hermes ? kClose
                                                                 : kDeepseekClose;
  const std::string_view held = held_;
  const std::size_t begin = marked && held.starts_with(open) ? open.size() : 0;
  const auto end = marked ? held.find(close, begin) : std::string_view::npos;
  if (end == std::string_view::npos && !at_end) return false;
  const std::string_view inside = held.substr(begin, end - begin);
  std::optional<std::vector<ToolCall>> calls;
  if (syntax_ == ToolSyntax::hermes) calls = json_calls({without_blanks(inside)}, syntax_);
  if (syntax_ == ToolSyntax::mistral) calls = mistral_calls(inside);
  if (syntax_ == ToolSyntax::llama) calls = llama_calls(inside);
  if (syntax_ == ToolSyntax::pythonic) calls = python_call_list(inside);
  const std::size_t size = end == std::string_view::npos    ? held_.size()
                           : syntax_ == ToolSyntax::mistral ? end
                                                            : end + close.size();
  if (calls && !calls->empty()) {
    for (ToolCall& call : *calls) {
      begin_call(parts, std::move(call.name));
      add_arguments(parts, call.arguments, true);
    }
    held_.erase(0, size);
  } else {
    add_text(parts, size);
  }
  state_ = marked ? State::text : State::passes;
  return !held_.empty();
}

} // namespace talaria::gateway
