#include "cli/audit/audit_main.hpp"

#include "cli/audit/audit_command.hpp"

namespace talaria::cli {

int audit_main(int argc, char** argv) {
  return program_main(
      argc, argv,
      {"talaria-audit", "Talaria's attacks on what a worker records", {add_audit_command}});
}

} // namespace talaria::cli
