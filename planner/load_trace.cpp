#include "planner/load_trace.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cmath>
#include <istream>
#include <nlohmann/json.hpp>
#include <optional>
#include <string_view>

#include "core/error.hpp"
#include "planner/random.hpp"

namespace talaria::planner {

namespace {

constexpr double kMostTokens = 10'000'000;
constexpr std::size_t kMostLine = std::size_t{1} << 20;
constexpr const char* kFormats =
    "a CSV file that begins with TIMESTAMP,ContextTokens,GeneratedTokens (Azure) or "
    "Timestamp,Model,"
    "Request tokens,Response tokens (BurstGPT), or JSON lines with timestamp, input_length and "
    "output_length (Mooncake)";

/// Where a bad line is, for whoever has to mend it.
struct Place {
  const std::string& file;
  std::size_t line = 0;

  [[noreturn]] void refuse(const std::string& what) const {
    throw Error(Errc::config, fmt::format("{}:{}: {}", file, line, what));
  }
};

std::optional<double> number_in(std::string_view text) {
  double value = 0;
  const auto [end, fault] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (fault != std::errc() || end != text.data() + text.size() || !std::isfinite(value))
    return std::nullopt;
  return value;
}

/// Digits of exactly this width at the beginning of `text`, which loses them.
std::optional<int> digits(std::string_view& text, std::size_t width) {
  int value = 0;
  if (text.size() < width) return std::nullopt;
  for (std::size_t i = 0; i < width; ++i) {
    if (text[i] < '0' || text[i] > '9') return std::nullopt;
    value = 10 * value + (text[i] - '0');
  }
  text.remove_prefix(width);
  return value;
}

bool skip(std::string_view& text, std::string_view any_of) {
  if (text.empty() || any_of.find(text.front()) == any_of.npos) return false;
  text.remove_prefix(1);
  return true;
}

/// "Z", "+02:00" or nothing: seconds to take off.
std::optional<double> offset_in(std::string_view text) {
  if (text.empty() || text == "Z") return 0;
  const double sign = text.front() == '-' ? -1 : 1;
  if (!skip(text, "+-")) return std::nullopt;
  const auto hours = digits(text, 2);
  skip(text, ":");
  const auto minutes = digits(text, 2);
  if (!hours || !minutes || !text.empty()) return std::nullopt;
  return sign * (*hours * 3600 + *minutes * 60);
}

/// "2023-11-16 18:15:46.6805900": seconds since 1970.
std::optional<double> moment_in(std::string_view text) {
  const auto year = digits(text, 4);
  const bool dash = skip(text, "-");
  const auto month = digits(text, 2);
  const bool second_dash = skip(text, "-");
  const auto day = digits(text, 2);
  const bool blank = skip(text, " T");
  const auto hour = digits(text, 2);
  const bool colon = skip(text, ":");
  const auto minute = digits(text, 2);
  const bool second_colon = skip(text, ":");
  const auto second = digits(text, 2);
  if (!year || !dash || !month || !second_dash || !day || !blank || !hour || !colon || !minute ||
      !second_colon || !second)
    return std::nullopt;
  const std::chrono::year_month_day date(std::chrono::year(*year),
                                         std::chrono::month(static_cast<unsigned>(*month)),
                                         std::chrono::day(static_cast<unsigned>(*day)));
  if (!date.ok() || *hour > 23 || *minute > 59 || *second > 60) return std::nullopt;
  const std::size_t end = std::min(text.find_first_of("Z+-"), text.size());
  const auto fraction = end == 0 ? 0.0 : number_in(std::string("0").append(text.substr(0, end)));
  const auto offset = offset_in(text.substr(end));
  if (!fraction || *fraction >= 1 || !offset) return std::nullopt;
  const auto days = std::chrono::sys_days(date).time_since_epoch().count();
  return 86400.0 * static_cast<double>(days) + *hour * 3600 + *minute * 60 + *second + *fraction -
         *offset;
}

u32 tokens_of(const Place& place, const char* what, std::optional<double> value, double least) {
  if (!value || *value < least || *value > kMostTokens || std::floor(*value) != *value)
    place.refuse(
        fmt::format("{}: expected a whole number from {} to {}", what, least, kMostTokens));
  return static_cast<u32>(*value);
}

std::vector<std::string_view> fields_of(std::string_view line) {
  std::vector<std::string_view> fields;
  for (;;) {
    const std::size_t comma = line.find(',');
    fields.push_back(line.substr(0, comma));
    if (comma == line.npos) return fields;
    line.remove_prefix(comma + 1);
  }
}

/// One line of a file to a request; nothing for one that is left out.
using ReadLine = Arrival (*)(std::string_view line, const Place& place);

Arrival csv_request(const Place& place, std::string_view line, std::size_t columns,
                    std::optional<double> (*time)(std::string_view), const char* time_form,
                    std::size_t prompt) {
  const auto fields = fields_of(line);
  if (fields.size() != columns)
    place.refuse(fmt::format("has {} columns; expected {}", fields.size(), columns));
  const auto at = time(fields[0]);
  if (!at) place.refuse(fmt::format("timestamp: expected {}", time_form));
  return {*at, tokens_of(place, "prompt tokens", number_in(fields[prompt]), 1),
          tokens_of(place, "answer tokens", number_in(fields[prompt + 1]), 0)};
}

Arrival azure_line(std::string_view line, const Place& place) {
  return csv_request(place, line, 3, moment_in, "a time like 2023-11-16 18:15:46.68", 1);
}

Arrival burstgpt_line(std::string_view line, const Place& place) {
  return csv_request(place, line, 6, number_in, "seconds", 2);
}

Arrival mooncake_line(std::string_view line, const Place& place) {
  const auto object = nlohmann::json::parse(line, nullptr, false);
  if (!object.is_object()) place.refuse("is no JSON object");
  const auto number = [&](const char* key) -> std::optional<double> {
    const auto value = object.find(key);
    if (value == object.end() || !value->is_number()) return std::nullopt;
    return value->get<double>();
  };
  const auto time = number("timestamp");
  if (!time || !std::isfinite(*time)) place.refuse("timestamp: expected a number of milliseconds");
  constexpr double kMilli = 1e-3;
  return {*time * kMilli, tokens_of(place, "input_length", number("input_length"), 1),
          tokens_of(place, "output_length", number("output_length"), 0)};
}

/// False at the end of the file. @throws for a line that is too long for any trace.
bool next_line(std::istream& in, std::string& line, Place& place) {
  if (!std::getline(in, line)) return false;
  ++place.line;
  if (line.size() > kMostLine) place.refuse("is longer than 1 MiB");
  if (!line.empty() && line.back() == '\r') line.pop_back();
  return true;
}

ReadLine format_of(std::string_view first, const Place& place) {
  constexpr std::string_view kMark = "\xef\xbb\xbf"; // of a byte order, as spreadsheets write it
  if (first.starts_with(kMark)) first.remove_prefix(kMark.size());
  if (first == "TIMESTAMP,ContextTokens,GeneratedTokens") return azure_line;
  if (first.starts_with("Timestamp,Model,Request tokens,Response tokens")) return burstgpt_line;
  if (first.starts_with('{')) return mooncake_line;
  place.refuse(fmt::format("is of no known format; expected {}", kFormats));
}

} // namespace

std::vector<Arrival> read_load_trace(std::istream& in, const std::string& file, std::size_t most) {
  Place place{file, 0};
  std::string line;
  if (!next_line(in, line, place)) place.refuse(fmt::format("is empty; expected {}", kFormats));
  const ReadLine read = format_of(line, place);
  std::vector<Arrival> requests;
  bool has_line = read == mooncake_line || next_line(in, line, place);
  for (; has_line && requests.size() < most; has_line = next_line(in, line, place)) {
    if (line.empty()) continue;
    const Arrival request = read(line, place);
    if (request.answer_tokens > 0) requests.push_back(request);
  }
  if (requests.empty()) place.refuse("has no request with an answer");
  std::stable_sort(requests.begin(), requests.end(),
                   [](const Arrival& a, const Arrival& b) { return a.time < b.time; });
  const double begin = requests.front().time;
  for (Arrival& request : requests) request.time -= begin;
  return requests;
}

std::vector<Arrival> poisson_arrivals(const Workload& load, std::size_t count, u64 seed) {
  Dice dice(seed);
  std::vector<Arrival> requests;
  double time = 0;
  for (std::size_t i = 0; i < count; ++i) {
    requests.push_back({time, load.prompt_tokens, load.answer_tokens});
    time += dice.exponential(1 / load.requests_per_second);
  }
  return requests;
}

Workload workload_of(const std::vector<Arrival>& requests) {
  if (requests.size() < 2 || requests.back().time <= 0)
    throw Error(Errc::config, "a trace needs requests at two different moments at least");
  double prompts = 0, answers = 0;
  for (const Arrival& request : requests) {
    prompts += request.prompt_tokens;
    answers += request.answer_tokens;
  }
  const auto count = static_cast<double>(requests.size());
  Workload load;
  load.requests_per_second = (count - 1) / requests.back().time;
  load.prompt_tokens = static_cast<u32>(std::lround(prompts / count));
  load.answer_tokens = static_cast<u32>(std::lround(answers / count));
  return load;
}

} // namespace talaria::planner
