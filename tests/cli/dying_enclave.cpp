// The program `talaria-enclave`, whose engine loses an actor by an exception at a micro-batch given
// in the environment. Linked with tests/support/killable_graph.cpp; no other program can do this.
#include <cstdlib>
#include <string>

#include "cli/enclave/enclave_main.hpp"
#include "tests/support/killable_graph.hpp"

int main(int argc, char** argv) {
  if (const char* at = std::getenv("TALARIA_TEST_THROWS_AT"))
    talaria::tests::throws_at = std::stoull(at);
  return talaria::cli::enclave_main(argc, argv);
}
