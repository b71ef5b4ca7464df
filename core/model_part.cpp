#include "core/model_part.hpp"

#include <fmt/format.h>

#include <charconv>

namespace talaria {

namespace {

std::optional<u32> whole_of(std::string_view digits) {
  u32 value = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (error != std::errc() || end != digits.data() + digits.size()) return std::nullopt;
  return value;
}

} // namespace

std::string to_string(const LayerRange& layers) {
  if (layers.all) return "all";
  return layers.first == layers.last ? fmt::format("{}", layers.first)
                                     : fmt::format("{}-{}", layers.first, layers.last);
}

std::optional<LayerRange> parse_layers(std::string_view text) {
  if (text == "all") return LayerRange{0, 0, true};
  const std::size_t dash = text.find('-');
  const auto first = whole_of(text.substr(0, dash));
  const auto last = dash == std::string_view::npos ? first : whole_of(text.substr(dash + 1));
  if (!first || !last || *first > *last || *last > kMaxLayer) return std::nullopt;
  return LayerRange{*first, *last, false};
}

std::string expected_layers() {
  return fmt::format("A-B with A <= B <= {}, one number, or all", kMaxLayer);
}

std::string to_string(const ColumnShare& share) {
  return fmt::format("{}/{}", share.index + 1, share.count);
}

std::optional<ColumnShare> parse_share(std::string_view text) {
  const std::size_t slash = text.find('/');
  if (slash == std::string_view::npos) return std::nullopt;
  const auto number = whole_of(text.substr(0, slash));
  const auto count = whole_of(text.substr(slash + 1));
  if (!number || !count || *number < 1 || *number > *count || *count > kMaxShares)
    return std::nullopt;
  return ColumnShare{*number - 1, *count};
}

std::string expected_share() {
  return fmt::format("I/N with 1 <= I <= N <= {}", kMaxShares);
}

} // namespace talaria
