// Figures that can be checked by hand, and what must hold whatever the figures are.
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <memory>

#include "model/weights/synthetic.hpp"
#include "planner/plan.hpp"

namespace talaria {

namespace {

using planner::Plan;
using PlanPtr = std::unique_ptr<Plan>;

planner::Fleet fleet_of(u32 machines, double requests) {
  planner::Fleet fleet;
  fleet.enclave.cores = 32;
  fleet.enclave.memory = std::size_t{1} << 40;
  fleet.enclave.memory_gb_per_s = 250;
  fleet.enclave.link_gbit_per_s = 200;
  fleet.enclave.price_per_hour = 3;
  planner::WorkerMachines workers;
  workers.name = "gpu";
  workers.machines = machines;
  workers.cores = 16;
  workers.memory = std::size_t{1} << 38;
  workers.memory_gb_per_s = 150;
  workers.gpus = 1;
  workers.gpu = planner::known_gpus()[2];
  workers.link_gbit_per_s = 100;
  workers.round_trip_us = 60;
  workers.price_per_hour = 4;
  fleet.workers = {workers};
  fleet.load = {requests, 1000, 300};
  return fleet;
}

PlanPtr plan_of(const planner::Fleet& fleet, const char* shape = "llama-3-8b") {
  planner::PlanRequest request;
  request.model_name = shape;
  request.model = model::shape_plan(shape, 0);
  return make_plan(fleet, request);
}

} // namespace

/// docs/protocol.md and the tables of docs/performance.md: 13.5 KiB of hint for each column of S48.
BOOST_AUTO_TEST_CASE(sums_of_an_8b_model_are_those_of_its_matrices) {
  const auto costs = planner::model_costs(model::shape_plan("llama-3-8b", 0),
                                          remo::lattice_parameters("S48"), "bf16");
  const double layer_out = (4096 + 2 * 1024) + 4096 + 2 * 14336 + 4096;
  const double layer_in = 4096 + 4096 + 4096 + 14336;
  BOOST_TEST(costs.all().outputs == 32 * layer_out + 128256);
  BOOST_TEST(costs.all().inputs == 32 * layer_in + 4096);
  BOOST_TEST(costs.all().products == 32.0 * 4 + 1);
  // A prompt's rows stop in the last layer, whose first matrix alone they need.
  BOOST_TEST(costs.body.outputs == 31 * layer_out + 4096 + 2 * 1024);
  BOOST_TEST(costs.body.products == 31.0 * 4 + 1);
  BOOST_TEST(costs.prompt_attention_ops == 31.0 * 4 * 4096);
  BOOST_TEST(costs.head.outputs == 128256.0);
  BOOST_TEST(costs.hint_bytes == (32 * layer_out + 128256) * 2304 * 6);
  BOOST_TEST(costs.kv_bytes == 32.0 * 2 * 8 * 128 * 2);
  BOOST_TEST(costs.attention_ops == 32.0 * 4 * 4096);
}

/// One row with nothing else to do: 129 exchanges of 60 + 130 + 20 us, and reading 7.5 GB of
/// weights once.
BOOST_AUTO_TEST_CASE(a_single_answer_waits_for_exchanges_and_weights) {
  const auto made = plan_of(fleet_of(1, 1e-4));
  const Plan& plan = *made;
  const auto& told = plan.confidential.prediction;
  BOOST_TEST(told.sustains);
  BOOST_TEST(told.sequences == 1);
  const double exchanges = 129 * 210e-6, weights = plan.costs.all().weights / (4800e9 * 0.8);
  BOOST_TEST(told.token_s > exchanges + weights);
  BOOST_TEST(told.token_s < 1.25 * (exchanges + weights));
}

BOOST_AUTO_TEST_CASE(the_placement_has_every_layer_once) {
  const auto made = plan_of(fleet_of(8, 1));
  const Plan& plan = *made;
  BOOST_REQUIRE(plan.placement.size() == 8U);
  double weights = 0;
  for (const auto& part : plan.placement) weights += part.weight_bytes;
  BOOST_TEST(weights == plan.costs.all().weights);
  BOOST_TEST(plan.placement.front().layers == "0-3");
  BOOST_TEST(plan.placement.back().layers == "28-31");
}

BOOST_AUTO_TEST_CASE(more_machines_never_make_it_worse) {
  const auto capacity = [](auto change) {
    planner::Fleet fleet = fleet_of(2, 0.5);
    change(fleet);
    return plan_of(fleet)->confidential.prediction.capacity;
  };
  const double before = capacity([](planner::Fleet&) {});
  BOOST_TEST(before > 0);
  BOOST_TEST(capacity([](planner::Fleet& f) { f.enclave.cores *= 2; }) >= before);
  BOOST_TEST(capacity([](planner::Fleet& f) { f.enclave.machines *= 2; }) >= before);
  BOOST_TEST(capacity([](planner::Fleet& f) { f.workers[0].link_gbit_per_s *= 2; }) >= before);
  BOOST_TEST(capacity([](planner::Fleet& f) { f.workers[0].round_trip_us = 0; }) >= before);
  BOOST_TEST(capacity([](planner::Fleet& f) { f.enclave.cores = 1; }) < before);
}

/// Machines of one kind are the same whether they stand in one entry or in several.
BOOST_AUTO_TEST_CASE(a_kind_of_machines_may_be_written_in_parts) {
  const auto whole = plan_of(fleet_of(4, 0.5));
  planner::Fleet parted = fleet_of(1, 0.5);
  parted.workers.push_back(parted.workers.front());
  parted.workers.back().machines = 3;
  parted.workers.back().name = "more";
  const auto parts = plan_of(parted);
  const auto is_near = [](double a, double b) { return std::fabs(a - b) < 1e-9 * b; };
  for (const auto outcome : {&Plan::confidential, &Plan::clear}) {
    const auto &a = ((*whole).*outcome).prediction, &b = ((*parts).*outcome).prediction;
    BOOST_TEST(is_near(a.capacity, b.capacity));
    BOOST_TEST(is_near(a.token_s, b.token_s));
    BOOST_TEST(is_near(a.first_token_s, b.first_token_s));
  }
}

BOOST_AUTO_TEST_CASE(clear_on_the_same_gpus_is_never_slower) {
  for (const char* shape : {"llama-3.2-1b", "llama-3-8b", "llama-3-70b"}) {
    const auto made = plan_of(fleet_of(2, 0.1), shape);
    const Plan& plan = *made;
    BOOST_TEST(plan.clear.prediction.capacity > plan.confidential.prediction.capacity);
  }
}

BOOST_AUTO_TEST_CASE(a_load_beyond_capacity_is_not_sustained) {
  const double capacity = plan_of(fleet_of(2, 0.1))->confidential.prediction.capacity;
  BOOST_TEST(plan_of(fleet_of(2, capacity * 0.98))->confidential.prediction.sustains);
  BOOST_TEST(!plan_of(fleet_of(2, capacity * 1.02))->confidential.prediction.sustains);
}

BOOST_AUTO_TEST_CASE(it_says_when_outsourcing_does_not_pay) {
  // A load that the enclave sustains alone.
  BOOST_TEST(!plan_of(fleet_of(8, 0.001))->pays);
  // Workers that cost a fortune.
  planner::Fleet dear = fleet_of(2, 0.5);
  dear.workers[0].price_per_hour = 10000;
  BOOST_TEST(!plan_of(dear)->pays);
  // A model that does not fit into the enclave, whose hints do.
  planner::Fleet fleet = fleet_of(1, 0.01);
  fleet.enclave.memory = std::size_t{16} << 30;
  const auto small = plan_of(fleet);
  BOOST_TEST(!small->pays); // 16 GiB are too little for hints of 25 GB
  BOOST_TEST(!small->confidential.system.impossible.empty());
  BOOST_TEST(small->verdict.front().find("not possible") != std::string::npos);
}

/// Cells share nothing: ten of them do ten times as much, at ten times the price.
BOOST_AUTO_TEST_CASE(cells_multiply) {
  const auto one = plan_of(fleet_of(2, 0.1));
  planner::Fleet ten = fleet_of(2, 1);
  ten.cells = 10;
  const auto many = plan_of(ten);
  for (const auto outcome : {&Plan::confidential, &Plan::clear, &Plan::alone}) {
    const auto &a = (*one).*outcome, &b = (*many).*outcome;
    BOOST_TEST(std::fabs(b.prediction.capacity - 10 * a.prediction.capacity) <
               1e-6 * b.prediction.capacity);
    BOOST_TEST(a.prediction.token_s == b.prediction.token_s);
    BOOST_TEST(b.system.price_per_hour == 10 * a.system.price_per_hour);
  }
}

/// Without workers the enclave makes the products itself: each limb of each weight, on its cores.
BOOST_AUTO_TEST_CASE(an_embedded_worker_takes_the_enclaves_cores) {
  planner::Fleet fleet = fleet_of(1, 1e-4);
  fleet.workers.clear();
  const auto plan = plan_of(fleet);
  const auto& told = plan->confidential.prediction;
  const double rate = 610e9 * 32 / (2 * 6 * plan->costs.body.weights); // tokens/s of products alone
  BOOST_TEST(told.prompt_tokens_per_s < rate);
  BOOST_TEST(told.prompt_tokens_per_s > 0.7 * rate);
  BOOST_TEST(told.token_s > plan->costs.all().weights / 250e9); // the weights are read once
  BOOST_TEST(plan->placement.empty());
  BOOST_TEST(!plan->clear.system.impossible.empty());
}

BOOST_AUTO_TEST_CASE(without_avx512_an_enclave_does_a_third) {
  planner::Fleet fleet = fleet_of(8, 0.1);
  const double fast = plan_of(fleet)->confidential.prediction.prompt_tokens_per_s;
  fleet.enclave.simd = planner::Simd::avx2;
  const double slow = plan_of(fleet)->confidential.prediction.prompt_tokens_per_s;
  BOOST_TEST(slow < 0.6 * fast); // what passes the wire costs the same
  BOOST_TEST(slow > fast / 3);
}

BOOST_AUTO_TEST_CASE(json_and_text_tell_the_same) {
  const auto made = plan_of(fleet_of(8, 1));
  const Plan& plan = *made;
  const auto json = to_json(plan);
  BOOST_TEST(json["changes"].size() == 3U);
  BOOST_TEST(json["placement"].size() == 8U);
  BOOST_TEST(json["confidential"]["requests_per_second_max"] ==
             plan.confidential.prediction.capacity);
  BOOST_TEST(json["assumptions"]["limb_gops"] == 610);
  const std::string text = to_text(plan);
  for (const std::string& sentence : plan.verdict) BOOST_TEST(text.find(sentence) != text.npos);
}

} // namespace talaria
