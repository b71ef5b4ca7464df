// The simulator against queues whose answers are known, and against the arithmetic of the planner.
#include "planner/simulation.hpp"

#include <boost/test/unit_test.hpp>
#include <cmath>

#include "core/error.hpp"
#include "model/weights/synthetic.hpp"
#include "planner/plan.hpp"
#include "planner/random.hpp"

namespace talaria {

namespace {

using planner::Arrival;
using planner::Hop;
using planner::Leg;
using planner::Owner;
using planner::Simulation;
using planner::Step;
using planner::System;

/// Machines whose steps take what a test says, whatever rows they have.
struct Bench {
  planner::ModelCosts model;
  planner::Fleet fleet;
  planner::Rates rates;
  System system;

  Bench(std::vector<planner::Resource> resources,
        void (*route)(const System&, const Step&, std::vector<Leg>&), u32 enclaves = 1) {
    model.kv_bytes = 1;
    fleet.enclave.machines = enclaves;
    system.resources = std::move(resources);
    system.route = route;
    system.model = &model;
    system.fleet = &fleet;
    system.rates = &rates;
    system.copies = system.sharers = enclaves;
    system.kv_room = 1e12;
  }
  Simulation run(double rate, std::size_t count, const planner::Batching& batching,
                 u64 seed = 1) const {
    planner::Workload load;
    load.requests_per_second = rate;
    load.prompt_tokens = load.answer_tokens = 1;
    return simulate(system, planner::poisson_arrivals(load, count, seed), batching, {seed});
  }
};

constexpr planner::Batching kOneByOne{1, 1, 1};

bool is_within(double share, double value, double expected) {
  return std::fabs(value - expected) <= share * std::fabs(expected);
}

void one_second(const System&, const Step&, std::vector<Leg>& out) {
  out.assign(1, {1, {{0, 1, 0, 1}}});
}

/// 0.2 s, 0.5 s and 0.1 s, one after the other.
void three_servers(const System&, const Step&, std::vector<Leg>& out) {
  out.assign(1, {1, {{0, 0.2, 0, 0.2}, {1, 0.5, 0, 0.5}, {2, 0.1, 0, 0.1}}});
}

/// 0.3 s while somebody waits, and 0.5 s that may be done later.
void masks_ahead(const System&, const Step&, std::vector<Leg>& out) {
  out.assign(1, {1, {{0, 0.8, 0.5, 0.3}}});
}

/// Little in the enclave, 0.25 s at a worker.
void mostly_workers(const System&, const Step&, std::vector<Leg>& out) {
  out.assign(1, {1, {{0, 0.05, 0, 0.05}, {1, 0.25, 0, 0.25}}});
}

planner::Fleet h200_fleet(u32 machines, double requests) {
  planner::Fleet fleet;
  fleet.enclave.cores = 32;
  fleet.enclave.memory = std::size_t{1} << 39;
  fleet.enclave.memory_gb_per_s = 250;
  fleet.enclave.link_gbit_per_s = 200;
  planner::WorkerMachines workers;
  workers.name = "gpu";
  workers.machines = machines;
  workers.cores = 16;
  workers.memory = std::size_t{1} << 38;
  workers.memory_gb_per_s = 150;
  workers.gpus = 1;
  workers.gpu = planner::known_gpus()[3];
  workers.link_gbit_per_s = 100;
  workers.round_trip_us = 60;
  fleet.workers = {workers};
  fleet.load = {requests, 1000, 300};
  return fleet;
}

std::unique_ptr<planner::Plan> plan_for(const planner::Fleet& fleet, const char* shape) {
  planner::PlanRequest request;
  request.model_name = shape;
  request.model = model::shape_plan(shape, 0);
  return make_plan(fleet, request);
}

} // namespace

/// Pollaczek and Khinchine: with deterministic service of one second and load r the mean wait is
/// r / 2(1 - r).
BOOST_AUTO_TEST_CASE(a_single_server_is_an_m_d_1_queue) {
  const Bench bench({{"server"}}, one_second);
  for (const double load : {0.3, 0.6, 0.8}) {
    const Simulation told = bench.run(load, 200'000, kOneByOne);
    const double wait = told.first_token.mean() - 1;
    const double came = told.resources[0].mean; // the load that the dice made
    BOOST_TEST(is_within(0.02, came, load));
    BOOST_TEST(is_within(0.03, wait, came / (2 * (1 - came))), load << ": " << wait);
    BOOST_TEST(told.keeps_up);
    BOOST_TEST(told.present.size() == 160U);
  }
}

/// A random choice among servers makes a Poisson process for each: the wait is that of one.
BOOST_AUTO_TEST_CASE(requests_are_split_at_random) {
  const Bench bench({{"server"}}, one_second, 4);
  const Simulation told = bench.run(4 * 0.6, 200'000, kOneByOne);
  const double wait = told.first_token.mean() - 1, came = told.resources[0].mean;
  BOOST_TEST(is_within(0.02, came, 0.6));
  BOOST_TEST(is_within(0.04, wait, came / (2 * (1 - came))), wait);
}

/// Behind a slower deterministic server nobody waits: the sum of the service times is added.
BOOST_AUTO_TEST_CASE(servers_in_a_row_wait_at_the_slowest) {
  const Bench bench({{"a"}, {"b"}, {"c"}}, three_servers);
  const planner::Batching many{64, 1, 64};
  // Steps of one row each, as long as requests do not meet; all rows of a step go together.
  const Simulation told = bench.run(0.4, 100'000, many);
  BOOST_TEST(told.first_token.quantile(0.01) >= 0.79);
  BOOST_TEST(told.bottleneck == "b");
}

BOOST_AUTO_TEST_CASE(a_load_that_is_too_much_gets_what_the_bottleneck_gives) {
  const Bench bench({{"a"}, {"b"}, {"c"}}, three_servers);
  const planner::Batching in_turn{1, 1, 8}; // one row at a time: nothing is shared
  planner::Batching rows = in_turn;
  rows.max_rows = 1;
  const Simulation told = bench.run(20, 5'000, rows);
  BOOST_TEST(!told.keeps_up);
  // A single request runs at a time (max_rows), so its whole way counts.
  BOOST_TEST(is_within(0.02, told.requests_per_second, 1 / 0.8), told.requests_per_second);
  const Bench shared({{"enclave"}, {"worker", Owner::worker}}, mostly_workers, 3);
  const Simulation three = shared.run(20, 5'000, {1, 1, 1});
  BOOST_TEST(is_within(0.02, three.requests_per_second, 1 / 0.25), three.requests_per_second);
  BOOST_TEST(three.bottleneck == "worker");
  BOOST_TEST(three.resources[1].mean > 0.99);
}

/// Work that may wait is hidden while there is time, and bounds what can be done when there is
/// none.
BOOST_AUTO_TEST_CASE(masks_are_made_while_nobody_waits) {
  Bench bench({{"cores", Owner::enclave, 5.0}}, masks_ahead);
  const Simulation idle = bench.run(0.05, 2'000, kOneByOne);
  BOOST_TEST(idle.first_token.quantile(0.5) < 0.31);
  BOOST_TEST(idle.mask_wait_s == 0);
  BOOST_TEST(is_within(0.05, idle.resources[0].mean, 0.05 * 0.8));
  const Simulation busy = bench.run(5, 5'000, kOneByOne);
  BOOST_TEST(is_within(0.02, busy.requests_per_second, 1 / 0.8), busy.requests_per_second);
  BOOST_TEST(busy.mask_wait_s > 0);
  // A burst that the stock covers: ten requests at once find all masks there.
  const std::vector<Arrival> burst(10);
  const Simulation told = simulate(bench.system, burst, kOneByOne, {});
  BOOST_TEST(is_within(0.02, told.first_token.most(), 10 * 0.3));
}

BOOST_AUTO_TEST_CASE(memory_for_keys_and_values_lets_few_in) {
  Bench bench({{"server"}}, one_second);
  bench.system.kv_room = 4; // two requests of two positions
  const planner::Batching wide{64, 1, 1};
  const std::vector<Arrival> requests(6);
  // The first goes alone, since it came first; then two at a time share each step of a second.
  BOOST_TEST(is_within(0.02, simulate(bench.system, requests, wide, {}).first_token.most(), 4));
  std::vector<Arrival> large{{0, 5, 1}, {0, 1, 1}};
  const Simulation told = simulate(bench.system, large, wide, {});
  BOOST_TEST(told.too_large == 1U);
  BOOST_TEST(told.requests == 1U);
}

BOOST_AUTO_TEST_CASE(equal_seeds_give_equal_figures) {
  const auto plan = plan_for(h200_fleet(2, 0.5), "llama-3.2-1b");
  planner::Batching batching;
  batching.micro_batches = 4;
  const auto requests = planner::poisson_arrivals(plan->fleet.load, 40, 3);
  const auto once = simulate(plan->confidential.system, requests, batching, {7});
  const auto again = simulate(plan->confidential.system, requests, batching, {7});
  BOOST_TEST(once.events == again.events);
  BOOST_TEST(once.first_token.mean() == again.first_token.mean());
  BOOST_TEST(once.token.mean() == again.token.mean());
  BOOST_TEST(once.resources[0].mean == again.resources[0].mean);
}

/// Alone on the machines a request takes what the arithmetic says, to the last bit of a sum.
BOOST_AUTO_TEST_CASE(a_request_alone_takes_the_latency_of_its_steps) {
  for (const u32 machines : {1U, 3U}) {
    const auto plan = plan_for(h200_fleet(machines, 0.1), "llama-3-8b");
    for (const auto outcome :
         {&planner::Plan::confidential, &planner::Plan::clear, &planner::Plan::alone}) {
      const System& system = ((*plan).*outcome).system;
      planner::Batching batching;
      batching.micro_batches = 2;
      const auto told = simulate(system, {{0, 100, 2}}, batching, {});
      const Step prompt = planner::prompt_step(100, 50.5, 100, 1);
      BOOST_TEST(is_within(1e-9, told.first_token.mean(), system.cost(prompt).latency),
                 system.name << ' ' << told.first_token.mean());
      const Step token = planner::decode_step(1, 101);
      BOOST_TEST(is_within(1e-9, told.token.mean(), system.cost(token).latency), system.name);
    }
  }
}

/// What the arithmetic calls capacity keeps a fifth free; the simulation agrees that half of it is
/// easy and one and a half times is too much, and which resource it is.
BOOST_AUTO_TEST_CASE(it_agrees_with_the_arithmetic_about_capacity) {
  const double capacity =
      plan_for(h200_fleet(4, 0.1), "llama-3-8b")->confidential.prediction.capacity;
  for (const double load : {0.5, 1.5}) {
    const auto plan = plan_for(h200_fleet(4, load * capacity), "llama-3-8b");
    simulate_plan(*plan, planner::poisson_arrivals(plan->fleet.load, 600, 5), "600 requests", {});
    const Simulation& told = *plan->confidential.simulation;
    BOOST_TEST(told.keeps_up == (load < 1), load);
    BOOST_TEST(told.bottleneck == "enclave cores");
    if (load > 1) continue;
    BOOST_TEST(is_within(0.25, told.token.mean(), plan->confidential.prediction.token_s),
               told.token.mean() << ' ' << plan->confidential.prediction.token_s);
    BOOST_TEST(is_within(0.15, told.resources[0].mean, plan->confidential.prediction.busy[0]));
  }
}

BOOST_AUTO_TEST_CASE(ten_thousand_machines_are_simulated) {
  planner::Fleet fleet = h200_fleet(8, 200);
  fleet.cells = 1000;
  fleet.enclave.machines = 2;
  fleet.load.prompt_tokens = 200;
  fleet.load.answer_tokens = 10;
  const auto plan = plan_for(fleet, "llama-3.2-1b");
  const auto requests = planner::poisson_arrivals(fleet.load, 6000, 1);
  simulate_plan(*plan, requests, "6000 requests", {});
  const Simulation& told = *plan->confidential.simulation;
  BOOST_TEST(told.machines == 10'000U);
  BOOST_TEST(told.requests == 4800U); // all but the first fifth
  BOOST_TEST(told.keeps_up);
  BOOST_TEST(told.events < 10'000'000U);
}

BOOST_AUTO_TEST_CASE(machines_without_a_matrix_are_refused) {
  const auto plan = plan_for(h200_fleet(200, 0.1), "llama-3-8b");
  planner::Batching batching;
  batching.micro_batches = 1;
  BOOST_CHECK_EXCEPTION(simulate(plan->confidential.system, {{0, 1, 1}}, batching, {}), Error,
                        [](const Error& error) {
                          return std::string(error.what()).find("200 machines for 129 matrices") !=
                                 std::string::npos;
                        });
}

} // namespace talaria
