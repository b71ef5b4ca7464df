#include <fmt/format.h>

#include <memory>

#include "cli/commands.hpp"
#include "core/console.hpp"
#include "launch/control_socket.hpp"
#include "launch/status.hpp"

namespace talaria::cli {

void add_status_command(CLI::App& app, Action& chosen) {
  struct Flags {
    std::string file;
    bool json = false;
  };
  auto flags = std::make_shared<Flags>();
  CLI::App* command =
      app.add_subcommand("status", "How the nodes and links of a launched pipeline.yaml are");
  command->add_option("FILE", flags->file, "pipeline.yaml")->required();
  command->add_flag("--json", flags->json, "print one JSON object");
  command->callback([flags, &chosen] {
    chosen = [flags](InterruptWatch&) {
      const std::string status = launch::ask_status(flags->file);
      print_out("{}", flags->json ? status + "\n" : launch::status_text(status));
      return 0;
    };
  });
}

} // namespace talaria::cli
