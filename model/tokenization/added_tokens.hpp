#pragma once

#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "core/integers.hpp"
#include "model/tokenization/json_node.hpp"
#include "model/tokenization/normalizer.hpp"

namespace talaria::model {

struct AddedToken {
  u32 id;
  std::string content;
  bool special, normalized, left_strip, right_strip, single_word;
};

/// The "added_tokens" of a tokenizer.json.
std::vector<AddedToken> parse_added_tokens(const JsonNode& node);

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

  /// Cuts `text` (valid UTF-8) into tokens and what lies between them.
  std::vector<Stretch> cut(std::string_view text) const;

private:
  struct Match {
    std::size_t end;
    const AddedToken* token;
  };
  void insert(std::string_view content, const AddedToken& token);
  Match longest_at(std::string_view text, std::size_t at) const;

  /// A trie: node 0 is the root; an edge is (node, byte).
  std::unordered_map<u64, u32> edges_;
  std::vector<const AddedToken*> ends_{nullptr};
};

} // namespace talaria::model
