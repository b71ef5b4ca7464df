#include "cli/enclave/enclave_main.hpp"

#include "cli/enclave/serve_command.hpp"

namespace talaria::cli {

int enclave_main(int argc, char** argv) {
  return program_main(argc, argv,
                      {"talaria-enclave",
                       "Talaria's trusted side: holds prompts, keys and masks, and serves",
                       {add_serve_command}});
}

} // namespace talaria::cli
