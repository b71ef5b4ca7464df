#include "model/chat_template.hpp"

#include <fstream>
#include <sstream>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "core/error.hpp"
#include "model/jinja/interpreter.hpp"
#include "model/jinja/parser.hpp"
#include "model/one_line.hpp"
#include "model/tokenizer.hpp"

namespace talaria::model {

namespace {

using Json = nlohmann::json;
using NamedTexts = std::vector<std::pair<std::string, std::string>>;

std::optional<std::string> read_if_there(const std::filesystem::path& path) {
  if (!std::filesystem::exists(path)) return std::nullopt;
  std::ifstream file(path, std::ios::binary);
  std::string text((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  if (file.fail() && !file.eof()) throw Error(Errc::model, path.string() + " cannot be read");
  return text;
}

Json parse_config(const std::string& text, const std::string& file) {
  try {
    Json config = Json::parse(text);
    if (!config.is_object()) throw Error(Errc::model, file + " is not a JSON object");
    return config;
  } catch (const Json::exception& error) {
    throw Error(Errc::model, one_line(fmt::format("{} is not valid JSON: {}", file, error.what())));
  }
}

/// Every `..._token` that is a string, or an object with a string `content`.
NamedTexts special_tokens(const Json& config) {
  NamedTexts out;
  for (const auto& [key, value] : config.items()) {
    if (!key.ends_with("_token")) continue;
    const Json& text = value.is_object() ? value.value("content", Json()) : value;
    if (text.is_string()) out.emplace_back(key, text.get<std::string>());
  }
  return out;
}

/// The string, or of a list of {"name", "template"} the one called default.
std::optional<std::string> template_in(const Json& config, const std::string& file) {
  const Json field = config.value("chat_template", Json());
  if (field.is_null()) return std::nullopt;
  if (field.is_string()) return field.get<std::string>();
  if (!field.is_array())
    throw Error(Errc::model, file + ": chat_template is neither a string nor a list");
  for (const Json& entry : field) {
    const bool named = entry.is_object() && entry.value("name", Json()) == "default";
    if (named && entry.value("template", Json()).is_string())
      return entry["template"].get<std::string>();
  }
  throw Error(Errc::model, file + ": chat_template has no template named default");
}

} // namespace

struct ChatTemplate::Impl {
  std::string file;
  jinja::Body body;
  NamedTexts special_tokens;
};

ChatTemplate::ChatTemplate(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
ChatTemplate::ChatTemplate(ChatTemplate&&) noexcept = default;
ChatTemplate& ChatTemplate::operator=(ChatTemplate&&) noexcept = default;
ChatTemplate::~ChatTemplate() = default;

std::optional<ChatTemplate> ChatTemplate::load(const std::filesystem::path& model_dir) {
  const std::string config_file = (model_dir / "tokenizer_config.json").string();
  const std::optional<std::string> config_text = read_if_there(config_file);
  const Json config = config_text ? parse_config(*config_text, config_file) : Json::object();
  const std::filesystem::path jinja_file = model_dir / "chat_template.jinja";
  if (const auto text = read_if_there(jinja_file))
    return parse(*text, jinja_file.string(), special_tokens(config));
  const std::optional<std::string> text = template_in(config, config_file);
  if (!text) return std::nullopt;
  return parse(*text, config_file + ": chat_template", special_tokens(config));
}

ChatTemplate ChatTemplate::parse(std::string_view text, const std::string& file,
                                 NamedTexts special_tokens) {
  if (const auto bad = find_invalid_utf8(text))
    throw Error(Errc::model, fmt::format("{} is not valid UTF-8 at byte {}", file, *bad));
  auto impl = std::make_unique<Impl>();
  impl->file = file;
  impl->body = jinja::parse(text, file);
  impl->special_tokens = std::move(special_tokens);
  return ChatTemplate(std::move(impl));
}

std::string ChatTemplate::render(const std::vector<ChatMessage>& messages,
                                 bool add_generation_prompt) const {
  jinja::Interpreter interpreter(impl_->body, impl_->file);
  const jinja::Site start(impl_->file, 1, interpreter.budget());
  std::vector<jinja::Value> list;
  for (const ChatMessage& message : messages) {
    for (const std::string* text : {&message.role, &message.content}) {
      if (const auto bad = find_invalid_utf8(*text))
        throw Error(Errc::usage, fmt::format("a message is not valid UTF-8 at byte {}", *bad));
    }
    list.push_back(jinja::Value::dict(
        {{std::string("role"), message.role}, {std::string("content"), message.content}}, start));
  }
  interpreter.define("messages", jinja::Value::list(std::move(list), jinja::Sequence::list, start));
  interpreter.define("tools", jinja::None{});
  interpreter.define("documents", jinja::None{});
  interpreter.define("add_generation_prompt", jinja::Value(add_generation_prompt));
  for (const auto& [name, text] : impl_->special_tokens) interpreter.define(name, text);
  return interpreter.run();
}

} // namespace talaria::model
