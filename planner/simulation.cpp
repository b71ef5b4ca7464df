#include "planner/simulation.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <queue>
#include <tuple>

#include "core/error.hpp"
#include "planner/random.hpp"
#include "planner/servers.hpp"
#include "planner/simulated_gateway.hpp"

namespace talaria::planner {

namespace {

/// Ways must not depend on the dice that made the arrivals, whose seed is the same.
constexpr u64 kWays = 0x6a09e667f3bcc908;
constexpr std::size_t kSamples = 160;  ///< of the requests that are there
constexpr double kWithoutQueue = 0.02; ///< busy for less, a resource has nobody waiting
constexpr double kKeepsUp = 0.93;
constexpr double kEvents = 2e7; ///< a few seconds of one core
constexpr std::size_t kLeastEach = 5, kMostRequests = 200'000;

u32 machines_of(const Fleet& fleet) {
  u32 sum = 0;
  for (const WorkerMachines& group : fleet.workers) sum += group.machines;
  return std::max(1U, sum);
}

/// The requests whose figures are told: those that come once the system has filled up.
std::size_t first_told(std::size_t requests) {
  constexpr std::size_t kFew = 20; // there is no steady state
  return requests < kFew ? 0 : requests / 5;
}

Window window_of(const std::vector<Arrival>& requests) {
  if (first_told(requests.size()) == 0) return {};
  return {requests[first_told(requests.size())].time, requests.back().time};
}

/// A micro-batch on its way: where in its route it is.
struct Journey {
  u32 gateway = 0;
  SimulatedBatch batch;
  std::vector<Leg> legs;
  std::size_t leg = 0, hop = 0;
  u32 machine_of_leg = 0, machine = 0; ///< of the leg, and of all of the cell
};

struct Event {
  double time = 0;
  u64 order = 0; ///< among those of one moment
  u32 journey = 0;

  bool operator>(const Event& other) const {
    return std::tie(time, order) > std::tie(other.time, other.order);
  }
};

class Simulator {
public:
  Simulator(const System& system, const std::vector<Arrival>& arrivals, const Batching& batching,
            u64 seed);
  Simulation run();

private:
  void arrive(u32 number);
  void send(u32 gateway, double time);
  void advance(u32 journey, double time);
  void pass(Journey& journey);
  void retire(u32 journey, double time);
  void told_token(SimulatedRequest& request, u32 number, double time);
  Server& server(const Journey& journey, std::size_t resource);
  void sample_until(double time);
  void find_queues();
  void sum_up();
  u32 fresh_journey();

