#include "actors/worker/device.hpp"

#include <fmt/format.h>

#include <utility>

#include "kernels/cuda/accelerator.hpp"
#include "kernels/cuda/device_choice.hpp"
#include "kernels/kernel_set.hpp"

namespace talaria::worker {

std::string choose_device(ProductEngine& engine, std::string_view device,
                          const remo::LatticeParameters& parameters, std::size_t threads) {
  namespace cuda = kernels::cuda;
  const auto choice = cuda::resolve(cuda::parse_device_choice(device));
  if (choice.kind == cuda::DeviceChoice::Kind::cpu)
    return fmt::format("cpu {}, {} threads", kernels::active_kernels().name, threads);
  cuda::AcceleratorOptions options;
  options.modulus = parameters.modulus();
  options.reply_modulus = parameters.reply_modulus;
  options.devices = choice.devices;
  options.threads = threads;
  auto accelerator = cuda::open_devices(options);
  std::string name = accelerator->name();
  engine.use(std::move(accelerator));
  return name;
}

} // namespace talaria::worker
