#pragma once

#include "gpu_check/context.hpp"

/// Products of the device compared with the CPU's by `==` (float32: with its rounding bound). Each
/// adds entries to "equality"; what is left out for want of time is counted (Report::left_out).
namespace talaria::gpu_check {

/// Opens the device with every parameter set, which has it multiply two matrices and compare.
void self_check(Context& context);
/// Words mod q, switched replies and hints of all parameter sets, in awkward shapes and for every
/// number of rows; int8, int16 column sets, float32; sums cut into runs of columns, and at the
/// bound of int32.
void compare_products(Context& context);
/// Groups of rows, jobs under way together, jobs that are dropped, threads that share the device.
void compare_jobs(Context& context);
/// The matrices of docs/gpu.md at all its row counts, in columns taken at random and those at the
/// borders of column runs; few rows in all columns.
void compare_large(Context& context);

} // namespace talaria::gpu_check
