#pragma once

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>
#include <string>
#include <string_view>

#include <nlohmann/json.hpp>

#include "attest/evidence/encodings.hpp"

namespace talaria::attest {

[[noreturn]] inline void refuse_receipt(const std::string& what) {
  refuse(Stage::format, "receipt", what);
}

/// A line that cannot do harm where it is printed.
inline bool is_claim_line(std::string_view text) {
  constexpr std::size_t kLongest = 256;
  return text.size() <= kLongest &&
         std::ranges::all_of(text, [](char c) { return c >= ' ' && c <= '~'; });
}

/// Takes the fields of one object of a receipt, each once and all of them.
class ClaimFields {
public:
  ClaimFields(const nlohmann::json& object, std::string what)
      : object_(object), what_(std::move(what)) {
    if (!object.is_object()) refuse_receipt(what_ + " is no object");
  }

  bool has(const char* name) const { return object_.contains(name); }
  const nlohmann::json& take(const char* name) {
    const auto found = object_.find(name);
    if (found == object_.end()) refuse_receipt(what_ + " has no " + name);
    ++taken_;
    return *found;
  }
  std::string text(const char* name) {
    const nlohmann::json& value = take(name);
    if (!value.is_string() || !is_claim_line(value.get_ref<const std::string&>()))
      refuse_receipt(what_ + ": " + name + " is no line of printable ASCII");
    return value.get<std::string>();
  }
  bool flag(const char* name) {
    const nlohmann::json& value = take(name);
    if (!value.is_boolean()) refuse_receipt(what_ + ": " + name + " is neither true nor false");
    return value.get<bool>();
  }
  u64 number(const char* name, u64 most = std::numeric_limits<u64>::max()) {
    const nlohmann::json& value = take(name);
    if (!value.is_number_unsigned() || value.get<u64>() > most)
      refuse_receipt(what_ + ": " + name + " is no whole number up to " + std::to_string(most));
    return value.get<u64>();
  }
  u32 count(const char* name) {
    return static_cast<u32>(number(name, std::numeric_limits<u32>::max()));
  }
  float real(const char* name) {
    const nlohmann::json& value = take(name);
    const double number = value.is_number() ? value.get<double>() : HUGE_VAL;
    if (std::abs(number) > double{std::numeric_limits<float>::max()})
      refuse_receipt(what_ + ": " + name + " is no number that a float holds");
    return static_cast<float>(number);
  }
  /// A number of 64 bits as text: readers of JSON elsewhere round above 2^53.
  u64 long_number(const char* name) {
    const std::string digits = text(name);
    u64 value = 0;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
    if (error != std::errc() || end != digits.data() + digits.size() ||
        std::to_string(value) != digits)
      refuse_receipt(what_ + ": " + name + " is no number of 64 bits");
    return value;
  }
  template <std::size_t N>
  std::array<u8, N> bytes(const char* name) {
    const auto read = from_base64url(text(name));
    if (!read || read->size() != N)
      refuse_receipt(what_ + ": " + name + " does not have " + std::to_string(N) + " bytes");
    std::array<u8, N> value{};
    std::ranges::copy(*read, value.begin());
    return value;
  }
  void finish() const {
    if (taken_ != object_.size()) refuse_receipt(what_ + " has a field that is not known");
  }

private:
  const nlohmann::json& object_;
  std::string what_;
  std::size_t taken_ = 0;
};

} // namespace talaria::attest
