#include "gateway/answer_parser.hpp"

#include <iterator>
#include <utility>

namespace talaria::gateway {

namespace {

void append_parts(AnswerParts& parts, AnswerParts more) {
  parts.text += more.text;
  parts.reasoning += more.reasoning;
  parts.calls.insert(parts.calls.end(), std::make_move_iterator(more.calls.begin()),
                     std::make_move_iterator(more.calls.end()));
}

} // namespace

AnswerParser::AnswerParser(const AnswerContents& contents, bool inside_thoughts) {
  if (contents.thoughts) thoughts_.emplace(inside_thoughts);
  if (contents.calls) calls_.emplace(*contents.calls, contents.parallel);
}

AnswerParts AnswerParser::push(std::string_view piece) {
  if (thoughts_) return with_calls(thoughts_->push(piece), false);
  AnswerParts all;
  all.text = piece;
  return with_calls(std::move(all), false);
}

AnswerParts AnswerParser::finish() {
  return with_calls(thoughts_ ? thoughts_->finish() : AnswerParts{}, true);
}

/// Thoughts are over before a call may begin.
AnswerParts AnswerParser::with_calls(AnswerParts parts, bool at_end) {
  if (!calls_) return parts;
  const std::string text = std::exchange(parts.text, {});
  append_parts(parts, calls_->push(text));
  if (at_end) append_parts(parts, calls_->finish());
  return parts;
}

bool AnswerParser::thinks() const noexcept {
  return (thoughts_ && thoughts_->inside()) || (calls_ && calls_->thinks());
}

} // namespace talaria::gateway
