#pragma once

#include <filesystem>
#include <vector>

#include "core/integers.hpp"

namespace talaria::model {
class Tokenizer;
}

namespace talaria::pipeline {

/// The tokens of a file that prompts of everybody may begin with: a JSON list of token ids, as
/// POST /tokenize gives them, or else a text, in which special tokens are read as such and before
/// which the tokenizer puts what it puts before every text. Empty for an empty path.
/// @throws Error{config} for a file that cannot be read, is no regular file or is larger than
/// 4 MiB, for ids outside the vocabulary, and for less than one block of 64 tokens
std::vector<u32> public_prefix(const std::filesystem::path& file,
                               const model::Tokenizer* tokenizer);

} // namespace talaria::pipeline
