#pragma once

#include <memory>

#include "model/tokenization/normalizer.hpp"

namespace talaria::model {

/// The normalizers that look at one character at a time, and BERT's, which is made of them:
/// Lowercase, StripAccents, Strip, Nmt, BertNormalizer. A null pointer for other types.
std::unique_ptr<Normalizer> parse_character_normalizer(const JsonNode& node);

/// Precompiled: the table of replacements of a SentencePiece model.
/// @throws Error{model} for a table that is damaged.
std::unique_ptr<Normalizer> parse_precompiled(const JsonNode& node);

} // namespace talaria::model
