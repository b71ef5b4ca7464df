#include "model/chat_template.hpp"

#include <algorithm>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "core/error.hpp"
#include "model/jinja/interpreter.hpp"
#include "model/jinja/json_value.hpp"
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
  const bool by_assistant = message.role == "assistant";
  const Origin origin = by_assistant ? Origin::answer : Origin::input;
  std::vector<std::pair<jinja::Value, jinja::Value>> items{
      {std::string("role"), role_of(message)},
      {std::string("content"), MarkedText(message.content, origin)}};
  if (message.fields.empty()) return jinja::Value::dict(std::move(items), site);
  // A client wrote them: also what it says the assistant has called.
  const jinja::Value more = jinja::from_json(message.fields, Origin::input, site);
  for (const auto& [name, value] : more.dict()->items)
    items.emplace_back(std::string(*name.text()), value);
  return jinja::Value::dict(std::move(items), site);
}

/// The prompt up to the end of the last message, as transformers cuts it: blanks at its end stay if
/// the template has left them.
MarkedText up_to_the_end_of(const ChatMessage& last, const MarkedText& prompt) {
  constexpr std::string_view kBlanks = " \t\n\r\f\v";
  const std::string_view content = last.content;
  const std::size_t begin = content.find_first_not_of(kBlanks);
  if (begin == std::string_view::npos)
    throw Error(Errc::usage, "the last message is empty and cannot be continued");
  const std::size_t end = content.find_last_not_of(kBlanks) + 1;
  const auto place = std::string_view(prompt.text()).rfind(content.substr(begin, end - begin));
  if (place == std::string_view::npos)
    throw Error(Errc::usage, "the last message does not stand in the prompt as it is written, and "
                             "cannot be continued");
  std::size_t cut = place + end - begin;
  if (std::string_view(prompt.text()).substr(cut).starts_with(content.substr(end)))
    cut += content.size() - end;
  return prompt.part(0, cut);
}

/// What the template's author and the server say stays theirs.
void check_free(const std::string& name, const ChatTemplate::Variables& special_tokens) {
  constexpr std::string_view kOwn[] = {"messages", "tools", "documents", "add_generation_prompt",
                                       "additional_special_tokens"};
  const bool own = std::find(std::begin(kOwn), std::end(kOwn), name) != std::end(kOwn) ||
                   std::any_of(special_tokens.begin(), special_tokens.end(),
                               [&](const auto& token) { return token.first == name; });
  if (own || name.ends_with("_token"))
    throw Error(Errc::usage, fmt::format("the template's variable '{}' cannot be set", name));
}

} // namespace

MarkedText ChatTemplate::prompt(const std::vector<ChatMessage>& messages,
                                bool add_generation_prompt) const {
  ChatOptions options;
  options.add_generation_prompt = add_generation_prompt;
  return prompt(messages, options);
}

MarkedText ChatTemplate::prompt(const std::vector<ChatMessage>& messages,
                                const ChatOptions& options) const {
  jinja::Interpreter interpreter(impl_->body, impl_->file);
  const jinja::Site start(impl_->file, 1, interpreter.budget());
  std::vector<jinja::Value> list;
  for (const ChatMessage& message : messages) list.push_back(to_value(message, start));
  interpreter.define("messages", jinja::Value::list(std::move(list), jinja::Sequence::list, start));
  const auto json = [&](const std::string& text) {
    return text.empty() ? jinja::Value(jinja::None{})
                        : jinja::from_json(text, Origin::input, start);
  };
  interpreter.define("tools", json(options.tools));
  interpreter.define("documents", json(options.documents));
  interpreter.define("add_generation_prompt", jinja::Value(options.add_generation_prompt));
  const jinja::Value variables = json(options.variables);
  if (variables.dict() != nullptr)
    for (const auto& [name, value] : variables.dict()->items) {
      check_free(*name.text(), impl_->special_tokens);
      interpreter.define(*name.text(), value);
    }
  for (const auto& [name, text] : impl_->special_tokens) interpreter.define(name, text);
  if (!impl_->additional.empty()) {
    std::vector<jinja::Value> tokens(impl_->additional.begin(), impl_->additional.end());
    interpreter.define("additional_special_tokens",
                       jinja::Value::list(std::move(tokens), jinja::Sequence::list, start));
  }
  if (const auto date = impl_->clock.now()) interpreter.set_clock(*date);
  MarkedText out = interpreter.run();
  return options.continue_final_message ? up_to_the_end_of(messages.back(), out) : out;
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
