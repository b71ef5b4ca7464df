#include "config/problems.hpp"

#include <algorithm>
#include <numeric>

#include <fmt/format.h>

#include "core/error.hpp"

namespace talaria::config {
namespace {

// A file of nothing but mistakes still gives a message that a person can read.
constexpr std::size_t kShownProblems = 100;
constexpr std::size_t kShownBytes = 60;

/// Levenshtein's distance.
std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 0; i < a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i + 1;
    for (std::size_t j = 0; j < b.size(); ++j) {
      const std::size_t replaced = diagonal + (a[i] == b[j] ? 0 : 1);
      diagonal = row[j + 1];
      row[j + 1] = std::min({replaced, row[j] + 1, row[j + 1] + 1});
    }
  }
  return row.back();
}

} // namespace

void Problems::add(Position at, std::string_view key, std::string_view what) {
  std::string line = fmt::format("{}:{}:{}", file_, at.line, at.column);
  if (at.line == kInEnvironment.line) line = "environment";
  if (at.line == kOnCommandLine.line) line = "command line";
  if (!key.empty()) line += fmt::format(": {}", key);
  found_.push_back({at, fmt::format("{}: {}", line, what)});
}

void Problems::throw_if_any() const {
  if (found_.empty()) return;
  std::vector<Problem> sorted = found_;
  std::stable_sort(sorted.begin(), sorted.end(), [](const Problem& a, const Problem& b) {
    return std::pair(a.at.line, a.at.column) < std::pair(b.at.line, b.at.column);
  });
  std::string message;
  const std::size_t shown = std::min(sorted.size(), kShownProblems);
  for (std::size_t i = 0; i < shown; ++i) message += (i == 0 ? "" : "\n") + sorted[i].line;
  if (shown < sorted.size())
    message += fmt::format("\n{}: and {} more problems", file_, sorted.size() - shown);
  throw Error(Errc::config, message);
}

std::string printable(std::string_view text) {
  const auto continues = [](char c) { return (static_cast<unsigned char>(c) & 0xC0) == 0x80; };
  std::size_t shown = std::min(text.size(), kShownBytes);
  // Do not cut a UTF-8 character in two.
  while (shown > 0 && shown < text.size() && continues(text[shown])) --shown;
  std::string result;
  for (const char c : text.substr(0, shown))
    result += static_cast<unsigned char>(c) < 0x20 || c == 0x7F ? '?' : c;
  return shown < text.size() ? result + "..." : result;
}

std::string in_quotes(std::string_view text) {
  return fmt::format("'{}'", printable(text));
}

std::string listed(const std::vector<std::string_view>& words) {
  std::string result;
  for (std::size_t i = 0; i < words.size(); ++i) {
    if (i > 0) result += i + 1 == words.size() ? " or " : ", ";
    result += words[i];
  }
  return result;
}

std::string_view nearest(std::string_view word, const std::vector<std::string_view>& known) {
  std::string_view best;
  std::size_t best_distance = 3;
  if (word.size() > kShownBytes) return best;
  for (const std::string_view candidate : known) {
    const std::size_t distance = edit_distance(word, candidate);
    // Two letters of a three-letter word are not a typing mistake.
    if (distance >= best_distance || distance * 2 >= candidate.size() + 1) continue;
    best = candidate;
    best_distance = distance;
  }
  return best;
}

} // namespace talaria::config
