#include "model/tokenization/split_behavior.hpp"

#include <algorithm>

namespace talaria::model {

namespace {

using Ranges = std::vector<std::pair<std::size_t, std::size_t>>;

Ranges contiguous(const std::vector<Span>& spans) {
  Ranges out;
  bool previous = false;
  for (const Span& span : spans) {
    if (span.matched == previous && !out.empty())
      out.back().second = span.end;
    else
      out.emplace_back(span.begin, span.end);
    previous = span.matched;
  }
  return out;
}

/// Only the first match of a run joins its neighbour; the others stand alone.
Ranges merged_with_previous(const std::vector<Span>& spans) {
  Ranges out;
  bool previous = false;
  for (const Span& span : spans) {
    if (span.matched && !previous && !out.empty())
      out.back().second = span.end;
    else
      out.emplace_back(span.begin, span.end);
    previous = span.matched;
  }
  return out;
}

Ranges merged_with_next(const std::vector<Span>& spans) {
  Ranges out;
  bool previous = false;
  for (auto span = spans.rbegin(); span != spans.rend(); ++span) {
    if (span->matched && !previous && !out.empty())
      out.back().first = span->begin;
    else
      out.emplace_back(span->begin, span->end);
    previous = span->matched;
  }
  std::reverse(out.begin(), out.end());
  return out;
}

} // namespace

Ranges arrange(const std::vector<Span>& spans, SplitBehavior behavior) {
  switch (behavior) {
  case SplitBehavior::contiguous:
    return contiguous(spans);
  case SplitBehavior::merged_with_previous:
    return merged_with_previous(spans);
  case SplitBehavior::merged_with_next:
    return merged_with_next(spans);
  case SplitBehavior::isolated:
  case SplitBehavior::removed:
    break;
  }
  Ranges out;
  for (const Span& span : spans) {
    if (behavior == SplitBehavior::isolated || !span.matched)
      out.emplace_back(span.begin, span.end);
  }
  return out;
}

} // namespace talaria::model
