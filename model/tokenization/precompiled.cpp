#include <array>
#include <optional>

#include "model/tokenization/character_normalizers.hpp"
#include "model/tokenization/pattern.hpp"
#include "model/utf8.hpp"

namespace talaria::model {

namespace {

constexpr std::size_t kLongestCluster = 5; // bytes of a cluster that is looked up as a whole

std::string decode_base64(const JsonNode& node) {
  constexpr std::string_view kDigits =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string_view text = node.string();
  while (text.ends_with('=')) text.remove_suffix(1);
  std::string out;
  u32 bits = 0;
  int held = 0;
  for (const char c : text) {
    const std::size_t digit = kDigits.find(c);
    if (digit == std::string_view::npos) node.fail("is not base64");
    bits = bits << 6 | static_cast<u32>(digit);
    held += 6;
    if (held < 8) continue;
    held -= 8;
    out.push_back(static_cast<char>(bits >> held & 0xFF));
  }
  return out;
}

u32 number_at(std::string_view bytes, std::size_t at) {
  u32 out = 0;
  for (std::size_t i = 0; i < 4; ++i)
    out |= u32{static_cast<unsigned char>(bytes[at + i])} << (8 * i);
  return out;
}

/// SentencePiece's table: the number of bytes of a double-array trie (Darts), the trie, and behind
/// it replacements that end with a zero byte.
class Table {
public:
  explicit Table(const JsonNode& node) {
    const std::string bytes = decode_base64(node);
    if (bytes.size() < 4) node.fail("is too short");
    const std::size_t trie = number_at(bytes, 0);
    if (trie % 4 != 0 || trie == 0 || trie > bytes.size() - 4) node.fail("has a damaged trie");
    for (std::size_t at = 4; at < 4 + trie; at += 4) units_.push_back(number_at(bytes, at));
    replacements_ = bytes.substr(4 + trie);
  }

  /// What the shortest beginning of `text` that the table has becomes; nothing if there is none.
  /// The library replaces all of `text` by it.
  std::optional<std::string_view> find(std::string_view text) const {
    std::size_t at = offset(units_[0]);
    for (const char c : text) {
      const auto byte = static_cast<unsigned char>(c);
      at ^= byte;
      if (byte == 0 || at >= units_.size() || label(units_[at]) != byte) return std::nullopt;
      const bool leaf = (units_[at] >> 8 & 1) != 0;
      at ^= offset(units_[at]);
      if (leaf && at < units_.size()) return replacement(units_[at] & 0x7FFFFFFF);
    }
    return std::nullopt;
  }

private:
  static std::size_t offset(u32 unit) {
    return static_cast<std::size_t>(unit >> 10) << ((unit & 1U << 9) >> 6);
  }
  static u32 label(u32 unit) { return unit & (1U << 31 | 0xFF); }

  std::string_view replacement(std::size_t begin) const {
    if (begin > replacements_.size()) return {};
    const std::string_view rest = std::string_view(replacements_).substr(begin);
    return rest.substr(0, rest.find('\0'));
  }

  std::vector<u32> units_;
  std::string replacements_;
};

/// Clusters of a few bytes as a whole, then character by character.
class Precompiled final : public Normalizer {
public:
  explicit Precompiled(const JsonNode& table) : table_(table), clusters_(Pattern::pcre2("\\X")) {}

  MarkedText apply(MarkedText text) const override {
    const auto change = [this](std::string_view run) { return changed(run); };
    return text.map(change, changed(text.text()));
  }
  std::size_t shrinks() const override { return 0; }

private:
  std::string changed(std::string_view text) const {
    std::string out;
    for (const Span& cluster : clusters_.cut(text)) {
      const std::string_view whole = text.substr(cluster.begin, cluster.end - cluster.begin);
      const auto found = whole.size() <= kLongestCluster ? table_.find(whole) : std::nullopt;
      if (found)
        out += *found;
      else
        append_characters(whole, out);
    }
    return out;
  }

  void append_characters(std::string_view text, std::string& out) const {
    for (std::size_t at = 0; at < text.size();) {
      const std::string_view character = text.substr(at, utf8::step(text, at).length);
      out += table_.find(character).value_or(character);
      at += character.size();
    }
  }

  Table table_;
  Pattern clusters_;
};

} // namespace

std::unique_ptr<Normalizer> parse_precompiled(const JsonNode& node) {
  return std::make_unique<Precompiled>(node["precompiled_charsmap"]);
}

} // namespace talaria::model
