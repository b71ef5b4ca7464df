#include "cli/audit/audit_command.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "audit/audit.hpp"
#include "audit/report.hpp"
#include "audit/shipped_prompts.hpp"
#include "cli/engine_flags.hpp"
#include "cli/forward.hpp"
#include "core/console.hpp"
#include "core/error.hpp"
#include "gateway/api_response.hpp"
#include "gateway/event_text.hpp"
#include "model/weights/prepared.hpp"
#include "settings/engine/process_setup.hpp"

namespace talaria::cli {

namespace {

struct AuditFlags {
  EngineFlags engine;
  std::string prompts;
  std::string attacks = "all";
  std::string output;
  bool quick = false;
  bool json = false;
};

std::string read_text(const std::string& path) {
  if (path.empty()) return std::string(audit::shipped_prompts());
  std::ifstream in(path, std::ios::binary);
  if (!in) throw Error(Errc::io, path + ": cannot read the prompts");
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

/// "a,b" to its parts; nothing for "all".
std::vector<std::string> attack_list(const std::string& text) {
  std::vector<std::string> names;
  if (text == "all") return names;
  for (std::size_t at = 0; at <= text.size();) {
    const std::size_t end = std::min(text.find(',', at), text.size());
    names.push_back(text.substr(at, end - at));
    at = end + 1;
  }
  return names;
}

void write_page(const audit::AuditReport& report, const std::string& path) {
  std::ofstream out(path, std::ios::binary | std::ios::trunc);
  out << audit::report_page(report);
  out.flush();
  if (!out) throw Error(Errc::io, path + ": cannot be written; choose another path for -o");
}

void list_attacks() {
  for (const std::string& name : audit::attack_names()) print_out("{}\n", name);
}

/// Sizes of events as `talaria serve` sends them.
audit::StreamWriter stream_writer(const model::Tokenizer& tokenizer) {
  return [room = gateway::longest_token(tokenizer)](std::span<const std::string> pieces,
                                                    bool hidden, std::size_t tokens) {
    gateway::ResponseFormat format({true, "model", 1, false, hidden ? room * tokens : 0});
    std::vector<std::size_t> sizes;
    for (const std::string& piece : pieces) sizes.push_back(format.text(0, piece).size());
    return sizes;
  };
}

int run_audit(const AuditFlags& flags) {
  if (flags.attacks == "list") {
    list_attacks();
    return 0;
  }
  audit::AuditOptions options;
  const config::PipelineConfig settings = flags.engine.resolve();
  options.engine = flags.engine.engine_options(settings);
  settings::set_up_process(settings);
  options.text = read_text(flags.prompts);
  options.attacks = attack_list(flags.attacks);
  options.quick = flags.quick;
  options.stream =
      stream_writer(model::Tokenizer::load(model::enclave_folder(options.engine.model_dir)));
  options.log = [](const std::string& line) { print_log("talaria: {}", line); };
  SilentProgress progress;
  const audit::AuditReport report = audit::run_audit(options, progress);
  if (!flags.output.empty()) write_page(report, flags.output);
  print_out("{}\n", flags.json ? audit::report_json(report) : audit::report_table(report));
  return report.passed() ? 0 : exit_status(Errc::verification);
}

} // namespace

void add_audit_command(CLI::App& app, Action& chosen) {
  auto flags = std::make_shared<AuditFlags>();
  CLI::App* command = app.add_subcommand(kAuditCommand.name, kAuditCommand.summary);
  flags->engine.add_to(*command);
  command->add_option("--prompts", flags->prompts, "text to cut prompts from (default: shipped)");
  command->add_option("--attacks", flags->attacks,
                      "all (default), some of them: a,b, or list: their names");
  command->add_flag("--quick", flags->quick, "fewer rows and schemes");
  command->add_flag("--json", flags->json, "print one JSON object");
  command->add_option("-o,--output", flags->output, "HTML page to write");
  command->callback(
      [flags, &chosen] { chosen = [flags](InterruptWatch&) { return run_audit(*flags); }; });
}

} // namespace talaria::cli
