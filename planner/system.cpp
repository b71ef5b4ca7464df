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

/// The part of a step that one machine computes.
struct WorkerShare {
  double multiplications = 0; ///< of weights with values of rows
  double weights = 0;         ///< read once for all rows
  double products = 0;
  double bytes_up = 0, bytes_down = 0; ///< to a GPU and back
};

WorkerTime worker_time(const WorkerMachines& machine, const Rates& rates, double limbs,
                       const WorkerShare& part) {
  WorkerTime time;
  const double operations = 2 * limbs * part.multiplications, weights = part.weights;
  if (machine.gpus == 0) {
    const double gops = (limbs > 1 ? rates.limb_gops : rates.plain_gops) * machine.cores;
    time.latency = std::max(operations / (gops * kGiga),
                            weights * rates.weight_reading / (machine.memory_gb_per_s * kGiga));
    time.busy = time.latency;
    return time;
  }
  const Gpu& gpu = machine.gpu;
  time.latency = std::max(operations / (gpu.int8_tops * 1e12 * rates.gpu_compute),
                          weights / (gpu.memory_gb_per_s * kGiga * rates.gpu_memory));
  time.busy = time.latency / machine.gpus;
  const double pcie = gpu.pcie_gb_per_s * kGiga * rates.pcie;
  time.pcie = std::max(part.bytes_up, part.bytes_down) / pcie / machine.gpus;
  time.latency +=
      (part.bytes_up + part.bytes_down) / pcie + part.products * rates.gpu_product_us * kMicro;
  return time;
}

/// Sums that a step moves through the model.
struct Moved : MatrixSums {
  double multiplications = 0;
};

Moved rows_through(const ModelCosts& model, const Step& step) {
  const MatrixSums &body = model.body, &ending = model.ending;
  const double with_ending = std::min(1.0, step.head_rows); // below 1: in one of several chunks
  Moved moved;
  moved.inputs = body.inputs * step.rows() + ending.inputs * step.head_rows;
  moved.outputs = body.outputs * step.rows() + ending.outputs * step.head_rows;
  moved.weights = body.weights + with_ending * ending.weights;
  moved.products = body.products + with_ending * ending.products;
  moved.multiplications = body.weights * step.rows() + ending.weights * step.head_rows;
  return moved;
}

/// Core seconds of attention and the bytes that it reads.
struct AttentionCost {
  double core_s = 0, bytes = 0;
};

AttentionCost attention_cost(const System& system, const Step& step) {
  const ModelCosts& model = *system.model;
  const Rates& rates = *system.rates;
  const double answer_bytes = step.answer_positions * model.kv_bytes;
  return {step.prompt_pairs * model.prompt_attention_ops / (rates.attention_gflops * kGiga) +
              answer_bytes / (rates.attention_gb_per_s * kGiga),
          step.prompt_positions * model.kv_bytes + answer_bytes};
}

/// What the enclave's cores do for a step, in seconds of one core.
struct EnclaveWork {
  double masks = 0; ///< made ahead
  double used = 0;  ///< while the step waits
  double memory_bytes = 0;
};

EnclaveWork enclave_work(const System& system, const Step& step, const MatrixSums& moved,
                         bool on_wire) {
  const Rates& rates = *system.rates;
  const double prompts = step.prompt_rows / step.rows();
  const double hide =
      rates.hide_answer_ns + prompts * (rates.hide_prompt_ns - rates.hide_answer_ns);
  const double open =
      rates.open_answer_ns + prompts * (rates.open_prompt_ns - rates.open_answer_ns);
  const double bytes = on_wire ? (moved.inputs + moved.outputs) * system.model->word_bytes : 0;
  const AttentionCost attention = attention_cost(system, step);
  EnclaveWork work;
  work.masks = (moved.inputs * rates.mask_input_ns + moved.outputs * rates.mask_output_ns) * kNano;
  work.used = (moved.inputs * (hide + rates.check_ns) + moved.outputs * (open + rates.check_ns) +
               bytes * rates.wire_ns_per_byte) *
                  kNano +
              moved.products * rates.product_cpu_us * kMicro + attention.core_s;
  work.memory_bytes =
      (moved.inputs + moved.outputs) * rates.enclave_bytes_per_value + attention.bytes;
  return work;
}

// Places in the resources of confidential_system().
enum Confidential : std::size_t { kCores, kMemory, kUp, kDown, kProducts, kPcie, kWorkerLink };

