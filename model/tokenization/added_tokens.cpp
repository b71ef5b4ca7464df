#include "model/tokenization/added_tokens.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "model/one_line.hpp"
#include "model/tokenization/token_model.hpp"
#include "model/unicode.hpp"
#include "model/utf8.hpp"

namespace talaria::model {

namespace {

constexpr u64 edge(u32 node, char byte) {
  return u64{node} << 8 | static_cast<unsigned char>(byte);
}

/// The character that ends at `end`.
char32_t character_before(std::string_view text, std::size_t end) {
  std::size_t begin = end - 1;
  while (begin > 0 && (static_cast<unsigned char>(text[begin]) & 0xC0) == 0x80) --begin;
  return utf8::step(text, begin).code_point;
}

bool stands_alone(std::string_view text, std::size_t begin, std::size_t end) {
  const bool word_before = begin > 0 && unicode::is_word(character_before(text, begin));
  const bool word_after = end < text.size() && unicode::is_word(utf8::step(text, end).code_point);
  return !word_before && !word_after;
}

std::size_t strip_before(std::string_view text, std::size_t begin) {
  while (begin > 0) {
    const char32_t c = character_before(text, begin);
    if (!unicode::is_white_space(c)) break;
    --begin;
    while ((static_cast<unsigned char>(text[begin]) & 0xC0) == 0x80) --begin;
  }
  return begin;
}

std::size_t strip_after(std::string_view text, std::size_t end) {
  while (end < text.size()) {
    const utf8::Step next = utf8::step(text, end);
    if (!unicode::is_white_space(next.code_point)) break;
    end += next.length;
  }
  return end;
}

} // namespace

namespace {

std::vector<AddedToken> parse_added_tokens(const JsonNode& node) {
  std::vector<AddedToken> out;
  if (node.is_null()) return out;
  for (const JsonNode& entry : node.elements()) {
    AddedToken token{};
    token.id = static_cast<u32>(entry["id"].size_below(max_token_id));
    token.content = entry["content"].string();
    if (token.content.empty()) entry["content"].fail("is empty");
    token.special = entry["special"].boolean_or(false);
    token.normalized = entry["normalized"].boolean_or(!token.special);
    token.left_strip = entry["lstrip"].boolean_or(false);
    token.right_strip = entry["rstrip"].boolean_or(false);
    token.single_word = entry["single_word"].boolean_or(false);
    token.where = node.where();
    out.push_back(std::move(token));
  }
  return out;
}

AddedToken made_of(const DeclaredToken& token, u32 id) {
  AddedToken out{};
  out.id = id;
  out.content = token.content;
  out.special = token.special;
  out.normalized = token.normalized;
  out.left_strip = token.left_strip;
  out.right_strip = token.right_strip;
  out.single_word = token.single_word;
  out.where = token.where;
  return out;
}

[[noreturn]] void refuse_id(const DeclaredToken& token, u32 other, const std::string& where) {
  throw Error(Errc::model, one_line(fmt::format("{} gives {} the id {}, {} the id {}", token.where,
                                                token.content, *token.id, where, other)));
}

void add_declared(const DeclaredToken& token, const TokenModel& model, u32& next,
                  std::vector<AddedToken>& out) {
  const auto known = std::find_if(out.begin(), out.end(), [&](const AddedToken& other) {
    return other.content == token.content;
  });
  if (known != out.end()) {
    if (!token.id) return;
    if (*token.id != known->id) refuse_id(token, known->id, known->where);
    const bool special = known->special;
    *known = made_of(token, known->id);
    known->special |= special;
    return;
  }
  const auto in_vocabulary = model.id(token.content);
  if (in_vocabulary && token.id && *in_vocabulary != *token.id)
    refuse_id(token, *in_vocabulary, "model.vocab of tokenizer.json");
  if (!in_vocabulary && token.by_default) return; // the model cannot know it
  const u32 id = in_vocabulary ? *in_vocabulary : token.id.value_or(next);
  if (id >= max_token_id)
    throw Error(Errc::model, fmt::format("{}: there are too many tokens", token.where));
  next = std::max(next, id + 1);
  out.push_back(made_of(token, id));
}

} // namespace

std::vector<AddedToken> read_added_tokens(const JsonNode& node, const TokenizerConfig* config,
                                          const TokenModel& model) {
  std::vector<AddedToken> out = parse_added_tokens(node);
  if (config != nullptr) {
    u32 next = static_cast<u32>(model.tokens().size());
    for (const AddedToken& token : out) next = std::max(next, token.id + 1);
    for (const DeclaredToken& token : config->tokens) add_declared(token, model, next, out);
    const auto is_named = [&](const std::string& content) {
      return std::any_of(config->named.begin(), config->named.end(),
                         [&](const auto& named) { return named.second == content; }) ||
             std::find(config->additional.begin(), config->additional.end(), content) !=
                 config->additional.end();
    };
    for (AddedToken& token : out) token.named = is_named(token.content);
  }
  // Where two tokens are found in the same place, the library prefers the special one.
  std::stable_partition(out.begin(), out.end(), [](const AddedToken& t) { return t.special; });
  return out;
}

AddedTokenMatcher::AddedTokenMatcher(const std::vector<AddedToken>& tokens, bool normalized,
                                     const Normalizer* normalizer) {
  for (const AddedToken& token : tokens) {
    if (token.normalized != normalized) continue;
    insert(normalized && normalizer != nullptr ? normalizer->apply(MarkedText(token.content)).text()
                                               : token.content,
           token);
  }
}

void AddedTokenMatcher::insert(std::string_view content, const AddedToken& token) {
  u32 node = 0;
  for (const char byte : content) {
    const auto [found, fresh] =
        edges_.try_emplace(edge(node, byte), static_cast<u32>(ends_.size()));
    if (fresh) ends_.push_back(nullptr);
    node = found->second;
  }
  if (node != 0 && ends_[node] == nullptr) ends_[node] = &token;
}

AddedTokenMatcher::Match AddedTokenMatcher::longest_at(const MarkedText& marked, std::size_t at,
                                                       const OriginLimits* limits) const {
  const std::string_view text = marked.text();
  const std::size_t begin = at;
  Match best{at, nullptr};
  u32 node = 0;
  while (at < text.size()) {
    const auto found = edges_.find(edge(node, text[at]));
    if (found == edges_.end()) break;
    node = found->second;
    ++at;
    const AddedToken* token = ends_[node];
    if (token == nullptr) continue;
    if (limits == nullptr || marked.origin(begin, at) <= limit_of(*limits, token->id))
      best = {at, token};
  }
  return best;
}

std::vector<Stretch> AddedTokenMatcher::cut(const MarkedText& marked,
                                            const OriginLimits* limits) const {
  const std::string_view text = marked.text();
  std::vector<Stretch> out;
  std::size_t covered = 0;
  for (std::size_t at = 0; at < text.size();) {
    const Match match = longest_at(marked, at, limits);
    if (match.token == nullptr) {
      ++at;
      continue;
    }
    std::size_t begin = at;
    std::size_t end = at = match.end;
    if (match.token->single_word && !stands_alone(text, begin, end)) continue;
    if (match.token->left_strip) begin = std::max(strip_before(text, begin), covered);
    if (match.token->right_strip) end = strip_after(text, end);
    if (covered < begin) out.push_back({covered, begin, nullptr});
    out.push_back({begin, end, match.token});
    covered = end;
  }
  if (covered < text.size()) out.push_back({covered, text.size(), nullptr});
  return out;
}

} // namespace talaria::model
