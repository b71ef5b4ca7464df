#include "config/yaml_tree.hpp"

#include <sstream>
#include <utility>

#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/parser.h>

#include "core/error.hpp"

namespace talaria::config {
namespace {

constexpr std::size_t kMaxBytes = std::size_t{1} << 20;
constexpr std::size_t kMaxLineBytes = 4096;
constexpr std::size_t kMaxDepth = 16;

/// The first thing that makes a text unreadable; becomes an Error once the file is known.
struct Unreadable {
  Position at;
  std::string what;
};

Position position(const YAML::Mark& mark) {
  return mark.is_null() ? Position{1, 1} : Position{mark.line + 1, mark.column + 1};
}

/// Length in bytes of the UTF-8 character at the start of `text`; 0 if it is malformed.
std::size_t utf8_length(std::string_view text) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char first = byte(0);
  if (first < 0x80) return 1;
  const std::size_t length = first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : 2;
  if (first < 0xC2 || first > 0xF4 || text.size() < length) return 0;
  for (std::size_t i = 1; i < length; ++i)
    if ((byte(i) & 0xC0) != 0x80) return 0;
  // Overlong forms, surrogates, and what lies beyond U+10FFFF.
  if (first == 0xE0 && byte(1) < 0xA0) return 0;
  if (first == 0xED && byte(1) > 0x9F) return 0;
  if (first == 0xF0 && byte(1) < 0x90) return 0;
  if (first == 0xF4 && byte(1) > 0x8F) return 0;
  return length;
}

bool is_forbidden_control(char c) {
  return (static_cast<unsigned char>(c) < 0x20 && c != '\n' && c != '\r' && c != '\t') || c == 0x7F;
}

/// yaml-cpp takes some control characters for the end of the file and guesses at encodings, so
/// neither reaches it. Short lines bound how far it looks ahead for the end of a key.
void check_characters(std::string_view text) {
  if (text.size() > kMaxBytes)
    throw Unreadable{{1, 1}, "is larger than 1 MiB; a pipeline file is a page of text"};
  Position at{1, 1};
  for (std::size_t i = 0; i < text.size();) {
    const std::size_t length = utf8_length(text.substr(i));
    if (length == 0) throw Unreadable{at, "not UTF-8; save the file as UTF-8"};
    if (is_forbidden_control(text[i]))
      throw Unreadable{at, "a control character; only text is allowed here"};
    if (at.column > static_cast<int>(kMaxLineBytes))
      throw Unreadable{at, "the line is longer than 4096 bytes; break it"};
    at = text[i] == '\n' ? Position{at.line + 1, 1}
                         : Position{at.line, at.column + static_cast<int>(length)};
    i += length;
  }
}

/// Builds the tree from the parser's events.
class TreeBuilder final : public YAML::EventHandler {
public:
  YamlNode take() && { return std::move(root_); }

  void OnDocumentStart(const YAML::Mark& mark) override {
    if (documents_++ > 0)
      throw Unreadable{position(mark), "a second document; expected one document in the file"};
  }
  void OnDocumentEnd() override {}

  void OnNull(const YAML::Mark& mark, YAML::anchor_t) override {
    add({YamlNode::Kind::null, position(mark), {}, false, {}});
  }
  void OnAlias(const YAML::Mark& mark, YAML::anchor_t) override {
    throw Unreadable{position(mark), "an alias; expected the value itself, written out"};
  }
  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t,
                const std::string& value) override {
    add({YamlNode::Kind::scalar, position(mark), value, tag == "!", {}});
  }
  void OnSequenceStart(const YAML::Mark& mark, const std::string&, YAML::anchor_t,
                       YAML::EmitterStyle::value) override {
    open(YamlNode::Kind::sequence, mark);
  }
  void OnSequenceEnd() override { close(); }
  void OnMapStart(const YAML::Mark& mark, const std::string&, YAML::anchor_t,
                  YAML::EmitterStyle::value) override {
    open(YamlNode::Kind::mapping, mark);
  }
  void OnMapEnd() override { close(); }

private:
  void add(YamlNode node) {
    if (open_.empty())
      root_ = std::move(node);
    else
      open_.back().items.push_back(std::move(node));
  }
  void open(YamlNode::Kind kind, const YAML::Mark& mark) {
    if (open_.size() == kMaxDepth)
      throw Unreadable{position(mark), "nested more than 16 levels deep"};
    open_.push_back({kind, position(mark), {}, false, {}});
  }
  void close() {
    YamlNode done = std::move(open_.back());
    open_.pop_back();
    add(std::move(done));
  }

  YamlNode root_;
  std::vector<YamlNode> open_;
  int documents_ = 0;
};

YamlNode build_tree(std::string_view text) {
  check_characters(text);
  try {
    std::istringstream stream{std::string(text)};
    YAML::Parser parser(stream);
    TreeBuilder builder;
    // The second call is there to find out about anything after the first document.
    if (parser.HandleNextDocument(builder)) parser.HandleNextDocument(builder);
    return std::move(builder).take();
  } catch (const YAML::Exception& error) {
    throw Unreadable{position(error.mark), "not valid YAML: " + error.msg};
  }
}

} // namespace

const char* describe(YamlNode::Kind kind) {
  switch (kind) {
  case YamlNode::Kind::null:
    return "nothing";
  case YamlNode::Kind::scalar:
    return "a single value";
  case YamlNode::Kind::sequence:
    return "a list";
  case YamlNode::Kind::mapping:
    return "a mapping";
  }
  return "nothing";
}

YamlNode parse_yaml(std::string_view text, const std::filesystem::path& file) {
  try {
    return build_tree(text);
  } catch (const Unreadable& unreadable) {
    Problems problems(file);
    problems.add(unreadable.at, "", unreadable.what);
    problems.throw_if_any();
    throw;
  }
}

} // namespace talaria::config
