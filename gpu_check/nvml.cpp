#include "gpu_check/nvml.hpp"

#include <dlfcn.h>

namespace talaria::gpu_check {

namespace {

// Declared here as in NVIDIA's NVML API reference: nvml.h comes with the toolkit only sometimes.
using Handle = struct nvmlDevice_st*;
using Number = unsigned;
constexpr int kSuccess = 0;

/// The library, or nothing. Never closed: this program asks twice and ends.
class Library {
public:
  Library() : library_(dlopen("libnvidia-ml.so.1", RTLD_NOW | RTLD_LOCAL)) {
    const auto init = function<int()>("nvmlInit_v2");
    usable_ = init != nullptr && init() == kSuccess;
  }
  bool usable() const { return usable_; }
  template <class Signature>
  Signature* function(const char* name) const {
    return library_ == nullptr ? nullptr : reinterpret_cast<Signature*>(dlsym(library_, name));
  }

private:
  void* library_;
  bool usable_ = false;
};

class Questions {
public:
  Questions(const Library& library, Handle device) : library_(library), device_(device) {}

  void number(const char* name, const char* function) {
    Number value = 0;
    const auto ask = library_.function<int(Handle, Number*)>(function);
    if (ask != nullptr && ask(device_, &value) == kSuccess) facts_.set(name, value);
  }
  /// Of a function that takes which clock, or which sensor, as well.
  void number(const char* name, const char* function, int which) {
    Number value = 0;
    const auto ask = library_.function<int(Handle, int, Number*)>(function);
    if (ask != nullptr && ask(device_, which, &value) == kSuccess) facts_.set(name, value);
  }
  void mig() {
    Number current = 0;
    Number pending = 0;
    const auto ask = library_.function<int(Handle, Number*, Number*)>("nvmlDeviceGetMigMode");
    if (ask != nullptr && ask(device_, &current, &pending) == kSuccess)
      facts_.set("mig", current != 0);
  }
  /// Bits of nvmlClocksEventReasons: 1 idle, 4 power cap, 8 slowdown, 0x20 and 0x40 heat, ...
  void slowed() {
    unsigned long long bits = 0;
    const auto ask = library_.function<int(Handle, unsigned long long*)>(
        "nvmlDeviceGetCurrentClocksThrottleReasons");
    if (ask != nullptr && ask(device_, &bits) == kSuccess) facts_.set("clocks_event_reasons", bits);
  }
  void driver() {
    char version[96] = {};
    const auto ask = library_.function<int(char*, Number)>("nvmlSystemGetDriverVersion");
    if (ask != nullptr && ask(version, sizeof version - 1) == kSuccess)
      facts_.set("driver", version);
  }
  Json facts() { return facts_; }

private:
  const Library& library_;
  Handle device_;
  Json facts_ = Json::object();
};

} // namespace

Json nvml_facts(const std::string& pci_address) {
  static const Library library;
  if (!library.usable()) return Json::object();
  Handle device = nullptr;
  const auto find = library.function<int(const char*, Handle*)>("nvmlDeviceGetHandleByPciBusId_v2");
  if (find == nullptr || find(pci_address.c_str(), &device) != kSuccess) return Json::object();
  Questions ask(library, device);
  ask.driver();
  ask.number("pcie_generation", "nvmlDeviceGetCurrPcieLinkGeneration");
  ask.number("pcie_generation_max", "nvmlDeviceGetMaxPcieLinkGeneration");
  ask.number("pcie_width", "nvmlDeviceGetCurrPcieLinkWidth");
  ask.number("pcie_width_max", "nvmlDeviceGetMaxPcieLinkWidth");
  ask.number("sm_mhz", "nvmlDeviceGetClockInfo", 1);
  ask.number("sm_mhz_max", "nvmlDeviceGetMaxClockInfo", 1);
  ask.number("memory_mhz", "nvmlDeviceGetClockInfo", 2);
  ask.number("memory_mhz_max", "nvmlDeviceGetMaxClockInfo", 2);
  ask.number("power_mw", "nvmlDeviceGetPowerUsage");
  ask.number("power_limit_mw", "nvmlDeviceGetEnforcedPowerLimit");
  ask.number("celsius", "nvmlDeviceGetTemperature", 0);
  ask.mig();
  ask.slowed();
  return ask.facts();
}

} // namespace talaria::gpu_check
