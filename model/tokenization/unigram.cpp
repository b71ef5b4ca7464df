#include "model/tokenization/unigram.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

#include <fmt/format.h>

#include "core/error.hpp"
#include "model/utf8.hpp"

namespace talaria::model {

namespace {

constexpr double kUnknownPenalty = 10;

std::string byte_token(char byte) {
  return fmt::format("<0x{:02X}>", static_cast<unsigned char>(byte));
}

} // namespace

Unigram Unigram::parse(const JsonNode& model) {
  Unigram out;
  out.byte_fallback_ = model["byte_fallback"].boolean_or(false);
  out.read_vocabulary(model["vocab"]);
  const JsonNode unknown = model["unk_id"];
  if (!unknown.is_null()) {
    out.unknown_ = static_cast<u32>(unknown.size_below(max_token_id));
    if (*out.unknown_ >= out.scores_.size()) unknown.fail("is not in model.vocab");
  }
  out.build_trie();
  return out;
}

/// A list of pairs, token and score; ids are places in it.
void Unigram::read_vocabulary(const JsonNode& vocabulary) {
  std::vector<std::string> tokens;
  double least = 0;
  for (const JsonNode& entry : vocabulary.elements()) {
    const std::vector<JsonNode> pair = entry.elements();
    if (pair.size() != 2 || !pair[1].raw().is_number()) entry.fail("is not a token and a score");
    if (tokens.size() + 1 == max_token_id) vocabulary.fail("has too many tokens");
    tokens.push_back(pair[0].string());
    scores_.push_back(pair[1].raw().get<double>());
    if (!std::isfinite(scores_.back())) entry.fail("has a score that is no finite number");
    least = tokens.size() == 1 ? scores_.back() : std::min(least, scores_.back());
  }
  unknown_score_ = least - kUnknownPenalty;
  list_ = TokenList(std::move(tokens));
}

/// Level by level over the sorted tokens: each node owns a range of them.
void Unigram::build_trie() {
  struct Range {
    std::size_t begin, end;
    u32 node;
  };
  const std::vector<std::string>& tokens = list_.tokens();
  std::vector<u32> sorted(tokens.size());
  std::iota(sorted.begin(), sorted.end(), 0);
  std::sort(sorted.begin(), sorted.end(), [&](u32 a, u32 b) { return tokens[a] < tokens[b]; });
  nodes_.assign(1, Node{});
  std::vector<Range> level{{0, sorted.size(), 0}};
  for (std::size_t depth = 0; !level.empty(); ++depth) {
    std::vector<Range> next;
    for (Range& range : level) {
      for (; range.begin < range.end && tokens[sorted[range.begin]].size() == depth; ++range.begin)
        if (depth != 0) nodes_[range.node].token = *list_.id(tokens[sorted[range.begin]]);
      nodes_[range.node].first_child = static_cast<u32>(nodes_.size());
      for (std::size_t at = range.begin; at < range.end;) {
        const char byte = tokens[sorted[at]][depth];
        std::size_t end = at;
        while (end < range.end && tokens[sorted[end]][depth] == byte) ++end;
        next.push_back({at, end, static_cast<u32>(nodes_.size())});
        nodes_.push_back({0, 0, -1, static_cast<u8>(byte)});
        ++nodes_[range.node].children;
        at = end;
      }
    }
    level = std::move(next);
  }
}

const Unigram::Node* Unigram::child(const Node& node, char byte) const {
  const auto first = nodes_.begin() + node.first_child;
  const auto end = first + node.children;
  const auto found =
      std::lower_bound(first, end, static_cast<u8>(byte),
                       [](const Node& entry, u8 wanted) { return entry.byte < wanted; });
  return found != end && found->byte == static_cast<u8>(byte) ? &*found : nullptr;
}

u32 Unigram::unknown_id() const {
  if (!unknown_)
    throw Error(Errc::model, "tokenizer.json: model.unk_id is needed for a character, but null");
  return *unknown_;
}

/// For each place of the piece where a character ends. Of ways that are equally good the first one
/// found stays, as in the library.
std::vector<Unigram::Arrival> Unigram::best_ways(std::string_view piece,
                                                 const OriginLimits* limits) const {
  std::vector<Arrival> ways(piece.size() + 1);
  const auto offer = [&ways](std::size_t end, std::size_t from, double score, u32 id) {
    Arrival& way = ways[end];
    if (!way.reached || score > way.score) way = {score, from, id, true};
  };
  for (std::size_t at = 0; at < piece.size();) {
    const double before = ways[at].score;
    const std::size_t character = utf8::step(piece, at).length;
    bool single = false;
    const Node* node = nodes_.data();
    for (std::size_t end = at; end < piece.size();) {
      node = child(*node, piece[end++]);
      if (node == nullptr) break;
      if (node->token < 0) continue;
      const auto id = static_cast<u32>(node->token);
      if (is_kept_back(id, limits)) continue;
      offer(end, at, scores_[id] + before, id);
      single = single || end - at == character;
    }
    if (!single) offer(at + character, at, unknown_score_ + before, unknown_id());
    at += character;
  }
  return ways;
}

void Unigram::tokenize(std::string_view piece, std::vector<u32>& ids,
                       const OriginLimits* limits) const {
  const std::vector<Arrival> ways = best_ways(piece, limits);
  std::vector<std::string_view> parts; // from the end
  bool fuses = false;                  // the last part is unknown text
  for (std::size_t end = piece.size(); end > 0;) {
    const Arrival& way = ways[end];
    const bool unknown = unknown_ && way.id == *unknown_;
    const std::string_view part = piece.substr(way.from, end - way.from);
    if (unknown && fuses)
      parts.back() = piece.substr(way.from, part.size() + parts.back().size());
    else
      parts.push_back(part);
    fuses = unknown;
    end = way.from;
  }
  for (auto part = parts.rbegin(); part != parts.rend(); ++part) append_text(*part, ids, limits);
}

void Unigram::append_text(std::string_view text, std::vector<u32>& ids,
                          const OriginLimits* limits) const {
  if (const auto known = id(text); known && !is_kept_back(*known, limits)) {
    ids.push_back(*known);
    return;
  }
  std::vector<u32> bytes;
  for (const char byte : text) {
    const auto token = byte_fallback_ ? id(byte_token(byte)) : std::nullopt;
    if (!token) break;
    bytes.push_back(*token);
  }
  if (bytes.size() == text.size())
    ids.insert(ids.end(), bytes.begin(), bytes.end());
  else
    ids.push_back(unknown_id());
}

std::size_t Unigram::longest_piece(bool byte_level) const {
  if (byte_level || !byte_fallback_) return 0;
  for (int byte = 0; byte < 256; ++byte)
    if (!id(byte_token(static_cast<char>(byte)))) return 0;
  return list_.longest();
}

} // namespace talaria::model
