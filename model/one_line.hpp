#pragma once

#include <string>

namespace talaria::model {

/// `text` (valid UTF-8) as it may stand in an error message, where parts of it come from a file:
/// control characters become spaces, and what exceeds 400 bytes is cut off.
std::string one_line(std::string text);

} // namespace talaria::model
