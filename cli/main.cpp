#include <fmt/format.h>

#include <cstdio>
#include <string>

#include "cli/commands.hpp"
#include "core/error.hpp"

namespace talaria::cli {

namespace {

int report(Errc code, const std::string& message) {
  fmt::print(stderr, "talaria: {}\n", message);
  return exit_status(code);
}

} // namespace

int talaria_main(int argc, char** argv) {
  InterruptWatch interrupts;
  CLI::App app("Talaria: a language model in somebody else's cloud, without showing it the prompt");
  app.require_subcommand(1);
  app.set_version_flag("--version", "talaria " TALARIA_VERSION);
  Action chosen;
  add_run_command(app, chosen);
  add_logits_command(app, chosen);
  add_tokenize_command(app, chosen);
  add_inspect_command(app, chosen);
  add_launch_command(app, chosen, http_gateway());
  add_serve_command(app, chosen);
  add_status_command(app, chosen);
  add_stop_command(app, chosen);
  add_certs_command(app, chosen);
  add_prepare_command(app, chosen);
  add_trace_command(app, chosen);
  add_bench_command(app, chosen);
  add_audit_command(app, chosen);
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& success) {
    return app.exit(success); // --help, --version
  } catch (const CLI::ParseError& error) {
    return report(Errc::usage, std::string(error.what()) + " (see talaria --help)");
  }
  try {
    return chosen(interrupts);
  } catch (const Error& error) {
    return report(error.code(), error.what());
  } catch (const std::bad_alloc&) {
    return report(Errc::internal,
                  "out of memory; lower masking.pool.memory or choose a smaller model");
  } catch (const std::exception& error) {
    return report(Errc::internal, error.what());
  }
}

} // namespace talaria::cli
