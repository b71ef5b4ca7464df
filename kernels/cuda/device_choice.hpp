#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace talaria::kernels::cuda {

/// What `--device` asks for.
struct DeviceChoice {
  enum class Kind { cpu, cuda, automatic };
  Kind kind = Kind::cpu;
  std::vector<int> devices{}; ///< CUDA device numbers, in order and each once
};

/// Reads "cpu", "auto", "cuda" (cuda:0), "cuda:N" or "cuda:N,N...", N from 0 to 255.
/// @throws Error{usage} naming the flag.
DeviceChoice parse_device_choice(std::string_view text);

/// Replaces `automatic`: the first usable CUDA device, or the CPU if there is none.
DeviceChoice resolve(DeviceChoice choice);

} // namespace talaria::kernels::cuda
