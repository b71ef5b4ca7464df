#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/integers.hpp"

namespace talaria::model {

/// Who wrote a stretch of a prompt, the most trusted first.
enum class Origin : u8 {
  author, ///< the chat template and its special tokens
  answer, ///< what the conversation gives as the model's own earlier answers
  input,  ///< everything else that the conversation holds
};

/// For each id of a token the least trusted origin of text that may become it; ids beyond the end:
/// any.
using OriginLimits = std::vector<Origin>;
inline Origin limit_of(const OriginLimits& limits, u32 id) {
  return id < limits.size() ? limits[id] : Origin::input;
}

/// A text that knows for each byte who wrote it. Whatever a chat template does with text (slices,
/// trims, splits, joins, replaces, writes as JSON) is done through this, so that at the end it is
/// known which stretches of the prompt a user has written. The text itself is what it would be
/// without: only the origins are carried along.
class MarkedText {
public:
  /// [begin, end) in bytes, of an origin other than the author.
  struct Stretch {
    std::size_t begin, end;
    Origin origin;
    friend bool operator==(const Stretch&, const Stretch&) = default;
  };

  MarkedText() = default;
  explicit MarkedText(std::string text, Origin origin = Origin::author);

  const std::string& text() const noexcept { return text_; }
  std::size_t size() const noexcept { return text_.size(); }
  bool empty() const noexcept { return text_.empty(); }
  /// In order, disjoint; neighbours of the same origin are one.
  const std::vector<Stretch>& stretches() const noexcept { return stretches_; }
  /// The least trusted origin in [begin, end). O(log n + how many stretches that meets).
  Origin origin(std::size_t begin, std::size_t end) const;

  void append(std::string_view text, Origin origin);
  void append(std::string_view text) { text_ += text; }
  void append(const MarkedText& other) { append(other, 0, other.size()); }
  /// [begin, end) of `other`.
  void append(const MarkedText& other, std::size_t begin, std::size_t end);
  MarkedText part(std::size_t begin, std::size_t end) const;
  /// What `piece`, a view into text(), is a view of.
  MarkedText part(std::string_view piece) const;

  /// The longest parts of one origin, in order.
  std::vector<Stretch> runs() const;
  /// Each run replaced by what `change` makes of it: for changes that look at single characters.
  template <class Change>
  MarkedText map(Change change) const {
    MarkedText out;
    for (const Stretch& run : runs())
      out.append(change(std::string_view(text_).substr(run.begin, run.end - run.begin)),
                 run.origin);
    return out;
  }
  /// For changes that look at more: `changed` is what became of the whole. If the runs give the
  /// same one by one, they keep their origins; if not, all of it has the least trusted one.
  template <class Change>
  MarkedText map(Change change, std::string changed) const {
    if (stretches_.empty()) return MarkedText(std::move(changed));
    MarkedText out = map(change);
    return out.text() == changed ? out : MarkedText(std::move(changed), origin(0, size()));
  }

private:
  std::vector<Stretch>::const_iterator first_behind(std::size_t begin) const;

  std::string text_;
  std::vector<Stretch> stretches_;
};

} // namespace talaria::model
