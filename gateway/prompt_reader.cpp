#include "gateway/prompt_reader.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <thread>
#include <utility>

namespace talaria::gateway {

namespace {

constexpr std::size_t kShortBody = 64 << 10;
constexpr std::size_t kShortBodies = 64; // read at once: some 100 MB at most
constexpr std::size_t kCoresPerLongBody = 4;
constexpr std::size_t kAnyNumber = std::numeric_limits<std::size_t>::max();

std::size_t long_bodies() {
  return std::max<std::size_t>(1, std::thread::hardware_concurrency() / kCoresPerLongBody);
}

} // namespace

u64 Prepared::prompt_tokens() const {
  u64 tokens = 0;
  for (const auto& prompt : prompts) tokens += prompt.size();
  return tokens;
}

u64 Prepared::tokens_asked() const {
  if (request.max_tokens == kRestOfContext) return 0;
  return u64{request.max_tokens} * prompts.size();
}

PromptReader::PromptReader(const pipeline::Engine& engine, const ApiDefaults& defaults,
                           const std::optional<model::ChatEncoder>& chat)
    : engine_(engine), defaults_(defaults), chat_(chat),
      short_({.running = kShortBodies, .waiting = kAnyNumber}),
      long_({.running = long_bodies(), .waiting = kAnyNumber}) {}

Prepared PromptReader::read(bool chat, std::string body, const std::string& client,
                            const std::function<void()>& check) {
  const auto place = (body.size() > kShortBody ? long_ : short_).enter(client, 1);
  place->await(check);
  Prepared prepared;
  prepared.request = parse(chat, body);
  std::string().swap(body);
  if (chat) prepared.prompts.push_back(chat_prompt(prepared.request));
  for (const Prompt& each : prepared.request.prompts) prepared.prompts.push_back(prompt(each));
  prepared.request.messages = {};
  prepared.request.prompts = {};
  return prepared;
}

ApiRequest PromptReader::parse(bool chat, const std::string& body) const {
  return chat ? parse_chat_request(body, defaults_) : parse_completion_request(body, defaults_);
}

/// Every message takes a token at least.
std::vector<u32> PromptReader::chat_prompt(const ApiRequest& request) const {
  require_fit(request.messages.size(), "messages");
  return fitting([&](std::size_t most) { return chat_->encode(request.messages, most); },
                 "messages");
}

std::vector<u32> PromptReader::prompt(const Prompt& prompt) const {
  if (const auto* text = std::get_if<std::string>(&prompt))
    return fitting(
        [&](std::size_t most) {
          return engine_.tokenizer().encode(*text, /*add_special_tokens=*/true, most);
        },
        "prompt");
  const auto& ids = std::get<std::vector<u32>>(prompt);
  require_fit(ids.size(), "prompt");
  const u32 vocab = engine_.plan().vocab;
  if (std::any_of(ids.begin(), ids.end(), [&](u32 id) { return id >= vocab; }))
    throw bad_field("prompt", fmt::format("a token is outside the vocabulary of {}", vocab));
  return ids;
}

std::vector<u32>
PromptReader::fitting(const std::function<std::vector<u32>(std::size_t most)>& encode,
                      const char* field) const {
  const std::size_t context = engine_.plan().max_position;
  try {
    auto ids = encode(context);
    if (ids.empty()) throw bad_field(field, std::string(field) + " has no tokens");
    require_fit(ids.size(), field);
    return ids;
  } catch (const model::TextTooLong&) {
    require_fit(context + 1, field);
    throw;
  } catch (const Error& error) {
    if (error.code() == Errc::usage) throw bad_field(field, error.what());
    throw;
  }
}

/// Behind the prompt there must be room for one token.
void PromptReader::require_fit(std::size_t tokens, const char* field) const {
  const u32 context = engine_.plan().max_position;
  if (tokens >= context) throw context_length_exceeded(field, tokens, context);
}

} // namespace talaria::gateway
