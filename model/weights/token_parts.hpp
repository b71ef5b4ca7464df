#pragma once

#include <span>
#include <string_view>
#include <vector>

#include "core/integers.hpp"

namespace talaria::model {

/// Which tokens are two others put together. Building takes time by the bytes of all texts and the
/// logarithm of their number, whatever their lengths; finding the cuts of one token by its length.
class TokenParts {
public:
  /// A place between two parts: bytes of the left one, and both as indices of texts.
  struct Cut {
    std::size_t at;
    std::size_t left, right;
  };

  /// `texts` are not empty and differ from each other; they are read here alone.
  explicit TokenParts(std::span<const std::string_view> texts);

  /// All places to cut texts[index] into two of the texts, from left to right.
  std::vector<Cut> cuts(std::size_t index) const;

private:
  static constexpr std::size_t kNone = ~std::size_t{0};
  /// For each text the longest other one that it begins with, or kNone.
  static std::vector<std::size_t> longest_beginnings(std::span<const std::string_view> texts);

  std::vector<std::size_t> sizes_;
  std::vector<std::size_t> beginning_, ending_; ///< the longest other text that it is; or kNone
};

} // namespace talaria::model
