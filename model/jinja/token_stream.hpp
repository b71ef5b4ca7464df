#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "model/jinja/budget.hpp"
#include "model/jinja/lexer.hpp"

namespace talaria::model::jinja {

/// The tokens of a template with one token of lookahead, and how deep the parser is inside of it.
class TokenStream {
public:
  TokenStream(std::vector<Token> tokens, const std::string& file)
      : tokens_(std::move(tokens)), file_(file) {}

  const Token& current() const { return tokens_[at_]; }
  const Token& ahead() const { return tokens_[at_ + 1 < tokens_.size() ? at_ + 1 : at_]; }
  Token take() { return current().kind == TokenKind::end ? current() : tokens_[at_++]; }

  bool is(TokenKind kind) const { return current().kind == kind; }
  bool is_symbol(std::string_view text) const { return is(TokenKind::symbol, text); }
  bool is_name(std::string_view text) const { return is(TokenKind::name, text); }
  bool skip_symbol(std::string_view text) { return is_symbol(text) && (take(), true); }
  bool skip_name(std::string_view text) { return is_name(text) && (take(), true); }

  void expect_symbol(std::string_view text) {
    if (!skip_symbol(text)) fail("expected {}, found {}", text, current().text);
  }
  void expect_name(std::string_view text) {
    if (!skip_name(text)) fail("expected {}, found {}", text, current().text);
  }
  void expect(TokenKind kind, std::string_view what) {
    if (!is(kind)) fail("expected {}, found {}", what, current().text);
    take();
  }
  std::string expect_identifier() {
    if (!is(TokenKind::name)) fail("expected a name, found {}", current().text);
    return take().text;
  }

  template <class... Args>
  [[noreturn]] void fail(fmt::format_string<Args...> format, Args&&... args) const {
    fail_at(current().line, format, std::forward<Args>(args)...);
  }
  template <class... Args>
  [[noreturn]] void fail_at(u32 line, fmt::format_string<Args...> format, Args&&... args) const {
    Budget none;
    Site(file_, line, none).fail(format, std::forward<Args>(args)...);
  }

  /// Held while one more level of the template is parsed.
  class Level {
  public:
    explicit Level(TokenStream& stream) : stream_(stream) {
      if (++stream_.depth_ > max_nesting) {
        --stream_.depth_;
        stream_.fail("constructs are nested more than {} deep", max_nesting);
      }
    }
    ~Level() { --stream_.depth_; }
    Level(const Level&) = delete;
    Level& operator=(const Level&) = delete;

  private:
    TokenStream& stream_;
  };

private:
  bool is(TokenKind kind, std::string_view text) const {
    return is(kind) && current().text == text;
  }

  std::vector<Token> tokens_;
  const std::string& file_;
  std::size_t at_ = 0;
  int depth_ = 0;
};

} // namespace talaria::model::jinja
