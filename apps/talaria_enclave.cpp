#include "cli/enclave/enclave_main.hpp"

int main(int argc, char** argv) {
  return talaria::cli::enclave_main(argc, argv);
}
