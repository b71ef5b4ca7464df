#pragma once

#include <string>
#include <string_view>

namespace talaria::gpu_check {

struct Options {
  double seconds = 480;
  int device = 0;
  std::string log; ///< appended to; empty: none
  std::string json = "gpu-check.json";
  std::string parameters = "S48"; ///< of what is timed; all sets are compared
  std::size_t sums_mib = 64;      ///< AcceleratorOptions::sums_bytes
  std::string commit = "unknown"; ///< of the source, for the report
  std::string only;               ///< "equality" or "timings"; empty: both
};

inline constexpr int kExitEqual = 0;      ///< every comparison was made, and found equal
inline constexpr int kExitDifferent = 1;  ///< a product differed, or something failed
inline constexpr int kExitIncomplete = 3; ///< all that was compared is equal, but not all was
inline constexpr int kExitNoDevice = 77;  ///< as ctest's SKIP_RETURN_CODE

/// `--name value` for each member of Options. @throws Error{usage} naming the flag.
Options parse_options(int count, const char* const* words);

/// Everything, most valuable first: facts, self-check, equality, timings, experiments. Returns an
/// exit status. @throws Error{usage} or Error{io} before anything was done.
int run(const Options& options);

} // namespace talaria::gpu_check
