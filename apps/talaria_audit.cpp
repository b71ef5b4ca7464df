#include "cli/audit/audit_main.hpp"

int main(int argc, char** argv) {
  return talaria::cli::audit_main(argc, argv);
}
