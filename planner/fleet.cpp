#include "planner/fleet.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "config/fields.hpp"
#include "config/scalars.hpp"

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

config::ReadValue enclave_in(EnclaveMachines& out) {
  return [&out](const Value& value) {
    config::read_mapping(
        value, {{"machines", config::whole_in(out.machines, 1, kMaxMachines)},
                {"cores", config::whole_in(out.cores, 1, 4096), Presence::required},
                {"memory", config::bytes_in(out.memory), Presence::required},
                {"memory_gb_per_s", amount_in(out.memory_gb_per_s, kAboveZero), Presence::required},
                {"link_gbit_per_s", amount_in(out.link_gbit_per_s, kAboveZero), Presence::required},
                {"price_per_hour", amount_in(out.price_per_hour, 0)}});
  };
}

void read_worker(const Value& value, WorkerMachines& out) {
  config::read_mapping(
      value, {{"name",
               config::text_in(out.name, config::is_node_name,
                               "1 to 64 letters, digits, '-', '_' and '.'"),
               Presence::required},
              {"machines", config::whole_in(out.machines, 1, kMaxMachines)},
              {"cores", config::whole_in(out.cores, 1, 4096), Presence::required},
              {"memory", config::bytes_in(out.memory), Presence::required},
              {"memory_gb_per_s", amount_in(out.memory_gb_per_s, kAboveZero), Presence::required},
              {"gpus", config::whole_in(out.gpus, 0, 64)},
              {"gpu", gpu_in(out.gpu)},
              {"link_gbit_per_s", amount_in(out.link_gbit_per_s, kAboveZero), Presence::required},
              {"round_trip_us", amount_in(out.round_trip_us, 0), Presence::required},
              {"price_per_hour", amount_in(out.price_per_hour, 0)}});
  if (out.gpus > 0 && out.gpu.int8_tops == 0)
    value.refuse("has gpus; expected gpu: what kind they are");
  if (out.gpus == 0 && out.gpu.int8_tops > 0)
    value.refuse("names a gpu; expected gpus: how many there are");
}

config::ReadValue workers_in(std::vector<WorkerMachines>& out) {
  return [&out](const Value& value) {
    for (const Value& item : config::list_items(value)) read_worker(item, out.emplace_back());
    if (value.node.kind == config::YamlNode::Kind::sequence && out.empty())
      value.refuse("is empty; expected at least one kind of machines");
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
                                      {"h200", 1979, 141 * kGB, 4800, 64},
                                      {"l40s", 733, 48 * kGB, 864, 32}};
  return kGpus;
}

Fleet parse_fleet(std::string_view text, const std::filesystem::path& file) {
  config::Problems problems(file);
  const config::YamlNode root = config::parse_yaml(text, file);
  Fleet fleet;
  config::read_mapping({root, "", {1, 1}, problems},
                       {{"enclave", enclave_in(fleet.enclave), Presence::required},
                        {"workers", workers_in(fleet.workers), Presence::required},
                        {"load", load_in(fleet.load), Presence::required}});
  problems.throw_if_any();
  return fleet;
}

} // namespace talaria::planner
