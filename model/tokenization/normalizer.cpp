#include "model/tokenization/normalizer.hpp"

#include <algorithm>
#include <map>

#include <fmt/format.h>

#include "model/tokenization/character_normalizers.hpp"
#include "model/tokenization/pattern.hpp"
#include "model/unicode.hpp"
#include "model/utf8.hpp"

namespace talaria::model {

namespace {

class UnicodeForm final : public Normalizer {
public:
  explicit UnicodeForm(unicode::NormalForm form) : form_(form) {}
  MarkedText apply(MarkedText text) const override {
    if (text.stretches().empty()) return MarkedText(unicode::normalize(text.text(), form_));
    MarkedText out;
    std::size_t at = 0;
    for (const std::size_t end : cuts(text)) {
      out.append(unicode::normalize(std::string_view(text.text()).substr(at, end - at), form_),
                 text.origin(at, end));
      at = end;
    }
    return out;
  }
  /// A canonical form takes at most three bytes for one: U+212A is K, three Hangul letters are one.
  std::size_t shrinks() const override {
    return form_ == unicode::NormalForm::nfc || form_ == unicode::NormalForm::nfd ? 4 : 0;
  }

private:
  /// The ends of parts that normalise as they do in the whole, and are of one origin wherever that
  /// goes together.
  std::vector<std::size_t> cuts(const MarkedText& text) const {
    std::vector<std::size_t> out;
    for (const MarkedText::Stretch& run : text.runs()) {
      std::size_t end = run.end; // moves on to where nothing behind it changes what is before
      while (end < text.size()) {
        const utf8::Step next = utf8::step(text.text(), end);
        if (unicode::is_boundary_before(next.code_point, form_)) break;
        end += next.length;
      }
      if (out.empty() || end > out.back()) out.push_back(end);
    }
    return out;
  }

  unicode::NormalForm form_;
};

class Replace final : public Normalizer {
public:
  Replace(Pattern pattern, std::string content)
      : pattern_(std::move(pattern)), content_(std::move(content)) {}

  MarkedText apply(MarkedText text) const override {
    MarkedText out;
    for (const Span& span : pattern_.cut(text.text())) {
      if (span.matched)
        out.append(content_, text.origin(span.begin, span.end));
      else
        out.append(text, span.begin, span.end);
    }
    return out;
  }
  std::size_t shrinks() const override {
    return pattern_.is_expression() || pattern_.literal_size() > content_.size() ? 0 : 1;
  }

private:
  Pattern pattern_;
  std::string content_;
};

class Prepend final : public Normalizer {
public:
  explicit Prepend(std::string prefix) : prefix_(std::move(prefix)) {}
  MarkedText apply(MarkedText text) const override {
    if (text.empty()) return text;
    MarkedText out(prefix_);
    out.append(text);
    return out;
  }
  std::size_t shrinks() const override { return 1; }

private:
  std::string prefix_;
};

class NormalizerSequence final : public Normalizer {
public:
  explicit NormalizerSequence(std::vector<std::unique_ptr<Normalizer>> steps)
      : steps_(std::move(steps)) {}
  MarkedText apply(MarkedText text) const override {
    for (const auto& step : steps_) text = step->apply(std::move(text));
    return text;
  }
  std::size_t shrinks() const override {
    std::size_t all = 1;
    for (const auto& step : steps_) all = std::min<std::size_t>(all * step->shrinks(), 1 << 10);
    return all;
  }

private:
  std::vector<std::unique_ptr<Normalizer>> steps_;
};

std::unique_ptr<Normalizer> parse(const JsonNode& node, int depth);

std::unique_ptr<Normalizer> parse_sequence(const JsonNode& node, int depth) {
  if (depth == kMaxNesting) node.fail("is nested too deeply");
  std::vector<std::unique_ptr<Normalizer>> steps;
  for (const JsonNode& step : node["normalizers"].elements())
    steps.push_back(parse(step, depth + 1));
  return std::make_unique<NormalizerSequence>(std::move(steps));
}

std::unique_ptr<Normalizer> parse(const JsonNode& node, int depth) {
  static const std::map<std::string, unicode::NormalForm> forms = {
      {"NFC", unicode::NormalForm::nfc},
      {"NFD", unicode::NormalForm::nfd},
      {"NFKC", unicode::NormalForm::nfkc},
      {"NFKD", unicode::NormalForm::nfkd}};
  const std::string& type = node["type"].string();
  if (const auto form = forms.find(type); form != forms.end())
    return std::make_unique<UnicodeForm>(form->second);
  if (type == "Replace")
    return std::make_unique<Replace>(Pattern::parse(node["pattern"]), node["content"].string());
  if (type == "Prepend") return std::make_unique<Prepend>(node["prepend"].string());
  if (type == "Sequence") return parse_sequence(node, depth);
  if (type == "Precompiled") return parse_precompiled(node);
  if (auto found = parse_character_normalizer(node)) return found;
  node.fail(fmt::format("is of type {}, which is not supported", type));
}

} // namespace

std::unique_ptr<Normalizer> parse_normalizer(const JsonNode& node) {
  return node.is_null() ? nullptr : parse(node, 0);
}

} // namespace talaria::model
