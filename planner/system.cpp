#include "planner/system.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace talaria::planner {

namespace {

constexpr double kNano = 1e-9, kMicro = 1e-6, kGiga = 1e9;
constexpr double kOsBytes = 4e9;     ///< programs and buffers on every machine
constexpr double kGpuBytes = 0.6e9;  ///< left free by a worker
constexpr double kMaskBlocks = 1280; ///< rows made ahead, for refills of four blocks and one more

double link_bytes_per_s(double gbit, const Rates& rates) {
  return gbit / 8 * kGiga * rates.link;
}

/// One machine of a group of workers.
struct WorkerTime {
  double latency = 0; ///< of its products one after the other
  double busy = 0;    ///< of the devices, all of which work for others meanwhile
  double pcie = 0;
};

/// @param operations for each weight and row: 2 in clear, as many more as there are limbs
WorkerTime worker_time(const WorkerMachines& machine, const Rates& rates, double rows,
                       double operations, double weights, double products, double bytes_up,
                       double bytes_down) {
  WorkerTime time;
  if (machine.gpus == 0) {
    const double gops = (operations > 2 ? rates.limb_gops : rates.plain_gops) * machine.cores;
    time.latency = std::max(operations * rows * weights / (gops * kGiga),
                            weights * rates.weight_reading / (machine.memory_gb_per_s * kGiga));
    time.busy = time.latency;
    return time;
  }
  const Gpu& gpu = machine.gpu;
  time.latency = std::max(operations * rows * weights / (gpu.int8_tops * 1e12 * rates.gpu_compute),
                          weights / (gpu.memory_gb_per_s * kGiga * rates.gpu_memory));
  time.busy = time.latency / machine.gpus;
  const double pcie = gpu.pcie_gb_per_s * kGiga * rates.pcie;
  time.pcie = std::max(bytes_up, bytes_down) / pcie / machine.gpus;
  time.latency += (bytes_up + bytes_down) / pcie + products * rates.gpu_product_us * kMicro;
  return time;
}

/// Sums that a step moves through a part of the model.
MatrixSums rows_through(const ModelCosts& model, const Step& step) {
  const MatrixSums body = model.body();
  return {body.inputs * step.rows + model.head.inputs * step.head_rows,
          body.outputs * step.rows + model.head.outputs * step.head_rows,
          body.weights + (step.head_rows > 0 ? model.head.weights : 0),
          body.products + (step.head_rows > 0 ? model.head.products : 0)};
}

/// Core seconds of attention and the bytes that it reads.
std::pair<double, double> attention_cost(const ModelCosts& model, const Rates& rates,
                                         const Step& step) {
  if (step.is_prompt)
    return {step.rows * step.context * model.attention_ops / (rates.attention_gflops * kGiga),
            step.context * model.kv_bytes};
  const double bytes = step.rows * step.context * model.kv_bytes;
  return {bytes / (rates.attention_gb_per_s * kGiga), bytes};
}

double enclave_core_seconds(const System& system, const Step& step, const MatrixSums& moved) {
  const Rates& rates = *system.rates;
  const double hide = step.is_prompt ? rates.hide_prompt_ns : rates.hide_answer_ns;
  const double open = step.is_prompt ? rates.open_prompt_ns : rates.open_answer_ns;
  const double bytes = (moved.inputs + moved.outputs) * system.model->word_bytes;
  return (moved.inputs * (hide + rates.check_ns) + moved.outputs * (open + rates.check_ns) +
          bytes * rates.wire_ns_per_byte) *
             kNano +
         moved.products * rates.product_cpu_us * kMicro +
         attention_cost(*system.model, rates, step).first;
}

StepCost confidential_cost(const System& system, const Step& step) {
  const Rates& rates = *system.rates;
  const EnclaveMachines& enclave = system.fleet->enclave;
  const MatrixSums moved = rows_through(*system.model, step);
  const double masks =
      (moved.inputs * rates.mask_input_ns + moved.outputs * rates.mask_output_ns) * kNano;
  const double used = enclave_core_seconds(system, step, moved);
  const double up = moved.inputs * system.model->word_bytes;
  const double down = moved.outputs * system.model->word_bytes;
  const double link = link_bytes_per_s(enclave.link_gbit_per_s, rates);
  StepCost cost;
  cost.busy = {(masks + used) / enclave.cores,
               ((moved.inputs + moved.outputs) * rates.enclave_bytes_per_value +
                attention_cost(*system.model, rates, step).second) /
                   (enclave.memory_gb_per_s * kGiga),
               up / link, down / link};
  cost.latency = used / enclave.cores; // masks are there before
  double slowest_worker = 0, slowest_link = 0, slowest_pcie = 0;
  std::size_t machine = 0;
  for (const WorkerMachines& group : system.fleet->workers) {
    const double share = system.shares[machine]; // the same for all of its machines
    machine += group.machines;
    const double wire = std::min(link, link_bytes_per_s(group.link_gbit_per_s, rates));
    const WorkerTime time =
        worker_time(group, rates, step.rows, 2 * system.model->limbs, moved.weights * share,
                    moved.products * share, up * share, down * share);
    slowest_worker = std::max(slowest_worker, time.busy);
    slowest_pcie = std::max(slowest_pcie, time.pcie);
    slowest_link = std::max(slowest_link, std::max(up, down) * share /
                                              link_bytes_per_s(group.link_gbit_per_s, rates));
    cost.latency += group.machines *
                    (time.latency + (up + down) * share / wire +
                     moved.products * share * (group.round_trip_us + rates.product_us) * kMicro);
  }
  // All enclaves ask the same workers.
  for (const double busy : {slowest_worker, slowest_pcie, slowest_link})
    cost.busy.push_back(busy * system.copies);
  return cost;
}

StepCost clear_cost(const System& system, const Step& step) {
  const Rates& rates = *system.rates;
  const ModelCosts& model = *system.model;
  const MatrixSums moved = rows_through(model, step);
  const double kv = attention_cost(model, rates, step).second;
  StepCost cost;
  double slowest = 0, slowest_link = 0;
  std::size_t machine = 0;
  for (const WorkerMachines& group : system.fleet->workers) {
    const double share = system.shares[machine]; // the same for all of its machines
    machine += group.machines;
    WorkerTime time = worker_time(group, rates, step.rows, 2, moved.weights * share, 0, 0, 0);
    const double devices = group.gpus == 0 ? 1 : group.gpus;
    const double memory =
        (group.gpus == 0 ? group.memory_gb_per_s : group.gpu.memory_gb_per_s * rates.gpu_memory) *
        kGiga;
    time.latency += kv * share / memory;
    time.busy += kv * share / memory / devices;
    const double link = link_bytes_per_s(group.link_gbit_per_s, rates);
    const double activations = 2 * model.hidden * step.rows / link;
    slowest = std::max(slowest, time.busy);
    slowest_link = std::max(slowest_link, activations);
    cost.latency += group.machines * (time.latency + activations + group.round_trip_us * kMicro);
  }
  cost.busy = {slowest, slowest_link};
  return cost;
}

StepCost alone_cost(const System& system, const Step& step) {
  const Rates& rates = *system.rates;
  const EnclaveMachines& enclave = system.fleet->enclave;
  const MatrixSums moved = rows_through(*system.model, step);
  const auto [attention, kv] = attention_cost(*system.model, rates, step);
  const double operations =
      2 * (step.rows * system.model->body().weights + step.head_rows * system.model->head.weights);
  const double cores = (operations / (rates.plain_gops * kGiga) + attention) / enclave.cores;
  const double memory =
      (moved.weights * rates.weight_reading + kv) / (enclave.memory_gb_per_s * kGiga);
  return {{cores, memory}, std::max(cores, memory)};
}

/// Weights are cut by what each machine reads in a second, which is what decoding asks of it.
std::vector<double> shares_of(const Fleet& fleet) {
  std::vector<double> shares;
  double sum = 0;
  for (const WorkerMachines& group : fleet.workers)
    for (u32 i = 0; i < group.machines; ++i) {
      const double speed =
          group.gpus == 0 ? group.memory_gb_per_s : group.gpus * group.gpu.memory_gb_per_s;
      shares.push_back(speed);
      sum += speed;
    }
  for (double& share : shares) share /= sum;
  return shares;
}

/// Memory for keys and values that is left beside the weights on the fullest machine, as a share of
/// all keys and values; below 0: the weights do not fit.
double worker_room(const System& system, bool with_kv) {
  double room = 1e30;
  std::size_t machine = 0;
  for (const WorkerMachines& group : system.fleet->workers) {
    const double share = system.shares[machine]; // the same for all of its machines
    machine += group.machines;
    const double memory = group.gpus == 0
                              ? static_cast<double>(group.memory) - kOsBytes
                              : group.gpus * (static_cast<double>(group.gpu.memory) - kGpuBytes);
    const double left = memory - share * system.model->all().weights;
    room = std::min(room, with_kv ? left / share : left);
  }
  return room;
}

void set_prices(System& system, bool with_enclave, bool with_workers) {
  const auto add = [&](u32 machines, const std::optional<double>& price) {
    system.has_price = system.has_price && price.has_value();
    system.price_per_hour += machines * price.value_or(0);
  };
  if (with_enclave) add(system.fleet->enclave.machines, system.fleet->enclave.price_per_hour);
  if (with_workers)
    for (const WorkerMachines& group : system.fleet->workers)
      add(group.machines, group.price_per_hour);
}

void set_sequences(System& system, double bytes_for_kv, u32 max_rows) {
  const Workload& load = system.fleet->load;
  const double each = system.model->kv_bytes * (load.prompt_tokens + load.answer_tokens);
  system.max_sequences = std::min<double>(max_rows, std::floor(bytes_for_kv / each));
  if (system.impossible.empty() && system.max_sequences < 1)
    system.impossible = "there is no memory for the keys and values of one request";
}

System base_system(const char* name, const Fleet& fleet, const ModelCosts& model,
                   const Rates& rates) {
  System system;
  system.name = name;
  system.model = &model;
  system.fleet = &fleet;
  system.rates = &rates;
  system.shares = shares_of(fleet);
  return system;
}

} // namespace

