#include "gpu_check/run.hpp"

#include <algorithm>
#include <charconv>
#include <cstring>
#include <ctime>
#include <thread>

#include "core/concat.hpp"
#include "core/error.hpp"
#include "gpu_check/equality.hpp"
#include "gpu_check/facts.hpp"
#include "gpu_check/timings.hpp"
#include "kernels/cuda/device/cublaslt.hpp"

namespace talaria::gpu_check {

namespace {

template <class Number>
Number number(const std::string& flag, const std::string& value, Number least, Number most) {
  Number parsed{};
  const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), parsed);
  if (error != std::errc() || end != value.data() + value.size() || parsed < least || parsed > most)
    throw Error(Errc::usage, concat(flag, " ", value, ": a number from ", static_cast<i64>(least),
                                    " to ", static_cast<i64>(most), " is expected"));
  return parsed;
}

std::string now() {
  const std::time_t seconds = std::time(nullptr);
  std::tm utc{};
  gmtime_r(&seconds, &utc);
  char stamp[32] = {};
  std::strftime(stamp, sizeof stamp, "%Y-%m-%dT%H:%M:%SZ", &utc);
  return stamp;
}

/// Why the device cannot be used; empty if it can.
std::string obstacle(int device) {
  try {
    const auto present = kernels::cuda::find_devices();
    const auto index = static_cast<std::size_t>(device);
    if (index >= present.size())
      return concat("no CUDA device ", device, ": this machine has ", present.size());
    if (present[index].usable()) return "";
    return concat("no CUDA device that can be used: cuda:", device, " ", present[index].name,
                  " has compute capability ", present[index].major, ".", present[index].minor,
                  ", but 8.0 (Ampere) is the least that is supported");
  } catch (const Error& error) {
    return error.what();
  }
}

void compare_everything(Context& context) {
  self_check(context);
  compare_products(context);
  compare_jobs(context);
  compare_large(context);
}

void time_everything(Context& context) {
  time_copies(context);
  time_steps(context);
  time_worker(context);
  time_hints(context);
  time_experiments(context);
}

int conclude(const Options& options, Report& report, const Budget& budget, bool lost) {
  const bool compares = options.only != "timings";
  const bool wrong = report.different() > 0 || report.failures() > 0 || lost;
  const bool incomplete = report.left_out() > 0 || (compares && report.products() == 0);
  report.begin("summary", "Summary");
  for (const std::string& line : report.highlights()) report.print("  %s", line.c_str());
  report.print("  compared %zu products with the CPU: %zu different; %zu comparisons not made; "
               "%zu failures; %.0f seconds",
               report.products(), report.different(), report.left_out(), report.failures(),
               budget.spent());
  report.set("summary", Json::object()
                            .set("products", report.products())
                            .set("different", report.different())
                            .set("comparisons_not_made", report.left_out())
                            .set("failures", report.failures())
                            .set("equal", compares && !wrong && !incomplete)
                            .set("seconds", budget.spent()));
  report.set("state", lost ? "device lost" : "complete");
  if (wrong) return kExitDifferent;
  return incomplete ? kExitIncomplete : kExitEqual;
}

} // namespace

Options parse_options(int count, const char* const* words) {
  Options options;
  for (int n = 1; n < count; n += 2) {
    const std::string flag = words[n];
    if (n + 1 == count) throw Error(Errc::usage, concat(flag, ": a value is expected behind it"));
    const std::string value = words[n + 1];
    if (flag == "--seconds")
      options.seconds = number<int>(flag, value, 1, 86400);
    else if (flag == "--device")
      options.device = number<int>(flag, value, 0, 255);
    else if (flag == "--sums-mib")
      options.sums_mib = number<std::size_t>(flag, value, 1, 4096);
    else if (flag == "--log")
      options.log = value;
    else if (flag == "--json")
      options.json = value;
    else if (flag == "--parameters")
      options.parameters = value;
    else if (flag == "--commit")
      options.commit = value;
    else if (flag == "--only" && (value == "equality" || value == "timings"))
      options.only = value;
    else
      throw Error(Errc::usage,
                  concat(flag, " ", value,
                         ": write --seconds N, --device N, --log FILE, --json FILE, --parameters "
                         "SET, --sums-mib N, --commit TEXT, --only equality or --only timings"));
  }
  return options;
}

int run(const Options& options) {
  const auto& parameters = remo::lattice_parameters(options.parameters);
  const Budget budget(options.seconds);
  Report report(options.log, options.json);
  report.set("started", now());
  report.set("commit", options.commit);
  report.set("seconds_allowed", options.seconds);
  report.set("parameters", options.parameters);
  if (const std::string why = obstacle(options.device); !why.empty()) {
    report.print("%s", why.c_str());
    report.set("state", "no device");
    report.set("why", why);
    return kExitNoDevice;
  }
  try {
    kernels::cuda::CublasLt::library();
  } catch (const Error& error) {
    report.failed("cuBLASLt", error.what());
    report.set("state", "no cuBLASLt");
    return kExitDifferent;
  }
  const bool fake = kernels::cuda::find_devices()[0].name == "fake";
  ThreadTeam team(std::clamp(std::thread::hardware_concurrency(), 1U, 64U));
  Context context{report,
                  budget,
                  team,
                  fake ? Workload::fake() : Workload::gpu(),
                  parameters,
                  options.device,
                  options.sums_mib << 20};
  bool lost = false;
  try {
    attempt(report, "facts", [&] { report_facts(context); });
    if (options.only != "timings") compare_everything(context);
    if (options.only != "equality") time_everything(context);
  } catch (const kernels::cuda::DeviceLost& error) {
    lost = true;
    report.failed("the device", error.what());
  }
  return conclude(options, report, budget, lost);
}

} // namespace talaria::gpu_check
