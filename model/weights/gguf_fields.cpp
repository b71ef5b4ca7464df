#include "model/weights/gguf_fields.hpp"

#include <fmt/format.h>

#include <cmath>

#include "arch/json_fields.hpp"
#include "core/error.hpp"

namespace talaria::model {

namespace {

/// Not negative, whichever type it is written in.
std::optional<u64> whole(const GgufValue& value) {
  if (const u64* const plain = std::get_if<u64>(&value.is)) return *plain;
  if (const i64* const number = std::get_if<i64>(&value.is); number != nullptr && *number >= 0)
    return static_cast<u64>(*number);
  return std::nullopt;
}

} // namespace

const GgufValue* GgufFields::find(const std::string& key) const {
  const auto at = metadata_.find(key);
  return at == metadata_.end() ? nullptr : &at->second;
}

std::optional<u64> GgufFields::integer(const std::string& key, u64 high) const {
  const GgufValue* const value = find(key);
  if (value == nullptr) return std::nullopt;
  const auto out = whole(*value);
  if (!out || *out > high) refuse(key, fmt::format("a whole number from 0 to {}", high));
  return out;
}

u64 GgufFields::required_integer(const std::string& key, u64 high) const {
  const auto out = integer(key, high);
  if (!out) refuse(key, "a whole number; it is missing");
  return *out;
}

std::optional<u64> GgufFields::same_integer(const std::string& key) const {
  const GgufValue* const value = find(key);
  if (value == nullptr || !std::holds_alternative<GgufValue::List>(value->is)) return integer(key);
  const auto& elements = std::get<GgufValue::List>(value->is);
  std::optional<u64> out;
  for (const GgufValue& element : elements) {
    const auto here = whole(element);
    if (!here || *here > 0xffffffffu || (out && *out != *here))
      refuse(key, "the same whole number for each layer");
    out = here;
  }
  if (!out) refuse(key, "a whole number, or one for each layer");
  return out;
}

std::optional<double> GgufFields::number(const std::string& key) const {
  const GgufValue* const value = find(key);
  if (value == nullptr) return std::nullopt;
  if (const auto integer = whole(*value)) return static_cast<double>(*integer);
  const double* const out = std::get_if<double>(&value->is);
  if (out == nullptr || !std::isfinite(*out)) refuse(key, "a number");
  return *out;
}

std::optional<bool> GgufFields::boolean(const std::string& key) const {
  const GgufValue* const value = find(key);
  if (value == nullptr) return std::nullopt;
  const bool* const out = std::get_if<bool>(&value->is);
  if (out == nullptr) refuse(key, "a boolean");
  return *out;
}

std::optional<std::string> GgufFields::text(const std::string& key) const {
  const GgufValue* const value = find(key);
  if (value == nullptr) return std::nullopt;
  const std::string* const out = std::get_if<std::string>(&value->is);
  if (out == nullptr) refuse(key, "a string");
  return *out;
}

std::string GgufFields::required_text(const std::string& key) const {
  auto out = text(key);
  if (!out) refuse(key, "a string; it is missing");
  return std::move(*out);
}

const GgufValue::List* GgufFields::list(const std::string& key) const {
  const GgufValue* const value = find(key);
  if (value == nullptr) return nullptr;
  const auto* const out = std::get_if<GgufValue::List>(&value->is);
  if (out == nullptr) refuse(key, "a list");
  return out;
}

std::vector<u64> GgufFields::integers(const std::string& key) const {
  std::vector<u64> out;
  const GgufValue::List* const elements = list(key);
  if (elements == nullptr) return out;
  out.reserve(elements->size());
  for (const GgufValue& element : *elements) {
    const auto value = whole(element);
    if (!value) refuse(key, "whole numbers that are not negative");
    out.push_back(*value);
  }
  return out;
}

void GgufFields::refuse(const std::string& key, const std::string& expected) const {
  throw Error(Errc::model,
              fmt::format("{}: metadata key {}: expected {}", file_, printable(key), expected));
}

} // namespace talaria::model
