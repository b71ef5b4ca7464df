#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "core/integers.hpp"
#include "gateway/api_error.hpp"

namespace talaria::gateway {

// Values of a request's fields. Each names the field in what it throws: ApiError 400.

std::string text_of(const std::string& field, const nlohmann::json& value);

bool flag_of(const std::string& field, const nlohmann::json& value);

/// From `low` to 2^31 - 1.
u32 whole_number_of(const std::string& field, const nlohmann::json& value, u32 low);

/// Between -1e6 and 1e6.
float number_of(const std::string& field, const nlohmann::json& value);

/// True for null, false, 0, "", [] and {}: a value that asks for nothing.
bool is_nothing(const nlohmann::json& value);

} // namespace talaria::gateway