  const System& system_;
  const std::vector<Arrival>& arrivals_;
  Window window_;
  Dice dice_;
  std::size_t copies_, machines_, told_from_;
  std::vector<bool> has_queue_; ///< by resource
  std::vector<SimulatedRequest> requests_;
  std::vector<SimulatedGateway> gateways_;
  std::vector<Server> servers_; ///< of enclaves: by copy and resource; then of workers, by cell,
                                ///< machine and resource
  std::vector<Journey> journeys_;
  std::vector<u32> free_journeys_;
  std::priority_queue<Event, std::vector<Event>, std::greater<>> events_;
  u64 order_ = 0, steps_ = 0, present_ = 0, answered_ = 0;
  double rows_ = 0, prompt_tokens_ = 0, tokens_ = 0, now_ = 0;
  Simulation out_;
};

Simulator::Simulator(const System& system, const std::vector<Arrival>& arrivals,
                     const Batching& batching, u64 seed)
    : system_(system), arrivals_(arrivals), window_(window_of(arrivals)), dice_(seed ^ kWays),
      copies_(static_cast<std::size_t>(system.copies)), machines_(machines_of(*system.fleet)),
      told_from_(first_told(arrivals.size())) {
  gateways_.assign(copies_, SimulatedGateway(batching, system.kv_room, system.model->kv_bytes));
  const auto cells = static_cast<std::size_t>(system.copies / system.sharers);
  servers_.resize((copies_ + cells * machines_) * system.resources.size());
  requests_.reserve(arrivals.size());
  for (const Arrival& arrival : arrivals) requests_.push_back({arrival});
  find_queues();
}

/// Resources that would not be busy even if no rows shared the reading of weights need no events:
/// they only take their time.
void Simulator::find_queues() {
  has_queue_.assign(system_.resources.size(), true);
  if (arrivals_.size() < 2 || arrivals_.back().time <= 0) return;
  const Workload load = workload_of(arrivals_);
  const double prompt = load.prompt_tokens, rate = load.requests_per_second / system_.copies;
  const StepCost one = system_.cost(decode_step(1, prompt + load.answer_tokens));
  const StepCost all = system_.cost(prompt_step(prompt, prompt / 2, prompt, 1));
  for (std::size_t r = 0; r < has_queue_.size(); ++r)
    has_queue_[r] = rate * (all.busy[r] + load.answer_tokens * one.busy[r]) > kWithoutQueue;
}

Server& Simulator::server(const Journey& journey, std::size_t resource) {
  const std::size_t kinds = system_.resources.size();
  if (system_.resources[resource].owner == Owner::enclave)
    return servers_[journey.gateway * kinds + resource];
  const auto cell = journey.gateway / static_cast<std::size_t>(system_.sharers);
  return servers_[(copies_ + cell * machines_ + journey.machine) * kinds + resource];
}

u32 Simulator::fresh_journey() {
  if (free_journeys_.empty()) {
    journeys_.emplace_back();
    return static_cast<u32>(journeys_.size() - 1);
  }
  const u32 journey = free_journeys_.back();
  free_journeys_.pop_back();
  return journey;
}

void Simulator::arrive(u32 number) {
  now_ = arrivals_[number].time;
  const auto gateway = static_cast<u32>(copies_ == 1 ? 0 : dice_.below(copies_));
  if (gateways_[gateway].is_too_large(arrivals_[number])) {
    ++out_.too_large;
    return;
  }
  ++present_;
  gateways_[gateway].add(number);
  send(gateway, now_);
}

void Simulator::send(u32 gateway, double time) {
  for (;;) {
    const u32 number = fresh_journey();
    Journey& journey = journeys_[number];
    if (!gateways_[gateway].next(requests_, journey.batch)) {
      free_journeys_.push_back(number);
      return;
    }
    journey.gateway = gateway;
    journey.leg = journey.hop = 0;
    journey.machine_of_leg = journey.machine = 0;
    system_.route(system_, journey.batch.step, journey.legs);
    ++steps_;
    rows_ += journey.batch.step.rows();
    if (window_.contains(time)) prompt_tokens_ += journey.batch.step.prompt_rows;
    advance(number, time);
  }
}

/// To the next hop, which may be on the next machine.
void Simulator::pass(Journey& journey) {
  const Leg& leg = journey.legs[journey.leg];
  if (++journey.hop < leg.hops.size()) return;
  journey.hop = 0;
  ++journey.machine;
  if (++journey.machine_of_leg < leg.machines) return;
  journey.machine_of_leg = 0;
  ++journey.leg;
}

/// Through the hop it has come to, and those behind it where nobody waits, to the next event.
void Simulator::advance(u32 number, double time) {
  Journey& journey = journeys_[number];
  for (bool was_served = false; journey.leg < journey.legs.size(); pass(journey)) {
    const Hop& hop = journey.legs[journey.leg].hops[journey.hop];
    Server& server = this->server(journey, hop.resource);
    if (!has_queue_[hop.resource] || hop.busy == 0) {
      server.count(time, hop.busy, window_);
      time += hop.latency;
      continue;
    }
    if (was_served) break;
    was_served = true;
    const auto service =
        server.serve(time, hop.busy, hop.later, system_.resources[hop.resource].ahead_s, window_);
    time = service.begin + service.caught_up + hop.latency;
    out_.mask_wait_s += service.caught_up;
  }
  events_.push({time, ++order_, number});
}

void Simulator::told_token(SimulatedRequest& request, u32 number, double time) {
  const bool is_told = number >= told_from_;
  if (++request.answered == 1) {
    if (is_told) out_.first_token.add(time - request.asked.time);
  } else if (is_told) {
    out_.token.add(time - request.last);
  }
  request.last = time;
  if (window_.contains(time)) tokens_ += 1;
  if (request.answered < request.asked.answer_tokens) return;
  --present_;
  if (window_.contains(time)) ++answered_;
  if (is_told) out_.request.add(time - request.asked.time);
}

void Simulator::retire(u32 number, double time) {
  Journey& journey = journeys_[number];
  for (const u32 request : journey.batch.sampled) told_token(requests_[request], request, time);
  gateways_[journey.gateway].retire(requests_, journey.batch);
  free_journeys_.push_back(number);
  send(journey.gateway, time);
}

/// How many are there at the moments up to `time`.
void Simulator::sample_until(double time) {
  const double last = arrivals_.back().time;
  while (out_.present.size() < kSamples &&
         last * static_cast<double>(out_.present.size()) / (kSamples - 1) <= time)
    out_.present.push_back(static_cast<double>(present_));
}

void Simulator::sum_up() {
  out_.machines = system_.fleet->machines();
  if (std::isinf(window_.end)) window_.end = now_;
  out_.seconds = window_.end - window_.begin;
  out_.requests = out_.request.count();
  out_.requests_per_second = static_cast<double>(answered_) / out_.seconds;
  out_.answer_tokens_per_second = tokens_ / out_.seconds;
  out_.prompt_tokens_per_second = prompt_tokens_ / out_.seconds;
  out_.mean_rows = steps_ == 0 ? 0 : rows_ / static_cast<double>(steps_);
  out_.present_seconds = arrivals_.back().time;
  double asked = 0;
  for (const Arrival& arrival : arrivals_)
    if (window_.contains(arrival.time)) asked += arrival.answer_tokens;
  out_.keeps_up = out_.too_large == 0 && tokens_ >= kKeepsUp * asked;
  const std::size_t kinds = system_.resources.size();
  double largest = -1;
  for (std::size_t r = 0; r < kinds; ++r) {
    const bool of_enclave = system_.resources[r].owner == Owner::enclave;
    const std::size_t begin = of_enclave ? 0 : copies_;
    const std::size_t end = of_enclave ? copies_ : servers_.size() / kinds;
    ResourceUse use{system_.resources[r].name};
    for (std::size_t i = begin; i < end; ++i) {
      const double share = servers_[i * kinds + r].busy(window_) / out_.seconds;
      use.mean += share / static_cast<double>(end - begin);
      use.most = std::max(use.most, share);
    }
    if (use.mean > largest) out_.bottleneck = use.name;
    largest = std::max(largest, use.mean);
    out_.resources.push_back(std::move(use));
  }
}

Simulation Simulator::run() {
  u32 next = 0;
  while (next < arrivals_.size() || !events_.empty()) {
    if (events_.empty() ||
        (next < arrivals_.size() && arrivals_[next].time <= events_.top().time)) {
      sample_until(arrivals_[next].time);
      arrive(next++);
      continue;
    }
    const Event event = events_.top();
    events_.pop();
    sample_until(event.time);
    now_ = event.time;
    ++out_.events;
    if (journeys_[event.journey].leg < journeys_[event.journey].legs.size())
      advance(event.journey, event.time);
    else
      retire(event.journey, event.time);
  }
  sum_up();
  return std::move(out_);
}

} // namespace

Simulation simulate(const System& system, const std::vector<Arrival>& requests,
                    const Batching& batching, const SimulationOptions& options) {
  if (requests.empty()) return {};
  const double matrices = system.model->all().products;
  const u32 machines = machines_of(*system.fleet);
  if (!system.fleet->workers.empty() && machines > matrices)
    throw Error(
        Errc::config,
        fmt::format("workers: a cell has {} machines for {:.0f} matrices, which is more than "
                    "can be simulated; describe several cells (cells: N)",
                    machines, matrices));
  return Simulator(system, requests, batching, options.seed).run();
}

std::size_t affordable_requests(const System& system, const Workload& load,
                                const Batching& batching) {
  std::vector<Leg> legs;
  system.route(system, decode_step(1, 1), legs);
  double hops = 0;
  for (const Leg& leg : legs) hops += leg.machines * static_cast<double>(leg.hops.size());
  const double steps = std::ceil(load.prompt_tokens / double(batching.chunk)) + load.answer_tokens;
  const auto least =
      std::max(std::size_t{100}, kLeastEach * static_cast<std::size_t>(system.copies));
  return std::clamp(static_cast<std::size_t>(kEvents / (hops * steps)), least,
                    std::max(least, kMostRequests));
}

} // namespace talaria::planner
