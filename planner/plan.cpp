#include "planner/plan.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace talaria::planner {

namespace {

constexpr double kTwice = 2;
constexpr double kMaskRows = 1280;
constexpr double kSecondsOfHour = 3600, kMillion = 1e6;

/// Layers in turn, each machine taking what its share of the weights reaches.
std::vector<PlacementPart> placement_of(const System& system) {
  if (system.fleet->workers.empty()) return {};
  const Fleet& fleet = *system.fleet;
  const ModelCosts& model = *system.model;
  const auto layers = model.layers.size();
  std::vector<PlacementPart> parts;
  double reached = 0;
  std::size_t first = 0, machine = 0;
  for (const WorkerMachines& group : fleet.workers)
    for (u32 i = 0; i < group.machines; ++i, ++machine) {
      reached += system.shares[machine];
      const bool is_last = machine + 1 == system.shares.size();
      const std::size_t end =
          is_last ? layers
                  : std::min(layers, static_cast<std::size_t>(
                                         std::lround(reached * static_cast<double>(layers))));
      PlacementPart part;
      part.name = group.machines > 1 ? fmt::format("{}-{}", group.name, i + 1) : group.name;
      part.layers = first == end ? "none" : fmt::format("{}-{}", first, end - 1);
      for (std::size_t layer = first; layer < end; ++layer)
        part.weight_bytes += model.layers[layer].weights;
      if (is_last) part.weight_bytes += model.head.weights;
      part.memory_bytes = group.gpus == 0 ? static_cast<double>(group.memory)
                                          : group.gpus * static_cast<double>(group.gpu.memory);
      parts.push_back(std::move(part));
      first = end;
    }
  return parts;
}

struct Candidate {
  std::string what;
  Fleet fleet;
  std::string kv_format;
};

std::vector<Candidate> candidates(const Fleet& fleet, const PlanRequest& request) {
  std::vector<Candidate> all;
  const auto add = [&](std::string what, auto change) {
    Candidate candidate{std::move(what), fleet, request.kv_format};
    change(candidate);
    all.push_back(std::move(candidate));
  };
  add("twice the enclave's cores", [](Candidate& c) { c.fleet.enclave.cores *= 2; });
  add("twice the enclave's memory bandwidth",
      [](Candidate& c) { c.fleet.enclave.memory_gb_per_s *= kTwice; });
  add("twice the enclave's memory", [](Candidate& c) { c.fleet.enclave.memory *= 2; });
  add("twice as many enclaves", [](Candidate& c) { c.fleet.enclave.machines *= 2; });
  add("links of twice the bandwidth", [](Candidate& c) {
    c.fleet.enclave.link_gbit_per_s *= kTwice;
    for (WorkerMachines& group : c.fleet.workers) group.link_gbit_per_s *= kTwice;
  });
  add("round trips of half the time", [](Candidate& c) {
    for (WorkerMachines& group : c.fleet.workers) group.round_trip_us /= kTwice;
  });
  add("twice as many workers", [](Candidate& c) {
    for (WorkerMachines& group : c.fleet.workers) group.machines *= 2;
  });
  if (request.kv_format != "int8")
    add("keys and values in int8", [](Candidate& c) { c.kv_format = "int8"; });
  return all;
}

std::vector<Change> best_changes(const Plan& plan, const PlanRequest& request,
                                 const remo::LatticeParameters& parameters) {
  std::vector<Change> changes;
  for (const Candidate& candidate : candidates(plan.fleet, request)) {
    const ModelCosts costs = model_costs(request.model, parameters, candidate.kv_format);
    const Prediction after =
        predict(confidential_system(candidate.fleet, costs, plan.rates, request.batching.max_rows),
                candidate.fleet.load, request.batching);
    changes.push_back(
        {candidate.what, after.capacity, after.sustains, after.token_s, after.first_token_s});
  }
  std::stable_sort(changes.begin(), changes.end(), [](const Change& a, const Change& b) {
    // To a hundredth alike in capacity: the faster token decides.
    if (std::fabs(a.capacity - b.capacity) > 0.01 * std::max(a.capacity, b.capacity))
      return a.capacity > b.capacity;
    return a.token_s < b.token_s;
  });
  changes.resize(std::min<std::size_t>(changes.size(), 3));
  return changes;
}

std::string times(double ratio) {
  return ratio < 10 ? fmt::format("{:.2g} times", ratio) : fmt::format("{:.0f} times", ratio);
}

void judge_against_alone(Plan& plan) {
  const Prediction& ours = plan.confidential.prediction;
  const Prediction& alone = plan.alone.prediction;
  if (!plan.alone.system.impossible.empty()) {
    plan.pays = true;
    plan.verdict.push_back(
        "The enclave alone cannot serve this model: " + plan.alone.system.impossible + ".");
    return;
  }
  plan.pays = ours.capacity > alone.capacity;
  plan.verdict.push_back(fmt::format("With the workers the same enclaves serve {} what they serve "
                                     "alone ({:.3g} against {:.3g} requests/s).",
                                     times(ours.capacity / alone.capacity), ours.capacity,
                                     alone.capacity));
  if (!plan.confidential.system.has_price || !plan.alone.system.has_price) {
    plan.verdict.push_back("Without prices of all machines nothing can be said about cost.");
    return;
  }
  const double cost = cost_per_million(plan.confidential, plan.fleet.load);
  const double alone_cost = cost_per_million(plan.alone, plan.fleet.load);
  plan.pays = plan.pays && cost < alone_cost;
  plan.verdict.push_back(
      fmt::format("A million tokens of answers cost {} what they cost in the enclave alone.",
                  times(cost / alone_cost)));
}

void judge(Plan& plan) {
  const System& system = plan.confidential.system;
  if (!system.impossible.empty()) {
    plan.verdict.push_back("Confidential outsourcing is not possible here: " + system.impossible +
                           ".");
    return;
  }
  judge_against_alone(plan);
  const Prediction& alone = plan.alone.prediction;
  if (!plan.pays) {
    plan.verdict.push_back(
        "Confidential outsourcing does not pay here: more enclave machines without "
        "workers are the better buy.");
  } else if (alone.sustains && plan.alone.system.impossible.empty()) {
    plan.pays = false;
    plan.verdict.push_back("Confidential outsourcing does not pay for this load: the enclave alone "
                           "sustains it. It begins to pay beyond that.");
  }
  if (plan.pays) plan.verdict.push_back("Confidential outsourcing pays here.");
  const double overhead = plan.clear.prediction.capacity / plan.confidential.prediction.capacity;
  if (plan.clear.system.impossible.empty())
    plan.verdict.push_back(fmt::format(
        "The same workers in clear, which see every prompt, serve {} as much.", times(overhead)));
}

void add_traffic(Plan& plan) {
  const Workload& load = plan.fleet.load;
  const MatrixSums all = plan.costs.all(), &body = plan.costs.body;
  const double inputs = load.prompt_tokens * body.inputs + load.answer_tokens * all.inputs;
  const double outputs = load.prompt_tokens * body.outputs + load.answer_tokens * all.outputs;
  plan.up_bytes = load.requests_per_second * inputs * plan.costs.word_bytes;
  plan.down_bytes = load.requests_per_second * outputs * plan.costs.word_bytes;
  if (!plan.confidential.prediction.busy.empty())
    plan.enclave_cores = plan.confidential.prediction.busy.front() * plan.fleet.enclave.cores *
                         plan.fleet.cells * plan.fleet.enclave.machines;
}

/// What an enclave without AVX-512 takes longer for (docs/performance.md, "Kernels, one core"),
/// unless it was measured.
Rates rates_on(Rates rates, Simd simd) {
  constexpr double kSlower = 3;
  if (simd == Simd::avx512 || !rates.measured.empty()) return rates;
  for (double* ns :
       {&rates.mask_output_ns, &rates.mask_input_ns, &rates.hide_prompt_ns, &rates.hide_answer_ns,
        &rates.open_prompt_ns, &rates.open_answer_ns, &rates.check_ns})
    *ns *= kSlower;
  for (double* speed : {&rates.attention_gflops, &rates.limb_gops, &rates.plain_gops})
    *speed /= kSlower;
  return rates;
}

} // namespace

