#pragma once

#include <array>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "core/integers.hpp"
#include "model/marked_text.hpp"
#include "model/tokenization/json_node.hpp"

namespace talaria::model {

/// No known vocabulary is half as large; keeps a damaged file from asking for gigabytes.
constexpr std::size_t max_token_id = 1 << 20;

/// Byte pair encoding of one piece of text, as the model of kind BPE of the `tokenizers` library.
class Bpe {
public:
  /// The "model" of a tokenizer.json.
  static Bpe parse(const JsonNode& model);

  /// Appends the ids of `piece`, which is valid UTF-8. O(n log n). With `limits`, tokens that are
  /// not for everybody's text are not made.
  /// @throws Error{model} if it needs the unknown token and the vocabulary has none.
  void tokenize(std::string_view piece, std::vector<u32>& ids,
                const OriginLimits* limits = nullptr) const;

  std::optional<u32> id(std::string_view token) const;
  /// Bytes of the longest token, if the ids of any piece (`byte_level`: of any in that alphabet)
  /// cover all of it; otherwise 0.
  std::size_t longest_piece(bool byte_level) const;
  /// By id; empty where the vocabulary has a gap.
  const std::vector<std::string>& tokens() const noexcept { return tokens_; }

private:
  struct Merge {
    u32 rank, merged;
  };
  struct Symbol {
    u32 id;
    i32 previous, next;
    bool alive;
  };

  void read_vocabulary(const JsonNode& vocabulary);
  void read_merges(const JsonNode& merges);
  void add_merge(const JsonNode& entry, u32 rank);
  void append_initial(std::string_view piece, std::vector<u32>& ids) const;
  bool append_bytes(std::string_view character, std::vector<u32>& ids) const;
  void merge(const std::vector<u32>& initial, std::vector<u32>& ids,
             const OriginLimits* limits) const;
  const Merge* find_merge(u32 left, u32 right, const OriginLimits* limits) const;

  std::vector<std::string> tokens_;
  std::unordered_map<std::string_view, u32> ids_; // views into tokens_
  std::unordered_map<u64, Merge> merges_;
  std::array<std::optional<u32>, 256> byte_tokens_{};
  bool byte_fallback_ = false;
  bool fuse_unknown_ = false;
  bool ignore_merges_ = false;
  std::string unknown_; // empty: characters without a token are dropped, as the library does
};

} // namespace talaria::model