void confidential_route(const System& system, const Step& step, std::vector<Leg>& out) {
  const Rates& rates = *system.rates;
  const EnclaveMachines& enclave = system.fleet->enclave;
  const Moved moved = rows_through(*system.model, step);
  const EnclaveWork work = enclave_work(system, step, moved, true);
  const double up = moved.inputs * system.model->word_bytes;
  const double down = moved.outputs * system.model->word_bytes;
  const double link = link_bytes_per_s(enclave.link_gbit_per_s, rates);
  const double masks = work.masks / enclave.cores, used = work.used / enclave.cores;
  const double memory = work.memory_bytes / (enclave.memory_gb_per_s * kGiga);
  out.resize(system.fleet->workers.size());
  std::size_t machine = 0;
  for (std::size_t g = 0; g < out.size(); ++g) {
    const WorkerMachines& group = system.fleet->workers[g];
    const double share = system.shares[machine]; // the same for all of its machines
    machine += group.machines;
    const double far = link_bytes_per_s(group.link_gbit_per_s, rates);
    const double wire = std::min(link, far);
    const WorkerTime time = worker_time(group, rates, system.model->limbs,
                                        {moved.multiplications * share, moved.weights * share,
                                         moved.products * share, up * share, down * share});
    const double waiting =
        moved.products * share * (group.round_trip_us + rates.product_us) * kMicro;
    out[g].machines = group.machines;
    // Bytes pass both links and PCIe at once: each is busy with them, the narrower link takes its
    // time, and so does the copy to and from a GPU, which is in time.latency.
    out[g].hops = {{kCores, (masks + used) * share, masks * share, used * share},
                   {kMemory, memory * share, 0, 0},
                   {kUp, up * share / link, 0, up * share / wire},
                   {kWorkerLink, std::max(up, down) * share / far, 0, 0},
                   {kPcie, time.pcie, 0, 0},
                   {kProducts, time.busy, 0, time.latency + waiting},
                   {kDown, down * share / link, 0, down * share / wire}};
  }
}

/// Everything on the enclave's own machine: masks, and the products of its embedded worker.
void embedded_route(const System& system, const Step& step, std::vector<Leg>& out) {
  const Rates& rates = *system.rates;
  const EnclaveMachines& enclave = system.fleet->enclave;
  const Moved moved = rows_through(*system.model, step);
  const EnclaveWork work = enclave_work(system, step, moved, false);
  const double bandwidth = enclave.memory_gb_per_s * kGiga;
  const double operations = 2 * system.model->limbs * moved.multiplications;
  const double masks = work.masks / enclave.cores;
  const double products = operations / (rates.limb_gops * kGiga) / enclave.cores;
  const double reading = moved.weights * rates.weight_reading / bandwidth;
  const double used = work.used / enclave.cores + std::max(products, reading);
  out.resize(1);
  out[0].machines = 1;
  out[0].hops = {{kCores, masks + used, masks, used},
                 {kMemory, work.memory_bytes / bandwidth + reading, 0, 0}};
}

void clear_route(const System& system, const Step& step, std::vector<Leg>& out) {
  const Rates& rates = *system.rates;
  const ModelCosts& model = *system.model;
  const Moved moved = rows_through(model, step);
  const double kv = attention_cost(system, step).bytes;
  out.resize(system.fleet->workers.size());
  std::size_t machine = 0;
  for (std::size_t g = 0; g < out.size(); ++g) {
    const WorkerMachines& group = system.fleet->workers[g];
    const double share = system.shares[machine]; // the same for all of its machines
    machine += group.machines;
    const WorkerTime time =
        worker_time(group, rates, 1, {moved.multiplications * share, moved.weights * share});
    const double devices = group.gpus == 0 ? 1 : group.gpus;
    const double memory =
        (group.gpus == 0 ? group.memory_gb_per_s : group.gpu.memory_gb_per_s * rates.gpu_memory) *
        kGiga;
    const double attention = kv * share / memory;
    const double activations =
        2 * model.hidden * step.rows() / link_bytes_per_s(group.link_gbit_per_s, rates);
    out[g].machines = group.machines;
    out[g].hops = {{0, time.busy + attention / devices, 0, time.latency + attention},
                   {1, activations, 0, activations + group.round_trip_us * kMicro}};
  }
}

void alone_route(const System& system, const Step& step, std::vector<Leg>& out) {
  const Rates& rates = *system.rates;
  const EnclaveMachines& enclave = system.fleet->enclave;
  const Moved moved = rows_through(*system.model, step);
  const AttentionCost attention = attention_cost(system, step);
  const double cores =
      (2 * moved.multiplications / (rates.plain_gops * kGiga) + attention.core_s) / enclave.cores;
  const double memory =
      (moved.weights * rates.weight_reading + attention.bytes) / (enclave.memory_gb_per_s * kGiga);
  out.resize(1);
  out[0].machines = 1;
  out[0].hops = {{0, cores, 0, std::max(cores, memory)}, {1, memory, 0, 0}};
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
    system.price_per_hour += system.fleet->cells * machines * price.value_or(0);
  };
  if (with_enclave) add(system.fleet->enclave.machines, system.fleet->enclave.price_per_hour);
  if (with_workers)
    for (const WorkerMachines& group : system.fleet->workers)
      add(group.machines, group.price_per_hour);
}

