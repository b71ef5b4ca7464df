#include "planner/fleet.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "config/fields.hpp"
#include "config/scalars.hpp"
#include "core/error.hpp"
#include "planner/clouds.hpp"

namespace talaria::planner {

namespace {

using config::Field;
using config::Presence;
using config::Value;

constexpr u32 kMaxMachines = 100'000;
constexpr double kMaxAmount = 1e9;

/// A number from `low` up to a thousand million; 0 only if `low` is 0.
template <class Number>
config::ReadValue amount_in(Number& out, double low) {
  return [&out, low](const Value& value) {
    const std::string expected = low > 0 ? "a number above 0" : "a number from 0";
    const auto text = config::scalar_text(value, expected);
    if (!text) return;
    const auto number = value.node.is_quoted ? std::nullopt : config::parse_real(*text);
    if (number && *number >= low && *number <= kMaxAmount)
      out = *number;
    else
      value.expected(expected);
  };
}

constexpr double kAboveZero = 1e-9;

config::ReadValue gpu_in(Gpu& out) {
  return [&out](const Value& value) {
    if (value.node.kind == config::YamlNode::Kind::mapping) {
      out.name = "given";
      config::read_mapping(
          value,
          {{"int8_tops", amount_in(out.int8_tops, kAboveZero), Presence::required},
           {"memory", config::bytes_in(out.memory), Presence::required},
           {"memory_gb_per_s", amount_in(out.memory_gb_per_s, kAboveZero), Presence::required},
           {"pcie_gb_per_s", amount_in(out.pcie_gb_per_s, kAboveZero), Presence::required}});
      return;
    }
    std::vector<std::string_view> names;
    for (const Gpu& gpu : known_gpus()) names.push_back(gpu.name);
    const std::string expected =
        config::listed(names) + ", or { int8_tops, memory, memory_gb_per_s, pcie_gb_per_s }";
    const auto text = config::scalar_text(value, expected);
    if (!text) return;
    const auto found = std::find_if(known_gpus().begin(), known_gpus().end(),
                                    [&](const Gpu& gpu) { return gpu.name == *text; });
    if (found == known_gpus().end()) return value.expected(expected);
    out = *found;
  };
}

config::ReadValue instance_in(std::string& out) {
  return [&out](const Value& value) {
    std::vector<std::string_view> names;
    for (const Instance& instance : known_instances()) names.push_back(instance.name);
    config::one_of(out, names)(value);
  };
}

/// What `instance` says of a machine and the file does not.
template <class Machines>
void take_instance(Machines& out) {
  const Instance* instance = find_instance(out.instance);
  if (instance == nullptr) return;
  if (out.cores == 0) out.cores = instance->vcpus / 2;
  if (out.memory == 0) out.memory = static_cast<std::size_t>(instance->memory_gib * 0x1p30);
  if (out.memory_gb_per_s == 0) out.memory_gb_per_s = instance->memory_gb_per_s;
  if (out.link_gbit_per_s == 0) out.link_gbit_per_s = instance->link_gbit_per_s;
  if (!out.price_per_hour) out.price_per_hour = instance->price_per_hour;
}

/// Every machine has these, from the file or from its instance.
template <class Machines>
void require_figures(const Value& value, const Machines& out) {
  const auto require = [&](const char* key, double amount) {
    if (amount == 0)
      value.problems.add(value.at, value.key + "." + key,
                         out.instance.empty()
                             ? "is missing; expected it, or instance: a name that stands for it"
                             : "is missing: nobody has published it for " + out.instance);
  };
  require("cores", out.cores);
  require("memory", static_cast<double>(out.memory));
  require("memory_gb_per_s", out.memory_gb_per_s);
  require("link_gbit_per_s", out.link_gbit_per_s);
}

config::ReadValue enclave_in(EnclaveMachines& out) {
  return [&out](const Value& value) {
    std::string simd;
    config::read_mapping(value, {{"instance", instance_in(out.instance)},
                                 {"machines", config::whole_in(out.machines, 1, kMaxMachines)},
                                 {"cores", config::whole_in(out.cores, 1, 4096)},
                                 {"memory", config::bytes_in(out.memory)},
                                 {"memory_gb_per_s", amount_in(out.memory_gb_per_s, kAboveZero)},
                                 {"link_gbit_per_s", amount_in(out.link_gbit_per_s, kAboveZero)},
                                 {"simd", config::one_of(simd, {"avx512", "avx2"})},
                                 {"price_per_hour", amount_in(out.price_per_hour, 0)}});
    if (value.node.kind != config::YamlNode::Kind::mapping) return;
    if (const Instance* instance = find_instance(out.instance)) out.simd = instance->simd;
    if (!simd.empty()) out.simd = simd == "avx2" ? Simd::avx2 : Simd::avx512;
    take_instance(out);
    require_figures(value, out);
  };
}

void check_gpus(const Value& value, WorkerMachines& out) {
  const Instance* instance = find_instance(out.instance);
  if (instance != nullptr && out.gpus == 0) out.gpus = instance->gpus;
  if (instance != nullptr && out.gpu.int8_tops == 0 && !instance->gpu.empty())
    out.gpu = *std::find_if(known_gpus().begin(), known_gpus().end(),
                            [&](const Gpu& gpu) { return gpu.name == instance->gpu; });
  if (out.gpus > 0 && out.gpu.int8_tops == 0)
    value.refuse("has gpus; expected gpu: what kind they are");
  if (out.gpus == 0 && out.gpu.int8_tops > 0)
    value.refuse("names a gpu; expected gpus: how many there are");
}

void read_worker(const Value& value, WorkerMachines& out) {
  config::read_mapping(value,
                       {{"name",
                         config::text_in(out.name, config::is_node_name,
                                         "1 to 64 letters, digits, '-', '_' and '.'"),
                         Presence::required},
                        {"instance", instance_in(out.instance)},
                        {"machines", config::whole_in(out.machines, 1, kMaxMachines)},
                        {"cores", config::whole_in(out.cores, 1, 4096)},
                        {"memory", config::bytes_in(out.memory)},
                        {"memory_gb_per_s", amount_in(out.memory_gb_per_s, kAboveZero)},
                        {"gpus", config::whole_in(out.gpus, 0, 64)},
                        {"gpu", gpu_in(out.gpu)},
                        {"link_gbit_per_s", amount_in(out.link_gbit_per_s, kAboveZero)},
                        {"round_trip_us", amount_in(out.round_trip_us, 0), Presence::required},
                        {"price_per_hour", amount_in(out.price_per_hour, 0)}});
  if (value.node.kind != config::YamlNode::Kind::mapping) return;
  take_instance(out);
  require_figures(value, out);
  check_gpus(value, out);
}

config::ReadValue workers_in(std::vector<WorkerMachines>& out) {
  return [&out](const Value& value) {
    for (const Value& item : config::list_items(value)) read_worker(item, out.emplace_back());
    if (value.node.kind == config::YamlNode::Kind::sequence && out.empty())
      value.refuse("is empty; expected at least one kind of machines, or no key `workers` for "
                   "embedded workers");
  };
}

config::ReadValue load_in(Workload& out) {
  return [&out](const Value& value) {
    config::read_mapping(
        value,
        {{"requests_per_second", amount_in(out.requests_per_second, kAboveZero),
          Presence::required},
         {"prompt_tokens", config::whole_in(out.prompt_tokens, 1, 10'000'000), Presence::required},
         {"answer_tokens", config::whole_in(out.answer_tokens, 1, 10'000'000),
          Presence::required}});
  };
}

} // namespace

const std::vector<Gpu>& known_gpus() {
  constexpr std::size_t kGB = 1'000'000'000;
  static const std::vector<Gpu> kGpus{{"a100-80gb", 624, 80 * kGB, 2039, 32},
                                      {"h100", 1979, 80 * kGB, 3350, 64},
                                      {"h100-nvl", 1671, 94 * kGB, 3938, 64},
                                      {"h200", 1979, 141 * kGB, 4800, 64},
                                      {"l40s", 733, 48 * kGB, 864, 32}};
  return kGpus;
}

u64 Fleet::machines() const {
  u64 of_cell = enclave.machines;
  for (const WorkerMachines& group : workers) of_cell += group.machines;
  return of_cell * cells;
}

Fleet parse_fleet(std::string_view text, const std::filesystem::path& file) {
  config::Problems problems(file);
  const config::YamlNode root = config::parse_yaml(text, file);
  Fleet fleet;
  config::read_mapping({root, "", {1, 1}, problems},
                       {{"cells", config::whole_in(fleet.cells, 1, kMaxMachines)},
                        {"enclave", enclave_in(fleet.enclave), Presence::required},
                        {"workers", workers_in(fleet.workers)},
                        {"load", load_in(fleet.load), Presence::required}});
  problems.throw_if_any();
  if (fleet.machines() > kMaxMachines)
    throw Error(Errc::config,
                fmt::format("{}: {} cells make {} machines; at most {} are planned", file.string(),
                            fleet.cells, fleet.machines(), kMaxMachines));
  return fleet;
}

} // namespace talaria::planner
