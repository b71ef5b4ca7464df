#include "attest/vectors/vector_run.hpp"

int main(int argc, char** argv) {
  return talaria::attest::attest_vectors_main(argc, argv);
}
