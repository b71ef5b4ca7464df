#include "model/tokenization/token_model.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "model/tokenization/bpe.hpp"
#include "model/tokenization/unigram.hpp"
#include "model/tokenization/word_piece.hpp"

namespace talaria::model {

TokenList TokenList::parse(const JsonNode& vocabulary) {
  if (!vocabulary.is_object()) vocabulary.fail("is not an object");
  const auto id_of = [&](const std::string& token) {
    return vocabulary[token].size_below(max_token_id);
  };
  TokenList out;
  std::size_t size = 0;
  for (const auto& entry : vocabulary.raw().items()) size = std::max(size, id_of(entry.key()) + 1);
  out.tokens_.resize(size);
  std::vector<bool> taken(size);
  for (const auto& entry : vocabulary.raw().items()) {
    const std::size_t id = id_of(entry.key());
    if (taken[id]) vocabulary[entry.key()].fail(fmt::format("has the id {} of another token", id));
    taken[id] = true;
    out.tokens_[id] = entry.key();
    out.ids_.emplace(out.tokens_[id], static_cast<u32>(id));
  }
  return out;
}

TokenList::TokenList(std::vector<std::string> tokens) : tokens_(std::move(tokens)) {
  for (std::size_t id = 0; id < tokens_.size(); ++id)
    ids_.insert_or_assign(tokens_[id], static_cast<u32>(id));
}

std::optional<u32> TokenList::id(std::string_view token) const {
  const auto found = ids_.find(token);
  if (found == ids_.end()) return std::nullopt;
  return found->second;
}

std::size_t TokenList::longest() const {
  std::size_t longest = 1;
  for (const std::string& token : tokens_) longest = std::max(longest, token.size());
  return longest;
}

std::unique_ptr<const TokenModel> parse_token_model(const JsonNode& model) {
  const JsonNode type = model["type"];
  std::string kind = type.string_or("");
  if (type.is_null()) {
    const bool merges = !model["merges"].is_null();
    const bool words = !merges && !model["max_input_chars_per_word"].is_null();
    const bool scores = !merges && model["vocab"].raw().is_array();
    kind = words ? "WordPiece" : scores ? "Unigram" : "BPE";
  }
  if (kind == "BPE") return std::make_unique<Bpe>(Bpe::parse(model));
  if (kind == "Unigram") return std::make_unique<Unigram>(Unigram::parse(model));
  if (kind == "WordPiece") return std::make_unique<WordPiece>(WordPiece::parse(model));
  type.fail(fmt::format("is {}; only BPE, Unigram and WordPiece tokenizers are supported", kind));
}

} // namespace talaria::model
