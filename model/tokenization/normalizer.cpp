#include "model/tokenization/normalizer.hpp"

#include <algorithm>
#include <map>

#include <fmt/format.h>

#include "model/tokenization/pattern.hpp"
#include "model/unicode.hpp"

namespace talaria::model {

namespace {

constexpr int max_nesting = 16;

class UnicodeForm final : public Normalizer {
public:
  explicit UnicodeForm(unicode::NormalForm form) : form_(form) {}
  std::string apply(std::string text) const override { return unicode::normalize(text, form_); }
  /// A canonical form takes at most three bytes for one: U+212A is K, three Hangul letters are one.
  std::size_t shrinks() const override {
    return form_ == unicode::NormalForm::nfc || form_ == unicode::NormalForm::nfd ? 4 : 0;
  }

private:
  unicode::NormalForm form_;
};

class Replace final : public Normalizer {
public:
  Replace(Pattern pattern, std::string content)
      : pattern_(std::move(pattern)), content_(std::move(content)) {}

  std::string apply(std::string text) const override {
    std::string out;
    for (const Span& span : pattern_.cut(text)) {
      if (span.matched)
        out += content_;
      else
        out.append(text, span.begin, span.end - span.begin);
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
  std::string apply(std::string text) const override {
    return text.empty() ? text : prefix_ + text;
  }
  std::size_t shrinks() const override { return 1; }

private:
  std::string prefix_;
};

class NormalizerSequence final : public Normalizer {
public:
  explicit NormalizerSequence(std::vector<std::unique_ptr<Normalizer>> steps)
      : steps_(std::move(steps)) {}
  std::string apply(std::string text) const override {
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
  if (depth == max_nesting) node.fail("is nested too deeply");
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
  node.fail(fmt::format("is of type {}, which is not supported", type));
}

} // namespace

std::unique_ptr<Normalizer> parse_normalizer(const JsonNode& node) {
  return node.is_null() ? nullptr : parse(node, 0);
}

} // namespace talaria::model
