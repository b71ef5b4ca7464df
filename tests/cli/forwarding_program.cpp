// `talaria`, or the program that it starts, by the name of the file. The second says what it was
// given.
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>
#include <vector>

#include "cli/forward.hpp"
#include "cli/program.hpp"
#include "core/console.hpp"
#include "core/error.hpp"

using namespace talaria;

namespace {

struct Flags {
  std::string prompt;
  std::vector<std::string> words;
  bool wait = false;
};

/// Its command line as other users see it, words separated by '|'.
std::string visible_arguments() {
  std::ifstream file("/proc/self/cmdline", std::ios::binary);
  std::string text(std::istreambuf_iterator<char>(file), {});
  for (char& c : text)
    if (c == '\0') c = '|';
  return text;
}

int tell(const Flags& flags, cli::InterruptWatch& interrupts) {
  const char* variable = std::getenv("TALARIA_TEST_WORD");
  std::string words;
  for (const std::string& word : flags.words) words += "[" + word + "]";
  interrupts.on_interrupt([] { std::_Exit(9); });
  print_out("prompt {}\nwords {}\nvariable {}\nvisible {}\n", flags.prompt, words,
            variable != nullptr ? variable : "", visible_arguments());
  while (flags.wait) ::pause();
  return 7;
}

void add_audit(CLI::App& app, cli::Action& chosen) {
  auto flags = std::make_shared<Flags>();
  CLI::App* command = app.add_subcommand(cli::kAuditCommand.name, cli::kAuditCommand.summary);
  command->add_option("--prompt", flags->prompt);
  command->add_option("WORDS", flags->words);
  command->add_flag("--wait", flags->wait);
  command->callback([flags, &chosen] {
    chosen = [flags](cli::InterruptWatch& interrupts) { return tell(*flags, interrupts); };
  });
}

} // namespace

int main(int argc, char** argv) {
  if (std::filesystem::read_symlink("/proc/self/exe").filename() != "talaria")
    return cli::program_main(argc, argv, {"talaria-audit", "For a test", {add_audit}});
  try {
    cli::forward_command(argc, argv);
  } catch (const Error& error) {
    print_log("talaria: {}", error.what());
    return exit_status(error.code());
  }
  print_out("not forwarded\n");
  return 0;
}
