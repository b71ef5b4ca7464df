#include "planner/svg.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace talaria::planner {

namespace {

constexpr double kWidth = 560, kHeight = 300, kLeft = 64, kRight = 28, kTop = 28, kBottom = 44;
constexpr double kDigits = 10;

/// Values to a stretch of the picture.
class Scaled {
public:
  Scaled(const PlotAxis& axis, double least, double most, double from, double to)
      : log_(axis.scale == AxisScale::logarithmic), from_(from), to_(to) {
    if (log_) {
      least_ = std::floor(std::log10(least));
      most_ = std::max(least_ + 1, std::ceil(std::log10(most)));
    } else {
      least_ = 0;
      step_ = step_of(most);
      most_ = step_ * std::ceil(most / step_);
    }
  }
  double place(double value) const {
    const double at = ((log_ ? std::log10(value) : value) - least_) / (most_ - least_);
    return from_ + std::clamp(at, 0.0, 1.0) * (to_ - from_);
  }
  std::vector<double> ticks() const {
    std::vector<double> all;
    if (log_)
      for (double power = least_; power <= most_; ++power) all.push_back(std::pow(kDigits, power));
    else
      for (double value = 0; value <= most_ * 1.0001; value += step_) all.push_back(value);
    return all;
  }

private:
  /// 1, 2 or 5 of a power of ten, so that four to eight fit.
  static double step_of(double most) {
    if (!(most > 0)) return 1;
    const double power = std::pow(kDigits, std::floor(std::log10(most / 4)));
    for (const double times : {1.0, 2.0, 5.0})
      if (most / (power * times) <= 8) return power * times;
    return power * kDigits;
  }

  bool log_;
  double least_ = 0, most_ = 1, step_ = 1, from_, to_;
};

bool can_show(const PlotAxis& axis, double value) {
  return std::isfinite(value) && (axis.scale == AxisScale::linear ? value >= 0 : value > 0);
}

std::string rules(const PlotAxis& x, const PlotAxis& y, const Scaled& across, const Scaled& up) {
  std::string svg;
  const double bottom = kHeight - kBottom;
  for (const double value : up.ticks())
    svg += fmt::format(R"(<line class="rule" x1="{}" x2="{}" y1="{:.1f}" y2="{:.1f}"/>)"
                       R"(<text x="{}" y="{:.1f}" text-anchor="end">{}</text>)",
                       kLeft, kWidth - kRight, up.place(value), up.place(value), kLeft - 6,
                       up.place(value) + 4, escaped(y.label(value)));
  for (const double value : across.ticks())
    svg += fmt::format(R"(<line class="rule" x1="{:.1f}" x2="{:.1f}" y1="{}" y2="{}"/>)"
                       R"(<text x="{:.1f}" y="{}" text-anchor="middle">{}</text>)",
                       across.place(value), across.place(value), kTop, bottom, across.place(value),
                       bottom + 16, escaped(x.label(value)));
  return svg + fmt::format(R"(<text x="{}" y="{}" text-anchor="end">{}</text>)"
                           R"(<text x="4" y="12">{}</text>)",
                           kWidth - kRight, kHeight - 8, escaped(x.title), escaped(y.title));
}

std::string legend(const std::vector<PlotLine>& lines) {
  std::string svg;
  double at = kWidth - kRight;
  constexpr double kLetter = 6.4, kSwatch = 22;
  for (auto line = lines.rbegin(); line != lines.rend(); ++line) {
    at -= kSwatch + kLetter * static_cast<double>(line->name.size());
    svg += fmt::format(R"(<rect class="{}" x="{:.1f}" y="4" width="10" height="10" rx="2"/>)"
                       R"(<text x="{:.1f}" y="13">{}</text>)",
                       line->look, at, at + 14, escaped(line->name));
  }
  return svg;
}

} // namespace

std::string escaped(std::string_view text) {
  std::string out;
  for (const char c : text) switch (c) {
    case '<':
      out += "&lt;";
      break;
    case '>':
      out += "&gt;";
      break;
    case '&':
      out += "&amp;";
      break;
    case '"':
      out += "&quot;";
      break;
    default:
      out += c;
    }
  return out;
}

std::string line_plot(const std::vector<PlotLine>& lines, const PlotAxis& x, const PlotAxis& y) {
  double low[2] = {INFINITY, INFINITY}, high[2] = {0, 0};
  std::vector<PlotLine> shown = lines;
  for (PlotLine& line : shown) {
    std::erase_if(line.points,
                  [&](const auto& p) { return !can_show(x, p.first) || !can_show(y, p.second); });
    for (const auto& [across, up] : line.points) {
      low[0] = std::min(low[0], across), high[0] = std::max(high[0], across);
      low[1] = std::min(low[1], up), high[1] = std::max(high[1], up);
    }
  }
  std::erase_if(shown, [](const PlotLine& line) { return line.points.empty(); });
  if (shown.empty()) return R"(<p class="note">Nothing to draw.</p>)";
  const Scaled across(x, low[0], high[0], kLeft, kWidth - kRight);
  const Scaled up(y, low[1], high[1], kHeight - kBottom, kTop);
  std::string svg = fmt::format(R"(<svg viewBox="0 0 {} {}" role="img">)", kWidth, kHeight);
  svg += rules(x, y, across, up) + legend(shown);
  for (const PlotLine& line : shown) {
    svg += fmt::format(R"(<polyline class="{}" points=")", line.look);
    for (const auto& [a, b] : line.points)
      svg += fmt::format("{:.1f},{:.1f} ", across.place(a), up.place(b));
    svg += R"("/>)";
  }
  return svg + "</svg>";
}

std::string bar_plot(const std::vector<PlotBar>& bars) {
  constexpr double kRow = 26, kName = 190, kText = 120;
  const double length = kWidth - kName - kText;
  std::string svg = fmt::format(R"(<svg viewBox="0 0 {} {}" role="img">)", kWidth,
                                kRow * static_cast<double>(bars.size()) + 4);
  double y = 4;
  for (const PlotBar& bar : bars) {
    svg += fmt::format(R"(<text class="strong" x="0" y="{}">{}</text>)", y + 13, escaped(bar.name));
    svg += fmt::format(R"(<rect class="track" x="{}" y="{}" width="{}" height="16" rx="3"/>)",
                       kName, y, length);
    svg += fmt::format(R"(<rect class="{}" x="{}" y="{}" width="{:.1f}" height="16" rx="3"/>)",
                       bar.look, kName, y, length * std::clamp(bar.value, 0.0, 1.0));
    if (bar.mark >= 0) {
      const double at = kName + length * std::clamp(bar.mark, 0.0, 1.0);
      svg += fmt::format(R"(<line class="mark" x1="{:.1f}" x2="{:.1f}" y1="{}" y2="{}"/>)", at, at,
                         y - 2, y + 18);
    }
    svg += fmt::format(R"(<text x="{}" y="{}">{}</text>)", kName + length + 8, y + 13,
                       escaped(bar.text));
    y += kRow;
  }
  return svg + "</svg>";
}

} // namespace talaria::planner
