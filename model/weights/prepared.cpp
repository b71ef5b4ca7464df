#include "model/weights/prepared.hpp"

#include <fmt/format.h>

#include "core/error.hpp"
#include "model/weights/prepared_files.hpp"
#include "model/weights/tensor_names.hpp"

namespace talaria::model {

namespace fs = std::filesystem;

namespace {

bool is_there(const fs::path& path) {
  std::error_code ignored;
  return fs::exists(path, ignored);
}

Manifest read_side(const fs::path& folder, PreparedSide side) {
  Manifest manifest = read_manifest(folder);
  if (manifest.side != side)
    throw Error(Errc::model,
                fmt::format("{}: side is {}; the {} needs the folder {}/ beside it",
                            (folder / kManifestFile).string(), to_string(manifest.side),
                            to_string(side), to_string(side)));
  return manifest;
}

ModelConfig read_config(const fs::path& folder, const Manifest& manifest) {
  check_file(folder, manifest.file("config.json"));
  ModelConfig config = load_model_config(folder);
  check_manifest(manifest, config, folder);
  return config;
}

[[noreturn]] void wrong_half(const fs::path& folder, const char* is, const char* lacks) {
  throw Error(Errc::model, fmt::format("{}: the {}'s half of a prepared model; it holds no {}. "
                                       "Give the other half or the folder above",
                                       folder.string(), is, lacks));
}

} // namespace

FolderKind folder_kind(const fs::path& folder) {
  if (has_manifest(folder))
    return read_manifest(folder).side == PreparedSide::enclave ? FolderKind::prepared_enclave
                                                               : FolderKind::prepared_worker;
  if (has_manifest(folder / "enclave") && has_manifest(folder / "worker"))
    return FolderKind::prepared_root;
  if (is_there(folder / "config.json")) return FolderKind::hugging_face;
  throw Error(Errc::model,
              fmt::format("{}: {}", folder.string(),
                          is_there(folder) ? "neither a model folder (config.json is missing) nor "
                                             "one that `talaria prepare` made"
                                           : "no such folder"));
}

fs::path enclave_folder(const fs::path& folder) {
  switch (folder_kind(folder)) {
  case FolderKind::prepared_root:
    return folder / "enclave";
  case FolderKind::prepared_worker:
    wrong_half(folder, "worker", "tokenizer and no embeddings");
  case FolderKind::hugging_face:
  case FolderKind::prepared_enclave:
    break;
  }
  return folder;
}

fs::path worker_folder(const fs::path& folder) {
  switch (folder_kind(folder)) {
  case FolderKind::prepared_root:
    return folder / "worker";
  case FolderKind::prepared_enclave:
    wrong_half(folder, "enclave", "weights");
  case FolderKind::hugging_face:
  case FolderKind::prepared_worker:
    break;
  }
  return folder;
}

PreparedWorker::PreparedWorker(const fs::path& folder)
    : folder_(worker_folder(folder)), manifest_(read_side(folder_, PreparedSide::worker)),
      config_(read_config(folder_, manifest_)) {}

QuantizedLinear PreparedWorker::load(LinearId id) const {
  const LinearKind kind = linear_kind(config_, id);
  const MatrixEntry& entry = manifest_.matrices[id.value];
  const fs::path path = folder_ / weight_file(config_, id);
  const WeightFile file(path);
  QuantizedLinear linear;
  linear.id = id;
  linear.format = manifest_.weights;
  linear.d_in = linear_inputs(config_, kind);
  linear.d_out = linear_outputs(config_, kind);
  linear.columns = kernels::PackedWeights(entry.d_in, entry.columns);
  file.read(entry.name, linear.columns);
  if (model::digest(linear) != entry.digest)
    throw Error(Errc::model,
                fmt::format("{}: matrix {} does not have the SHA-256 that {} gives: damaged, or of "
                            "another model; copy or prepare it again",
                            path.string(), entry.name, kManifestFile));
  return linear;
}

PreparedEnclave::PreparedEnclave(const fs::path& folder) {
  const fs::path place = enclave_folder(folder);
  manifest_ = read_side(place, PreparedSide::enclave);
  config_ = read_config(place, manifest_);
  for (const FileEntry& entry : manifest_.files) check_file(place, entry);
  store_ = std::make_shared<const TensorStore>(place);
}

std::vector<float> PreparedEnclave::scale(LinearId id) const {
  return read_vector(*store_, scale_tensor(config_, id),
                     linear_outputs(config_, linear_kind(config_, id)));
}

std::string scale_tensor(const ModelConfig& config, LinearId id) {
  return linear_name(config, id) + ".scale";
}

std::string weight_file(const ModelConfig& config, LinearId id) {
  if (linear_kind(config, id) == LinearKind::lm_head) return "lm_head.safetensors";
  return fmt::format("layer-{:05}.safetensors", linear_layer(config, id));
}

} // namespace talaria::model
