#include "actors/worker/device.hpp"

#include <fmt/format.h>

#include <utility>

#include "kernels/cuda/accelerator.hpp"
#include "kernels/cuda/device_choice.hpp"
#include "kernels/product_kernels.hpp"

namespace talaria::worker {

std::string choose_device(ProductEngine& engine, std::string_view device,
                          const remo::LatticeParameters& parameters, std::size_t threads) {
  namespace cuda = kernels::cuda;
  using Kind = cuda::DeviceChoice::Kind;
  std::string cpu =
      fmt::format("cpu {}, {} threads", kernels::active_product_kernels().name, threads);
  const auto asked = cuda::parse_device_choice(device);
  const auto choice = cuda::resolve(asked);
  if (choice.kind == Kind::cpu) return cpu;
  cuda::AcceleratorOptions options;
  options.modulus = parameters.modulus();
  options.rounded_modulus = parameters.p;
  options.reply_modulus = parameters.reply_modulus;
  options.devices = choice.devices;
  options.threads = threads;
  try {
    auto accelerator = cuda::open_devices(options);
    std::string name = accelerator->name();
    engine.use(std::move(accelerator));
    return name;
  } catch (const Error& error) {
    if (asked.kind != Kind::automatic || error.code() != Errc::usage) throw;
    return fmt::format("{}; no GPU: {}", cpu, error.what());
  }
}

} // namespace talaria::worker
