#include "model/tokenization/bpe.hpp"

#include <algorithm>
#include <queue>

#include <fmt/format.h>

#include "model/one_line.hpp"
#include "model/tokenization/byte_level.hpp"
#include "model/utf8.hpp"

namespace talaria::model {

namespace {

constexpr u64 pair_key(u32 left, u32 right) {
  return u64{left} << 32 | right;
}

void refuse_unless_empty(const JsonNode& field) {
  if (!field.is_null() && field.raw() != "") field.fail("is not supported; it has to be null");
}

void check_kind(const JsonNode& model) {
  if (model["vocab"].is_null()) model.fail("has no vocab");
  if (model["merges"].is_null()) model.fail("has no merges: a BPE tokenizer needs them");
  const JsonNode dropout = model["dropout"];
  if (!dropout.is_null() && !(dropout.raw().is_number() && dropout.raw() == 0))
    dropout.fail("is not supported; it has to be null");
  refuse_unless_empty(model["continuing_subword_prefix"]);
  refuse_unless_empty(model["end_of_word_suffix"]);
}

} // namespace

Bpe Bpe::parse(const JsonNode& model) {
  check_kind(model);
  Bpe out;
  out.byte_fallback_ = model["byte_fallback"].boolean_or(false);
  out.fuse_unknown_ = model["fuse_unk"].boolean_or(false);
  out.ignore_merges_ = model["ignore_merges"].boolean_or(false);
  out.unknown_ = model["unk_token"].string_or("");
  out.list_ = TokenList::parse(model["vocab"]);
  out.read_merges(model["merges"]);
  for (unsigned byte = 0; byte < 256; ++byte)
    out.byte_tokens_[byte] = out.id(fmt::format("<0x{:02X}>", byte));
  return out;
}

void Bpe::read_merges(const JsonNode& merges) {
  u32 rank = 0;
  for (const JsonNode& entry : merges.elements()) {
    if (entry.is_string() && entry.string().starts_with("#version")) continue;
    add_merge(entry, rank++);
  }
}

void Bpe::add_merge(const JsonNode& entry, u32 rank) {
  std::string left, right;
  if (entry.is_string()) {
    const std::string& text = entry.string();
    const std::size_t blank = text.find(' ');
    if (blank == std::string::npos || text.find(' ', blank + 1) != std::string::npos)
      entry.fail("is not two tokens with a space between them");
    left = text.substr(0, blank);
    right = text.substr(blank + 1);
  } else {
    const std::vector<JsonNode> pair = entry.elements();
    if (pair.size() != 2) entry.fail("is not a pair of tokens");
    left = pair[0].string();
    right = pair[1].string();
  }
  const auto known = [&](const std::string& token) {
    const auto found = id(token);
    if (!found) entry.fail(fmt::format("needs the token {}, which is not in model.vocab", token));
    return *found;
  };
  const u32 left_id = known(left);
  const u32 right_id = known(right);
  merges_[pair_key(left_id, right_id)] = {rank, known(left + right)};
}

/// Where each byte has a token, nothing is dropped, and no unknown characters are fused.
std::size_t Bpe::longest_piece(bool byte_level) const {
  const auto has_token = [&](int byte) {
    const char character = static_cast<char>(byte);
    return byte_level ? id(byte_level::encode({&character, 1})).has_value()
                      : byte_fallback_ && byte_tokens_[byte].has_value();
  };
  for (int byte = 0; byte < 256; ++byte) {
    if (!has_token(byte)) return 0;
  }
  return list_.longest();
}

const Bpe::Merge* Bpe::find_merge(u32 left, u32 right, const OriginLimits* limits) const {
  const auto found = merges_.find(pair_key(left, right));
  return found == merges_.end() || is_kept_back(found->second.merged, limits) ? nullptr
                                                                              : &found->second;
}

void Bpe::tokenize(std::string_view piece, std::vector<u32>& ids,
                   const OriginLimits* limits) const {
  if (piece.empty()) return;
  if (ignore_merges_) {
    const auto whole = id(piece);
    if (whole && !is_kept_back(*whole, limits)) return ids.push_back(*whole);
  }
  std::vector<u32> initial;
  append_initial(piece, initial);
  merge(initial, ids, limits);
}

bool Bpe::append_bytes(std::string_view character, std::vector<u32>& ids) const {
  const auto token = [&](char c) { return byte_tokens_[static_cast<unsigned char>(c)]; };
  if (!std::all_of(character.begin(), character.end(),
                   [&](char c) { return token(c).has_value(); }))
    return false;
  for (const char c : character) ids.push_back(*token(c));
  return true;
}

/// One id per character. An unknown token waits until the next known character, since the library
/// may fuse it with its successor; bytes of a fallback do not end that wait.
void Bpe::append_initial(std::string_view piece, std::vector<u32>& ids) const {
  std::optional<u32> unknown;
  for (std::size_t at = 0; at < piece.size();) {
    const std::string_view character = piece.substr(at, utf8::step(piece, at).length);
    at += character.size();
    if (const auto known = id(character)) {
      if (unknown) ids.push_back(*unknown);
      unknown.reset();
      ids.push_back(*known);
      continue;
    }
    if (byte_fallback_ && append_bytes(character, ids)) continue;
    if (unknown_.empty()) continue;
    if (unknown && !fuse_unknown_) ids.push_back(*unknown);
    unknown = id(unknown_);
    if (!unknown)
      throw Error(Errc::model, one_line(fmt::format("tokenizer.json: model.unk_token {} is needed "
                                                    "for a character, but not in model.vocab",
                                                    unknown_)));
  }
  if (unknown) ids.push_back(*unknown);
}

/// Lowest rank first, leftmost first among equals. Neighbours form a linked list, and a candidate
/// whose symbols have changed since it was queued is recognised by what it would merge into.
void Bpe::merge(const std::vector<u32>& initial, std::vector<u32>& ids,
                const OriginLimits* limits) const {
  struct Candidate {
    u32 rank;
    i32 at;
    u32 merged;
    bool operator>(const Candidate& other) const {
      return rank != other.rank ? rank > other.rank : at > other.at;
    }
  };
  const i32 count = static_cast<i32>(initial.size());
  std::vector<Symbol> symbols(initial.size());
  for (i32 i = 0; i < count; ++i)
    symbols[i] = {initial[i], i - 1, i + 1 < count ? i + 1 : -1, true};

  std::priority_queue<Candidate, std::vector<Candidate>, std::greater<>> queue;
  const auto consider = [&](i32 at) {
    if (at < 0 || symbols[at].next < 0) return;
    if (const Merge* found = find_merge(symbols[at].id, symbols[symbols[at].next].id, limits))
      queue.push({found->rank, at, found->merged});
  };
  for (i32 i = 0; i + 1 < count; ++i) consider(i);

  while (!queue.empty()) {
    const Candidate best = queue.top();
    queue.pop();
    Symbol& left = symbols[best.at];
    if (!left.alive || left.next < 0) continue;
    Symbol& right = symbols[left.next];
    const Merge* current = find_merge(left.id, right.id, limits);
    if (current == nullptr || current->merged != best.merged) continue;
    left.id = best.merged;
    left.next = right.next;
    right.alive = false;
    if (left.next >= 0) symbols[left.next].previous = best.at;
    consider(left.previous);
    consider(best.at);
  }
  for (const Symbol& symbol : symbols) {
    if (symbol.alive) ids.push_back(symbol.id);
  }
}

} // namespace talaria::model
