#include "cli/main.hpp"

int main(int argc, char** argv) {
  return talaria::cli::talaria_main(argc, argv);
}
