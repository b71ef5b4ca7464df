// Compares a GPU's products with the CPU's and times them; scripts/gpu builds and starts it.
//   gpu_check [--seconds N] [--device N] [--log FILE] [--json FILE] [--only equality|timings]
//             [--parameters SET] [--sums-mib N]
#include <cstdio>

#include "core/error.hpp"
#include "gpu_check/run.hpp"

int main(int argc, char** argv) {
  using namespace talaria;
  try {
    return gpu_check::run(gpu_check::parse_options(argc, argv));
  } catch (const Error& error) {
    std::fprintf(stderr, "gpu_check: %s\n", error.what());
    return exit_status(error.code());
  }
}
