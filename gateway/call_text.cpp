#include "gateway/call_text.hpp"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <utility>

#include "core/random.hpp"
#include "gateway/client_json.hpp"
#include "gateway/python_calls.hpp"
#include "gateway/raw_json.hpp"

namespace talaria::gateway {

using nlohmann::json;

namespace {

constexpr std::string_view kMistralArguments = "[ARGS]";
constexpr std::string_view kPythonTag = "<|python_tag|>";

/// A model's JSON, which may be anything; with the limits that clients' has.
std::optional<json> parsed(std::string_view text) {
  try {
    return parse_client_json(text, nullptr).value;
  } catch (const std::exception&) {
    return std::nullopt;
  }
}

/// {"name": ..., "arguments" or "parameters": {...}}; the arguments as they are written.
std::optional<ToolCall> json_call(std::string_view text, ToolSyntax syntax) {
  const auto object = parsed(text);
  if (!object || !object->is_object()) return std::nullopt;
  const auto name = object->find("name");
  if (name == object->end() || !name->is_string()) return std::nullopt;
  ToolCall call{new_call_id(syntax), name->get<std::string>(), "{}"};
  for (const char* key : {"arguments", "parameters"}) {
    const auto arguments = object->find(key);
    if (arguments == object->end()) continue;
    if (arguments->is_object())
      call.arguments = raw_member(text, key).value_or("{}");
    else if (arguments->is_string() && parsed(arguments->get<std::string>()))
      call.arguments = arguments->get<std::string>();
    else
      return std::nullopt;
    return call;
  }
  return object->size() == 1 ? std::optional(call) : std::nullopt;
}

/// The values of a JSON text that is a list, as they are written; without a list, the whole.
std::vector<std::string_view> elements(std::string_view text) {
  text = without_blanks(text);
  if (!text.starts_with('[')) return {text};
  if (!parsed(text)) return {};
  return raw_elements(text);
}

/// Reads JSON whose end may be missing.
class HeadReader {
public:
  explicit HeadReader(std::string_view text) : text_(text) {}

  bool take(char wanted) {
    skip_blanks();
    if (at_ >= text_.size()) {
      is_short_ = true;
      return false;
    }
    if (text_[at_] != wanted) return false;
    ++at_;
    return true;
  }
  std::optional<std::string> string() {
    if (!take('"')) return std::nullopt;
    const std::size_t begin = at_ - 1;
    for (; at_ < text_.size() && text_[at_] != '"'; ++at_)
      if (text_[at_] == '\\') ++at_;
    if (at_ >= text_.size()) {
      is_short_ = true;
      return std::nullopt;
    }
    const auto value = parsed(text_.substr(begin, ++at_ - begin));
    return value ? std::optional(value->get<std::string>()) : std::nullopt;
  }
  /// The text ended before what was asked for did.
  bool is_short() const noexcept { return is_short_; }
  std::size_t at() const noexcept { return at_; }

private:
  void skip_blanks() {
    while (at_ < text_.size() &&
           std::string_view(" \t\r\n").find(text_[at_]) != std::string_view::npos)
      ++at_;
  }

  std::string_view text_;
  std::size_t at_ = 0;
  bool is_short_ = false;
};

bool is_name_character(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
         c == '-' || c == '.';
}

} // namespace

std::string_view without_blanks(std::string_view text) noexcept {
  constexpr std::string_view kBlanks = " \t\r\n";
  const auto begin = text.find_first_not_of(kBlanks);
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(kBlanks) + 1 - begin);
}

/// Nine letters and digits, which Mistral's templates insist on, behind what others expect.
std::string new_call_id(ToolSyntax syntax) {
  constexpr std::string_view kCharacters =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
  std::array<u8, 24> bytes{};
  ChaChaRng::from_system().fill(bytes);
  std::string id;
  for (const u8 byte : bytes) id += kCharacters[byte % kCharacters.size()];
  return syntax == ToolSyntax::mistral ? id.substr(0, 9) : "call_" + id;
}

std::optional<std::vector<ToolCall>> json_calls(const std::vector<std::string_view>& texts,
                                                ToolSyntax syntax) {
  std::vector<ToolCall> calls;
  if (texts.empty()) return std::nullopt;
  for (const std::string_view text : texts) {
    auto call = json_call(text, syntax);
    if (!call) return std::nullopt;
    calls.push_back(*std::move(call));
  }
  return calls;
}