double cost_per_million(const Outcome& outcome, const Workload& load) {
  return outcome.system.price_per_hour / kSecondsOfHour /
         (outcome.prediction.capacity * load.answer_tokens) * kMillion;
}

std::unique_ptr<Plan> make_plan(const Fleet& fleet, const PlanRequest& request) {
  const remo::LatticeParameters& parameters = remo::lattice_parameters(request.parameters);
  auto made = std::make_unique<Plan>();
  Plan& plan = *made;
  plan.model_name = request.model_name;
  plan.fleet = fleet;
  plan.costs = model_costs(request.model, parameters, request.kv_format);
  plan.rates = rates_on(request.rates, fleet.enclave.simd);
  plan.batching = request.batching;
  const auto outcome = [&](System (*make)(const Fleet&, const ModelCosts&, const Rates&, u32)) {
    Outcome out;
    out.system = make(plan.fleet, plan.costs, plan.rates, request.batching.max_rows);
    out.prediction = predict(out.system, plan.fleet.load, request.batching);
    return out;
  };
  plan.confidential = outcome(confidential_system);
  plan.clear = outcome(clear_system);
  plan.alone = outcome(alone_system);
  plan.placement = placement_of(plan.confidential.system);
  const MatrixSums all = plan.costs.all();
  plan.mask_bytes = kMaskRows * (all.inputs + all.outputs) * plan.costs.word_bytes;
  add_traffic(plan);
  if (plan.confidential.system.impossible.empty())
    plan.changes = best_changes(plan, request, parameters);
  judge(plan);
  return made;
}

void simulate_plan(Plan& plan, const std::vector<Arrival>& requests, std::string from,
                   const SimulationOptions& options) {
  plan.requests_from = std::move(from);
  for (Outcome* outcome : {&plan.confidential, &plan.clear, &plan.alone}) {
    if (!outcome->system.impossible.empty()) continue;
    Batching batching = plan.batching;
    if (batching.micro_batches == 0) batching.micro_batches = outcome->prediction.micro_batches;
    outcome->simulation = simulate(outcome->system, requests, batching, options);
  }
}

std::vector<SweepPoint> sweep(const Plan& plan, u32 points) {
  constexpr double kJustBelow = 0.999;
  double most = 0;
  for (const Outcome* outcome : {&plan.confidential, &plan.clear, &plan.alone})
    most = std::max(most, outcome->prediction.capacity);
  std::vector<SweepPoint> all;
  if (most == 0) return all;
  constexpr double kOctaves = 10; // from a thousandth on: the systems differ by orders of magnitude
  for (u32 i = 0; i < points; ++i) {
    SweepPoint& point = all.emplace_back();
    Workload load = plan.fleet.load;
    load.requests_per_second =
        kJustBelow * most * std::exp2(-kOctaves * (points - 1 - i) / std::max(1U, points - 1));
    point.requests_per_second = load.requests_per_second;
    point.confidential = predict(plan.confidential.system, load, plan.batching);
    point.clear = predict(plan.clear.system, load, plan.batching);
    point.alone = predict(plan.alone.system, load, plan.batching);
  }
  return all;
}

} // namespace talaria::planner
