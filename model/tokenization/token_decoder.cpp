#include "model/tokenization/token_decoder.hpp"

#include <algorithm>
#include <charconv>
#include <utility>

#include <fmt/format.h>

#include "model/tokenization/byte_level.hpp"
#include "model/utf8.hpp"

namespace talaria::model {

namespace {

/// The byte that a token such as <0x0A> stands for, or -1.
int fallback_byte(std::string_view token) {
  if (token.size() != 6 || !token.starts_with("<0x") || token.back() != '>') return -1;
  unsigned value = 0;
  const auto [end, error] = std::from_chars(token.data() + 3, token.data() + 5, value, 16);
  return error == std::errc{} && end == token.data() + 5 ? static_cast<int>(value) : -1;
}

/// What the library's WordPiece decoder tidies, in its order.
constexpr std::pair<std::string_view, std::string_view> kTidied[] = {
    {" .", "."},   {" ?", "?"},     {" !", "!"},    {" ,", ","},
    {" ' ", "'"},  {" n't", "n't"}, {" 'm", "'m"},  {" do not", " don't"},
    {" 's", "'s"}, {" 've", "'ve"}, {" 're", "'re"}};

std::string strip(std::string_view text, std::string_view content, std::size_t start,
                  std::size_t stop) {
  for (; start > 0 && text.starts_with(content); --start) text.remove_prefix(content.size());
  for (; stop > 0 && text.ends_with(content); --stop) text.remove_suffix(content.size());
  return std::string(text);
}

} // namespace

TokenDecoder TokenDecoder::parse(const JsonNode& node) {
  TokenDecoder out;
  if (node.is_null()) {
    out.joins_ = true;
    return out;
  }
  const std::string& type = node["type"].string();
  if (type == "ByteLevel") {
    out.byte_level_ = true;
  } else if (type == "Sequence") {
    out.parse_sequence(node);
  } else if (type == "WordPiece") {
    out.parse_word_piece(node);
  } else {
    bool fused = false;
    out.parse_step(node, fused);
  }
  return out;
}

void TokenDecoder::parse_sequence(const JsonNode& node) {
  const std::vector<JsonNode> steps = node["decoders"].elements();
  if (steps.size() == 1 && steps[0]["type"].string() == "ByteLevel") {
    byte_level_ = true;
    return;
  }
  bool fused = false;
  for (const JsonNode& step : steps) parse_step(step, fused);
}

/// Per token first, then bytes, then what concerns the text as a whole: any other order would need
/// the whole text before its beginning can be shown.
void TokenDecoder::parse_step(const JsonNode& node, bool& fused) {
  const std::string& type = node["type"].string();
  if (type == "Strip") return parse_strip(node, fused);
  if (fused && type != "Fuse") node.fail(fmt::format("({}) follows Fuse", type));
  if (type == "Fuse") {
    fused = true;
  } else if (type == "ByteFallback") {
    byte_fallback_ = true;
  } else if (byte_fallback_) {
    node.fail(fmt::format("({}) follows ByteFallback", type));
  } else if (type == "Replace") {
    Step step;
    step.pattern.push_back(Pattern::parse(node["pattern"]));
    step.content = node["content"].string();
    steps_.push_back(std::move(step));
  } else if (type == "Metaspace" && steps_.empty() && metaspace_.empty()) {
    parse_metaspace(node);
  } else {
    node.fail(fmt::format("is of type {}, which is not supported here", type));
  }
}

void TokenDecoder::parse_strip(const JsonNode& node, bool fused) {
  const std::string& content = node["content"].string();
  const std::size_t start = node["start"].size_below(1 << 16);
  const std::size_t stop = node["stop"].size_below(1 << 16);
  if (utf8::length(content) != 1) node["content"].fail("is not one character");
  if (!fused) {
    if (byte_fallback_) node.fail("(Strip) follows ByteFallback without Fuse between them");
    Step step;
    step.content = content;
    step.start = start;
    step.stop = stop;
    steps_.push_back(std::move(step));
    return;
  }
  if (stop != 0) node["stop"].fail("is not 0 after Fuse, which is not supported");
  if (content.size() != 1 || strip_left_ != 0)
    node.fail("(Strip) after Fuse is not a single strip of an ASCII character");
  strip_left_ = start;
  blank_ = content[0];
}

void TokenDecoder::parse_metaspace(const JsonNode& node) {
  const JsonNode replacement = node["replacement"];
  if (utf8::length(replacement.string()) != 1) replacement.fail("is not one character");
  metaspace_ = replacement.string();
  metaspace_strips_ = node["prepend_scheme"].string_or("always") != "never" &&
                      node["add_prefix_space"].boolean_or(true);
}

void TokenDecoder::parse_word_piece(const JsonNode& node) {
  words_ = true;
  word_prefix_ = node["prefix"].string_or("##");
  tidies_ = node["cleanup"].boolean_or(true);
}

std::string TokenDecoder::word_piece(std::string_view token, bool first) const {
  std::string out(token);
  if (!first && token.starts_with(word_prefix_))
    out.erase(0, word_prefix_.size());
  else if (!first)
    out.insert(0, 1, ' ');
  if (!tidies_) return out;
  for (const auto& [from, to] : kTidied)
    for (std::size_t at = 0; (at = out.find(from, at)) != std::string::npos; at += to.size())
      out.replace(at, from.size(), to);
  return out;
}

bool TokenDecoder::has_expressions() const noexcept {
  return std::any_of(steps_.begin(), steps_.end(), [](const Step& step) {
    return !step.pattern.empty() && step.pattern.front().is_expression();
  });
}

std::string TokenDecoder::apply(const Step& step, std::string text) const {
  if (step.pattern.empty()) return strip(text, step.content, step.start, step.stop);
  std::string out;
  for (const Span& span : step.pattern.front().cut(text)) {
    if (span.matched)
      out += step.content;
    else
      out.append(text, span.begin, span.end - span.begin);
  }
  return out;
}

std::string TokenDecoder::bytes(std::string_view token, bool added, bool first) const {
  if (joins_) {
    std::string out(first ? 0 : 1, ' ');
    return out.append(token);
  }
  if (words_) return word_piece(token, first);
  if (byte_level_) {
    auto decoded = added ? std::nullopt : byte_level::decode(token);
    return decoded ? std::move(*decoded) : std::string(token);
  }
  std::string text(token);
  if (!metaspace_.empty()) {
    const std::string with = first && metaspace_strips_ ? "" : " ";
    for (std::size_t at = 0; (at = text.find(metaspace_, at)) != std::string::npos;
         at += with.size())
      text.replace(at, metaspace_.size(), with);
  }
  for (const Step& step : steps_) text = apply(step, std::move(text));
  const int byte = byte_fallback_ ? fallback_byte(text) : -1;
  return byte < 0 ? text : std::string(1, static_cast<char>(byte));
}

} // namespace talaria::model
