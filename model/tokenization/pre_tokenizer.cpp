#include "model/tokenization/pre_tokenizer.hpp"

#include <algorithm>
#include <map>

#include <fmt/format.h>

#include "model/tokenization/byte_level.hpp"
#include "model/tokenization/pattern.hpp"
#include "model/tokenization/split_behavior.hpp"
#include "model/utf8.hpp"

namespace talaria::model {

namespace {

constexpr const char* white_space_pattern =
    R"([\x{9}-\x{d}\x{20}\x{85}\x{a0}\x{1680}\x{2000}-\x{200a}\x{2028}\x{2029}\x{202f}\x{205f}\x{3000}])";
constexpr const char* punctuation_pattern =
    R"([\x{21}-\x{2f}\x{3a}-\x{40}\x{5b}-\x{60}\x{7b}-\x{7e}\p{P}])";
// \w+|[^\w\s]+ as Rust's regular expressions have it.
constexpr const char* words_pattern =
    R"([\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\x{200c}\x{200d}]+)"
    R"(|[^\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\x{200c}\x{200d}\x{9}-\x{d}\x{20}\x{85}\x{a0}\x{1680})"
    R"(\x{2000}-\x{200a}\x{2028}\x{2029}\x{202f}\x{205f}\x{3000}]+)";
constexpr const char* gpt2_pattern =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";

class Split final : public PreTokenizer {
public:
  Split(Pattern pattern, SplitBehavior behavior, bool invert)
      : pattern_(std::move(pattern)), behavior_(behavior), invert_(invert) {}

  std::vector<Piece> apply(std::vector<Piece> pieces) const override {
    std::vector<Piece> out;
    for (const Piece& piece : pieces) {
      std::vector<Span> spans = pattern_.cut(piece.text);
      if (invert_) {
        for (Span& span : spans) span.matched = !span.matched;
      }
      for (const auto& [begin, end] : arrange(spans, behavior_)) {
        if (begin != end)
          out.push_back({piece.text.substr(begin, end - begin), piece.at_start && begin == 0});
      }
    }
    return out;
  }
  bool keeps() const override { return behavior_ != SplitBehavior::removed; }

private:
  Pattern pattern_;
  SplitBehavior behavior_;
  bool invert_;
};

class ByteLevel final : public PreTokenizer {
public:
  ByteLevel(bool add_prefix_space, bool use_regex) : add_prefix_space_(add_prefix_space) {
    if (use_regex)
      split_ = std::make_unique<Split>(Pattern::regex(gpt2_pattern, "ByteLevel"),
                                       SplitBehavior::isolated, false);
  }

  std::vector<Piece> apply(std::vector<Piece> pieces) const override {
    for (Piece& piece : pieces) {
      if (add_prefix_space_ && !piece.text.starts_with(' ')) piece.text.insert(0, 1, ' ');
    }
    if (split_) pieces = split_->apply(std::move(pieces));
    for (Piece& piece : pieces) piece.text = byte_level::encode(piece.text);
    return pieces;
  }
  bool keeps() const override { return true; }
  bool is_byte_level() const override { return true; }

private:
  bool add_prefix_space_;
  std::unique_ptr<Split> split_;
};

enum class PrependScheme { always, first, never };

class Metaspace final : public PreTokenizer {
public:
  Metaspace(std::string replacement, PrependScheme prepend, bool split)
      : replacement_(std::move(replacement)), prepend_(prepend), split_(split),
        cut_(Pattern::literal(replacement_), SplitBehavior::merged_with_next, false) {}

