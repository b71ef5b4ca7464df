#pragma once

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

/// A vocabulary: tokens by id, and ids by token.
class TokenList {
public:
  TokenList() = default;
  TokenList(TokenList&&) = default;
  TokenList& operator=(TokenList&&) = default;

  /// "vocab" as an object of tokens and ids. @throws Error{model} if two tokens have the same id.
  static TokenList parse(const JsonNode& vocabulary);
  /// Ids in the order of `tokens`; of equal ones the last id counts.
  explicit TokenList(std::vector<std::string> tokens);

  std::optional<u32> id(std::string_view token) const;
  /// By id; empty where the vocabulary has a gap.
  const std::vector<std::string>& tokens() const noexcept { return tokens_; }
  std::size_t longest() const; ///< in bytes

private:
  std::vector<std::string> tokens_;
  std::unordered_map<std::string_view, u32> ids_; // views into tokens_
};

/// The "model" of a tokenizer.json: how a piece of text becomes ids.
class TokenModel {
public:
  TokenModel() = default;
  TokenModel(TokenModel&&) = default;
  TokenModel& operator=(TokenModel&&) = default;
  virtual ~TokenModel() = default;

  /// Appends the ids of `piece`, which is valid UTF-8. With `limits`, tokens that are not for
  /// everybody's text are not made.
  /// @throws Error{model} if it needs the unknown token and the vocabulary has none.
  virtual void tokenize(std::string_view piece, std::vector<u32>& ids,
                        const OriginLimits* limits = nullptr) const = 0;
  /// Bytes of the longest token, if the ids of any piece (`byte_level`: of any in that alphabet)
  /// cover all of it; otherwise 0.
  virtual std::size_t longest_piece(bool byte_level) const = 0;

  std::optional<u32> id(std::string_view token) const { return list_.id(token); }
  const std::vector<std::string>& tokens() const noexcept { return list_.tokens(); }

protected:
  static bool is_kept_back(u32 id, const OriginLimits* limits) {
    return limits != nullptr && limit_of(*limits, id) != Origin::input;
  }

  TokenList list_;
};

/// Of kind BPE, Unigram or WordPiece; a file that names no kind is told by its fields, as the
/// library does. @throws Error{model} naming the field.
std::unique_ptr<const TokenModel> parse_token_model(const JsonNode& model);

} // namespace talaria::model
