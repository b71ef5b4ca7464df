#include <fmt/format.h>

#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "cli/commands.hpp"
#include "core/console.hpp"
#include "transport/certificates.hpp"

namespace talaria::cli {
namespace {

struct CertsFlags {
  std::string folder;
  std::vector<std::string> hosts;
  transport::CertificateOptions options;
  bool json = false;
};

int init(const CertsFlags& flags) {
  const auto files = transport::create_certificates(flags.folder, flags.hosts, flags.options);
  if (flags.json) {
    nlohmann::json written = nlohmann::json::array();
    for (const auto& file : files) written.push_back(file.string());
    print_out("{}\n", nlohmann::json{{"written", std::move(written)}}.dump());
    return 0;
  }
  for (const auto& file : files) print_out("{}\n", file.string());
  for (const auto& file : files)
    if (file.filename() == "ca.key")
      print_out("keep {} off line: whoever has it can make enclaves and workers\n", file.string());
  if (files.empty()) print_out("nothing to do: all of them are there already\n");
  return 0;
}

} // namespace

void add_certs_command(CLI::App& app, Action& chosen) {
  auto flags = std::make_shared<CertsFlags>();
  CLI::App* certs = app.add_subcommand("certs", "Certificates for the enclave and its workers");
  certs->require_subcommand(1);
  CLI::App* command = certs->add_subcommand(
      "init", "Make an authority and certificates, or add hosts to one; nothing is overwritten");
  command->add_option("DIR", flags->folder, "folder to write into")->required();
  command->add_option("--hosts", flags->hosts, "names or addresses of the workers: a,b,...")
      ->delimiter(',')
      ->required();
  command->add_option("--days", flags->options.days, "validity in days (default 825)");
  command->add_option("--enclave-name", flags->options.enclave_name,
                      "name in the enclave's certificate (default talaria-enclave)");
  command->add_option("--authority", flags->options.authority,
                      "folder of the authority's key (default: DIR-authority)");
  command->add_flag("--json", flags->json, "print one JSON object");
  command->callback(
      [flags, &chosen] { chosen = [flags](InterruptWatch&) { return init(*flags); }; });
}

} // namespace talaria::cli
