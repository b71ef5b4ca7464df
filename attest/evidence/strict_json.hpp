#pragma once

#include <string_view>

#include <nlohmann/json_fwd.hpp>

#include "attest/evidence/bytes.hpp"

namespace talaria::attest {

/// Parses one JSON text: UTF-8, at most `most` bytes and 32 levels, no name twice in an object, no
/// byte order mark. Leaves by refuse(stage, code): for parsers alone.
nlohmann::json strict_json(std::string_view text, std::size_t most, Stage stage,
                           std::string_view code);

} // namespace talaria::attest
