#include "model/jinja/parser.hpp"

#include <algorithm>
#include <initializer_list>

#include "model/jinja/expression_parser.hpp"
#include "model/jinja/token_stream.hpp"

namespace talaria::model::jinja {

namespace {

class StatementParser {
public:
  explicit StatementParser(TokenStream& tokens) : tokens_(tokens), expressions_(tokens) {}

  /// Statements until a tag named in `ends`, whose name is then current; or the end.
  Body body(std::initializer_list<std::string_view> ends) {
    const TokenStream::Level level(tokens_);
    Body out;
    while (!tokens_.is(TokenKind::end)) {
      const u32 line = tokens_.current().line;
      if (tokens_.is(TokenKind::data)) {
        out.emplace_back(line, TextOutput{tokens_.take().text});
      } else if (tokens_.is(TokenKind::variable_begin)) {
        tokens_.take();
        out.emplace_back(line, Output{expressions_.tuple(true)});
        tokens_.expect(TokenKind::variable_end, "}}");
      } else {
        tokens_.expect(TokenKind::block_begin, "a tag");
        const std::string& name = tokens_.current().text;
        if (std::find(ends.begin(), ends.end(), name) != ends.end()) return out;
        out.push_back(tag());
      }
    }
    if (ends.size() != 0) tokens_.fail("the template ends where {} was expected", *ends.begin());
    return out;
  }

private:
  Statement tag() {
    const u32 line = tokens_.current().line;
    const std::string name = tokens_.expect_identifier();
    if (name == "if") return {line, if_statement()};
    if (name == "for") return {line, for_statement()};
    if (name == "set") return set_statement(line);
    if (name == "macro") return {line, macro()};
    if (name == "filter") return {line, filter_block()};
    if (name == "with") return {line, with()};
    if (name == "call") return {line, call_block()};
    if (name == "generation") return {line, Generation{function_body("endgeneration")}};
    if (name == "break") return loop_control(line, Break{});
    if (name == "continue") return loop_control(line, Continue{});
    tokens_.fail_at(line, "the tag {} is not supported", name);
  }

  template <class Node>
  Statement loop_control(u32 line, Node node) {
    if (loops_ == 0) tokens_.fail_at(line, "break or continue outside of a loop");
    end_tag();
    return {line, node};
  }

  void end_tag() { tokens_.expect(TokenKind::block_end, "%}"); }

  /// The end of the tag, its body, and the tag that closes it.
  Body block(std::string_view closing) {
    end_tag();
    Body out = body({closing});
    tokens_.take();
    end_tag();
    return out;
  }

  /// A block that the loops around it cannot be left from.
  Body function_body(std::string_view closing) {
    const int loops = std::exchange(loops_, 0);
    Body out = block(closing);
    loops_ = loops;
    return out;
  }

  If if_statement() {
    If out;
    while (true) {
      ExpressionPtr condition = expressions_.tuple(false);
      end_tag();
      out.branches.emplace_back(std::move(condition), body({"elif", "else", "endif"}));
      if (!tokens_.skip_name("elif")) break;
    }
    if (tokens_.skip_name("else")) {
      end_tag();
      out.otherwise = body({"endif"});
    }
    tokens_.expect_name("endif");
    end_tag();
    return out;
  }

  std::vector<std::string> targets() {
    const bool parentheses = tokens_.skip_symbol("(");
    std::vector<std::string> out;
    do out.push_back(target());
    while (tokens_.skip_symbol(","));
    if (parentheses) tokens_.expect_symbol(")");
    return out;
  }

  std::string target() {
    static constexpr std::string_view fixed[] = {"true", "True", "false", "False", "none", "None"};
    std::string name = tokens_.expect_identifier();
    if (std::find(std::begin(fixed), std::end(fixed), name) != std::end(fixed))
      tokens_.fail("cannot assign to {}", name);
    return name;
  }

  For for_statement() {
    For out;
    out.targets = targets();
    tokens_.expect_name("in");
    out.items = expressions_.tuple(false);
    if (tokens_.skip_name("if")) out.condition = expressions_.expression();
    if (tokens_.is_name("recursive")) tokens_.fail("a recursive for loop is not supported");
    end_tag();
    ++loops_;
    out.body = body({"else", "endfor"});
    --loops_;
    if (tokens_.skip_name("else")) {
      end_tag();
      out.otherwise = body({"endfor"});
    }
    tokens_.expect_name("endfor");
    end_tag();
    return out;
  }

  Statement set_statement(u32 line) {
    Set out;
    out.targets = targets();
    if (out.targets.size() == 1 && tokens_.skip_symbol(".")) out.attribute = target();
    if (tokens_.skip_symbol("=")) {
      out.value = expressions_.tuple(true);
      end_tag();
      return {line, std::move(out)};
    }
    std::vector<Suffix> filters = expressions_.following_filters();
    if (!tokens_.is(TokenKind::block_end) || out.targets.size() != 1 || !out.attribute.empty())
      tokens_.fail("expected =, found {}; no other form of set is supported",
                   tokens_.current().text);
    return {line, SetBlock{out.targets[0], std::move(filters), block("endset")}};
  }

  FilterBlock filter_block() {
    std::vector<Suffix> filters = expressions_.filter_names();
    return {std::move(filters), function_body("endfilter")};
  }

  With with() {
    With out;
    while (!tokens_.is(TokenKind::block_end)) {
      if (!out.variables.empty()) tokens_.expect_symbol(",");
      std::string name = target();
      tokens_.expect_symbol("=");
      out.variables.emplace_back(std::move(name), expressions_.expression());
    }
    out.body = block("endwith");
    return out;
  }

  CallBlock call_block() {
    CallBlock out;
    out.caller.name = "caller";
    if (tokens_.is_symbol("(")) parameters(out.caller);
    const u32 line = tokens_.current().line;
    out.callee = std::make_unique<Expression>(Expression{line, Name{tokens_.expect_identifier()}});
    out.arguments = expressions_.call_arguments();
    out.filters = expressions_.following_filters();
    out.caller.body = function_body("endcall");
    return out;
  }

  Macro macro() {
    Macro out;
    out.name = target();
    parameters(out);
    out.body = function_body("endmacro");
    return out;
  }

  void parameters(Macro& out) {
    tokens_.expect_symbol("(");
    while (!tokens_.is_symbol(")")) {
      Parameter parameter{target(), nullptr};
      if (tokens_.skip_symbol("="))
        parameter.fallback = expressions_.expression();
      else if (!out.parameters.empty() && out.parameters.back().fallback)
        tokens_.fail("a parameter without default follows one with");
      out.parameters.push_back(std::move(parameter));
      if (!tokens_.skip_symbol(",")) break;
    }
    tokens_.expect_symbol(")");
  }

  TokenStream& tokens_;
  ExpressionParser expressions_;
  int loops_ = 0;
};

} // namespace

Body parse(std::string_view source, const std::string& file) {
  TokenStream tokens(tokenize(source, file), file);
  return StatementParser(tokens).body({});
}

} // namespace talaria::model::jinja
