#include "planner/rates.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "core/error.hpp"

namespace talaria::planner {

namespace {

struct NamedRate {
  const char* name;
  double Rates::*member;
  double most; ///< 1 for shares
};

constexpr double kMostRate = 1e9;

constexpr NamedRate kNamedRates[] = {
    {"mask_output_ns", &Rates::mask_output_ns, kMostRate},
    {"mask_input_ns", &Rates::mask_input_ns, kMostRate},
    {"hide_prompt_ns", &Rates::hide_prompt_ns, kMostRate},
    {"hide_answer_ns", &Rates::hide_answer_ns, kMostRate},
    {"open_prompt_ns", &Rates::open_prompt_ns, kMostRate},
    {"open_answer_ns", &Rates::open_answer_ns, kMostRate},
    {"check_ns", &Rates::check_ns, kMostRate},
    {"wire_ns_per_byte", &Rates::wire_ns_per_byte, kMostRate},
    {"enclave_bytes_per_value", &Rates::enclave_bytes_per_value, kMostRate},
    {"attention_gflops", &Rates::attention_gflops, kMostRate},
    {"attention_gb_per_s", &Rates::attention_gb_per_s, kMostRate},
    {"product_us", &Rates::product_us, kMostRate},
    {"product_cpu_us", &Rates::product_cpu_us, kMostRate},
    {"limb_gops", &Rates::limb_gops, kMostRate},
    {"plain_gops", &Rates::plain_gops, kMostRate},
    {"weight_reading", &Rates::weight_reading, kMostRate},
    {"gpu_compute", &Rates::gpu_compute, 1},
    {"gpu_memory", &Rates::gpu_memory, 1},
    {"pcie", &Rates::pcie, 1},
    {"gpu_product_us", &Rates::gpu_product_us, kMostRate},
    {"link", &Rates::link, 1},
    {"busy", &Rates::busy, 1}};

constexpr const char* kWrittenBy = "talaria bench --calibrate";

[[noreturn]] void refuse(const std::string& file, const std::string& what) {
  throw Error(Errc::config,
              fmt::format("{}: {}; expected a file that {} wrote", file, what, kWrittenBy));
}

void take_rate(Rates& rates, const std::string& name, const nlohmann::json& value,
               const std::string& file) {
  const auto* found = std::find_if(std::begin(kNamedRates), std::end(kNamedRates),
                                   [&](const NamedRate& rate) { return name == rate.name; });
  if (found == std::end(kNamedRates))
    refuse(file, "rates: " + nlohmann::json(name).dump() + " is no rate of the planner");
  const double number = value.is_number() ? value.get<double>() : NAN;
  if (!(number > 0 && number <= found->most))
    throw Error(Errc::config, fmt::format("{}: rates.{}: expected a number above 0 and up to {:g}",
                                          file, name, found->most));
  rates.*found->member = number;
  rates.measured.emplace_back(found->name);
}

} // namespace

nlohmann::json rates_json(const Rates& rates) {
  nlohmann::json out;
  for (const NamedRate& rate : kNamedRates) out[rate.name] = rates.*rate.member;
  return out;
}

std::string calibration_text(const Rates& rates, const std::string& machine, double core_reads) {
  nlohmann::json values = nlohmann::json::object();
  for (const NamedRate& rate : kNamedRates)
    if (std::count(rates.measured.begin(), rates.measured.end(), rate.name) > 0)
      values[rate.name] = rates.*rate.member;
  const nlohmann::json out{{"talaria_calibration", 1},
                           {"machine", machine},
                           {"core_reads_gb_per_s", core_reads},
                           {"rates", std::move(values)}};
  return out.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + '\n';
}

Rates read_calibration(std::string_view text, const std::string& file) {
  const auto root = nlohmann::json::parse(text, nullptr, false);
  if (!root.is_object()) refuse(file, "is no JSON object");
  if (root.value("talaria_calibration", nlohmann::json()) != 1)
    refuse(file, "talaria_calibration: is not 1");
  const auto values = root.find("rates");
  if (values == root.end() || !values->is_object()) refuse(file, "rates: is no object");
  Rates rates;
  for (const auto& [name, value] : values->items()) take_rate(rates, name, value, file);
  return rates;
}

} // namespace talaria::planner
