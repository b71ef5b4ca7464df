#pragma once

#include <CLI/CLI.hpp>
#include <functional>

#include "cli/gateway.hpp"
#include "cli/interrupt.hpp"

namespace talaria::cli {

/// What a chosen command does; returns the exit status and may throw Error.
using Action = std::function<int(InterruptWatch&)>;

/// Each adds one subcommand to `app`; when it is the one given, `chosen` becomes its action.
void add_run_command(CLI::App& app, Action& chosen);
void add_logits_command(CLI::App& app, Action& chosen);
void add_tokenize_command(CLI::App& app, Action& chosen);
void add_inspect_command(CLI::App& app, Action& chosen);
/// `gateway` serves when the file has a `serve:` section; without it, launch keeps the nodes up.
void add_launch_command(CLI::App& app, Action& chosen, Gateway gateway = {});
void add_status_command(CLI::App& app, Action& chosen);
void add_stop_command(CLI::App& app, Action& chosen);
void add_config_command(CLI::App& app, Action& chosen);
void add_certs_command(CLI::App& app, Action& chosen);
void add_keys_command(CLI::App& app, Action& chosen);
void add_prepare_command(CLI::App& app, Action& chosen);
void add_bench_command(CLI::App& app, Action& chosen);
void add_attest_command(CLI::App& app, Action& chosen);
void add_audit_command(CLI::App& app, Action& chosen);
void add_serve_command(CLI::App& app, Action& chosen);
void add_trace_command(CLI::App& app, Action& chosen);

/// OpenAI's API over HTTP on the address of `serve:` (127.0.0.1:8000 without one).
Gateway http_gateway();

/// The program `talaria`: parses, runs, turns errors into one line on standard error and an exit
/// status.
int talaria_main(int argc, char** argv);

} // namespace talaria::cli
