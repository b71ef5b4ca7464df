#include <fmt/format.h>

#include <memory>

#include "cli/commands.hpp"
#include "core/console.hpp"
#include "launch/control_socket.hpp"

namespace talaria::cli {

void add_stop_command(CLI::App& app, Action& chosen) {
  auto file = std::make_shared<std::string>();
  CLI::App* command =
      app.add_subcommand("stop", "End a launched pipeline.yaml and all nodes it started");
  command->add_option("FILE", *file, "pipeline.yaml")->required();
  command->callback([file, &chosen] {
    chosen = [file](InterruptWatch&) {
      const bool was_running = launch::ask_stop(*file);
      print_out("{}: {}\n", *file, was_running ? "stopped" : "was not running");
      return 0;
    };
  });
}

} // namespace talaria::cli
