#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include "cli/commands.hpp"
#include "core/console.hpp"
#include "core/error.hpp"
#include "core/openssl_memory.hpp"
#include "core/process_hardening.hpp"
#include "model/unicode.hpp"

namespace talaria::cli {

namespace {

/// What nobody but the caller may read in the list of processes.
constexpr std::string_view kSecretFlags[] = {"--prompt", "--prompt-tokens", "--system", "--tokens",
                                             "--stop"};

/// As CLI11 takes them: without the program, the last one first.
std::vector<std::string> take_arguments(int argc, char** argv) {
  std::vector<std::string> arguments;
  for (int i = argc - 1; i > 0; --i) arguments.emplace_back(argv[i]);
  hide_arguments(argc, argv, kSecretFlags);
  if (argc > 1 && std::string_view(argv[1]) == "tokenize") hide_plain_arguments(argc, argv);
  return arguments;
}

int report(Errc code, const std::string& message) {
  print_log("talaria: {}", message);
  return exit_status(code);
}

/// --help and --version end here as well.
int parse_and_run(CLI::App& app, std::vector<std::string> arguments, const Action& chosen,
                  InterruptWatch& interrupts) {
  try {
    app.parse(std::move(arguments));
  } catch (const CLI::Success& success) {
    std::ostringstream text;
    const int status = app.exit(success, text, text);
    write_out(text.str());
    return status;
  } catch (const CLI::ParseError& error) {
    return report(Errc::usage, std::string(error.what()) + " (see talaria --help)");
  }
  return chosen(interrupts);
}

} // namespace

int talaria_main(int argc, char** argv) {
  guard_standard_descriptors();
  harden_process();
  wipe_what_openssl_frees();
  model::unicode::wipe_what_icu_frees();
  std::vector<std::string> arguments = take_arguments(argc, argv);
  InterruptWatch interrupts;
  CLI::App app("Talaria: a language model in somebody else's cloud, without showing it the prompt",
               "talaria");
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
  add_config_command(app, chosen);
  add_certs_command(app, chosen);
  add_keys_command(app, chosen);
  add_prepare_command(app, chosen);
  add_trace_command(app, chosen);
  add_bench_command(app, chosen);
  add_audit_command(app, chosen);
  add_attest_command(app, chosen);
  try {
    return parse_and_run(app, std::move(arguments), chosen, interrupts);
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
