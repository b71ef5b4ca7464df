#include "cli/worker/worker_share.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <optional>
#include <thread>

#include "actors/worker/device.hpp"
#include "core/chunk_digests.hpp"
#include "core/cores.hpp"
#include "core/error.hpp"
#include "core/model_part.hpp"
#include "kernels/product_kernels.hpp"
#include "model/weights/column_shard.hpp"
#include "model/weights/plan_file.hpp"
#include "model/weights/prepared.hpp"
#include "model/weights/quantized.hpp"
#include "model/weights/synthetic.hpp"
#include "remo/public/public_matrix.hpp"

namespace talaria::cli {

namespace {

/// A model folder of either kind, seen as matrices.
struct Source {
  arch::ModelPlan plan;
  model::WeightFormat format = model::WeightFormat::int8;
  std::function<model::QuantizedLinear(model::LinearId)> load;
};

/// Matrices of a Hugging Face model, whose tensors are in `store`.
Source quantising_source(arch::ModelPlan plan, std::shared_ptr<const model::TensorStore> store,
                         const WorkerFlags& flags) {
  Source source;
  source.plan = std::move(plan);
  source.format = model::parse_weight_format(flags.weights.empty() ? "int8" : flags.weights);
  source.load = [store, linears = source.plan.linears, format = source.format](model::LinearId id) {
    return model::load_linear(*store, linears.at(id), format);
  };
  return source;
}

std::optional<Sha256Digest> pinned_root(const WorkerFlags& flags) {
  if (flags.model_sha256.empty()) return std::nullopt;
  const auto digest = parse_sha256(flags.model_sha256);
  if (!digest) throw Error(Errc::usage, "--model-sha256 takes 64 hexadecimal digits");
  return digest;
}

Source open_source(const WorkerFlags& flags) {
  if (const auto shape = model::random_model(flags.model))
    return quantising_source(*shape, model::synthetic_tensors(*shape), flags);
  const auto pinned = pinned_root(flags);
  const model::OpenedFolder opened = model::open_folder(flags.model);
  if (opened.published() && pinned) {
    const model::ModelFiles files(opened, pinned);
    return quantising_source(model::parse_model_plan(files.texts()),
                             std::make_shared<const model::TensorStore>(files), flags);
  }
  if (opened.published())
    return quantising_source(model::load_model_plan(flags.model),
                             std::make_shared<const model::TensorStore>(flags.model), flags);
  Source source;
  auto prepared = std::make_shared<const model::PreparedWorker>(opened);
  model::check_root(opened.worker(), prepared->root(), pinned);
  source.plan = prepared->plan();
  source.format = prepared->format();
  if (!flags.weights.empty() && model::parse_weight_format(flags.weights) != source.format)
    throw Error(Errc::usage, fmt::format("--weights {}: {} was prepared as {}", flags.weights,
                                         flags.model, model::to_string(source.format)));
  source.load = [prepared](model::LinearId id) { return prepared->load(id); };
  return source;
}

LayerRange layers_of(const WorkerFlags& flags, u32 layers) {
  const auto range = parse_layers(flags.layers);
  if (!range || range->within(layers).last >= layers)
    throw Error(Errc::usage, fmt::format("--layers {}: expected {}; the model has layers 0-{}",
                                         flags.layers, expected_layers(), layers - 1));
  return *range;
}

ColumnShare share_of(const WorkerFlags& flags) {
  const auto share = parse_share(flags.columns);
  if (!share)
    throw Error(Errc::usage,
                fmt::format("--columns {}: expected {}", flags.columns, expected_share()));
  return *share;
}

std::vector<arch::Linear> matrices_of(const arch::ModelPlan& plan, LayerRange range) {
  std::vector<arch::Linear> held;
  for (const arch::Linear& linear : plan.linears)
    if (range.contains(linear.layer)) held.push_back(linear);
  return held;
}

/// Gives the engine the matrix, or its share of columns, and says what enclaves are to be told of
/// it: nothing if the share is empty, as that of a narrow matrix may be.
std::optional<transport::HeldMatrix> hand_over(worker::ProductEngine& engine,
                                               model::QuantizedLinear whole, ColumnShare share) {
  const u64 columns = whole.columns.d_out();
  const auto range = model::column_range(columns, share);
  if (range.count == 0) return std::nullopt;
  transport::HeldMatrix held{whole.id.value, whole.d_in,  columns,
                             range.first,    range.count, model::digest_of_part(whole, range)};
  if (range.count == columns)
    engine.add(std::move(whole));
  else
    engine.add(model::take_columns(whole, range), range.first);
  return held;
}

} // namespace

WorkerShare load_share(const WorkerFlags& flags, Progress& progress) {
  if (!flags.cores.empty()) run_on_cores(parse_cores(flags.cores));
  if (flags.threads > kMaxThreads)
    throw Error(Errc::usage, fmt::format("--threads {}: expected a whole number from 0 to {}",
                                         flags.threads, kMaxThreads));
  if (!flags.isa.empty())
    kernels::set_active_product_kernels(kernels::select_product_kernels(flags.isa));
  const auto& parameters = remo::lattice_parameters(flags.parameters);
  const Source source = open_source(flags);
  const ColumnShare columns = share_of(flags);
  const auto linears = matrices_of(source.plan, layers_of(flags, source.plan.layer_count()));
  const std::size_t threads =
      flags.threads != 0 ? flags.threads : std::max(1U, std::thread::hardware_concurrency());

  WorkerShare share;
  share.plan = source.plan;
  share.engine =
      std::make_shared<worker::ProductEngine>(parameters, remo::public_matrix_seed(), threads);
  share.identity.device = worker::choose_device(*share.engine, flags.device, parameters, threads);
  std::size_t total = 0;
  for (const arch::Linear& linear : linears) total += linear.d_in * linear.d_out;
  progress.begin("weights", total);
  for (const arch::Linear& linear : linears) {
    if (const auto held = hand_over(*share.engine, source.load(linear.id), columns))
      share.identity.matrices.push_back(*held);
    progress.advance(linear.d_in * linear.d_out);
  }
  progress.end();

  share.identity.name = flags.name;
  share.identity.software = "talaria-worker " TALARIA_VERSION;
  share.identity.parameters = parameters.name;
  share.identity.modulus = parameters.q;
  share.identity.rounded_modulus = parameters.p;
  share.identity.dimension = parameters.dimension();
  share.identity.weights = model::to_string(source.format);
  share.identity.public_seed = sha256(remo::public_matrix_seed());
  share.identity.layers = source.plan.layer_count();
  share.identity.weight_bytes = share.engine->weight_bytes();
  return share;
}

} // namespace talaria::cli
