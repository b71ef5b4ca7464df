#pragma once

#include "gpu_check/context.hpp"

namespace talaria::gpu_check {

/// Device, driver, libraries and the machine around them: "device" and "host" of the JSON.
void report_facts(Context& context);
/// Clocks, link, power and heat now: a member of "load" called `when`.
void report_load(Context& context, const char* when);

} // namespace talaria::gpu_check