void set_sequences(System& system, double bytes_for_kv, u32 max_rows) {
  system.kv_room = bytes_for_kv;
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

Step decode_step(double rows, double context) {
  Step step;
  step.answer_rows = step.head_rows = rows;
  step.answer_positions = rows * context;
  return step;
}

Step prompt_step(double rows, double context, double positions, double head_rows) {
  Step step;
  step.prompt_rows = rows;
  step.head_rows = head_rows;
  step.prompt_pairs = rows * context;
  step.prompt_positions = positions;
  return step;
}

StepCost System::cost(const Step& step) const {
  std::vector<Leg> legs;
  route(*this, step, legs);
  StepCost sum;
  sum.busy.resize(resources.size());
  for (const Leg& leg : legs)
    for (const Hop& hop : leg.hops) {
      double& busy = sum.busy[hop.resource];
      busy = resources[hop.resource].owner == Owner::enclave ? busy + leg.machines * hop.busy
                                                             : std::max(busy, hop.busy * sharers);
      sum.latency += leg.machines * hop.latency;
    }
  return sum;
}

std::vector<std::string> System::resource_names() const {
  std::vector<std::string> names;
  for (const Resource& resource : resources) names.push_back(resource.name);
  return names;
}

System confidential_system(const Fleet& fleet, const ModelCosts& model, const Rates& rates,
                           u32 max_rows) {
  System system = base_system("confidential", fleet, model, rates);
  const bool embedded = fleet.workers.empty();
  const MatrixSums all = model.all();
  const double memory = static_cast<double>(fleet.enclave.memory);
  const double row_bytes = (all.inputs + all.outputs) * model.word_bytes;
  const double masks = std::min(memory / 4, kMaskBlocks * row_bytes);
  const double row_s = (all.inputs * rates.mask_input_ns + all.outputs * rates.mask_output_ns) *
                       kNano / fleet.enclave.cores;
  system.resources = {{"enclave cores", Owner::enclave, masks / row_bytes * row_s},
                      {"enclave memory bandwidth", Owner::enclave}};
  if (!embedded)
    system.resources.insert(system.resources.end(), {{"enclave link up", Owner::enclave},
                                                     {"enclave link down", Owner::enclave},
                                                     {"workers' products", Owner::worker},
                                                     {"workers' PCIe", Owner::worker},
                                                     {"workers' links", Owner::worker}});
  system.route = embedded ? embedded_route : confidential_route;
  system.copies = double(fleet.cells) * fleet.enclave.machines;
  system.sharers = fleet.enclave.machines;
  const double left = memory - kOsBytes - model.hint_bytes - model.embedding_bytes - masks -
                      (embedded ? all.weights : 0);
  if (left <= 0)
    system.impossible = fmt::format(
        "hints, masks and {} ({:.0f} GB) do not fit into the enclave's memory ({:.0f} GB)",
        embedded ? "the model" : "embedding", (memory - left) / kGiga, memory / kGiga);
  else if (!embedded && worker_room(system, false) < 0)
    system.impossible = "the weights do not fit into the workers' memory";
  set_sequences(system, left, max_rows);
  set_prices(system, true, true);
  return system;
}

System clear_system(const Fleet& fleet, const ModelCosts& model, const Rates& rates, u32 max_rows) {
  System system = base_system("in clear on the workers", fleet, model, rates);
  system.resources = {{"workers' products", Owner::worker}, {"workers' links", Owner::worker}};
  system.route = clear_route;
  system.copies = fleet.cells;
  if (fleet.workers.empty()) {
    system.impossible = "there are no workers";
    return system;
  }
  const double room = worker_room(system, true);
  if (room < 0) system.impossible = "the weights do not fit into the workers' memory";
  set_sequences(system, room, max_rows);
  set_prices(system, false, true);
  return system;
}

System alone_system(const Fleet& fleet, const ModelCosts& model, const Rates& rates, u32 max_rows) {
  System system = base_system("the enclave alone", fleet, model, rates);
  system.resources = {{"enclave cores", Owner::enclave},
                      {"enclave memory bandwidth", Owner::enclave}};
  system.route = alone_route;
  system.copies = double(fleet.cells) * fleet.enclave.machines;
  const double left = static_cast<double>(fleet.enclave.memory) - kOsBytes - model.all().weights -
                      model.embedding_bytes;
  if (left < 0) system.impossible = "the weights do not fit into the enclave's memory";
  set_sequences(system, left, max_rows);
  set_prices(system, true, false);
  return system;
}

} // namespace talaria::planner
