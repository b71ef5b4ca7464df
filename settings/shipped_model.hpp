#pragma once

#include <filesystem>

namespace talaria::settings {

/// The shipped model, looked for under ./models and beside the program; empty if it is not there.
std::filesystem::path shipped_model();

} // namespace talaria::settings
