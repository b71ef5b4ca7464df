#pragma once

#include <string>

#include "model/weights/gguf_fields.hpp"

namespace talaria::model {

/// What the metadata of a GGUF file say of its tokenizer, in the words of a model folder.
struct GgufTokenizer {
  std::string tokenizer;        ///< tokenizer.json
  std::string tokenizer_config; ///< tokenizer_config.json, with the chat template
};

/// Byte-level BPE ("gpt2") with the expression that tokenizer.ggml.pre stands for, and
/// SentencePiece BPE ("llama"), whose merges follow from the scores as transformers makes them.
/// @throws Error{model} naming file and key for another model, or a pre-tokenizer that is not
/// known: ids would be wrong without a sign.
GgufTokenizer gguf_tokenizer(const GgufFields& fields);

/// The names of tokenizer.ggml.pre that are known, separated by commas.
std::string known_gguf_pre_tokenizers();

} // namespace talaria::model
