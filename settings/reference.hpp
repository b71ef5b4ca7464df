#pragma once

#include <string>

namespace talaria::settings {

/// docs/configuration.md, made of table(), worker_table() and weaknesses(): every setting with its
/// type, range, default, variable, flag and meaning.
std::string reference_page();

} // namespace talaria::settings
