#include "model/grammar/json_multiples.hpp"

#include <fmt/format.h>

#include <array>
#include <charconv>
#include <cmath>
#include <string>

#include "core/error.hpp"
#include "model/grammar/regex.hpp"
#include "model/grammar/regular.hpp"

namespace talaria::model::grammar {

namespace {

constexpr double kGreatestWhole = 999'999'999'999'999;
constexpr u32 kMaxWholeDigits = 15;
constexpr u64 kMostResidues = 256;
constexpr u32 kMostDecimals = 7; // with 8 digits before the point a double tells all apart

/// Of at most 15 digits: two such texts with different values are different doubles.
Rules short_numbers() {
  return {{parse_regex(R"(-?\d{1,8}(\.\d{1,7})?)", true, plain_characters)}};
}

std::string fixed_text(double value) {
  std::array<char, 400> text{};
  const auto end = std::to_chars(text.data(), text.data() + text.size(), value == 0 ? 0 : value,
                                 std::chars_format::fixed);
  return {text.data(), end.ptr};
}

/// Every way to write a value without an exponent.
Rules writings(double value) {
  const std::string text = fixed_text(value);
  const Expression zeros = repeat(literal("0"), 0, 0);
  return {{sequence({literal(text), text.find('.') != std::string::npos
                                        ? zeros
                                        : optional(sequence({literal("."), zeros}))})}};
}

/// Texts of digits, with a sign and up to `decimals` behind a point, whose digits as one number,
/// filled up with zeros, are a multiple of `divisor`: a rule for each residue and place.
Rules multiples(u64 divisor, u32 decimals) {
  Rules out;
  const auto number = [&](u32 behind_point, u64 residue) {
    return 1 + behind_point * divisor + residue; // behind_point: 0 before it
  };
  out.bodies.resize(number(decimals + 1, divisor - 1) + 1, sequence({}));
  const auto digits_to = [&](u32 place, u64 residue) {
    std::vector<Expression> forms;
    for (u64 digit = 0; digit < 10; ++digit)
      forms.push_back(sequence(
          {literal(std::to_string(digit)), rule(number(place, (residue * 10 + digit) % divisor))}));
    return any_of(std::move(forms));
  };
  out.bodies[0] = sequence({optional(literal("-")), digits_to(0, 0)});
  for (u32 place = 0; place <= decimals + 1; ++place) {
    // Place 1 is behind the point with no decimal yet, place 1 + d behind d of them.
    u64 scale = 1;
    for (u32 d = place == 0 ? 0 : place - 1; d < decimals; ++d) scale *= 10;
    for (u64 residue = 0; residue < divisor; ++residue) {
      std::vector<Expression> forms;
      if (place != 1 && residue * scale % divisor == 0) forms.push_back(sequence({}));
      if (place == 0 || place <= decimals)
        forms.push_back(digits_to(place == 0 ? 0 : place + 1, residue));
      if (place == 0 && decimals > 0)
        forms.push_back(sequence({literal("."), rule(number(1, residue))}));
      out.bodies[number(place, residue)] = any_of(std::move(forms));
    }
  }
  return out;
}

std::vector<Rules> excluded(const NumberForm& form) {
  std::vector<Rules> out;
  for (const double value : form.others_than) out.push_back(writings(value));
  return out;
}

bool is_inside(double value, const NumberForm& form) {
  if (form.low && (form.low->open ? value <= form.low->value : value < form.low->value))
    return false;
  if (form.high && (form.high->open ? value >= form.high->value : value > form.high->value))
    return false;
  for (const double other : form.others_than)
    if (value == other) return false;
  return !form.integer || value == std::floor(value);
}

[[noreturn]] void refuse_multiple(double divisor) {
  throw Error(Errc::usage,
              fmt::format("the schema's multipleOf {} can only be honoured between a minimum and "
                          "a maximum with at most {} multiples between them",
                          divisor, kMostMultiples));
}

/// One by one, as far as a division of doubles finds them.
std::optional<Expression> listed(const NumberForm& form) {
  const double divisor = *form.multiple_of;
  if (!form.low || !form.high) refuse_multiple(divisor);
  const double first = std::ceil(form.low->value / divisor) - 1;
  const double last = std::floor(form.high->value / divisor) + 1;
  if (last < first) return std::nullopt;
  if (last - first > kMostMultiples + 2 || std::abs(first) > kGreatestWhole ||
      std::abs(last) > kGreatestWhole)
    refuse_multiple(divisor);
  const std::string text = fixed_text(divisor);
  const std::size_t point = text.find('.');
  const int decimals = point == std::string::npos ? 0 : static_cast<int>(text.size() - point - 1);
  if (decimals > 15) refuse_multiple(divisor);
  std::vector<Expression> forms;
  for (double count = first; count <= last; ++count) {
    const std::string written = fmt::format("{:.{}f}", count * divisor, decimals);
    double value = 0;
    std::from_chars(written.data(), written.data() + written.size(), value);
    const double quotient = value / divisor;
    if (quotient == std::floor(quotient) && is_inside(value, form))
      forms.push_back(literal(value == 0 ? "0" : written));
  }
  if (forms.empty()) return std::nullopt;
  return any_of(std::move(forms));
}

/// A multiple of a whole number: without its tens, and as many zeros.
std::optional<Expression> whole_multiples(Rules& rules, const NumberForm& form) {
  u64 rest = static_cast<u64>(*form.multiple_of);
  u32 tens = 0;
  double scale = 1;
  for (; rest % 10 == 0; rest /= 10, scale *= 10) ++tens;
  if (rest > kMostResidues || tens > 14) return listed(form);
  const auto inner = [&](const std::optional<NumberBound>& bound, bool lower) {
    const double most = std::floor(kGreatestWhole / scale);
    double value = lower ? -most : most;
    if (bound) {
      const double whole = lower ? std::ceil(bound->value) : std::floor(bound->value);
      const double step = bound->open && whole == bound->value ? 1 : 0;
      const double scaled =
          lower ? std::ceil((whole + step) / scale) : std::floor((whole - step) / scale);
      value = lower ? std::max(value, scaled) : std::min(value, scaled);
    }
    return NumberBound{value, false};
  };
  std::vector<Expression> forms;
  if (is_inside(0, form)) forms.push_back(literal("0"));
  // Without bounds: of as many digits as there is room for.
  const auto numbers =
      form.low || form.high
          ? json_numbers(inner(form.low, true), inner(form.high, false), true)
          : std::optional(parse_regex(fmt::format("-?[1-9]\\d{{0,{}}}", kMaxWholeDigits - 1 - tens),
                                      true, plain_characters));
  if (numbers) {
    const Expression zeros = literal(std::string(tens, '0'));
    std::vector<Rules> all_of{{{sequence({*numbers, zeros})}}};
    if (rest > 1) {
      all_of.push_back(multiples(rest, 0));
      all_of.back().bodies[0] = sequence({all_of.back().bodies[0], zeros});
    }
    std::vector<Rules> none_of = excluded(form);
    none_of.push_back({{repeat(literal("0"), 1, 0)}});
    if (const auto found = regular(rules, all_of, none_of)) forms.push_back(*found);
  }
  if (forms.empty()) return std::nullopt;
  return any_of(std::move(forms));
}

/// The decimals of a divisor that is a whole number of halves, quarters, ...; 0 for others.
u32 binary_places(double divisor) {
  for (u32 places = 1; places <= kMostDecimals; ++places)
    if (const double scaled = std::ldexp(divisor, static_cast<int>(places));
        scaled == std::floor(scaled))
      return places;
  return 0;
}

std::optional<Expression> multiples_of(Rules& rules, const NumberForm& form) {
  const double divisor = *form.multiple_of;
  if (divisor == std::floor(divisor) && divisor <= kGreatestWhole)
    return whole_multiples(rules, form);
  const u32 places = binary_places(divisor);
  const double digits = divisor * std::pow(10, places);
  if (places == 0 || digits > kMostResidues) return listed(form);
  const auto numbers = json_numbers(form.low, form.high, form.integer);
  if (!numbers) return std::nullopt;
  return regular(rules,
                 {{{*numbers}}, short_numbers(), multiples(static_cast<u64>(digits), places)},
                 excluded(form));
}

} // namespace

std::optional<Expression> json_numbers(Rules& rules, const NumberForm& form) {
  if (form.multiple_of && !(form.integer && *form.multiple_of == 1))
    return multiples_of(rules, form);
  if (form.others_than.empty()) {
    if (!form.low && !form.high && !form.integer) return any_json_number();
    return json_numbers(form.low, form.high, form.integer);
  }
  const auto numbers = json_numbers(form.low, form.high, form.integer);
  if (!numbers) return std::nullopt;
  std::vector<Rules> all_of{{{*numbers}}};
  if (!form.integer) all_of.push_back(short_numbers());
  return regular(rules, all_of, excluded(form));
}

} // namespace talaria::model::grammar
