#include "cli/forward.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <system_error>

#include "core/error.hpp"

namespace talaria::cli {

namespace fs = std::filesystem;

fs::path program_beside(std::string_view name) {
  std::error_code failure;
  const fs::path self = fs::read_symlink("/proc/self/exe", failure);
  if (failure)
    throw Error(Errc::config, fmt::format("/proc/self/exe cannot be read ({}), so that {} is not "
                                          "found; mount /proc",
                                          failure.message(), name));
  const fs::path program = self.parent_path() / name;
  if (!fs::exists(program, failure))
    throw Error(Errc::config,
                fmt::format("the program {} is missing; build it (scripts/build, or cmake --build "
                            "build --target {}) and install it beside talaria, of the same version",
                            program.string(), name));
  return program;
}

void forward_command(int argc, char** argv) {
  if (argc < 2) return;
  for (const ForwardedCommand& command : {kServeCommand, kAuditCommand}) {
    if (std::string_view(argv[1]) != command.name) continue;
    const fs::path program = program_beside(command.program);
    ::execv(program.c_str(), argv);
    throw Error(Errc::config, fmt::format("the program {} cannot be started: {}", program.string(),
                                          std::strerror(errno)));
  }
}

void add_forwarded(CLI::App& app, const ForwardedCommand& command) {
  app.add_subcommand(command.name, command.summary);
}

} // namespace talaria::cli
