#include "gpu_check/facts.hpp"

#include <cuda_runtime_api.h>

#include <fstream>
#include <thread>

#include "gpu_check/nvml.hpp"
#include "kernels/cuda/device/cublaslt.hpp"
#include "kernels/cuda/device/handles.hpp"
#include "kernels/product_kernels.hpp"

namespace talaria::gpu_check {

namespace {

using kernels::cuda::check;

std::string version(int number) { // as CUDA numbers runtimes and drivers
  return text("%d.%d", number / 1000, number % 1000 / 10);
}

std::string pci_address(int device) {
  char address[32] = {};
  check(cudaDeviceGetPCIBusId(address, sizeof address, device), "cudaDeviceGetPCIBusId", device);
  return address;
}

int attribute(cudaDeviceAttr which, int device) {
  int value = 0;
  check(cudaDeviceGetAttribute(&value, which, device), "cudaDeviceGetAttribute", device);
  return value;
}

/// The value of the first line of a file that begins with `key`, behind its colon.
std::string line_of(const char* path, const std::string& key) {
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);)
    if (line.starts_with(key))
      if (const auto at = line.find_first_not_of(" \t", line.find(':') + 1);
          at != std::string::npos)
        return line.substr(at);
  return "unknown";
}

std::string cublaslt_version() {
  const std::size_t number = kernels::cuda::CublasLt::library().version();
  return text("%zu.%zu.%zu", number / 10000, number / 100 % 100, number % 100);
}

void report_host(Context& context) {
  const std::string cpu = line_of("/proc/cpuinfo", "model name");
  const std::string kernels = kernels::active_product_kernels().name;
  const unsigned cores = std::thread::hardware_concurrency();
  const std::string memory = line_of("/proc/meminfo", "MemTotal");
  context.report.print("  host: %s, %u threads, kernels %s, %s", cpu.c_str(), cores,
                       kernels.c_str(), memory.c_str());
  context.report.set("host", Json::object()
                                 .set("cpu", cpu)
                                 .set("threads", cores)
                                 .set("kernels", kernels)
                                 .set("memory", memory));
}

} // namespace

void report_facts(Context& context) {
  Report& report = context.report;
  const int device = context.device;
  report.begin("facts", "Machine");
  report_host(context);
  const auto info = kernels::cuda::find_devices().at(static_cast<std::size_t>(device));
  int driver = 0;
  int runtime = 0;
  check(cudaDriverGetVersion(&driver), "cudaDriverGetVersion", device);
  check(cudaRuntimeGetVersion(&runtime), "cudaRuntimeGetVersion", device);
  Json facts = Json::object();
  facts.set("index", device)
      .set("name", info.name)
      .set("compute_capability", text("%d.%d", info.major, info.minor))
      .set("memory_bytes", info.total_bytes)
      .set("driver_cuda", version(driver))
      .set("runtime_cuda", version(runtime))
      .set("multiprocessors", attribute(cudaDevAttrMultiProcessorCount, device))
      .set("l2_bytes", attribute(cudaDevAttrL2CacheSize, device))
      .set("memory_bus_bits", attribute(cudaDevAttrGlobalMemoryBusWidth, device))
      .set("ecc", attribute(cudaDevAttrEccEnabled, device) != 0)
      .set("copy_engines", attribute(cudaDevAttrAsyncEngineCount, device))
      .set("pci", pci_address(device));
  report.set("device", facts); // before cuBLASLt is opened: that may fail
  facts.set("cublaslt", cublaslt_version());
  report.set("device", facts);
  report.print("  cuda:%d %s, compute capability %d.%d, %.1f GiB, driver for CUDA %s, runtime %s, "
               "cuBLASLt %s",
               device, info.name.c_str(), info.major, info.minor,
               static_cast<double>(info.total_bytes) / (1 << 30), version(driver).c_str(),
               version(runtime).c_str(), cublaslt_version().c_str());
  report_load(context, "start");
}

void report_load(Context& context, const char* when) {
  const Json facts = nvml_facts(pci_address(context.device));
  std::string one_line = facts.text();
  for (char& c : one_line)
    if (c == '\n' || c == '{' || c == '}' || c == '"') c = ' ';
  std::string words;
  for (const char c : one_line)
    if (c != ' ' || (!words.empty() && words.back() != ' ')) words += c;
  context.report.print("  %s: %s", when, words.empty() ? "NVML says nothing" : words.c_str());
  context.report.add("load", Json::object().set("when", when).set("is", facts));
}

} // namespace talaria::gpu_check
