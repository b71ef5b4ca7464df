#pragma once

#include <string>

#include "planner/plan.hpp"

namespace talaria::planner {

/// The plan as one HTML file with its plots, without scripts: it asks nothing of any network. Names
/// in the plan may be any text.
std::string to_page(const Plan& plan);

} // namespace talaria::planner
