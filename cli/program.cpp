#include "cli/program.hpp"

#include <filesystem>
#include <sstream>
#include <string>

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

int report(std::string_view name, Errc code, const std::string& message) {
  print_log("{}: {}", name, message);
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
    throw Error(Errc::usage, std::string(error.what()) + " (see " + app.get_name() + " --help)");
  }
  return chosen(interrupts);
}

} // namespace

std::string_view spoken_name(int argc, char* const* argv, std::string_view name) {
  constexpr std::string_view kTalaria = "talaria";
  return argc > 0 && std::filesystem::path(argv[0]).filename() == kTalaria ? kTalaria : name;
}

int program_main(int argc, char** argv, const Program& program) {
  guard_standard_descriptors();
  harden_process();
  wipe_what_openssl_frees();
  model::unicode::wipe_what_icu_frees();
  const std::string name(spoken_name(argc, argv, program.name));
  std::vector<std::string> arguments = take_arguments(argc, argv);
  InterruptWatch interrupts;
  CLI::App app(program.description, name);
  app.require_subcommand(1);
  app.set_version_flag("--version", name + " " TALARIA_VERSION);
  Action chosen;
  for (const AddCommand add : program.commands) add(app, chosen);
  try {
    return parse_and_run(app, std::move(arguments), chosen, interrupts);
  } catch (const Error& error) {
    return report(name, error.code(), error.what());
  } catch (const std::bad_alloc&) {
    return report(name, Errc::internal,
                  "out of memory; lower masking.pool.memory or choose a smaller model");
  } catch (const std::exception& error) {
    return report(name, Errc::internal, error.what());
  }
}

} // namespace talaria::cli
