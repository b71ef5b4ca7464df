#include "attest/command/attest_command.hpp"

#include <memory>
#include <string>

#include "cli/commands.hpp"
#include "connect/live_verdict.hpp"
#include "core/error.hpp"

namespace talaria::cli {
namespace {

struct VerifyFlags : talaria::attest::VerifyOptions {
  std::string server; ///< of --connect
  std::string via;    ///< an HTTP proxy on the way there
};

int verify(const VerifyFlags& flags) {
  if (flags.server.empty() && flags.evidence.empty())
    throw Error(Errc::usage, "give --evidence FILE, or --connect HOST:PORT");
  if (flags.server.empty()) return talaria::attest::verify_evidence_file(flags);
  return connect::verify_live(
      {flags.server, flags.via, flags.policy, flags.bundle, flags.allow_simulated, flags.json});
}

void add_verify(CLI::App& attest, Action& chosen) {
  auto flags = std::make_shared<VerifyFlags>();
  CLI::App* command = attest.add_subcommand(
      "verify", "Judge evidence by a policy; exit 0 accepted, 6 undecided, 7 not genuine, 8 not "
                "allowed, 9 not bound, 10 accepted but simulated");
  command->add_option("--policy", flags->policy, "policy file")->required();
  CLI::Option* evidence =
      command->add_option("--evidence", flags->evidence, "evidence document (JSON)");
  CLI::Option* live = command->add_option(
      "--connect", flags->server, "HOST:PORT of a server: its evidence over this very connection");
  live->excludes(evidence);
  command->add_option("--via", flags->via, "HOST:PORT of an HTTP proxy on the way there (CONNECT)")
      ->needs(live);
  command->add_option("--bundle", flags->bundle, "collateral for what the document lacks (tar)");
  command->add_option("--at", flags->at, "judge at this time, like 2026-08-01T00:00:00Z")
      ->excludes(live);
  command
      ->add_option("--report-data", flags->report_data,
                   "what the evidence must be bound to: 64 bytes, hexadecimal")
      ->excludes(live);
  command
      ->add_option("--nonce", flags->nonce, "what the vTPM's quote must carry (Azure), hexadecimal")
      ->excludes(live);
  command->add_flag("--allow-simulated", flags->allow_simulated,
                    "accept a simulated platform, if the policy does as well");
  command->add_flag("--json", flags->json, "print one JSON object");
  command->callback(
      [flags, &chosen] { chosen = [flags](InterruptWatch&) { return verify(*flags); }; });
}

void add_policy(CLI::App& attest, Action& chosen) {
  auto flags = std::make_shared<talaria::attest::PolicyOptions>();
  CLI::App* command =
      attest.add_subcommand("policy", "Write a policy that accepts exactly one machine");
  command->add_option("--from", flags->evidence, "evidence document of that machine")->required();
  command->add_option("-o,--output", flags->output, "file to write (default: standard output)");
  command->add_option("--name", flags->name, "name of policy and image (default: the file's)");
  command->add_option("--at", flags->at, "judge the evidence at this time");
  command->add_option("--service", flags->service, "name of the server in its certificate");
  command->add_option("--ca", flags->ca, "authority that vouches for it (PEM; default: system's)");
  command->add_option("--simulated-root", flags->simulated_root,
                      "roots.pem of the simulated platform that made it");
  command->callback([flags, &chosen] {
    chosen = [flags](InterruptWatch&) { return talaria::attest::write_policy(*flags); };
  });
}

void add_bundle(CLI::App& attest, Action& chosen) {
  auto flags = std::make_shared<talaria::attest::BundleOptions>();
  CLI::App* command =
      attest.add_subcommand("bundle", "Pack the collateral of evidence documents for later");
  command->add_option("EVIDENCE", flags->evidence, "evidence documents")->required();
  command->add_option("-o,--output", flags->output, "tar file to write")->required();
  command->add_flag("--json", flags->json, "print one JSON object");
  command->callback([flags, &chosen] {
    chosen = [flags](InterruptWatch&) { return talaria::attest::write_bundle(*flags); };
  });
}

void add_fetch(CLI::App& attest, Action& chosen) {
  auto flags = std::make_shared<talaria::attest::FetchCommandOptions>();
  CLI::App* command = attest.add_subcommand(
      "fetch",
      "Complete the collateral of evidence from AMD's and Intel's services, which learn of "
      "the machine; exit 6 if something cannot be had");
  command->add_option("--evidence", flags->evidence, "evidence document (JSON)")->required();
  command->add_option("--cache", flags->folder,
                      "folder of what was fetched before (default: the user's cache folder)");
  command->add_option("-o,--output", flags->output, "bundle to write (tar)");
  command->add_flag("--offline", flags->offline, "ask nobody: the folder alone");
  command->add_flag("--json", flags->json, "print one JSON list");
  command->callback([flags, &chosen] {
    chosen = [flags](InterruptWatch&) { return talaria::attest::fetch_collateral(*flags); };
  });
}

void add_simulate(CLI::App& attest, Action& chosen) {
  auto flags = std::make_shared<talaria::attest::SimulateOptions>();
  CLI::App* simulate = attest.add_subcommand(
      "simulate", "A platform that exists nowhere, for trying out: it proves nothing");
  simulate->require_subcommand(1);
  CLI::App* init = simulate->add_subcommand("init", "Make its authority, good for 30 days");
  init->add_option("DIR", flags->folder, "folder to write into")->required();
  init->callback([flags, &chosen] {
    chosen = [flags](InterruptWatch&) { return talaria::attest::simulate_platform(flags->folder); };
  });
  CLI::App* report = simulate->add_subcommand("report", "Sign whatever is asked for");
  report->add_option("DIR", flags->folder, "folder of the authority")->required();
  report->add_option("-o,--output", flags->output, "evidence document (default: standard output)");
  report->add_flag("--tdx", flags->tdx, "a TDX quote in place of an SNP report");
  report->add_option("--measurement", flags->measurement, "MEASUREMENT or MRTD, hexadecimal");
  report->add_option("--host-data", flags->host_data, "HOST_DATA or MRCONFIGID, hexadecimal");
  report->add_option("--report-data", flags->report_data, "REPORT_DATA, hexadecimal");
  report->add_option("--policy-bits", flags->policy_bits, "guest policy or TD attributes: a mask");
  report->add_option("--tcb", flags->tcb, "SNP: boot loader, TEE, SNP, microcode")->delimiter(',');
  report->add_option("--vmpl", flags->vmpl, "SNP: 0 to 3");
  report->callback([flags, &chosen] {
    chosen = [flags](InterruptWatch&) { return talaria::attest::simulate_evidence(*flags); };
  });
}

} // namespace

void add_attest_command(CLI::App& app, Action& chosen) {
  CLI::App* attest = app.add_subcommand("attest", "Evidence of confidential hardware");
  attest->require_subcommand(1);
  add_verify(*attest, chosen);
  add_policy(*attest, chosen);
  add_bundle(*attest, chosen);
  add_fetch(*attest, chosen);
  add_simulate(*attest, chosen);
}

} // namespace talaria::cli
