#pragma once

#include "cli/program.hpp"

namespace talaria::cli {

// The commands of the program `talaria`. Each adds one subcommand to `app`; when it is the one
// given, `chosen` becomes its action.

void add_run_command(CLI::App& app, Action& chosen);
void add_chat_command(CLI::App& app, Action& chosen);
void add_logits_command(CLI::App& app, Action& chosen);
void add_embed_command(CLI::App& app, Action& chosen);
void add_perplexity_command(CLI::App& app, Action& chosen);
void add_tokenize_command(CLI::App& app, Action& chosen);
void add_inspect_command(CLI::App& app, Action& chosen);
/// Starts talaria-enclave when the file has a `serve:` section; without it, keeps the nodes up.
void add_launch_command(CLI::App& app, Action& chosen);
void add_status_command(CLI::App& app, Action& chosen);
void add_stop_command(CLI::App& app, Action& chosen);
void add_config_command(CLI::App& app, Action& chosen);
void add_certs_command(CLI::App& app, Action& chosen);
void add_keys_command(CLI::App& app, Action& chosen);
void add_dashboards_command(CLI::App& app, Action& chosen);
void add_top_command(CLI::App& app, Action& chosen);
void add_prepare_command(CLI::App& app, Action& chosen);
void add_bench_command(CLI::App& app, Action& chosen);
void add_attest_command(CLI::App& app, Action& chosen);
void add_connect_command(CLI::App& app, Action& chosen);
void add_receipt_command(CLI::App& app, Action& chosen);
void add_export_command(CLI::App& app, Action& chosen);
void add_plan_command(CLI::App& app, Action& chosen);
void add_trace_command(CLI::App& app, Action& chosen);

} // namespace talaria::cli
