#pragma once

#include <memory>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "model/grammar/automaton.hpp"

namespace talaria::model {
class Tokenizer;
}

namespace talaria::model::grammar {

/// The bytes of a vocabulary's tokens as a tree, without special tokens and those that stand for
/// nothing: which of them a grammar allows is found by one walk.
class TokenTree {
public:
  /// @param bytes  of each token; empty: never allowed
  explicit TokenTree(std::vector<std::string> bytes);
  static TokenTree of(const Tokenizer& tokenizer);

  std::size_t vocab() const noexcept { return bytes_.size(); }
  const std::string& bytes(u32 token) const { return bytes_[token]; }

private:
  friend class TokenGrammar;
  struct Branch {
    u8 byte;
    u32 depth;
    u32 skip;                ///< the next branch that is not below
    u32 first_token, tokens; ///< in tokens_, those that end here
  };
  std::vector<std::string> bytes_;
  std::vector<Branch> branches_; ///< each before those below it
  std::vector<u32> tokens_;
};

/// A grammar over the tokens of a vocabulary: keeps the answer of one sequence, or of several in
/// turn, inside the grammar. Looks at what is where: not for oblivious sampling. Not thread-safe.
class TokenGrammar {
public:
  using State = Automaton::State;

  /// @param ends  tokens that end an answer: allowed where a text is complete
  TokenGrammar(const Rules& rules, std::shared_ptr<const TokenTree> tree, std::vector<u32> ends);

  State start() const noexcept { return automaton_.start(); }
  /// Minus infinity for all logits but those of tokens that may come next.
  /// @param logits  [at least vocab of the tree]
  /// @param left    tokens that the answer may still have, this one included. Near the end only
  /// those may come behind which the text can still be completed, a byte a token, and an end; if
  /// there are none, all that fit.
  void mask(State state, std::span<float> logits, u32 left = ~u32{0});
  /// The state behind a token that mask() left, an end excepted, which changes nothing.
  State advance(State state, u32 token);

private:
  const std::vector<bool>& allowed(State state);
  std::vector<bool> walk(State state, u32 max_bytes);

  Automaton automaton_;
  std::shared_ptr<const TokenTree> tree_;
  std::vector<u32> ends_;
  std::unordered_map<State, std::vector<bool>> masks_;
};

} // namespace talaria::model::grammar
