#include "model/grammar/json_numbers.hpp"

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>

namespace talaria::model::grammar {

namespace {

constexpr u32 kMaxDigits = 15; // exact in a double
constexpr u64 kGreatest = 999'999'999'999'999;

Expression digit() {
  return byte_range('0', '9');
}

Expression digits(std::size_t count) {
  const auto n = static_cast<u32>(count);
  return n == 0 ? sequence({}) : repeat(digit(), n, n);
}

/// 0, or a number of at most 15 digits.
Expression natural() {
  return any_of(
      {literal("0"), sequence({byte_range('1', '9'), repeat(digit(), 0, kMaxDigits - 1)})});
}

Expression fraction() {
  return sequence({literal("."), repeat(digit(), 1, kMaxDigits)});
}

/// A fraction that no double rounds away, behind `whole`.
Expression exact_fraction(u64 whole, bool may_be_zero) {
  const auto most = static_cast<u32>(kMaxDigits - std::to_string(whole).size());
  if (most == 0) return any_of({});
  if (may_be_zero) return sequence({literal("."), repeat(digit(), 1, most)});
  std::vector<Expression> forms;
  for (u32 zeros = 0; zeros < most; ++zeros)
    forms.push_back(
        sequence({literal("." + std::string(zeros, '0')), byte_range('1', '9'),
                  most - zeros == 1 ? sequence({}) : repeat(digit(), 0, most - zeros - 1)}));
  return any_of(std::move(forms));
}

/// Numbers of exactly as many digits as the bounds have, from `low` to `high`.
Expression same_length(const std::string& low, const std::string& high) {
  const auto between = [](int a, int b) {
    return byte_range(static_cast<u8>(a), static_cast<u8>(b));
  };
  const std::size_t size = low.size();
  if (low == std::string(size, '0') && high == std::string(size, '9')) return digits(size);
  if (low[0] == high[0])
    return sequence({literal(low.substr(0, 1)), same_length(low.substr(1), high.substr(1))});
  const std::size_t rest = size - 1;
  std::vector<Expression> forms{
      sequence({literal(low.substr(0, 1)), same_length(low.substr(1), std::string(rest, '9'))}),
      sequence({literal(high.substr(0, 1)), same_length(std::string(rest, '0'), high.substr(1))})};
  if (high[0] - low[0] > 1)
    forms.push_back(sequence({between(low[0] + 1, high[0] - 1), digits(rest)}));
  return any_of(std::move(forms));
}

/// From `low` to `high`.
Expression naturals_between(u64 low, u64 high) {
  if (low > high) return any_of({});
  const std::string last = std::to_string(high);
  std::vector<Expression> forms;
  for (std::string a = std::to_string(low); a.size() <= last.size();
       a = "1" + std::string(a.size(), '0'))
    forms.push_back(same_length(a, a.size() == last.size() ? last : std::string(a.size(), '9')));
  return any_of(std::move(forms));
}

/// From one integer to another, neither of them below 0.
struct Span {
  u64 low = 0, high = 0;
  bool low_open = false, high_open = false;

  u64 first() const { return low + (low_open ? 1 : 0); }
  u64 last() const { return high - (high_open ? 1 : 0); } ///< only if the span is not 0 alone
  bool is_empty() const { return low > high || (low == high && (low_open || high_open)); }
};

/// A fraction lies between two integers next to each other. Where one of these is outside, it has
/// so few digits that no double rounds it to that one.
void add_numbers(const Span& span, bool integer, std::vector<Expression>& forms) {
  if (span.is_empty()) return;
  if (span.first() <= span.last()) forms.push_back(naturals_between(span.first(), span.last()));
  if (integer || span.low == span.high) return;
  if (span.first() < span.last())
    forms.push_back(sequence({naturals_between(span.first(), span.last() - 1), fraction()}));
  const auto add_edge = [&](u64 whole, bool may_be_zero) {
    forms.push_back(sequence({literal(std::to_string(whole)), exact_fraction(whole, may_be_zero)}));
  };
  if (span.low_open) add_edge(span.low, false);
  if (span.high_open && !(span.low_open && span.low == span.high - 1))
    add_edge(span.high - 1, true);
}

/// What is left of a span of the numbers from 0 on: its ends as integers.
std::optional<Span> span_of(std::optional<NumberBound> low, std::optional<NumberBound> high) {
  Span span{0, kGreatest};
  if (low && low->value >= 0) {
    const double whole = std::ceil(low->value);
    if (whole > static_cast<double>(kGreatest)) return std::nullopt;
    span.low = static_cast<u64>(whole);
    span.low_open = low->open && whole == low->value;
  }
  if (high) {
    if (high->value < 0) return std::nullopt;
    const double whole = std::floor(high->value);
    if (whole <= static_cast<double>(kGreatest)) {
      span.high = static_cast<u64>(whole);
      span.high_open = high->open && whole == high->value;
    }
  }
  if (span.is_empty()) return std::nullopt;
  return span;
}

std::optional<NumberBound> mirrored(std::optional<NumberBound> bound) {
  if (bound) bound->value = -bound->value;
  return bound;
}

} // namespace

std::optional<Expression> json_numbers(std::optional<NumberBound> low,
                                       std::optional<NumberBound> high, bool integer) {
  std::vector<Expression> forms;
  if (const auto positive = span_of(low, high)) add_numbers(*positive, integer, forms);
  if (auto negative = span_of(mirrored(high), mirrored(low))) {
    negative->low_open |= negative->low == 0; // -0 is written as 0
    std::vector<Expression> below;
    add_numbers(*negative, integer, below);
    if (!below.empty()) forms.push_back(sequence({literal("-"), any_of(std::move(below))}));
  }
  if (forms.empty()) return std::nullopt;
  return any_of(std::move(forms));
}

Expression any_json_number() {
  ByteSet e;
  e.set('e');
  e.set('E');
  ByteSet sign;
  sign.set('+');
  sign.set('-');
  return sequence({optional(literal("-")), natural(), optional(fraction()),
                   optional(sequence({one_of(e), optional(one_of(sign)), repeat(digit(), 1, 2)}))});
}

} // namespace talaria::model::grammar
