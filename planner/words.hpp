#pragma once

#include <string>

namespace talaria::planner {

std::string gigabytes(double bytes);
/// In milliseconds, or in seconds from one on.
std::string duration(double seconds);
/// Rounded to three digits: 0.96, 123, 12300, 1.2e+09.
std::string three_digits(double value);

} // namespace talaria::planner
