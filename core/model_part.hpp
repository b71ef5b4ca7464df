#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "core/integers.hpp"

namespace talaria {

inline constexpr u32 kMaxLayer = 65535;
inline constexpr u32 kMaxShares = 64;

/// Layers of a model, both ends included. The last layer of a model brings its head.
struct LayerRange {
  u32 first = 0;
  u32 last = 0;
  bool all = false; ///< whatever the model has; `first` and `last` mean nothing then

  bool contains(u32 layer) const noexcept { return all || (first <= layer && layer <= last); }
  /// In a model of `layers` layers, with both ends known. `layers` is at least 1.
  LayerRange within(u32 layers) const noexcept {
    return all ? LayerRange{0, layers - 1, false} : *this;
  }
  bool operator==(const LayerRange&) const = default;
};

/// "all", "3" or "0-15".
std::string to_string(const LayerRange& layers);

/// "A-B" with A <= B <= kMaxLayer, "A", or "all". Nothing if `text` is anything else.
std::optional<LayerRange> parse_layers(std::string_view text);

/// What parse_layers() takes, for messages.
std::string expected_layers();

/// Part `index` of `count` equal parts of the columns of each matrix. In memory parts are counted
/// from 0, index < count; people write and read them counted from 1 (parse_share(), to_string()).
struct ColumnShare {
  u32 index = 0;
  u32 count = 1;

  bool operator==(const ColumnShare&) const = default;
};

/// "1/2" for the first of two.
std::string to_string(const ColumnShare& share);

/// "I/N" with 1 <= I <= N <= kMaxShares. Nothing if `text` is anything else.
std::optional<ColumnShare> parse_share(std::string_view text);

/// What parse_share() takes, for messages.
std::string expected_share();

} // namespace talaria
