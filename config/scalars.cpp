#include "config/scalars.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>
#include <utility>

#include "config/pipeline_config.hpp"
#include "core/address.hpp"
#include "core/cores.hpp"
#include "core/error.hpp"

namespace talaria::config {
namespace {

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

bool is_name_character(char c) {
  return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' || c == '_' ||
         c == '.';
}

bool all_of(std::string_view text, bool (*accepts)(char)) {
  return !text.empty() && std::all_of(text.begin(), text.end(), accepts);
}

} // namespace

std::optional<u64> parse_whole(std::string_view text) {
  u64 value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

std::optional<double> parse_real(std::string_view text) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size() || !std::isfinite(value))
    return std::nullopt;
  return value;
}

std::optional<std::string_view> parse_unix_path(std::string_view text) {
  constexpr std::string_view kPrefix = "unix:";
  if (!text.starts_with(kPrefix)) return std::nullopt;
  text.remove_prefix(kPrefix.size());
  if (!text.starts_with('/') || text.ends_with('/') || text.find('\0') != text.npos)
    return std::nullopt;
  return text;
}

bool is_core_list(std::string_view text) {
  try {
    parse_cores(std::string(text));
    return true;
  } catch (const Error&) {
    return false;
  }
}

bool is_ssh_target(std::string_view text) {
  const auto is_host = [](std::string_view host) {
    return host.find(':') == std::string_view::npos && is_host_name(host);
  };
  const std::size_t at = text.find('@');
  if (at == std::string_view::npos) return is_host(text);
  const std::string_view user = text.substr(0, at);
  return is_node_name(user) && user.front() != '-' && is_host(text.substr(at + 1));
}

bool is_device(std::string_view text) {
  if (text == "cpu" || text == "auto" || text == "cuda") return true;
  if (!text.starts_with("cuda:")) return false;
  for (text.remove_prefix(5);;) {
    const std::size_t comma = text.find(',');
    const std::string_view index = text.substr(0, comma);
    const auto value = parse_whole(index);
    if (!value || *value > 255 || index.size() > 3) return false;
    if (comma == std::string_view::npos) return true;
    text.remove_prefix(comma + 1);
  }
}

bool is_node_name(std::string_view text) {
  return text.size() <= 64 && all_of(text, is_name_character);
}

std::optional<std::size_t> parse_bytes(std::string_view text) {
  constexpr std::pair<std::string_view, int> kUnits[] = {{"KiB", 10}, {"MiB", 20}, {"GiB", 30}};
  int shift = 0;
  for (const auto& [unit, bits] : kUnits) {
    if (!text.ends_with(unit)) continue;
    shift = bits;
    text.remove_suffix(unit.size());
    break;
  }
  const auto value = parse_whole(text);
  if (!value || *value > std::numeric_limits<std::size_t>::max() >> shift) return std::nullopt;
  return static_cast<std::size_t>(*value) << shift;
}

std::string bytes_text(std::size_t bytes) {
  constexpr std::pair<std::string_view, int> kUnits[] = {{"GiB", 30}, {"MiB", 20}, {"KiB", 10}};
  for (const auto& [unit, shift] : kUnits)
    if (bytes != 0 && bytes % (std::size_t{1} << shift) == 0)
      return std::to_string(bytes >> shift).append(unit);
  return std::to_string(bytes);
}

namespace {
// Longest first where one ends with another.
constexpr std::pair<std::string_view, u64> kTimeUnits[] = {
    {"min", 60'000}, {"ms", 1}, {"h", 3'600'000}, {"s", 1'000}};
} // namespace

std::optional<std::chrono::milliseconds> parse_duration(std::string_view text) {
  constexpr u64 kMax = u64{10} * 365 * 24 * 3'600'000;
  for (const auto& [unit, milliseconds] : kTimeUnits) {
    if (!text.ends_with(unit)) continue;
    text.remove_suffix(unit.size());
    const auto value = parse_whole(text);
    if (!value || *value > kMax / milliseconds) return std::nullopt;
    return std::chrono::milliseconds(*value * milliseconds);
  }
  return std::nullopt;
}

std::string to_text(std::chrono::milliseconds duration) {
  const i64 count = duration.count();
  if (count == 0) return "0s";
  for (const auto& [unit, size] : {kTimeUnits[2], kTimeUnits[0], kTimeUnits[3]})
    if (count % static_cast<i64>(size) == 0)
      return std::to_string(count / static_cast<i64>(size)).append(unit);
  return std::to_string(count) + "ms";
}

std::optional<std::vector<std::string>> split_words(std::string_view text) {
  std::vector<std::string> words;
  bool in_word = false;
  char quote = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (quote == 0 && (c == ' ' || c == '\t')) {
      in_word = false;
      continue;
    }
    if (!in_word) words.emplace_back();
    in_word = true;
    if (quote == 0 && (c == '\'' || c == '"')) {
      quote = c;
    } else if (c == quote) {
      quote = 0;
    } else if (c == '\\' && quote != '\'') {
      if (++i == text.size()) return std::nullopt;
      words.back() += text[i];
    } else {
      words.back() += c;
    }
  }
  if (quote != 0) return std::nullopt;
  return words;
}

} // namespace talaria::config
