#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace talaria::exporting {

/// `word` so that a POSIX shell reads it back as one word.
std::string shell_word(std::string_view word);
/// Words with blanks between.
std::string shell_line(const std::vector<std::string>& words);
/// `text` as code in a table of Markdown; '|' and line ends cannot break out.
std::string markdown_code(std::string_view text);

} // namespace talaria::exporting
