#pragma once

#include <array>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "model/tokenization/token_model.hpp"

namespace talaria::model {

/// Byte pair encoding of one piece of text, as the model of kind BPE of the `tokenizers` library.
class Bpe final : public TokenModel {
public:
  /// The "model" of a tokenizer.json.
  static Bpe parse(const JsonNode& model);

  /// O(n log n).
  void tokenize(std::string_view piece, std::vector<u32>& ids,
                const OriginLimits* limits = nullptr) const override;
  std::size_t longest_piece(bool byte_level) const override;

private:
  struct Merge {
    u32 rank, merged;
  };
  struct Symbol {
    u32 id;
    i32 previous, next;
    bool alive;
  };

  void read_merges(const JsonNode& merges);
  void add_merge(const JsonNode& entry, u32 rank);
  void append_initial(std::string_view piece, std::vector<u32>& ids) const;
  bool append_bytes(std::string_view character, std::vector<u32>& ids) const;
  void merge(const std::vector<u32>& initial, std::vector<u32>& ids,
             const OriginLimits* limits) const;
  const Merge* find_merge(u32 left, u32 right, const OriginLimits* limits) const;

  std::unordered_map<u64, Merge> merges_;
  std::array<std::optional<u32>, 256> byte_tokens_{};
  bool byte_fallback_ = false;
  bool fuse_unknown_ = false;
  bool ignore_merges_ = false;
  std::string unknown_; // empty: characters without a token are dropped, as the library does
};

} // namespace talaria::model
