#include "gpu_check/context.hpp"

namespace talaria::gpu_check {

Workload Workload::gpu() {
  Workload work;
  work.matrices = {{"qkv", 4096, 6144}, // Llama-3-8B
                   {"o", 4096, 4096},
                   {"gate_up", 4096, 28672},
                   {"down", 14336, 4096},
                   {"lm_head", 4096, 128256}};
  work.rows = {1, 8, 64, 256, 512};
  work.every_rows = 130;
  work.most_multiplications = 600'000'000;
  work.between_bytes = std::size_t{1} << 30;
  work.copy_bytes = std::size_t{64} << 20;
  work.products = 60;
  work.rounds = 25;
  work.warm_up_seconds = 1;
  return work;
}

Workload Workload::fake() {
  Workload work;
  work.matrices = {{"qkv", 192, 320}, {"o", 128, 256}};
  work.rows = {1, 8, 260};
  work.every_rows = 10;
  work.most_multiplications = 2'000'000;
  work.hint_rows = 40;
  work.between_bytes = std::size_t{64} << 10;
  work.copy_bytes = std::size_t{1} << 20;
  work.products = 4;
  work.rounds = 3;
  return work;
}

kernels::cuda::AcceleratorOptions Context::options(const remo::LatticeParameters& of) const {
  kernels::cuda::AcceleratorOptions options;
  options.modulus = of.modulus();
  options.rounded_modulus = of.p;
  options.reply_modulus = of.reply_modulus;
  options.devices = {device};
  options.threads = 4;
  options.sums_bytes = sums_bytes;
  return options;
}

} // namespace talaria::gpu_check
