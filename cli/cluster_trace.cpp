#include "cli/cluster_trace.hpp"

#include <fmt/format.h>
#include <stdlib.h>

#include <algorithm>
#include <fstream>
#include <system_error>
#include <utility>

#include "core/console.hpp"
#include "core/error.hpp"
#include "core/private_output.hpp"
#include "telemetry/trace_merge.hpp"
#include "telemetry/trace_writer.hpp"

namespace talaria::cli {

namespace fs = std::filesystem;

void merge_traces(const std::vector<fs::path>& files, const fs::path& out) {
  std::vector<telemetry::Trace> traces;
  for (const fs::path& file : files) {
    try {
      std::ifstream in(file, std::ios::binary);
      if (!in) throw Error(Errc::usage, file.string() + ": cannot be read");
      traces.push_back(telemetry::read_trace(in, file.string()));
    } catch (const Error& error) {
      print_log("talaria: left out of the trace: {}", error.what());
    }
  }
  if (traces.empty())
    throw Error(Errc::usage, "nothing to merge: give files that --trace has written");
  fs::path partial = out;
  partial += ".partial";
  std::ofstream file = open_private(partial);
  telemetry::write_trace(file, telemetry::merge(std::move(traces)));
  file.close();
  std::error_code failure;
  if (file) fs::rename(partial, out, failure);
  if (!file || failure)
    throw Error(Errc::io, out.string() + ": the trace cannot be written; is the disk full?");
}

ClusterTrace::ClusterTrace(fs::path file, config::PipelineConfig& settings)
    : file_(std::move(file)) {
  if (file_.empty() || settings.workers.empty()) return;
  if (!open_private(file_)) // also so that no older one is taken for ours
    throw Error(Errc::io,
                fmt::format("{}: cannot write the trace file; choose a writable path for --trace",
                            file_.string()));
  std::string name = (fs::temp_directory_path() / "talaria-trace-XXXXXX").string();
  if (::mkdtemp(name.data()) == nullptr)
    throw Error(Errc::io, name + ": the workers' traces need a folder; is TMPDIR writable?");
  folder_ = name;
  settings.launch.node_traces = folder_;
}

ClusterTrace::~ClusterTrace() {
  std::error_code ignored;
  if (!folder_.empty()) fs::remove_all(folder_, ignored);
}

void ClusterTrace::merge() const {
  if (folder_.empty()) return;
  std::vector<fs::path> files;
  for (const auto& entry : fs::directory_iterator(folder_)) files.push_back(entry.path());
  if (files.empty()) return; // nobody was started here
  std::sort(files.begin(), files.end());
  if (fs::file_size(file_) > 0) files.insert(files.begin(), file_);
  try {
    merge_traces(files, file_);
  } catch (const Error& error) {
    if (error.code() != Errc::usage) throw;
    print_log("talaria: {}: nothing happened that could be traced", file_.string());
  }
}

} // namespace talaria::cli