  std::vector<Piece> apply(std::vector<Piece> pieces) const override {
    for (Piece& piece : pieces) {
      std::string text;
      for (const char c : piece.text) c == ' ' ? void(text += replacement_) : text.push_back(c);
      const bool wanted =
          prepend_ == PrependScheme::always || (prepend_ == PrependScheme::first && piece.at_start);
      if (wanted && !text.starts_with(replacement_)) text.insert(0, replacement_);
      piece.text = std::move(text);
    }
    return split_ ? cut_.apply(std::move(pieces)) : pieces;
  }
  bool keeps() const override { return true; }

private:
  std::string replacement_;
  PrependScheme prepend_;
  bool split_;
  Split cut_;
};

class PreTokenizerSequence final : public PreTokenizer {
public:
  explicit PreTokenizerSequence(std::vector<std::unique_ptr<PreTokenizer>> steps)
      : steps_(std::move(steps)) {}
  std::vector<Piece> apply(std::vector<Piece> pieces) const override {
    for (const auto& step : steps_) pieces = step->apply(std::move(pieces));
    return pieces;
  }
  bool keeps() const override {
    return std::all_of(steps_.begin(), steps_.end(),
                       [](const auto& step) { return step->keeps(); });
  }
  bool is_byte_level() const override { return !steps_.empty() && steps_.back()->is_byte_level(); }

private:
  std::vector<std::unique_ptr<PreTokenizer>> steps_;
};

SplitBehavior parse_behavior(const JsonNode& name, const std::string& otherwise) {
  static const std::map<std::string, SplitBehavior> behaviors = {
      {"Isolated", SplitBehavior::isolated},
      {"Removed", SplitBehavior::removed},
      {"Contiguous", SplitBehavior::contiguous},
      {"MergedWithPrevious", SplitBehavior::merged_with_previous},
      {"MergedWithNext", SplitBehavior::merged_with_next}};
  const auto behavior = behaviors.find(name.string_or(otherwise));
  if (behavior == behaviors.end()) name.fail("is not a known behavior");
  return behavior->second;
}

std::unique_ptr<PreTokenizer> parse_split(const JsonNode& node) {
  return std::make_unique<Split>(Pattern::parse(node["pattern"]),
                                 parse_behavior(node["behavior"], ""),
                                 node["invert"].boolean_or(false));
}

std::unique_ptr<PreTokenizer> split_by(const char* pattern, SplitBehavior behavior,
                                       bool invert = false) {
  return std::make_unique<Split>(Pattern::pcre2(pattern), behavior, invert);
}

/// Words and what stands alone: blanks are left out, punctuation is a piece each.
std::unique_ptr<PreTokenizer> bert_splitter() {
  std::vector<std::unique_ptr<PreTokenizer>> steps;
  steps.push_back(split_by(white_space_pattern, SplitBehavior::removed));
  steps.push_back(split_by(punctuation_pattern, SplitBehavior::isolated));
  return std::make_unique<PreTokenizerSequence>(std::move(steps));
}

std::unique_ptr<PreTokenizer> parse_delimiter(const JsonNode& node) {
  const JsonNode delimiter = node["delimiter"];
  if (utf8::length(delimiter.string()) != 1) delimiter.fail("is not one character");
  return std::make_unique<Split>(Pattern::literal(delimiter.string()), SplitBehavior::removed,
                                 false);
}

std::unique_ptr<PreTokenizer> parse_digits(const JsonNode& node) {
  const bool individual = node["individual_digits"].boolean_or(false);
  return std::make_unique<Split>(Pattern::regex(R"(\p{N})", node.where()),
                                 individual ? SplitBehavior::isolated : SplitBehavior::contiguous,
                                 false);
}

/// Older files say add_prefix_space where newer ones say prepend_scheme.
PrependScheme parse_prepend_scheme(const JsonNode& node) {
  static const std::map<std::string, PrependScheme> schemes = {{"always", PrependScheme::always},
                                                               {"first", PrependScheme::first},
                                                               {"never", PrependScheme::never}};
  const JsonNode name = node["prepend_scheme"];
  const auto scheme = schemes.find(name.string_or("always"));
  if (scheme == schemes.end()) name.fail("is neither always, first nor never");
  if (node["add_prefix_space"].boolean_or(true)) return scheme->second;
  if (!name.is_null() && scheme->second != PrependScheme::never)
    name.fail("contradicts add_prefix_space");
  return PrependScheme::never;
}

std::unique_ptr<PreTokenizer> parse_metaspace(const JsonNode& node) {
  const JsonNode replacement = node["replacement"];
  if (utf8::length(replacement.string()) != 1) replacement.fail("is not one character");
  return std::make_unique<Metaspace>(replacement.string(), parse_prepend_scheme(node),
                                     node["split"].boolean_or(true));
}

std::unique_ptr<PreTokenizer> parse_splitter(const JsonNode& node, int depth);

std::unique_ptr<PreTokenizer> parse_splitter_sequence(const JsonNode& node, int depth) {
  if (depth == kMaxNesting) node.fail("is nested too deeply");
  std::vector<std::unique_ptr<PreTokenizer>> steps;
  for (const JsonNode& step : node["pretokenizers"].elements())
    steps.push_back(parse_splitter(step, depth + 1));
  return std::make_unique<PreTokenizerSequence>(std::move(steps));
}

std::unique_ptr<PreTokenizer> parse_splitter(const JsonNode& node, int depth) {
  const std::string& type = node["type"].string();
  if (type == "Sequence") return parse_splitter_sequence(node, depth);
  if (type == "Split") return parse_split(node);
  if (type == "Digits") return parse_digits(node);
  if (type == "Metaspace") return parse_metaspace(node);
  if (type == "BertPreTokenizer") return bert_splitter();
  if (type == "WhitespaceSplit") return split_by(white_space_pattern, SplitBehavior::removed);
  if (type == "Whitespace") return split_by(words_pattern, SplitBehavior::removed, true);
  if (type == "Punctuation")
    return split_by(punctuation_pattern, parse_behavior(node["behavior"], "Isolated"));
  if (type == "CharDelimiterSplit") return parse_delimiter(node);
  if (type == "ByteLevel")
    return std::make_unique<ByteLevel>(node["add_prefix_space"].boolean_or(true),
                                       node["use_regex"].boolean_or(true));
  node.fail(fmt::format("is of type {}, which is not supported", type));
}

} // namespace

std::unique_ptr<PreTokenizer> parse_pre_tokenizer(const JsonNode& node) {
  return node.is_null() ? nullptr : parse_splitter(node, 0);
}

} // namespace talaria::model
