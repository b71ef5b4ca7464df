#include <algorithm>
#include <chrono>
#include <optional>

#include <fmt/format.h>

#include "attest/binding/document.hpp"
#include "attest/command/attest_command.hpp"
#include "attest/command/files.hpp"
#include "attest/evidence/encodings.hpp"
#include "attest/policy/verdict.hpp"
#include "attest/simulated/platform_folder.hpp"
#include "core/console.hpp"
#include "core/error.hpp"

namespace talaria::attest {
namespace {

template <std::size_t N>
void set_bytes(const char* flag, const std::string& text, std::array<u8, N>& out) {
  if (text.empty()) return;
  const auto bytes = from_hex(text);
  if (!bytes || bytes->size() > N)
    throw Error(Errc::usage, fmt::format("{}: not up to {} bytes of hexadecimal", flag, N));
  std::ranges::copy(*bytes, out.begin());
}

std::optional<u64> mask_from(const std::string& text) {
  if (text.empty()) return std::nullopt;
  std::size_t used = 0;
  u64 mask = 0;
  try {
    mask = std::stoull(text, &used, 0);
  } catch (const std::exception&) {
    used = 0;
  }
  if (used != text.size())
    throw Error(Errc::usage, "--policy-bits " + text + ": use a mask like 0xb0000");
  return mask;
}

simulated::ReportSpec report_spec(const SimulateOptions& options) {
  simulated::ReportSpec spec;
  set_bytes("--measurement", options.measurement, spec.measurement);
  set_bytes("--host-data", options.host_data, spec.host_data);
  set_bytes("--report-data", options.report_data, spec.report_data);
  spec.policy = mask_from(options.policy_bits).value_or(spec.policy);
  spec.vmpl = options.vmpl;
  if (options.tcb.empty()) return spec;
  if (options.tcb.size() != spec.svns.size() ||
      std::ranges::any_of(options.tcb, [](unsigned svn) { return svn > 255; }))
    throw Error(Errc::usage, "--tcb: use four numbers up to 255: boot loader, TEE, SNP, microcode");
  std::ranges::transform(options.tcb, spec.svns.begin(),
                         [](unsigned svn) { return static_cast<u8>(svn); });
  return spec;
}

simulated::QuoteSpec quote_spec(const SimulateOptions& options) {
  simulated::QuoteSpec spec;
  set_bytes("--measurement", options.measurement, spec.mr_td);
  set_bytes("--host-data", options.host_data, spec.mr_config_id);
  set_bytes("--report-data", options.report_data, spec.report_data);
  spec.td_attributes = mask_from(options.policy_bits).value_or(spec.td_attributes);
  return spec;
}

} // namespace

int simulate_platform(const std::filesystem::path& folder) {
  print_log("{}", kSimulationWarning);
  const auto now = std::chrono::floor<Seconds>(std::chrono::system_clock::now());
  for (const auto& file : simulated::create_platform(folder, now)) print_out("{}\n", file.string());
  return 0;
}

int simulate_evidence(const SimulateOptions& options) {
  print_log("{}", kSimulationWarning);
  const simulated::PlatformFolder platform(options.folder);
  EvidenceDocument document;
  document.evidence.kind = options.tdx ? EvidenceKind::tdx : EvidenceKind::snp;
  for (auto& [name, bytes] :
       options.tdx ? platform.tdx(quote_spec(options)) : platform.snp(report_spec(options)))
    document.evidence.items[name] = bytes;
  write_result(options.output, to_json(document) + "\n");
  return 0;
}

} // namespace talaria::attest
