#include <fmt/format.h>

#include <filesystem>
#include <fstream>
#include <memory>
#include <vector>

#include "cli/cluster_trace.hpp"
#include "cli/commands.hpp"
#include "core/console.hpp"
#include "core/error.hpp"
#include "core/private_output.hpp"
#include "telemetry/report_page.hpp"
#include "telemetry/trace_file.hpp"

namespace talaria::cli {

namespace {

struct ReportFlags {
  std::string trace;
  std::string output;
  bool json = false;
};

void write_page(const telemetry::TraceReport& report, const ReportFlags& flags) {
  std::ofstream out = open_private(flags.output);
  out << telemetry::report_page(report, std::filesystem::path(flags.trace).filename().string());
  out.flush();
  if (!out) throw Error(Errc::io, flags.output + ": cannot be written; choose another path for -o");
}

void print_summary(const telemetry::TraceReport& report) {
  for (const auto& phase : report.phases)
    print_out("{}: {} micro-batches, {} rows, p50 {:.2f} ms, p99 {:.2f} ms, {:.0f} % of wire and "
              "product time behind other work\n",
              phase.name, phase.micro_batches, phase.rows, phase.life.p50 * 1e-3,
              phase.life.p99 * 1e-3, phase.overlap() * 100);
}

int make_report(const ReportFlags& flags) {
  if (flags.output.empty() && !flags.json)
    throw Error(Errc::usage, "nothing to write: give -o report.html, --json, or both");
  std::ifstream in(flags.trace, std::ios::binary);
  if (!in) throw Error(Errc::usage, flags.trace + ": cannot be read; give a file of --trace");
  const auto report = telemetry::analyse(telemetry::read_trace(in, flags.trace));
  if (!flags.output.empty()) write_page(report, flags);
  if (flags.json)
    print_out("{}\n", telemetry::report_json(report, false));
  else
    print_summary(report);
  return 0;
}

void add_report(CLI::App& trace, Action& chosen) {
  auto flags = std::make_shared<ReportFlags>();
  CLI::App* report = trace.add_subcommand(
      "report", "A page with waterfall, shares, overlap and latencies; needs no network");
  report->add_option("TRACE", flags->trace, "file of --trace")->required();
  report->add_option("-o,--output", flags->output, "HTML file to write");
  report->add_flag("--json", flags->json, "print the figures as one JSON object");
  report->callback(
      [flags, &chosen] { chosen = [flags](InterruptWatch&) { return make_report(*flags); }; });
}

struct MergeFlags {
  std::vector<std::filesystem::path> traces;
  std::filesystem::path output;
};

void add_merge(CLI::App& trace, Action& chosen) {
  auto flags = std::make_shared<MergeFlags>();
  CLI::App* merge = trace.add_subcommand(
      "merge", "One trace of several: the enclave's, then those of workers (talaria-worker "
               "--trace), moved onto its clock");
  merge->add_option("TRACES", flags->traces, "files of --trace, the enclave's first")->required();
  merge->add_option("-o,--output", flags->output, "file to write")->required();
  merge->callback([flags, &chosen] {
    chosen = [flags](InterruptWatch&) {
      merge_traces(flags->traces, flags->output);
      return 0;
    };
  });
}

} // namespace

void add_trace_command(CLI::App& app, Action& chosen) {
  CLI::App* command = app.add_subcommand("trace", "Look at what --trace has written");
  command->require_subcommand(1);
  add_report(*command, chosen);
  add_merge(*command, chosen);
}

} // namespace talaria::cli
