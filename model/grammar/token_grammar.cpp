#include "model/grammar/token_grammar.hpp"

#include <algorithm>
#include <limits>
#include <numeric>
#include <utility>

#include "model/tokenizer.hpp"

namespace talaria::model::grammar {

namespace {

constexpr std::size_t kMaxMasks = 512; // some 10 MB for a large vocabulary

// How many tokens more than a completion needs are left when the walk begins to look at that: no
// token makes a usual completion longer by more.
constexpr u32 kNearTheEnd = 128;

std::size_t common_prefix(const std::string& a, const std::string& b) {
  return static_cast<std::size_t>(std::mismatch(a.begin(), a.end(), b.begin(), b.end()).first -
                                  a.begin());
}

} // namespace

TokenTree::TokenTree(std::vector<std::string> bytes) : bytes_(std::move(bytes)) {
  std::vector<u32> order(bytes_.size());
  std::iota(order.begin(), order.end(), 0U);
  std::sort(order.begin(), order.end(), [&](u32 a, u32 b) { return bytes_[a] < bytes_[b]; });
  std::vector<u32> path; // branches above, outermost first
  const std::string* before = nullptr;
  const auto leave_to = [&](std::size_t depth) {
    for (; path.size() > depth; path.pop_back())
      branches_[path.back()].skip = static_cast<u32>(branches_.size());
  };
  for (const u32 token : order) {
    const std::string& text = bytes_[token];
    if (text.empty()) continue;
    leave_to(before == nullptr ? 0 : common_prefix(*before, text));
    for (std::size_t depth = path.size(); depth < text.size(); ++depth) {
      path.push_back(static_cast<u32>(branches_.size()));
      branches_.push_back({static_cast<u8>(text[depth]), static_cast<u32>(depth), 0,
                           static_cast<u32>(tokens_.size()), 0});
    }
    Branch& end = branches_[path.back()];
    if (end.tokens == 0) end.first_token = static_cast<u32>(tokens_.size());
    ++end.tokens;
    tokens_.push_back(token);
    before = &text;
  }
  leave_to(0);
}

TokenTree TokenTree::of(const Tokenizer& tokenizer) {
  std::vector<std::string> bytes(tokenizer.vocab_size());
  for (u32 id = 0; id < bytes.size(); ++id)
    if (!tokenizer.is_special(id)) bytes[id] = tokenizer.token_bytes(id);
  return TokenTree(std::move(bytes));
}

TokenGrammar::TokenGrammar(const Rules& rules, std::shared_ptr<const TokenTree> tree,
                           std::vector<u32> ends)
    : automaton_(rules), tree_(std::move(tree)), ends_(std::move(ends)) {}

const std::vector<bool>& TokenGrammar::allowed(State state) {
  if (const auto known = masks_.find(state); known != masks_.end()) return known->second;
  if (masks_.size() >= kMaxMasks) masks_.clear();
  return masks_.emplace(state, walk(state, Automaton::kNoEnd)).first->second;
}

/// Tokens behind which no more than `max_bytes` are needed.
std::vector<bool> TokenGrammar::walk(State state, u32 max_bytes) {
  std::vector<bool> mask(tree_->vocab());
  std::vector<State> path{state}; // by depth
  const auto& branches = tree_->branches_;
  for (std::size_t i = 0; i < branches.size();) {
    const auto& branch = branches[i];
    path.resize(branch.depth + 1);
    const State reached = automaton_.next(path.back(), branch.byte);
    if (reached == Automaton::kDead) {
      i = branch.skip;
      continue;
    }
    path.push_back(reached);
    if (automaton_.bytes_to_end(reached) <= max_bytes)
      for (u32 t = 0; t < branch.tokens; ++t) mask[tree_->tokens_[branch.first_token + t]] = true;
    ++i;
  }
  return mask;
}

void TokenGrammar::mask(State state, std::span<float> logits, u32 left) {
  constexpr float kForbidden = -std::numeric_limits<float>::infinity();
  const bool may_end = automaton_.accepts(state);
  std::vector<bool> near_the_end;
  // The next token, and the end behind it, are not there for the rest.
  const u32 needed = automaton_.bytes_to_end(state);
  if (needed <= left && left - needed < kNearTheEnd)
    near_the_end = walk(state, left < 2 ? 0 : left - 2);
  const bool any_fits =
      std::find(near_the_end.begin(), near_the_end.end(), true) != near_the_end.end();
  const bool must_end = may_end && !near_the_end.empty() && !any_fits;
  const std::vector<bool>& fits = any_fits || must_end ? near_the_end : allowed(state);
  for (std::size_t id = 0; id < logits.size(); ++id) {
    if (id < fits.size() && fits[id]) continue;
    const bool is_end = std::find(ends_.begin(), ends_.end(), id) != ends_.end();
    if (!is_end || !may_end) logits[id] = kForbidden;
  }
}

TokenGrammar::State TokenGrammar::advance(State state, u32 token) {
  if (std::find(ends_.begin(), ends_.end(), token) != ends_.end()) return state;
  for (const char byte : tree_->bytes(token)) {
    state = automaton_.next(state, static_cast<u8>(byte));
    if (state == Automaton::kDead)
      throw Error(Errc::internal, "a token outside the grammar was chosen");
  }
  return state;
}

} // namespace talaria::model::grammar
