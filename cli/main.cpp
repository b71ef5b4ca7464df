#include "cli/main.hpp"

#include "cli/commands.hpp"
#include "cli/forward.hpp"
#include "core/console.hpp"
#include "core/error.hpp"
#include "core/process_hardening.hpp"

namespace talaria::cli {

namespace {

template <const ForwardedCommand& command>
void add_forwarded_command(CLI::App& app, Action&) {
  add_forwarded(app, command);
}

} // namespace

int talaria_main(int argc, char** argv) {
  guard_standard_descriptors();
  try {
    forward_command(argc, argv);
  } catch (const Error& error) {
    print_log("talaria: {}", error.what());
    return exit_status(error.code());
  }
  return program_main(
      argc, argv,
      {"talaria",
       "Talaria: a language model in somebody else's cloud, without showing it the prompt",
       {add_run_command,     add_chat_command,       add_logits_command,
        add_embed_command,   add_perplexity_command, add_tokenize_command,
        add_inspect_command, add_launch_command,     add_forwarded_command<kServeCommand>,
        add_status_command,  add_stop_command,       add_config_command,
        add_certs_command,   add_keys_command,       add_prepare_command,
        add_trace_command,   add_bench_command,      add_forwarded_command<kAuditCommand>,
        add_top_command,     add_dashboards_command, add_attest_command,
        add_connect_command, add_receipt_command,    add_export_command,
        add_plan_command}});
}

} // namespace talaria::cli
