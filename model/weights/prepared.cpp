#include "model/weights/prepared.hpp"

#include <fmt/format.h>

#include "core/error.hpp"
#include "model/weights/plan_file.hpp"
#include "model/weights/prepared_files.hpp"
#include "model/weights/tensor_names.hpp"

namespace talaria::model {

namespace fs = std::filesystem;

PreparedWorker::PreparedWorker(const fs::path& folder) : PreparedWorker(open_folder(folder)) {}

PreparedWorker::PreparedWorker(const OpenedFolder& opened) : folder_(opened.worker()) {
  const PrivateFile manifest =
      opened.worker_manifest ? *opened.worker_manifest : read_private_file(folder_ / kManifestFile);
  root_ = manifest.digest;
  manifest_ = parse_manifest(manifest);
  require_side(manifest_, PreparedSide::worker, manifest.path);
  const FileEntry& entry = manifest_.file("config.json");
  const auto config = read_private_file_if_there(folder_ / entry.name);
  if (!config) refuse_missing(folder_ / entry.name);
  check_entry(config->path, entry, config->text.size(), config->digest);
  plan_ = parse_model_plan(*config);
  fit_head(plan_, manifest_);
  check_manifest(manifest_, plan_, folder_);
}

QuantizedLinear PreparedWorker::load(LinearId id) const {
  const arch::Linear& wanted = plan_.linears.at(id);
  const MatrixEntry& entry = manifest_.matrices[id.value];
  const fs::path path = folder_ / weight_file(wanted);
  const WeightFile file(path);
  QuantizedLinear linear;
  linear.id = id;
  linear.format = manifest_.weights;
  linear.d_in = wanted.d_in;
  linear.d_out = wanted.d_out;
  linear.columns = kernels::PackedWeights(entry.d_in, entry.columns);
  file.read(entry.name, linear.columns);
  if (model::digest(linear) != entry.digest)
    throw Error(Errc::model,
                fmt::format("{}: matrix {} does not have the SHA-256 that {} gives: damaged, or of "
                            "another model; copy or prepare it again",
                            path.string(), entry.name, kManifestFile));
  return linear;
}

PreparedEnclave::PreparedEnclave(const fs::path& folder) : PreparedEnclave(ModelFiles(folder)) {}

PreparedEnclave::PreparedEnclave(const ModelFiles& files) {
  if (files.manifest() == nullptr)
    throw Error(Errc::model, fmt::format("{}: no such file; this needs a folder that `talaria "
                                         "prepare` made",
                                         (files.folder() / kManifestFile).string()));
  manifest_ = *files.manifest();
  manifest_.file("config.json"); // listed, or an error that says so
  plan_ = parse_model_plan(files.texts());
  check_manifest(manifest_, plan_, files.folder());
  store_ = std::make_shared<const TensorStore>(files);
}

std::vector<float> PreparedEnclave::scale(LinearId id) const {
  const arch::Linear& linear = plan_.linears.at(id);
  return read_vector(*store_, scale_tensor(linear), linear.d_out);
}

std::string scale_tensor(const arch::Linear& linear) {
  return linear.name + ".scale";
}

std::string weight_file(const arch::Linear& linear) {
  if (linear.kind == LinearKind::lm_head) return "lm_head.safetensors";
  return fmt::format("layer-{:05}.safetensors", linear.layer);
}

} // namespace talaria::model
