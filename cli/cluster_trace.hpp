#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "config/pipeline_config.hpp"

namespace talaria::cli {

/// Merges traces into `out`; the first of `files` gives the clock (telemetry::merge()). Files that
/// are no traces, or hold none of our spans, are left out and named on standard error.
/// @throws Error{usage} if none is left; Error{io} if `out` cannot be written.
void merge_traces(const std::vector<std::filesystem::path>& files,
                  const std::filesystem::path& out);

/// `--trace FILE` of a command that runs a cluster: its own trace and those of the local workers it
/// starts, in one file.
class ClusterTrace {
public:
  /// Nothing happens if `file` is empty. Otherwise the workers that are started from `settings`
  /// from now on write traces, into a folder that ends with this object.
  /// @throws Error{io} if there can be no such folder.
  ClusterTrace(std::filesystem::path file, config::PipelineConfig& settings);
  ~ClusterTrace();
  ClusterTrace(const ClusterTrace&) = delete;
  ClusterTrace& operator=(const ClusterTrace&) = delete;

  /// Adds what the workers left to `file`. To be called when they have ended and `file` is written;
  /// without an enclave's trace there, theirs alone.
  void merge() const;

private:
  std::filesystem::path file_;
  std::filesystem::path folder_;
};

} // namespace talaria::cli
