#include "model/tokenization/word_piece.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "core/error.hpp"
#include "model/one_line.hpp"
#include "model/utf8.hpp"

namespace talaria::model {

WordPiece WordPiece::parse(const JsonNode& model) {
  if (model["vocab"].is_null()) model.fail("has no vocab");
  WordPiece out;
  out.prefix_ = model["continuing_subword_prefix"].string_or("##");
  out.unknown_ = model["unk_token"].string_or("[UNK]");
  const JsonNode most = model["max_input_chars_per_word"];
  if (!most.is_null()) out.most_characters_ = most.size_below(std::size_t{1} << 32);
  out.list_ = TokenList::parse(model["vocab"]);
  out.longest_ = out.list_.longest();
  return out;
}

void WordPiece::tokenize(std::string_view piece, std::vector<u32>& ids,
                         const OriginLimits* limits) const {
  const std::size_t before = ids.size();
  if (utf8::length(piece) <= most_characters_ && append_word(piece, ids, limits)) return;
  ids.resize(before);
  const auto unknown = id(unknown_);
  if (!unknown)
    throw Error(Errc::model, one_line(fmt::format("tokenizer.json: model.unk_token {} is needed "
                                                  "for a word, but not in model.vocab",
                                                  unknown_)));
  ids.push_back(*unknown);
}

bool WordPiece::append_word(std::string_view word, std::vector<u32>& ids,
                            const OriginLimits* limits) const {
  for (std::size_t begin = 0; begin < word.size();) {
    u32 id = 0;
    const std::string_view found = longest_at(word, begin, id, limits);
    if (found.empty()) return false;
    ids.push_back(id);
    begin += found.size();
  }
  return true;
}

/// The longest part of the word from `begin` on that is a token, inside a word behind the prefix.
std::string_view WordPiece::longest_at(std::string_view word, std::size_t begin, u32& id,
                                       const OriginLimits* limits) const {
  std::size_t end = std::min(word.size(), begin + longest_);
  const auto inside = [&](std::size_t at) {
    return at < word.size() && (static_cast<unsigned char>(word[at]) & 0xC0) == 0x80;
  };
  for (; end > begin; --end) {
    if (inside(end)) continue;
    const std::string_view part = word.substr(begin, end - begin);
    const auto known = begin == 0 ? this->id(part) : this->id(prefix_ + std::string(part));
    if (!known || is_kept_back(*known, limits)) continue;
    id = *known;
    return part;
  }
  return {};
}

} // namespace talaria::model
