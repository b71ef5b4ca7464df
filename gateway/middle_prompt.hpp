#pragma once

#include <cstddef>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "model/tokenizer.hpp"

namespace talaria::gateway {

/// How a model writes what stands between two texts, told by the special tokens that it knows.
class MiddlePrompt {
public:
  /// Nothing for a tokenizer without such tokens. `tokenizer` must outlive this object.
  static std::optional<MiddlePrompt> of(const model::Tokenizer& tokenizer);

  /// The prompt whose answer stands between `before` and `behind`; neither becomes special tokens
  /// that their texts do not have in a prompt of their own.
  /// @param add_special  what the tokenizer puts around any prompt, e.g. BOS, comes first
  /// @param most         about as many ids are made of each text
  /// @throws model::TextTooLong, Error{usage} for text that is not UTF-8
  std::vector<u32> encode(std::string_view before, std::string_view behind, bool add_special,
                          std::size_t most) const;

private:
  enum class Order { before_first, behind_first };
  MiddlePrompt(const model::Tokenizer& tokenizer, Order order, std::vector<u32> markers)
      : tokenizer_(&tokenizer), order_(order), markers_(std::move(markers)) {}

  const model::Tokenizer* tokenizer_;
  Order order_;
  std::vector<u32> markers_; ///< before the first text, before the second, and behind it, if any
};

} // namespace talaria::gateway
