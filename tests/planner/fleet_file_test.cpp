#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <fstream>
#include <iterator>

#include "core/error.hpp"
#include "planner/clouds.hpp"

namespace talaria {

namespace {

const std::string kEnclave =
    "enclave: { cores: 32, memory: 512GiB, memory_gb_per_s: 250, link_gbit_per_s: 200 }\n";
const std::string kLoad =
    "load: { requests_per_second: 0.5, prompt_tokens: 1000, answer_tokens: 300 }\n";

std::string workers(const std::string& more) {
  return "workers:\n  - { name: w, cores: 16, memory: 256GiB, memory_gb_per_s: 150, "
         "link_gbit_per_s: 100, round_trip_us: 60" +
         more + " }\n";
}

std::string mistakes_of(const std::string& text) {
  try {
    planner::parse_fleet(text, "machines.yaml");
  } catch (const Error& error) {
    return error.what();
  }
  return {};
}

} // namespace

BOOST_AUTO_TEST_CASE(a_file_of_machines_is_read) {
  const auto fleet = planner::parse_fleet(
      kEnclave + workers(", machines: 8, gpus: 2, gpu: h200, price_per_hour: 4.5") + kLoad,
      "m.yaml");
  BOOST_TEST(fleet.enclave.machines == 1U);
  BOOST_TEST(fleet.enclave.cores == 32U);
  BOOST_TEST(!fleet.enclave.price_per_hour.has_value());
  BOOST_REQUIRE(fleet.workers.size() == 1U);
  BOOST_TEST(fleet.workers[0].machines == 8U);
  BOOST_TEST(fleet.workers[0].gpu.memory == 141'000'000'000U);
  BOOST_TEST(fleet.workers[0].price_per_hour.value() == 4.5);
  BOOST_TEST(fleet.load.requests_per_second == 0.5);
}

BOOST_AUTO_TEST_CASE(a_gpu_may_be_given_by_its_figures) {
  const auto fleet =
      planner::parse_fleet(kEnclave +
                               workers(", gpus: 1, gpu: { int8_tops: 100, memory: 16GiB, "
                                       "memory_gb_per_s: 300, pcie_gb_per_s: 16 }") +
                               kLoad,
                           "m.yaml");
  BOOST_TEST(fleet.workers[0].gpu.int8_tops == 100);
}

BOOST_AUTO_TEST_CASE(an_instance_stands_for_what_the_file_does_not_say) {
  const auto fleet =
      planner::parse_fleet("enclave: { instance: gcp:c3-standard-176, link_gbit_per_s: 200 }\n"
                           "workers:\n  - { name: w, instance: aws:p5e.48xlarge, machines: 2, "
                           "gpus: 4, round_trip_us: 60 }\n" +
                               kLoad + "cells: 3\n",
                           "m.yaml");
  BOOST_TEST(fleet.enclave.cores == 88U);
  BOOST_TEST(fleet.enclave.link_gbit_per_s == 200);
  BOOST_TEST(!fleet.enclave.price_per_hour.has_value());
  const auto& worker = fleet.workers.at(0);
  BOOST_TEST(worker.memory == std::size_t{2048} << 30);
  BOOST_TEST(worker.gpus == 4U);
  BOOST_TEST(worker.gpu.name == "h200");
  BOOST_TEST(worker.price_per_hour.value() == 43.26);
  BOOST_TEST(fleet.machines() == 9U);
}

BOOST_AUTO_TEST_CASE(every_instance_has_its_gpu_and_a_source) {
  for (const planner::Instance& instance : planner::known_instances()) {
    BOOST_TEST(!instance.source.empty(), instance.name);
    BOOST_TEST((instance.gpus > 0) == !instance.gpu.empty(), instance.name);
    const auto& gpus = planner::known_gpus();
    BOOST_TEST((instance.gpus == 0 ||
                std::any_of(gpus.begin(), gpus.end(),
                            [&](const planner::Gpu& gpu) { return gpu.name == instance.gpu; })),
               instance.name);
    // A price says when it was one.
    BOOST_TEST((!instance.price_per_hour || instance.source.find("20") != std::string::npos),
               instance.name);
  }
}

BOOST_AUTO_TEST_CASE(the_shipped_example_is_read) {
  std::ifstream stream(TALARIA_SOURCE_DIR "/examples/plan-gpus.yaml");
  const std::string text(std::istreambuf_iterator<char>(stream), {});
  BOOST_TEST(planner::parse_fleet(text, "plan-gpus.yaml").workers[0].machines == 8U);
}

BOOST_AUTO_TEST_CASE(mistakes_are_named_with_their_places) {
  const auto names = [](const std::string& text, const std::string& part) {
    const std::string mistakes = mistakes_of(text);
    BOOST_TEST(mistakes.find(part) != mistakes.npos, mistakes);
  };
  names(kEnclave + workers(""), "load");
  names(kEnclave + workers(", gpus: 1") + kLoad, "what kind they are");
  names(kEnclave + workers(", gpu: h200") + kLoad, "how many there are");
  names(kEnclave + workers(", gpus: 1, gpu: h300") + kLoad,
        "a100-80gb, h100, h100-nvl, h200 or l40s");
  names(kEnclave + workers(", price_per_hour: -1") + kLoad, "price_per_hour");
  names(kEnclave + workers(", machines: 0") + kLoad, "machines.yaml:3");
  names(kEnclave + workers(", corse: 4") + kLoad, "corse");
  names(kEnclave + "workers: []\n" + kLoad, "at least one kind");
  names("enclave: { cores: 4 }\n" + kLoad, "enclave.memory_gb_per_s: is missing");
  names("enclave: { instance: azure:DC96as_v5 }\n" + kLoad,
        "enclave.link_gbit_per_s: is missing: nobody has published it");
  names("enclave: { instance: aws:p6 }\n" + kLoad, "aws:p5.48xlarge");
  names("cells: 60000\n" + kEnclave + workers("") + kLoad, "100000 are planned");
  names(kEnclave + workers("") +
            "load: { requests_per_second: .inf, prompt_tokens: 1, answer_tokens: 1 }\n",
        "requests_per_second");
}

} // namespace talaria
