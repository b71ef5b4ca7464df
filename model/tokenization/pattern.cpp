#define PCRE2_CODE_UNIT_WIDTH 8
#include "model/tokenization/pattern.hpp"

#include <pcre2.h>

#include <fmt/format.h>

#include "core/integers.hpp"
#include "model/one_line.hpp"
#include "model/tokenization/oniguruma_syntax.hpp"
#include "model/utf8.hpp"

namespace talaria::model {

namespace {

std::string describe(int code) {
  std::array<PCRE2_UCHAR, 128> text{};
  pcre2_get_error_message(code, text.data(), text.size());
  return reinterpret_cast<const char*>(text.data());
}

struct FreeMatch {
  void operator()(pcre2_match_data* data) const { pcre2_match_data_free(data); }
  void operator()(pcre2_match_context* context) const { pcre2_match_context_free(context); }
};

/// Collects matches into a gapless sequence of spans.
class Cutter {
public:
  explicit Cutter(std::size_t size) : size_(size) {}
  void match(std::size_t begin, std::size_t end) {
    if (covered_ != begin) spans_.push_back({covered_, begin, false});
    spans_.push_back({begin, end, true});
    covered_ = end;
  }
  std::vector<Span> finish() {
    if (covered_ != size_) spans_.push_back({covered_, size_, false});
    return std::move(spans_);
  }

private:
  std::size_t size_;
  std::size_t covered_ = 0;
  std::vector<Span> spans_;
};

} // namespace

struct Pattern::Code {
  explicit Code(pcre2_code* compiled) : regex(compiled) {}
  Code(const Code&) = delete;
  Code& operator=(const Code&) = delete;
  ~Code() { pcre2_code_free(regex); }
  pcre2_code* regex;
};

Pattern::Pattern() = default;
Pattern::Pattern(Pattern&&) noexcept = default;
Pattern& Pattern::operator=(Pattern&&) noexcept = default;
Pattern::~Pattern() = default;

Pattern Pattern::literal(std::string text) {
  Pattern out;
  out.literal_ = std::move(text);
  return out;
}

Pattern Pattern::regex(std::string_view expression, const std::string& where) {
  return compiled(pcre2_from_oniguruma(expression, where), expression, where);
}

Pattern Pattern::pcre2(std::string_view expression) {
  return compiled(expression, expression, "a built-in pattern");
}

Pattern Pattern::compiled(std::string_view translated, std::string_view shown,
                          const std::string& where) {
  int error = 0;
  PCRE2_SIZE offset = 0;
  constexpr u32 options = PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE | PCRE2_NEVER_BACKSLASH_C;
  pcre2_code* code = pcre2_compile(reinterpret_cast<PCRE2_SPTR>(translated.data()),
                                   translated.size(), options, &error, &offset, nullptr);
  if (code == nullptr) {
    throw Error(Errc::model, one_line(fmt::format("{}: the pattern does not compile ({}): {}",
                                                  where, describe(error), shown)));
  }
  Pattern out;
  out.code_ = std::make_unique<Code>(code);
  pcre2_jit_compile(code, PCRE2_JIT_COMPLETE); // only faster: without it PCRE2 interprets
  return out;
}

Pattern Pattern::parse(const JsonNode& node) {
  const JsonNode text = node["String"];
  const JsonNode expression = node["Regex"];
  if (!expression.is_null()) return regex(expression.string(), node.where());
  if (text.is_null()) node.fail("has neither a String nor a Regex");
  if (text.string().empty()) text.fail("is empty");
  return literal(text.string());
}

std::vector<Span> Pattern::cut_literal(std::string_view text) const {
  Cutter cutter(text.size());
  std::size_t from = 0;
  while ((from = text.find(literal_, from)) != std::string_view::npos) {
    cutter.match(from, from + literal_.size());
    from += literal_.size();
  }
  return cutter.finish();
}

std::vector<Span> Pattern::cut(std::string_view text) const {
  if (!code_) return cut_literal(text);
  Cutter cutter(text.size());
  const std::unique_ptr<pcre2_match_data, FreeMatch> data(
      pcre2_match_data_create_from_pattern(code_->regex, nullptr));
  const std::unique_ptr<pcre2_match_context, FreeMatch> context(
      pcre2_match_context_create(nullptr));
  pcre2_set_match_limit(context.get(), static_cast<u32>(10'000'000 + 16 * text.size()));
  const auto match = [&](std::size_t from, u32 options) {
    return pcre2_match(code_->regex, reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(), from,
                       PCRE2_NO_UTF_CHECK | options, data.get(), context.get());
  };
  // Empty matches count, except directly behind the previous match, as in Oniguruma's iterator.
  std::size_t from = 0;
  std::size_t last_end = std::string_view::npos;
  while (from <= text.size()) {
    int result = match(from, 0);
    if (result == PCRE2_ERROR_JIT_STACKLIMIT) result = match(from, PCRE2_NO_JIT);
    if (result == PCRE2_ERROR_NOMATCH) break;
    if (result < 0)
      throw Error(Errc::usage, "the tokenizer's pattern cannot handle this text: " +
                                   describe(result) + "; shorten it");
    const PCRE2_SIZE* bounds = pcre2_get_ovector_pointer(data.get());
    if (bounds[0] == bounds[1] && bounds[1] == last_end) {
      if (from == text.size()) break;
      from += utf8::step(text, from).length;
      continue;
    }
    cutter.match(bounds[0], bounds[1]);
    from = last_end = bounds[1];
  }
  return cutter.finish();
}

} // namespace talaria::model
