#include "model/marked_text.hpp"

#include <algorithm>

namespace talaria::model {

MarkedText::MarkedText(std::string text, Origin origin) : text_(std::move(text)) {
  if (origin != Origin::author && !text_.empty()) stretches_.push_back({0, text_.size(), origin});
}

/// The first stretch that ends behind `begin`.
std::vector<MarkedText::Stretch>::const_iterator MarkedText::first_behind(std::size_t begin) const {
  return std::upper_bound(stretches_.begin(), stretches_.end(), begin,
                          [](std::size_t at, const Stretch& stretch) { return at < stretch.end; });
}

Origin MarkedText::origin(std::size_t begin, std::size_t end) const {
  Origin out = Origin::author;
  for (auto it = first_behind(begin); it != stretches_.end() && it->begin < end; ++it)
    out = std::max(out, it->origin);
  return out;
}

void MarkedText::append(std::string_view text, Origin origin) {
  if (text.empty()) return;
  const std::size_t begin = text_.size();
  text_ += text;
  if (origin == Origin::author) return;
  if (!stretches_.empty() && stretches_.back().end == begin && stretches_.back().origin == origin)
    stretches_.back().end = text_.size();
  else
    stretches_.push_back({begin, text_.size(), origin});
}

void MarkedText::append(const MarkedText& other, std::size_t begin, std::size_t end) {
  const std::string_view text = other.text();
  std::size_t at = begin;
  for (auto it = other.first_behind(begin); it != other.stretches_.end() && it->begin < end; ++it) {
    const std::size_t from = std::max(it->begin, begin);
    const std::size_t to = std::min(it->end, end);
    append(text.substr(at, from - at));
    append(text.substr(from, to - from), it->origin);
    at = to;
  }
  append(text.substr(at, end - at));
}

MarkedText MarkedText::part(std::size_t begin, std::size_t end) const {
  MarkedText out;
  out.append(*this, begin, end);
  return out;
}

MarkedText MarkedText::part(std::string_view piece) const {
  const auto begin = static_cast<std::size_t>(piece.data() - text_.data());
  return piece.empty() ? MarkedText() : part(begin, begin + piece.size());
}

std::vector<MarkedText::Stretch> MarkedText::runs() const {
  std::vector<Stretch> out;
  std::size_t at = 0;
  for (const Stretch& stretch : stretches_) {
    if (at < stretch.begin) out.push_back({at, stretch.begin, Origin::author});
    out.push_back(stretch);
    at = stretch.end;
  }
  if (at < text_.size()) out.push_back({at, text_.size(), Origin::author});
  return out;
}

} // namespace talaria::model
