#include "gateway/prompt_reader.hpp"

#include "gateway/thoughts.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <nlohmann/json.hpp>
#include <thread>
#include <utility>

#include "gateway/answer_grammar.hpp"
#include "gateway/chat_prompt.hpp"
#include "gateway/middle_prompt.hpp"

namespace talaria::gateway {

namespace {

constexpr std::size_t kShortBody = 64 << 10;
constexpr std::size_t kShortBodies = 64; // read at once: some 100 MB at most
constexpr std::size_t kCoresPerLongBody = 4;
constexpr std::size_t kAnyNumber = std::numeric_limits<std::size_t>::max();

/// The defaults with those adapters that a client may name.
ApiDefaults defaults_for(const ApiDefaults& all, const std::string& client) {
  ApiDefaults out = all;
  out.adapters = all.adapters.open_to(client);
  return out;
}

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
  return u64{request.max_tokens} * request.best_of * prompts.size();
}

PromptReader::PromptReader(pipeline::Engine& engine, const ApiDefaults& defaults,
                           const std::optional<model::ChatEncoder>& chat)
    : engine_(engine), defaults_(defaults), chat_(chat),
      short_({.running = kShortBodies, .waiting = kAnyNumber}),
      long_({.running = long_bodies(), .waiting = kAnyNumber}) {}

Prepared PromptReader::read(Dialect dialect, std::string body, const std::string& client,
                            const std::function<void()>& check) {
  const auto place = turn(body.size(), client, check);
  Prepared prepared;
  prepared.request = parse_request(dialect, body, defaults_for(defaults_, client));
  std::string().swap(body);
  check_possible(prepared.request);
  ban_words(prepared.request);
  if (prepared.request.form.kind != AnswerForm::Kind::any)
    prepared.grammar = grammar_of(prepared.request);
  ApiRequest& request = prepared.request;
  const ToolSyntax syntax = tool_syntax();
  const bool is_chat = dialect != Dialect::completions;
  if (is_chat && (request.tools.expected || marks_all_answers(syntax)) &&
      marks_calls_by_special_tokens(syntax))
    request.skip_special = engine_.oblivious();
  if (is_pooled(dialect)) {
    read_texts(prepared);
    return prepared;
  }
  if (!request.messages.empty())
    prepared.prompts.push_back(request.drop_oldest ? newest_messages(request)
                                                   : chat_prompt(request));
  for (const Prompt& each : prepared.request.prompts) {
    prepared.prompts.push_back(prompt(each, prepared.request));
    if (!prepared.request.echo) continue;
    const auto* text = std::get_if<std::string>(&each);
    prepared.texts.push_back(
        text != nullptr ? *text : engine_.tokenizer().decode(prepared.prompts.back(), true));
  }
  prepared.request.messages = {};
  prepared.request.prompts = {};
  return prepared;
}

void PromptReader::read_texts(Prepared& prepared) const {
  const ApiRequest& request = prepared.request;
  const std::size_t firsts = request.pooling.firsts;
  const bool scores = engine_.pooling()->task == model::Task::score;
  for (std::size_t i = scores ? firsts : 0; i < request.prompts.size(); ++i)
    prepared.prompts.push_back(scores ? pair_prompt(request, firsts == 1 ? 0 : i - firsts, i)
                                      : prompt(request.prompts[i], request));
  if (request.dialect == Dialect::rerank)
    for (std::size_t i = firsts; i < request.prompts.size(); ++i)
      prepared.texts.push_back(std::get<std::string>(request.prompts[i]));
  prepared.request.prompts = {};
}

namespace {

// What Qwen3-Reranker was trained with, and says of itself.
constexpr const char* kJudge =
    "Judge whether the Document meets the requirements based on the Query and the Instruct "
    "provided. Note that the answer can only be \"yes\" or \"no\".";
constexpr const char* kInstruction =
    "Given a web search query, retrieve relevant passages that answer the query";

} // namespace

/// A model that answers yes or no is asked in a conversation. One with a head of its own reads the
/// one text behind the other, each as the tokenizer begins and ends texts.
std::vector<u32> PromptReader::pair_prompt(const ApiRequest& request, std::size_t first,
                                           std::size_t second) const {
  const auto& query = std::get<std::string>(request.prompts[first]);
  const auto& document = std::get<std::string>(request.prompts[second]);
  const std::string& instruction = request.pooling.instruction;
  if (engine_.pooling()->words.empty()) {
    if (!instruction.empty())
      throw bad_field("instruction", "the model takes no instruction: it scores by a head");
    return fitting(
        [&](std::size_t most) {
          std::vector<u32> ids = engine_.tokenizer().encode(query, true, most);
          const std::vector<u32> more = engine_.tokenizer().encode(document, true, most);
          ids.insert(ids.end(), more.begin(), more.end());
          return ids;
        },
        prompt_field(request.dialect));
  }
  if (!chat_) throw ApiError(400, "the model has no chat template, by which it could be asked");
  ApiRequest asks;
  asks.dialect = request.dialect;
  asks.messages = {
      {"system", kJudge},
      {"user", fmt::format("<Instruct>: {}\n<Query>: {}\n<Document>: {}",
                           instruction.empty() ? kInstruction : instruction, query, document)}};
  asks.chat.add_generation_prompt = true;
  asks.chat.variables = R"({"enable_thinking":false})";
  return chat_prompt(asks);
}

std::unique_ptr<Admission::Ticket> PromptReader::turn(std::size_t bytes, const std::string& client,
                                                      const std::function<void()>& check) {
  auto place = (bytes > kShortBody ? long_ : short_).enter(client, 1);
  place->await(check);
  return place;
}

u64 PromptReader::count(Dialect dialect, std::string body, const std::string& client,
                        const std::function<void()>& check) {
  const auto place = turn(body.size(), client, check);
  const ApiDefaults defaults = defaults_for(defaults_, client);
  ApiRequest request = dialect == Dialect::messages
                           ? parse_messages_request(body, defaults, /*counts=*/true)
                           : parse_request(dialect, body, defaults);
  return chat_prompt(request).size();
}

PromptReader::Tokenized PromptReader::tokenize(std::string body, const std::string& client,
                                               const std::function<void()>& check) {
  const auto place = turn(body.size(), client, check);
  auto [request, with_strings] = parse_tokenize_request(body, defaults_for(defaults_, client));
  if (request.messages.empty()) return {prompt(request.prompts.front(), request), with_strings};
  if (!chat_) throw bad_field("messages", "the model has no chat template");
  return {chat_prompt(request), with_strings};
}

std::string PromptReader::detokenize(std::string body, const std::string& client,
                                     const std::function<void()>& check) {
  const auto place = turn(body.size(), client, check);
  const auto ids = parse_detokenize_request(body, defaults_for(defaults_, client));
  return engine_.tokenizer().decode(ids, /*skip_special=*/false);
}

std::shared_ptr<model::grammar::TokenGrammar>
PromptReader::grammar_of(const ApiRequest& request) const {
  const auto rules = answer_rules(request);
  try {
    return engine_.grammar(rules);
  } catch (const Error& error) {
    if (error.code() != Errc::usage) throw;
    throw bad_field(request.form.field, error.what());
  }
}

ToolSyntax PromptReader::tool_syntax() const {
  return tool_syntax_of(chat_ ? chat_->chat().source() : std::string());
}

bool PromptReader::thinks_in_tags() const {
  return chat_ && gateway::thinks_in_tags(chat_->chat().source());
}

/// What depends on the model and on how the engine runs.
void PromptReader::check_possible(const ApiRequest& request) const {
  const u32 vocab = engine_.plan().vocab;
  const auto require_known = [vocab](u32 id, const char* field) {
    if (id >= vocab)
      throw bad_field(field,
                      fmt::format("{}: a token is outside the vocabulary of {}", field, vocab));
  };
  for (const auto& [id, bias] : request.sampling.logit_bias) require_known(id, "logit_bias");
  for (const u32 id : request.sampling.allowed) require_known(id, "allowed_token_ids");
  for (const u32 id : request.stop_tokens) require_known(id, "stop_token_ids");
  if (!engine_.oblivious()) return;
  constexpr const char* kWhy =
      " cannot be had with enclave.oblivious: on, where nothing may depend "
      "on which token it is about";
  if (request.logprobs || request.best_of > request.choices)
    throw bad_field(request.logprobs ? "logprobs" : "best_of",
                    (request.logprobs ? "logprobs" : "best_of") + std::string(kWhy));
  if (request.prompt_logprobs)
    throw bad_field("prompt_logprobs", "prompt_logprobs" + std::string(kWhy));
  if (!request.skip_special)
    throw bad_field("skip_special_tokens", "skip_special_tokens: false" + std::string(kWhy));
}

/// As vLLM does: each word as it stands at the beginning of a text, and behind a blank if that
/// makes it another token.
void PromptReader::ban_words(ApiRequest& request) const {
  for (const std::string& word : request.bad_words) {
    const auto begin = word.find_first_not_of(" \t\r\n");
    const std::string bare = begin == std::string::npos ? word : word.substr(begin);
    const auto& tokenizer = engine_.tokenizer();
    std::vector<u32> alone = tokenizer.encode(bare, /*add_special_tokens=*/false);
    std::vector<u32> behind = tokenizer.encode(" " + bare, /*add_special_tokens=*/false);
    if (alone.empty()) throw bad_field("bad_words", "bad_words holds a word without tokens");
    auto& banned = request.sampling.banned;
    const bool other = behind.size() == alone.size() && behind.front() != alone.front();
    banned.push_back(std::move(alone));
    if (other) banned.push_back(std::move(behind));
  }
}

namespace {

/// The last tokens, as many as the request wants.
std::vector<u32> truncated(std::vector<u32> ids, const ApiRequest& request) {
  if (request.truncate > 0 && ids.size() > request.truncate)
    ids.erase(ids.begin(), ids.end() - static_cast<std::ptrdiff_t>(request.truncate));
  return ids;
}

} // namespace

/// Every message takes a token at least.
std::vector<u32> PromptReader::chat_prompt(ApiRequest& request) const {
  const char* field = prompt_field(request.dialect);
  require_fit(request.messages.size(), field);
  return truncated(
      fitting([&](std::size_t most) { return chat_tokens(request, *chat_, most); }, field),
      request);
}

namespace {

/// Without `count` of its oldest messages that are not the system's, and results of tools whose
/// calls went with them. False if only the newest is left.
bool drop_oldest(std::vector<model::ChatMessage>& messages, std::size_t count) {
  const auto begin = std::find_if(messages.begin(), messages.end(),
                                  [](const auto& message) { return message.role != "system"; });
  const auto room = static_cast<std::size_t>(messages.end() - begin);
  if (room < 2) return false;
  auto end = begin + static_cast<std::ptrdiff_t>(std::min(count, room - 1));
  while (end != messages.end() - 1 && end->role == "tool") ++end;
  messages.erase(begin, end);
  return true;
}

} // namespace

/// The conversation without as many of its oldest messages as the context has no room for; twice as
/// many are tried each time, so that a long one costs little more than its text.
std::vector<u32> PromptReader::newest_messages(const ApiRequest& request) const {
  ApiRequest shorter = request;
  for (std::size_t dropped = 1;; dropped *= 2) {
    try {
      ApiRequest attempt = shorter; // which encoding changes
      return chat_prompt(attempt);
    } catch (const ApiError& error) {
      if (error.code() != kContextLengthExceeded || !drop_oldest(shorter.messages, dropped)) throw;
    }
  }
}

std::vector<u32> PromptReader::prompt(const Prompt& prompt, const ApiRequest& request) const {
  const char* field = is_pooled(request.dialect) ? prompt_field(request.dialect) : "prompt";
  if (!request.suffix.empty()) return middle_prompt(prompt, request);
  if (const auto* text = std::get_if<std::string>(&prompt))
    return truncated(fitting(
                         [&](std::size_t most) {
                           return engine_.tokenizer().encode(
                               *text, request.add_special_tokens.value_or(true), most);
                         },
                         field),
                     request);
  const auto& ids = std::get<std::vector<u32>>(prompt);
  require_fit(ids.size(), field);
  const u32 vocab = engine_.plan().vocab;
  if (std::any_of(ids.begin(), ids.end(), [&](u32 id) { return id >= vocab; }))
    throw bad_field(field, fmt::format("a token is outside the vocabulary of {}", vocab));
  return truncated(ids, request);
}

/// What stands behind the answer is a part of the prompt, for models that know how.
std::vector<u32> PromptReader::middle_prompt(const Prompt& prompt,
                                             const ApiRequest& request) const {
  const auto middle = MiddlePrompt::of(engine_.tokenizer());
  if (!middle)
    throw bad_field("suffix", "suffix is not supported: the model's tokenizer has no tokens for "
                              "filling in a middle");
  const auto* text = std::get_if<std::string>(&prompt);
  if (text == nullptr) throw bad_field("suffix", "suffix needs a prompt that is text");
  return fitting(
      [&](std::size_t most) {
        return middle->encode(*text, request.suffix, request.add_special_tokens.value_or(true),
                              most);
      },
      "prompt");
}

std::vector<u32>
PromptReader::fitting(const std::function<std::vector<u32>(std::size_t most)>& encode,
                      const char* field) const {
  const std::size_t context = engine_.longest_prompt();
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

/// Behind the prompt there must be room for one token, if the model generates.
void PromptReader::require_fit(std::size_t tokens, const char* field) const {
  const u32 context = engine_.longest_prompt();
  if (tokens + (engine_.pooling() ? 0 : 1) > context)
    throw context_length_exceeded(field, tokens, context);
}

} // namespace talaria::gateway
