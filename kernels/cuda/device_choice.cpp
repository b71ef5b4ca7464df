#include "kernels/cuda/device_choice.hpp"

#include <algorithm>
#include <charconv>

#include "core/error.hpp"
#include "kernels/cuda/accelerator.hpp"

namespace talaria::kernels::cuda {

namespace {

constexpr int kMaxDevices = 256;

/// Takes a number off the front of `text`; -1 if there is none.
int take_number(std::string_view& text) {
  int number = -1;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || number < 0 || number >= kMaxDevices) return -1;
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  return number;
}

} // namespace

DeviceChoice parse_device_choice(std::string_view text) {
  using Kind = DeviceChoice::Kind;
  if (text == "cpu") return {Kind::cpu};
  if (text == "auto") return {Kind::automatic};
  if (text == "cuda") return {Kind::cuda, {0}};
  const Error mistake(Errc::usage, "--device " + std::string(text) +
                                       ": write cpu, auto, cuda, cuda:N or cuda:N,N with each N "
                                       "from 0 to 255 and named once");
  if (!text.starts_with("cuda:")) throw mistake;
  DeviceChoice choice{Kind::cuda};
  for (std::string_view rest = text.substr(4); !rest.empty();) {
    rest.remove_prefix(1); // the colon, or a comma
    const int number = take_number(rest);
    const bool again =
        std::find(choice.devices.begin(), choice.devices.end(), number) != choice.devices.end();
    if (number < 0 || again || !(rest.empty() || rest.front() == ',')) throw mistake;
    choice.devices.push_back(number);
  }
  return choice;
}

DeviceChoice resolve(DeviceChoice choice) {
  using Kind = DeviceChoice::Kind;
  if (choice.kind != Kind::automatic) return choice;
  try {
    for (const DeviceInfo& device : find_devices())
      if (device.usable()) return {Kind::cuda, {device.index}};
  } catch (const Error&) {
    // No driver or no device: that is what `auto` is for.
  }
  return {Kind::cpu};
}

} // namespace talaria::kernels::cuda
