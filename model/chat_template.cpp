#include "model/chat_template.hpp"

#include <algorithm>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "core/error.hpp"
#include "model/jinja/interpreter.hpp"
#include "model/jinja/parser.hpp"
#include "model/one_line.hpp"
#include "model/tokenizer.hpp"
#include "model/tokenizer_config.hpp"
#include "model/weights/model_files.hpp"

namespace talaria::model {

namespace {

using Json = nlohmann::json;

Json parse_config(const std::string& text, const std::string& file) {
  try {
    Json config = Json::parse(text);
    if (!config.is_object()) throw Error(Errc::model, file + " is not a JSON object");
    return config;
  } catch (const Json::exception& error) {
    throw Error(Errc::model, one_line(fmt::format("{} is not valid JSON: {}", file, error.what())));
  }
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
  std::string source;
  jinja::Body body;
  Variables special_tokens;
  std::vector<std::string> additional;
  ChatClock clock;
};

ChatTemplate::ChatTemplate(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
ChatTemplate::ChatTemplate(ChatTemplate&&) noexcept = default;
ChatTemplate& ChatTemplate::operator=(ChatTemplate&&) noexcept = default;
ChatTemplate::~ChatTemplate() = default;

std::optional<ChatTemplate> ChatTemplate::load(const std::filesystem::path& model_dir) {
  return load(model_texts(model_dir));
}

std::optional<ChatTemplate> ChatTemplate::load(const TextFiles& files) {
  const PrivateFile* const jinja = files.find("chat_template.jinja");
  const PrivateFile* const config = files.find("tokenizer_config.json");
  std::optional<std::string> text;
  std::string file;
  if (jinja != nullptr) {
    text = jinja->text;
    file = jinja->path.string();
  } else if (config != nullptr) {
    const std::string config_file = config->path.string();
    text = template_in(parse_config(config->text, config_file), config_file);
    file = config_file + ": chat_template";
  }
  if (!text) return std::nullopt;
  const TokenizerConfig tokens = TokenizerConfig::load(files);
  ChatTemplate out = parse(*text, file, tokens.named);
  out.impl_->additional = tokens.additional;
  return out;
}

ChatTemplate ChatTemplate::parse(std::string_view text, const std::string& file,
                                 Variables special_tokens) {
  if (const auto bad = find_invalid_utf8(text))
    throw Error(Errc::model, fmt::format("{} is not valid UTF-8 at byte {}", file, *bad));
  auto impl = std::make_unique<Impl>();
  impl->file = file;
  impl->source = text;
  impl->body = jinja::parse(text, file);
  impl->special_tokens = std::move(special_tokens);
  return ChatTemplate(std::move(impl));
}

void ChatTemplate::set_clock(const ChatClock& clock) {
  impl_->clock = clock;
}

const ChatTemplate::Variables& ChatTemplate::special_tokens() const noexcept {
  return impl_->special_tokens;
}

const std::string& ChatTemplate::file() const noexcept {
  return impl_->file;
}

const std::string& ChatTemplate::source() const noexcept {
  return impl_->source;
}

namespace {

/// A role that a template knows may be a part of its markers, e.g. <|user|>; any other is a user's
/// text like every other.
MarkedText role_of(const ChatMessage& message) {
  static constexpr std::string_view known[] = {"system",    "developer", "user",
                                               "assistant", "tool",      "function"};
  const bool is_known =
      std::find(std::begin(known), std::end(known), message.role) != std::end(known);
  return MarkedText(message.role, is_known ? Origin::author : Origin::input);
}

jinja::Value to_value(const ChatMessage& message, const jinja::Site& site) {
  for (const std::string* text : {&message.role, &message.content}) {
    if (const auto bad = find_invalid_utf8(*text))
      throw Error(Errc::usage, fmt::format("a message is not valid UTF-8 at byte {}", *bad));
  }
  const Origin origin = message.role == "assistant" ? Origin::answer : Origin::input;
  return jinja::Value::dict({{std::string("role"), role_of(message)},
                             {std::string("content"), MarkedText(message.content, origin)}},
                            site);
}

} // namespace

MarkedText ChatTemplate::prompt(const std::vector<ChatMessage>& messages,
                                bool add_generation_prompt) const {
  jinja::Interpreter interpreter(impl_->body, impl_->file);
  const jinja::Site start(impl_->file, 1, interpreter.budget());
  std::vector<jinja::Value> list;
  for (const ChatMessage& message : messages) list.push_back(to_value(message, start));
  interpreter.define("messages", jinja::Value::list(std::move(list), jinja::Sequence::list, start));
  interpreter.define("tools", jinja::None{});
  interpreter.define("documents", jinja::None{});
  interpreter.define("add_generation_prompt", jinja::Value(add_generation_prompt));
  for (const auto& [name, text] : impl_->special_tokens) interpreter.define(name, text);
  if (!impl_->additional.empty()) {
    std::vector<jinja::Value> tokens(impl_->additional.begin(), impl_->additional.end());
    interpreter.define("additional_special_tokens",
                       jinja::Value::list(std::move(tokens), jinja::Sequence::list, start));
  }
  if (const auto date = impl_->clock.now()) interpreter.set_clock(*date);
  return interpreter.run();
}

std::string ChatTemplate::render(const std::vector<ChatMessage>& messages,
                                 bool add_generation_prompt) const {
  return prompt(messages, add_generation_prompt).text();
}

void ChatTemplate::check() const {
  const std::vector<ChatMessage> conversations[] = {
      {{"user", "Hello"}},
      {{"system", "Be brief."}, {"user", "Hello"}, {"assistant", "Hi."}, {"user", "Bye"}}};
  for (const auto& messages : conversations) {
    try {
      prompt(messages, true);
    } catch (const Error& error) {
      if (error.code() != Errc::usage) throw;
    }
  }
}

} // namespace talaria::model
