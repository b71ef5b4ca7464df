#pragma once

#include <string>

#include "cli/perplexity/base_file.hpp"
#include "cli/perplexity/divergence.hpp"
#include "pipeline/engine.hpp"

namespace talaria::cli {

/// `text` in windows for a base file; what does not fill a window is left out, as llama.cpp does.
/// @throws Error{usage} if it does not fill one, or if the tokenizer puts more than one token
/// around a text.
BaseText base_text(const pipeline::Engine& engine, const std::string& text, u32 window);

/// What the engine says to `text`, into `file`, `batch` windows at a time.
/// @throws Error as requests end with, Error{cancelled}, Error{io}.
void save_base(pipeline::Engine& engine, const BaseText& text, const std::string& file, u32 batch);

/// Its divergence from what the file says, on the file's text.
/// @throws Error likewise; Error{usage} if the file was made with another vocabulary, or with
/// longer windows than the engine takes.
DivergenceReport compare_with(pipeline::Engine& engine, BaseReader& base, u32 batch);

} // namespace talaria::cli
