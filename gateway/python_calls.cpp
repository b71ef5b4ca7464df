#include "gateway/python_calls.hpp"

#include <cctype>
#include <nlohmann/json.hpp>

namespace talaria::gateway {

namespace {

using Json = nlohmann::ordered_json;

constexpr int kDeepest = 32;

struct NotPython {};

class PythonReader {
public:
  explicit PythonReader(std::string_view text) : text_(text) {}

  std::vector<std::pair<std::string, std::string>> calls() {
    std::vector<std::pair<std::string, std::string>> out;
    expect('[');
    do {
      std::string name = this->name();
      out.emplace_back(std::move(name), arguments().dump());
    } while (take(','));
    expect(']');
    skip_blanks();
    if (at_ != text_.size()) throw NotPython();
    return out;
  }

private:
  void skip_blanks() {
    while (at_ < text_.size() && std::isspace(static_cast<unsigned char>(text_[at_])) != 0) ++at_;
  }
  bool take(char wanted) {
    skip_blanks();
    if (at_ >= text_.size() || text_[at_] != wanted) return false;
    ++at_;
    return true;
  }
  void expect(char wanted) {
    if (!take(wanted)) throw NotPython();
  }
  std::string name() {
    skip_blanks();
    const std::size_t begin = at_;
    while (at_ < text_.size() && (std::isalnum(static_cast<unsigned char>(text_[at_])) != 0 ||
                                  text_[at_] == '_' || text_[at_] == '.' || text_[at_] == '-'))
      ++at_;
    if (begin == at_) throw NotPython();
    return std::string(text_.substr(begin, at_ - begin));
  }
  Json arguments() {
    Json out = Json::object();
    expect('(');
    while (!take(')')) {
      if (!out.empty()) expect(',');
      if (take(')')) break;
      const std::string key = name();
      expect('=');
      out[key] = value(0);
    }
    return out;
  }
  Json value(int depth) {
    if (depth > kDeepest) throw NotPython();
    skip_blanks();
    if (at_ >= text_.size()) throw NotPython();
    const char c = text_[at_];
    if (c == '"' || c == '\'') return string();
    if (c == '[' || c == '(') return list(c == '[' ? ']' : ')', depth);
    if (c == '{') return dict(depth);
    return word();
  }
  Json list(char close, int depth) {
    Json out = Json::array();
    ++at_;
    while (!take(close)) {
      if (!out.empty()) expect(',');
      if (take(close)) break;
      out.push_back(value(depth + 1));
    }
    return out;
  }
  Json dict(int depth) {
    Json out = Json::object();
    ++at_;
    while (!take('}')) {
      if (!out.empty()) expect(',');
      if (take('}')) break;
      const Json key = value(depth + 1);
      if (!key.is_string()) throw NotPython();
      expect(':');
      out[key.get<std::string>()] = value(depth + 1);
    }
    return out;
  }
  Json string() {
    const char quote = text_[at_++];
    std::string out;
    while (at_ < text_.size() && text_[at_] != quote) {
      if (text_[at_] != '\\') {
        out += text_[at_++];
        continue;
      }
      if (++at_ >= text_.size()) throw NotPython();
      out += escape(text_[at_++]);
    }
    if (at_++ >= text_.size()) throw NotPython();
    return out;
  }
  static char escape(char c) {
    switch (c) {
    case 'n':
      return '\n';
    case 't':
      return '\t';
    case 'r':
      return '\r';
    case '\\':
    case '\'':
    case '"':
      return c;
    default: // \x41, \u0041: no model has been seen to write these
      throw NotPython();
    }
  }
  Json word() {
    const std::size_t begin = at_;
    while (at_ < text_.size() && (std::isalnum(static_cast<unsigned char>(text_[at_])) != 0 ||
                                  text_[at_] == '.' || text_[at_] == '-' || text_[at_] == '+'))
      ++at_;
    const std::string_view word = text_.substr(begin, at_ - begin);
    if (word == "True" || word == "true") return true;
    if (word == "False" || word == "false") return false;
    if (word == "None" || word == "null") return nullptr;
    Json number = Json::parse(word, nullptr, false);
    if (!number.is_number()) throw NotPython();
    return number;
  }

  std::string_view text_;
  std::size_t at_ = 0;
};

} // namespace

std::optional<std::vector<std::pair<std::string, std::string>>>
python_calls(std::string_view text) {
  try {
    return PythonReader(text).calls();
  } catch (const NotPython&) {
    return std::nullopt;
  } catch (const nlohmann::json::exception&) { // a string that is not UTF-8
    return std::nullopt;
  }
}

} // namespace talaria::gateway
