#include "cli/top/top_frame.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <nlohmann/json.hpp>
#include <string_view>
#include <vector>

#include "cli/chat/chat_line.hpp"
#include "core/error.hpp"

namespace talaria::cli {

namespace {

using nlohmann::json;

constexpr int kFeedVersion = 1;
constexpr std::size_t kKeptFeeds = 60;
constexpr std::size_t kRateFeeds = 10; ///< over which rates are taken
constexpr unsigned kLeastWidth = 40;

/// A line that is cut to a number of columns, in which colours take none.
class ScreenLine {
public:
  ScreenLine(unsigned width, bool colours) : left_(width), colours_(colours) {}
  /// @param colour  "1;34", as terminals count them; empty: none
  ScreenLine& add(std::string_view text, std::string_view colour = {}) {
    const bool coloured = colours_ && !colour.empty() && left_ > 0;
    if (coloured) out_ += fmt::format("\x1b[{}m", colour);
    for (std::size_t i = 0; i < text.size(); ++i) {
      const bool begins = (static_cast<unsigned char>(text[i]) & 0xc0) != 0x80;
      if (begins && left_ == 0) break;
      left_ -= begins ? 1 : 0;
      out_ += text[i];
    }
    if (coloured) out_ += "\x1b[0m";
    return *this;
  }
  unsigned left() const noexcept { return left_; }
  std::string end() const { return out_ + "\n"; }

private:
  unsigned left_;
  const bool colours_;
  std::string out_;
};

std::string byte_text(double bytes) {
  constexpr std::array<const char*, 5> kUnits{"B", "KiB", "MiB", "GiB", "TiB"};
  std::size_t unit = 0;
  for (; bytes >= 1024 && unit + 1 < kUnits.size(); ++unit) bytes /= 1024;
  return fmt::format("{:.{}f} {}", bytes, unit == 0 || bytes >= 100 ? 0 : 1, kUnits[unit]);
}

std::string count_text(double value) {
  if (value >= 1e9) return fmt::format("{:.1f}G", value / 1e9);
  if (value >= 1e6) return fmt::format("{:.1f}M", value / 1e6);
  if (value >= 1e4) return fmt::format("{:.1f}k", value / 1e3);
  return fmt::format("{:.0f}", value);
}

std::string time_text(double ms) {
  if (ms < 1000) return fmt::format("{:.{}f} ms", ms, ms < 10 ? 1 : 0);
  if (ms < 60'000) return fmt::format("{:.1f} s", ms / 1e3);
  return fmt::format("{:.1f} min", ms / 60e3);
}

std::string share_text(double part, double whole) {
  return whole > 0 ? fmt::format("{:.0f} %", 100 * part / whole) : "-";
}

double number(const json& object, const char* key) {
  return object.at(key).get<double>();
}

/// Tokens of answers that ended, and so far of those under way.
double tokens_made(const json& feed) {
  double sum = number(feed.at("totals"), "generation_tokens");
  if (!feed.contains("requests")) return sum;
  for (const json& each : feed.at("requests")) {
    const json& state = each.at("state");
    if (state == "waiting" || state == "prefill" || state == "decode")
      sum += number(each, "tokens");
  }
  return sum;
}

/// Text of the gateway's, which shall not control the terminal.
std::string words(const json& object, const char* key) {
  std::string text = for_terminal(object.at(key).get<std::string>());
  std::replace(text.begin(), text.end(), '\n', ' ');
  return text;
}

/// Eight heights.
std::string course_text(const std::vector<double>& values, double most) {
  constexpr std::array<const char*, 8> kSteps{"▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
  std::string out;
  for (const double value : values)
    out += kSteps[static_cast<std::size_t>(
        std::clamp(most > 0 ? std::lround(7 * value / most) : 0L, 0L, 7L))];
  return out;
}

std::string repeated(const char* piece, std::size_t times) {
  std::string out;
  for (std::size_t i = 0; i < times; ++i) out += piece;
  return out;
}

/// Now, and some seconds ago.
struct Span {
  const json& now;
  const json& then;
  double seconds() const { return number(now, "uptime_s") - number(then, "uptime_s"); }
  double rate(double to, double from) const {
    return seconds() > 0 ? std::max(0.0, (to - from) / seconds()) : 0;
  }
};

constexpr const char* kStrong = "1";
constexpr const char* kSoftColour = "2";
constexpr std::array<const char*, 7> kStageColours{"34", "35", "33", "36", "32", "31", "94"};

class Drawing {
public:
  Drawing(const TopFrames::Screen& screen, Span span, std::vector<double> stock)
      : width_(std::max(screen.width, kLeastWidth)), colours_(screen.colours), span_(span),
        stock_(std::move(stock)) {}

  std::string draw(unsigned height) {
    head();
    stages();
    masks_and_memory();
    workers();
    requests(height);
    return out_;
  }

private:
  ScreenLine line() const { return {width_, colours_}; }
  void put(const ScreenLine& line) { out_ += line.end(); }
  void title(std::string_view name, std::string_view note = {}) {
    put(line());
    put(line().add(name, kStrong).add("  ").add(note, kSoftColour));
  }

  void head();
  void stages();
  void masks_and_memory();
  void workers();
  void requests(unsigned height);
  void request(const json& each, double longest);

  const unsigned width_;
  const bool colours_;
  const Span span_;
  const std::vector<double> stock_;
  std::string out_;
};

void Drawing::head() {
  const json& now = span_.now;
  const json& load = now.at("load");
  put(line()
          .add(words(now, "model"), kStrong)
          .add(fmt::format("  version {}, up {}", words(now, "program"),
                           time_text(number(now, "uptime_s") * 1e3)),
               kSoftColour));
  std::string second =
      fmt::format("{:.0f} of {:.0f} running, {:.0f} waiting", number(load, "running"),
                  number(load, "places"), number(load, "waiting"));
  if (!now.at("padded").get<bool>() && span_.seconds() > 0)
    second +=
        fmt::format(", {:.1f} tokens/s", span_.rate(tokens_made(now), tokens_made(span_.then)));
  second +=
      fmt::format(", {} tokens in all", count_text(number(now.at("totals"), "generation_tokens")));
  put(line().add(second));
}

void Drawing::stages() {
  if (!span_.now.contains("stages")) return;
  struct Part {
    std::string name;
    double seconds;
  };
  std::vector<Part> parts;
  double whole = 0;
  for (const bool recent : {true, false}) {
    parts.clear();
    whole = 0;
    for (const json& stage : span_.now.at("stages")) {
      double seconds = number(stage, "seconds");
      if (recent)
        for (const json& old : span_.then.at("stages"))
          if (old.at("name") == stage.at("name")) seconds -= number(old, "seconds");
      parts.push_back({words(stage, "name"), std::max(0.0, seconds)});
      whole += parts.back().seconds;
    }
    if (whole > 1e-4) break;
  }
  if (parts.empty() || whole <= 0) return;
  std::stable_sort(parts.begin(), parts.end(),
                   [](const Part& a, const Part& b) { return a.seconds > b.seconds; });
  title("STAGES", "share of their work");
  ScreenLine bar = line();
  ScreenLine legend = line();
  for (std::size_t i = 0; i < parts.size() && i < kStageColours.size(); ++i) {
    const auto columns = static_cast<std::size_t>(std::lround(width_ * parts[i].seconds / whole));
    bar.add(repeated(i % 2 == 0 ? "█" : "▓", columns), kStageColours[i]);
    legend.add(parts[i].name, kStageColours[i])
        .add(fmt::format(" {}   ", share_text(parts[i].seconds, whole)));
  }
  put(bar);
  put(legend);
}

void Drawing::masks_and_memory() {
  const json& masks = span_.now.at("masks");
  title("MEMORY");
  const double most = *std::max_element(stock_.begin(), stock_.end());
  put(line()
          .add(fmt::format("masks  {:>10}  ", byte_text(number(masks, "bytes"))))
          .add(course_text(stock_, most), "35")
          .add(fmt::format(
              "  {} rows ahead, {} inline, {} stalls", count_text(number(masks, "rows_ahead")),
              count_text(number(masks, "rows_inline")), count_text(number(masks, "stalls")))));
  if (!span_.now.contains("kv")) return;
  const json& kv = span_.now.at("kv");
  constexpr double kColumns = 20;
  const auto used = static_cast<std::size_t>(std::lround(
      kColumns * std::clamp(number(kv, "used") / std::max(1.0, number(kv, "budget")), 0.0, 1.0)));
  put(line()
          .add(fmt::format("k, v   {:>10}  ", byte_text(number(kv, "used"))))
          .add(repeated("█", used), "34")
          .add(repeated("░", static_cast<std::size_t>(kColumns) - used), kSoftColour)
          .add(fmt::format("  of {}, {:.0f} wait, prefix hits {}", byte_text(number(kv, "budget")),
                           number(kv, "waiting"),
                           share_text(number(kv, "prefix_hits"), number(kv, "prefix_queries")))));
}

void Drawing::workers() {
  title("WORKERS", "name, state, round trip, in flight, products/s, up, down");
  for (const json& link : span_.now.at("links")) {
    const json* old = &link;
    for (const json& each : span_.then.at("links"))
      if (each.at("name") == link.at("name")) old = &each;
    const auto rate = [&](const char* key) {
      return span_.rate(number(link, key), number(*old, key));
    };
    const std::string state = words(link, "state");
    put(line()
            .add(fmt::format("{:<16.16} ", words(link, "name")))
            .add(fmt::format("{:<12}", state), state == "ready" ? "32" : "1;31")
            .add(fmt::format("{:>9} {:>5.0f} {:>8} {:>12}/s {:>12}/s",
                             time_text(number(link, "round_trip_ms")), number(link, "in_flight"),
                             count_text(rate("products")), byte_text(rate("bytes_up")),
                             byte_text(rate("bytes_down"))))
            .add("  " + words(link, "trouble"), "31"));
  }
}

void Drawing::request(const json& each, double longest) {
  const double queue = number(each, "queue_ms");
  const double prefill = number(each, "prefill_ms");
  const double decode = number(each, "decode_ms");
  const std::string tail =
      fmt::format(" {:>8}  {} > {} tokens", time_text(queue + prefill + decode),
                  count_text(number(each, "prompt_tokens")), count_text(number(each, "tokens")));
  ScreenLine out = line();
  out.add(fmt::format("#{:<6.0f}{:<8.8} ", number(each, "id"), words(each, "state")));
  constexpr std::size_t kTail = 32;
  const std::size_t room = out.left() > kTail + 8 ? out.left() - kTail : 8;
  std::size_t drawn = 0;
  const auto stretch = [&](double ms, const char* piece, const char* colour) {
    const auto columns =
        std::min(room - drawn,
                 static_cast<std::size_t>(std::lround(static_cast<double>(room) * ms / longest)));
    out.add(repeated(piece, columns), colour);
    drawn += columns;
  };
  stretch(queue, "░", kSoftColour);
  stretch(prefill, "▒", "33");
  stretch(decode, "█", "34");
  out.add(repeated(" ", room - drawn)).add(tail);
  put(out);
}

void Drawing::requests(unsigned height) {
  if (!span_.now.contains("requests")) {
    title("REQUESTS", "not shown: masking.padding is on, and their times would undo it");
    return;
  }
  title("REQUESTS", "░ queue  ▒ prefill  █ decode");
  const json& list = span_.now.at("requests");
  const auto lines = static_cast<unsigned>(std::count(out_.begin(), out_.end(), '\n'));
  std::size_t shown = list.size();
  if (height > 0) shown = std::min<std::size_t>(shown, height > lines ? height - lines : 0);
  double longest = 1;
  for (std::size_t i = 0; i < shown; ++i)
    longest = std::max(longest, number(list[i], "queue_ms") + number(list[i], "prefill_ms") +
                                    number(list[i], "decode_ms"));
  for (std::size_t i = 0; i < shown; ++i) request(list[i], longest);
}

} // namespace

struct TopFrames::Feed {
  json value;
};

TopFrames::TopFrames() = default;
TopFrames::~TopFrames() = default;

void TopFrames::take(const std::string& event) {
  auto feed = std::make_unique<Feed>();
  feed->value = json::parse(event, nullptr, false);
  const json& value = feed->value;
  if (!value.is_object() || !value.contains("version") || !value["version"].is_number_integer())
    throw Error(Errc::io, "what the server sends is no event of a live page");
  if (value["version"].get<int>() > kFeedVersion)
    throw Error(Errc::io, "the gateway is of a newer version; use its own talaria top");
  const bool restarted =
      !feeds_.empty() && value.value("uptime_s", 0.0) < feeds_.back()->value.value("uptime_s", 0.0);
  if (restarted) feeds_.clear();
  feeds_.push_back(std::move(feed));
  if (feeds_.size() > kKeptFeeds) feeds_.pop_front();
}

std::string TopFrames::frame(const Screen& screen) const {
  if (feeds_.empty()) return {};
  const std::size_t back = std::min(feeds_.size() - 1, kRateFeeds);
  try {
    std::vector<double> stock;
    const std::size_t first = feeds_.size() > 20 ? feeds_.size() - 20 : 0;
    for (std::size_t i = first; i < feeds_.size(); ++i)
      stock.push_back(number(feeds_[i]->value.at("masks"), "bytes"));
    const Span span{feeds_.back()->value, feeds_[feeds_.size() - 1 - back]->value};
    return Drawing(screen, span, std::move(stock)).draw(screen.height);
  } catch (const json::exception&) {
    throw Error(Errc::io, "an event of the gateway lacks a field, or has one of another kind");
  }
}

} // namespace talaria::cli
