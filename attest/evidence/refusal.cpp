#include "attest/evidence/refusal.hpp"

#include <algorithm>
#include <array>
#include <cstdio>

namespace talaria::attest {
namespace {

constexpr std::string_view kUndecidedEndings[] = {"-expired", "-missing", "-not-yet-valid",
                                                  "-chain-dates"};
/// Signed and in force, but of another platform or product: the right one has to be fetched.
constexpr std::string_view kWrongItem[] = {"fmspc", "pceid", "tcb-id", "qe-id"};

/// Digits of `text` at `at`, or -1.
int digits(std::string_view text, std::size_t at, std::size_t count) {
  int value = 0;
  for (std::size_t i = at; i < at + count; ++i) {
    if (text[i] < '0' || text[i] > '9') return -1;
    value = value * 10 + (text[i] - '0');
  }
  return value;
}

} // namespace

const char* to_string(Stage stage) noexcept {
  static constexpr std::array names = {"format",     "root",   "chain",     "dates",
                                       "revocation", "leaf",   "signature", "collateral",
                                       "tcb-status", "policy", "expected",  "binding"};
  return names[static_cast<std::size_t>(stage)];
}

Grade grade_of(Stage stage, std::string_view code) noexcept {
  if (stage == Stage::revocation || stage == Stage::collateral) {
    for (const auto ending : kUndecidedEndings)
      if (code.ends_with(ending)) return Grade::undecided;
    for (const auto item : kWrongItem)
      if (code == item) return Grade::undecided;
    return Grade::not_genuine;
  }
  if (code == "collateral-missing") return Grade::undecided;
  if (stage == Stage::binding) return Grade::not_bound;
  return stage >= Stage::tcb_status ? Grade::not_allowed : Grade::not_genuine;
}

Check& Checks::entry(Stage stage, std::string_view name) {
  const auto known = std::find_if(checks_.begin(), checks_.end(), [&](const Check& check) {
    return check.stage == stage && check.name == name;
  });
  if (known != checks_.end()) return *known;
  return checks_.emplace_back(Check{stage, std::string(name), CheckResult::pass, {}, {}, {}});
}

void Checks::pass(Stage stage, std::string_view name) {
  Check& check = entry(stage, name);
  if (check.result == CheckResult::skipped)
    check = {stage, check.name, CheckResult::pass, {}, {}, {}};
}

void Checks::fail(Stage stage, std::string_view code, std::string_view reason,
                  std::string_view expected, std::string_view actual) {
  if (entry(stage, code).result == CheckResult::fail) return;
  // To the end: within a stage a failure counts from when it was found, not from when a check of
  // the same name first passed.
  std::erase_if(checks_, [&](const Check& c) { return c.stage == stage && c.name == code; });
  checks_.push_back({stage, std::string(code), CheckResult::fail, std::string(reason),
                     std::string(expected), std::string(actual)});
}

void Checks::skip(Stage stage, std::string_view name, std::string_view why) {
  const std::size_t before = checks_.size();
  Check& check = entry(stage, name);
  if (checks_.size() == before) return; // it has run
  check.result = CheckResult::skipped;
  check.reason = why;
}

bool Checks::require(bool holds, Stage stage, std::string_view code, std::string_view reason,
                     std::string_view expected, std::string_view actual) {
  if (holds)
    pass(stage, code);
  else
    fail(stage, code, reason, expected, actual);
  return holds;
}

std::vector<Check> Checks::ordered() const {
  std::vector<Check> sorted = checks_;
  std::stable_sort(sorted.begin(), sorted.end(),
                   [](const Check& a, const Check& b) { return a.stage < b.stage; });
  return sorted;
}

std::optional<Refusal> Checks::refusal() const {
  const Check* first = nullptr;
  for (const Check& check : checks_)
    if (check.result == CheckResult::fail && (!first || check.stage < first->stage)) first = &check;
  if (!first) return std::nullopt;
  return Refusal{first->stage, first->name, first->reason};
}

bool Checks::passed(Stage stage, std::string_view name) const {
  return std::any_of(checks_.begin(), checks_.end(), [&](const Check& check) {
    return check.stage == stage && check.name == name && check.result == CheckResult::pass;
  });
}

void Checks::add(const Checks& other) {
  for (const Check& check : other.checks_) {
    if (check.result == CheckResult::pass)
      pass(check.stage, check.name);
    else if (check.result == CheckResult::skipped)
      skip(check.stage, check.name, check.reason);
    else
      fail(check.stage, check.name, check.reason, check.expected, check.actual);
  }
}

std::string to_text(TimePoint time) {
  const auto days = std::chrono::floor<std::chrono::days>(time);
  const std::chrono::year_month_day date(days);
  const std::chrono::hh_mm_ss clock(time - days);
  char text[48];
  std::snprintf(text, sizeof text, "%04d-%02u-%02uT%02d:%02d:%02dZ", static_cast<int>(date.year()),
                static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()),
                static_cast<int>(clock.hours().count()), static_cast<int>(clock.minutes().count()),
                static_cast<int>(clock.seconds().count()));
  return text;
}

std::optional<TimePoint> parse_time(std::string_view text) {
  constexpr std::string_view form = "dddd-dd-ddTdd:dd:ddZ";
  if (text.size() != form.size()) return std::nullopt;
  for (std::size_t i = 0; i < form.size(); ++i)
    if (form[i] != 'd' ? text[i] != form[i] : text[i] < '0' || text[i] > '9') return std::nullopt;
  const std::chrono::year_month_day date(
      std::chrono::year(digits(text, 0, 4)),
      std::chrono::month(static_cast<unsigned>(digits(text, 5, 2))),
      std::chrono::day(static_cast<unsigned>(digits(text, 8, 2))));
  const int hour = digits(text, 11, 2);
  const int minute = digits(text, 14, 2);
  const int second = digits(text, 17, 2);
  if (!date.ok() || hour > 23 || minute > 59 || second > 59) return std::nullopt;
  return std::chrono::sys_days(date) + std::chrono::hours(hour) + std::chrono::minutes(minute) +
         Seconds(second);
}

} // namespace talaria::attest
