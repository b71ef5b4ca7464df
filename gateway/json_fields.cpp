#include "gateway/json_fields.hpp"

#include <fmt/format.h>

#include <limits>

namespace talaria::gateway {

using nlohmann::json;

std::string text_of(const std::string& field, const json& value) {
  if (!value.is_string()) throw bad_field(field, field + " must be a string");
  return value.get<std::string>();
}

bool flag_of(const std::string& field, const json& value) {
  if (!value.is_boolean()) throw bad_field(field, field + " must be true or false");
  return value.get<bool>();
}

u32 whole_number_of(const std::string& field, const json& value, u32 low) {
  constexpr u32 kMax = std::numeric_limits<i32>::max();
  if (value.is_number_unsigned() && value.get<u64>() >= low && value.get<u64>() <= kMax)
    return value.get<u32>();
  throw bad_field(field, fmt::format("{} must be a whole number from {} to {}", field, low, kMax));
}

float number_of(const std::string& field, const json& value) {
  constexpr double kMax = 1e6; // far outside every range, and safe to convert
  if (!value.is_number()) throw bad_field(field, field + " must be a number");
  const auto number = value.get<double>();
  if (!(number >= -kMax && number <= kMax))
    throw bad_field(field, fmt::format("{} is out of range", field));
  return static_cast<float>(number);
}

bool is_nothing(const json& value) {
  if (value.is_string()) return value.get_ref<const std::string&>().empty();
  return value.is_null() || (value.is_structured() && value.empty()) || value == false ||
         (value.is_number() && value == 0);
}

} // namespace talaria::gateway
