#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace talaria::planner {

/// Text that may stand in HTML, between tags or in an attribute's double quotes.
std::string escaped(std::string_view text);

/// A line of a plot. Points without a finite value, or that a logarithmic axis cannot show, are
/// left out.
struct PlotLine {
  std::string name;
  const char* look; ///< class of the style sheet: confidential, clear or alone
  std::vector<std::pair<double, double>> points;
};

enum class AxisScale { linear, logarithmic };

struct PlotAxis {
  std::string title;
  AxisScale scale = AxisScale::linear;
  std::string (*label)(double) = nullptr; ///< of a tick
};

/// Lines with both axes and a legend, as an <svg> element; a sentence if there is nothing to draw.
std::string line_plot(const std::vector<PlotLine>& lines, const PlotAxis& x, const PlotAxis& y);

/// A bar from 0 to 1, with a stroke at `mark` unless that is below 0.
struct PlotBar {
  std::string name, text; ///< in front of it, and behind
  const char* look;
  double value = 0, mark = -1;
};
std::string bar_plot(const std::vector<PlotBar>& bars);

} // namespace talaria::planner
