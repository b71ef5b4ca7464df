#pragma once

#include <CLI/CLI.hpp>
#include <filesystem>
#include <string_view>

namespace talaria::cli {

/// A command of `talaria` whose code is in another program (docs/adr/0013-four-programs.md).
struct ForwardedCommand {
  const char* name;
  const char* summary; ///< its line in `talaria --help`
  const char* program; ///< a file beside `talaria`
};

inline constexpr const char* kEnclaveProgram = "talaria-enclave";
inline constexpr const char* kAuditProgram = "talaria-audit";

inline constexpr ForwardedCommand kServeCommand{
    "serve", "Answer OpenAI's API over HTTP; the workers of the file must be up (see launch)",
    kEnclaveProgram};
inline constexpr ForwardedCommand kAuditCommand{
    "audit", "Attack what a worker records; exit status 5 if an attack beats chance",
    kAuditProgram};

/// Where the program called `name` is: beside the running one. PATH is not searched, so that the
/// two always come from one build.
/// @throws Error{config} naming the file that is missing and how it is made.
std::filesystem::path program_beside(std::string_view name);

/// If the command line names a forwarded command, the process becomes that program, which gets the
/// command line as it is (argv[0], "talaria", too), the environment and all open descriptors; its
/// exit status is the command's, and signals reach it. Otherwise nothing happens. To be called
/// before any thread exists and before any signal is blocked.
///
/// Arguments that are to be hidden are hidden by the program that is started, as soon as it runs.
/// @throws Error{config} if the program is missing or cannot be executed.
void forward_command(int argc, char** argv);

/// Lists the command in the help of `app`.
void add_forwarded(CLI::App& app, const ForwardedCommand& command);

} // namespace talaria::cli
