#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>
#include <string>

#include "gateway/engine_metrics.hpp"

namespace talaria::gateway {

namespace {

using prometheus::MetricType;

/// Fields 3 and on of /proc/self/stat (proc(5)), behind the name, which may hold anything.
std::vector<double> process_fields() {
  std::ifstream in("/proc/self/stat");
  std::string text((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
  const std::size_t name_end = text.rfind(')');
  std::vector<double> fields;
  if (name_end == std::string::npos || name_end + 4 >= text.size()) return fields;
  std::istringstream rest(text.substr(name_end + 4)); // the state is a letter
  fields.push_back(0);
  for (double value = 0; rest >> value;) fields.push_back(value);
  return fields;
}

/// Seconds since 1970; 0: unknown.
double boot_time() {
  std::ifstream in("/proc/stat");
  for (std::string name; in >> name;) {
    double value = 0;
    if (name == "btime" && in >> value) return value;
    in.ignore(1 << 20, '\n');
  }
  return 0;
}

double open_descriptors() {
  std::error_code ignored;
  const std::filesystem::directory_iterator folder("/proc/self/fd", ignored);
  return ignored ? 0 : static_cast<double>(std::distance(begin(folder), end(folder)));
}

} // namespace

void add_process_metrics(std::vector<prometheus::MetricFamily>& out) {
  constexpr std::size_t kUserTime = 14 - 3; // counted from field 3
  constexpr std::size_t kSystemTime = 15 - 3;
  constexpr std::size_t kStart = 22 - 3;
  constexpr std::size_t kResident = 24 - 3;
  const std::vector<double> fields = process_fields();
  if (fields.size() <= kResident) return;
  const auto ticks = static_cast<double>(::sysconf(_SC_CLK_TCK));
  out.push_back(single("process_cpu_seconds_total", "CPU time of the gateway", MetricType::Counter,
                       {}, (fields[kUserTime] + fields[kSystemTime]) / ticks));
  out.push_back(single("process_resident_memory_bytes", "Memory of the gateway", MetricType::Gauge,
                       {}, fields[kResident] * static_cast<double>(::sysconf(_SC_PAGESIZE))));
  out.push_back(single("process_open_fds", "Descriptors of the gateway", MetricType::Gauge, {},
                       open_descriptors()));
  if (const double boot = boot_time(); boot > 0)
    out.push_back(single("process_start_time_seconds", "When the gateway started, since 1970",
                         MetricType::Gauge, {}, boot + fields[kStart] / ticks));
}

} // namespace talaria::gateway