System confidential_system(const Fleet& fleet, const ModelCosts& model, const Rates& rates,
                           u32 max_rows) {
  System system = base_system("confidential", fleet, model, rates);
  system.resources = {"enclave cores",     "enclave memory bandwidth", "enclave link up",
                      "enclave link down", "workers' products",        "workers' PCIe",
                      "workers' links"};
  system.cost = confidential_cost;
  system.copies = fleet.enclave.machines;
  const MatrixSums all = model.all();
  const double memory = static_cast<double>(fleet.enclave.memory);
  const double masks =
      std::min(memory / 4, kMaskBlocks * (all.inputs + all.outputs) * model.word_bytes);
  const double left = memory - kOsBytes - model.hint_bytes - model.embedding_bytes - masks;
  if (left <= 0)
    system.impossible = fmt::format(
        "hints, masks and embedding ({:.0f} GB) do not fit into the enclave's memory ({:.0f} GB)",
        (memory - left) / kGiga, memory / kGiga);
  else if (worker_room(system, false) < 0)
    system.impossible = "the weights do not fit into the workers' memory";
  set_sequences(system, left, max_rows);
  set_prices(system, true, true);
  return system;
}

System clear_system(const Fleet& fleet, const ModelCosts& model, const Rates& rates, u32 max_rows) {
  System system = base_system("in clear on the workers", fleet, model, rates);
  system.resources = {"workers' products", "workers' links"};
  system.cost = clear_cost;
  const double room = worker_room(system, true);
  if (room < 0) system.impossible = "the weights do not fit into the workers' memory";
  set_sequences(system, room, max_rows);
  set_prices(system, false, true);
  return system;
}

System alone_system(const Fleet& fleet, const ModelCosts& model, const Rates& rates, u32 max_rows) {
  System system = base_system("the enclave alone", fleet, model, rates);
  system.resources = {"enclave cores", "enclave memory bandwidth"};
  system.cost = alone_cost;
  system.copies = fleet.enclave.machines;
  const double left = static_cast<double>(fleet.enclave.memory) - kOsBytes - model.all().weights -
                      model.embedding_bytes;
  if (left < 0) system.impossible = "the weights do not fit into the enclave's memory";
  set_sequences(system, left, max_rows);
  set_prices(system, true, false);
  return system;
}

} // namespace talaria::planner