std::optional<std::vector<ToolCall>> llama_calls(std::string_view text) {
  if (text.starts_with(kPythonTag)) text.remove_prefix(kPythonTag.size());
  text = without_blanks(text);
  if (text.starts_with('[')) return json_calls(elements(text), ToolSyntax::llama);
  std::vector<std::string_view> parts;
  int depth = 0;
  bool in_string = false;
  std::size_t begin = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (in_string) {
      if (c == '\\') ++i;
      in_string = c != '"';
    } else if (c == '"') {
      in_string = true;
    } else if (c == '{' || c == '}') {
      depth += c == '{' ? 1 : -1;
    } else if (c == ';' && depth == 0) {
      parts.push_back(without_blanks(text.substr(begin, i - begin)));
      begin = i + 1;
    }
  }
  parts.push_back(without_blanks(text.substr(begin)));
  if (parts.size() > 1 && parts.back().empty()) parts.pop_back();
  return json_calls(parts, ToolSyntax::llama);
}

std::optional<std::vector<ToolCall>> python_call_list(std::string_view text) {
  const auto found = python_calls(without_blanks(text));
  if (!found) return std::nullopt;
  std::vector<ToolCall> calls;
  for (const auto& [name, arguments] : *found)
    calls.push_back({new_call_id(ToolSyntax::pythonic), name, arguments});
  return calls;
}

std::optional<std::vector<ToolCall>> mistral_calls(std::string_view text) {
  text = without_blanks(text);
  if (text.starts_with('[') || text.starts_with('{'))
    return json_calls(elements(text), ToolSyntax::mistral);
  const auto brace = text.find('{');
  if (brace == std::string_view::npos || !parsed(text.substr(brace))) return std::nullopt;
  std::string_view name = without_blanks(text.substr(0, brace));
  if (name.ends_with(kMistralArguments)) name.remove_suffix(kMistralArguments.size());
  if (name.empty()) return std::nullopt;
  return std::vector<ToolCall>{
      {new_call_id(ToolSyntax::mistral), std::string(name), std::string(text.substr(brace))}};
}

CallHead json_call_head(std::string_view text) {
  HeadReader reader(text);
  const auto failed = [&reader] {
    return CallHead{reader.is_short() ? CallHead::Kind::incomplete : CallHead::Kind::other};
  };
  if (!reader.take('{')) return failed();
  const auto key = reader.string();
  if (!key || *key != "name" || !reader.take(':')) return failed();
  const auto name = reader.string();
  if (!name || !reader.take(',')) return failed();
  const auto second = reader.string();
  if (!second || (*second != "arguments" && *second != "parameters") || !reader.take(':') ||
      !reader.take('{'))
    return failed();
  return {CallHead::Kind::found, *name, reader.at() - 1};
}

CallHead named_call_head(std::string_view text) {
  const std::size_t brace = text.find('{');
  const std::string_view before = without_blanks(text.substr(0, brace));
  const std::size_t bracket = std::min(before.find('['), before.size());
  const std::string_view name = without_blanks(before.substr(0, bracket));
  if (!std::all_of(name.begin(), name.end(), is_name_character)) return {CallHead::Kind::other};
  if (brace == std::string_view::npos) return {CallHead::Kind::incomplete};
  if (name.empty()) return {CallHead::Kind::other};
  return {CallHead::Kind::found, std::string(name), brace};
}

std::size_t ObjectScanner::feed(std::string_view text) noexcept {
  std::size_t i = 0;
  while (i < text.size() && !done_) {
    const char c = text[i++];
    if (std::exchange(escaped_, false)) continue;
    if (in_string_) {
      escaped_ = c == '\\';
      in_string_ = c != '"';
    } else if (c == '"') {
      in_string_ = true;
    } else if (c == '{' || c == '[') {
      ++depth_;
    } else if (c == '}' || c == ']') {
      done_ = --depth_ <= 0;
    }
  }
  return i;
}

std::size_t possible_beginning(std::string_view text, std::string_view marker) noexcept {
  for (std::size_t n = std::min(marker.size() - 1, text.size()); n > 0; --n)
    if (text.ends_with(marker.substr(0, n))) return n;
  return 0;
}

} // namespace talaria::gateway
