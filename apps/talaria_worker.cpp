#include "cli/worker/worker_main.hpp"

int main(int argc, char** argv) {
  return talaria::cli::worker_main(argc, argv);
}
