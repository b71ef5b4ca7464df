#pragma once

#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "core/integers.hpp"
#include "model/marked_text.hpp"
#include "model/tokenization/json_node.hpp"
#include "model/tokenization/normalizer.hpp"
#include "model/tokenizer_config.hpp"

namespace talaria::model {

class TokenModel;

struct AddedToken {
  u32 id;
  std::string content;
  bool special, normalized, left_strip, right_strip, single_word;
  bool named = false; ///< declared as a bos_token, eos_token, additional special token, ...
  std::string where;  ///< "FILE: FIELD" that says so
};

/// The "added_tokens" of a tokenizer.json and, if not null, those declared beside it: their flags
/// count, and new ones get the id that the vocabulary has for them, the declared one or the next.
/// @throws Error{model} naming file and field where two of them contradict each other.
std::vector<AddedToken> read_added_tokens(const JsonNode& node, const TokenizerConfig* config,
                                          const TokenModel& model);

/// A stretch of text: an added token, or what lies between two.
struct Stretch {
  std::size_t begin, end;
  const AddedToken* token; ///< null between tokens
};

/// Finds a set of added tokens in a text, leftmost first and longest among those.
class AddedTokenMatcher {
public:
  /// Of `tokens` (which must outlive this) those whose `normalized` is as given; normalized ones
  /// are looked for as `normalizer` leaves them.
  AddedTokenMatcher(const std::vector<AddedToken>& tokens, bool normalized,
                    const Normalizer* normalizer);

  /// Cuts `text` (valid UTF-8) into tokens and what lies between them. With `limits`, text is no
  /// token if any of it has a less trusted origin than the token's limit.
  std::vector<Stretch> cut(const MarkedText& text, const OriginLimits* limits) const;

private:
  struct Match {
    std::size_t end;
    const AddedToken* token;
  };
  void insert(std::string_view content, const AddedToken& token);
  Match longest_at(const MarkedText& text, std::size_t at, const OriginLimits* limits) const;

  /// A trie: node 0 is the root; an edge is (node, byte).
  std::unordered_map<u64, u32> edges_;
  std::vector<const AddedToken*> ends_{nullptr};
};

} // namespace talaria::model
