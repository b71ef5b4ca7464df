#include "model/weights/prepared_writer.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <fstream>
#include <nlohmann/json.hpp>

#include "core/error.hpp"
#include "model/weights/gguf_model.hpp"
#include "model/weights/model_folder.hpp"
#include "model/weights/plan_file.hpp"
#include "model/weights/prepared.hpp"
#include "model/weights/prepared_files.hpp"
#include "model/weights/prepared_staging.hpp"
#include "model/weights/tensor_names.hpp"

namespace talaria::model {

namespace fs = std::filesystem;

namespace {

constexpr const char* kEnclaveTensors = "enclave.safetensors";

const char* dtype_name(Dtype dtype) {
  switch (dtype) {
  case Dtype::bf16:
    return "BF16";
  case Dtype::f16:
    return "F16";
  case Dtype::u8:
  case Dtype::f32:
    break;
  }
  return "F32";
}

std::span<const u8> bytes_of(const std::vector<float>& values) {
  return {reinterpret_cast<const u8*>(values.data()), values.size() * sizeof(float)};
}

/// Files of a model folder that only the enclave reads, config.json apart.
bool belongs_to_enclave(const std::string& name) {
  const auto json_named = [&](const char* prefix) {
    return name.starts_with(prefix) && name.ends_with(".json");
  };
  return name == "generation_config.json" || name == "special_tokens_map.json" ||
         name == "added_tokens.json" || name == "modules.json" ||
         name == "sentence_bert_config.json" || json_named("tokenizer") ||
         name.starts_with("chat_template");
}

void make_folder(const fs::path& folder) {
  std::error_code failure;
  fs::create_directory(folder, failure);
  if (failure) throw Error(Errc::io, fmt::format("{}: {}", folder.string(), failure.message()));
}

FileEntry copied(const fs::path& from, const fs::path& folder, const std::string& name) {
  std::ifstream in(from, std::ios::binary);
  OutputFile out(folder, name);
  std::vector<char> buffer(std::size_t{1} << 20);
  while (in) {
    in.read(buffer.data(), static_cast<std::streamsize>(buffer.size()));
    out.write(std::string_view(buffer.data(), static_cast<std::size_t>(in.gcount())));
  }
  if (!in.eof()) throw Error(Errc::model, fmt::format("{}: cannot be read", from.string()));
  return out.finish();
}

FileEntry written(const PrivateFile& file, const fs::path& folder) {
  OutputFile out(folder, file.path.filename().string());
  out.write(file.text);
  return out.finish();
}

/// One run of `talaria prepare`, into a folder that exists and is empty.
class Preparation {
public:
  Preparation(const fs::path& model_dir, const PrepareOptions& options, Progress& progress)
      : model_dir_(model_dir), options_(options), progress_(progress),
        plan_(load_model_plan(model_dir)), store_(model_dir) {
    if (names_gguf(model_dir)) made_ = GgufModel(model_dir).texts();
    // What the enclave would refuse when it loads is refused here.
    load_enclave_tensors(store_, plan_);
    EmbeddingTable(store_, plan_);
    if (const auto& inputs = plan_.per_layer_inputs)
      EmbeddingTable(store_, inputs->table, inputs->tokens, plan_.layers.size() * inputs->width);
    result_.worker.model_type = plan_.model_type;
    result_.worker.weights = options.weights;
    result_.worker.layers = plan_.layer_count();
    plan_enclave_tensors();
  }

  u64 total_weight_bytes() const {
    u64 sum = 0;
    for (const arch::Linear& linear : plan_.linears) sum += weight_bytes(linear, options_.weights);
    return sum;
  }
  /// Both halves, small files apart.
  u64 total_bytes() const {
    u64 sum = total_weight_bytes();
    for (const PlannedTensor& tensor : planned_) sum += tensor.bytes;
    return sum;
  }

  Prepared write(const fs::path& folder) {
    make_folder(folder / "worker");
    make_folder(folder / "enclave");
    progress_.begin("prepare", total_weight_bytes());
    write_worker(folder / "worker");
    write_enclave(folder / "enclave");
    progress_.end();
    return std::move(result_);
  }

private:
  /// The tensors that are copied as they are; the scales follow them.
  void plan_enclave_tensors() {
    for (KeptTensor& kept : kept_tensors(plan_)) {
      const TensorView& view = store_.get(kept.name, kept.shape);
      planned_.push_back(
          {kept.name, dtype_name(view.dtype), std::move(kept.shape), view.size_bytes()});
    }
    copied_ = planned_.size();
    for (const arch::Linear& linear : plan_.linears)
      planned_.push_back(
          {scale_tensor(linear), "F32", {linear.d_out}, linear.d_out * sizeof(float)});
  }

  /// Consecutive matrices that share a file.
  void write_worker(const fs::path& folder) {
    Manifest& manifest = result_.worker;
    manifest.side = PreparedSide::worker;
    manifest.files.push_back(write_config(folder));
    const u32 count = plan_.linears.size();
    for (u32 first = 0; first < count;) {
      const std::string name = weight_file(plan_.linears[{first}]);
      u32 end = first + 1;
      while (end < count && weight_file(plan_.linears[{end}]) == name) ++end;
      manifest.files.push_back(write_matrices(folder, name, first, end));
      first = end;
    }
    for (const FileEntry& entry : manifest.files) result_.worker_bytes += entry.bytes;
    result_.worker_root = write_manifest(folder, manifest);
  }

  FileEntry write_matrices(const fs::path& folder, const std::string& name, u32 first, u32 end) {
    std::vector<PlannedTensor> tensors;
    for (u32 i = first; i < end; ++i) {
      const arch::Linear& linear = plan_.linears[{i}];
      tensors.push_back({linear.name,
                         "I8",
                         {linear.d_in, columns_of(linear, options_.weights)},
                         weight_bytes(linear, options_.weights)});
    }
    OutputFile file(folder, name);
    file.write(safetensors_head(tensors));
    for (u32 i = first; i < end; ++i) {
      if (options_.cancelled && options_.cancelled()) throw Error(Errc::cancelled, "interrupted");
      const arch::Linear& wanted = plan_.linears[{i}];
      QuantizedLinear linear = load_linear(store_, wanted, options_.weights);
      write_row_major(file, linear.columns);
      result_.worker.matrices.push_back(
          {i, wanted.name, linear.d_in, linear.columns.d_out(), digest(linear)});
      scales_.push_back(std::move(linear.scale));
      progress_.advance(weight_bytes(wanted, options_.weights));
    }
    return file.finish();
  }

  void write_enclave(const fs::path& folder) {
    Manifest& manifest = result_.enclave;
    manifest = result_.worker;
    manifest.side = PreparedSide::enclave;
    manifest.files.assign(1, write_config(folder));
    write_texts(folder);
    manifest.files.push_back(write_enclave_tensors(folder));
    manifest.files.push_back(write_index(folder));
    for (const FileEntry& entry : manifest.files) result_.enclave_bytes += entry.bytes;
    result_.enclave_root = write_manifest(folder, manifest);
  }

  FileEntry write_config(const fs::path& folder) const {
    return made_ ? written(made_->get("config.json"), folder)
                 : copied(model_dir_ / "config.json", folder, "config.json");
  }

  /// The small files that only the enclave reads.
  void write_texts(const fs::path& folder) {
    std::vector<FileEntry>& files = result_.enclave.files;
    if (made_) {
      for (const auto& [name, file] : made_->all())
        if (belongs_to_enclave(name)) files.push_back(written(file, folder));
      return;
    }
    std::vector<fs::path> copies;
    for (const auto& entry : fs::directory_iterator(model_dir_))
      if (entry.is_regular_file() && belongs_to_enclave(entry.path().filename().string()))
        copies.push_back(entry.path());
    std::sort(copies.begin(), copies.end());
    for (const fs::path& path : copies)
      files.push_back(copied(path, folder, path.filename().string()));
    if (!is_there(model_dir_ / kPoolingFile)) return;
    make_folder((folder / kPoolingFile).parent_path());
    files.push_back(copied(model_dir_ / kPoolingFile, folder, std::string(kPoolingFile)));
  }

  FileEntry write_enclave_tensors(const fs::path& folder) {
    OutputFile file(folder, kEnclaveTensors);
    file.write(safetensors_head(planned_));
    for (std::size_t i = 0; i < copied_; ++i)
      copy_tensor(store_.get(planned_[i].name, planned_[i].shape), file);
    for (const std::vector<float>& scale : scales_) file.write(bytes_of(scale));
    return file.finish();
  }

  static void copy_tensor(const TensorView& tensor, OutputFile& file) {
    TensorReader reader(tensor);
    std::vector<u8> piece(std::size_t{1} << 20);
    const std::size_t size = tensor.size_bytes();
    for (std::size_t at = 0; at < size; at += piece.size()) {
      const auto bytes = std::span(piece).first(std::min(piece.size(), size - at));
      reader.read_bytes(at, bytes);
      file.write(bytes);
    }
  }

  /// The index of a sharded model, so that TensorStore opens the folder like any other.
  FileEntry write_index(const fs::path& folder) {
    nlohmann::json map = nlohmann::json::object();
    u64 bytes = 0;
    for (const PlannedTensor& tensor : planned_) {
      map[tensor.name] = kEnclaveTensors;
      bytes += tensor.bytes;
    }
    OutputFile file(folder, "model.safetensors.index.json");
    const nlohmann::json index{{"metadata", {{"total_size", bytes}}}, {"weight_map", map}};
    file.write(index.dump(1) + "\n");
    return file.finish();
  }

  Sha256Digest write_manifest(const fs::path& folder, const Manifest& manifest) {
    OutputFile file(folder, kManifestFile);
    file.write(to_text(manifest));
    return file.finish().digest;
  }

  const fs::path& model_dir_;
  const PrepareOptions& options_;
  Progress& progress_;
  arch::ModelPlan plan_;
  TensorStore store_;
  std::optional<TextFiles> made_;      ///< of a GGUF file's metadata
  std::vector<PlannedTensor> planned_; ///< of enclave.safetensors, in its order
  std::size_t copied_ = 0;             ///< of these, the ones copied from the model
  std::vector<std::vector<float>> scales_;
  Prepared result_;
};

/// @throws Error{usage} unless OUT is free, or made by us and to be replaced.
void check_target(const fs::path& out, bool force) {
  std::error_code ignored;
  if (!fs::exists(out, ignored)) return;
  if (!force)
    throw Error(Errc::usage,
                fmt::format("{} exists; give another folder, or --force to replace what an earlier "
                            "prepare made",
                            out.string()));
  if (!fs::is_directory(out, ignored) || !has_manifest(out / "enclave") ||
      !has_manifest(out / "worker"))
    throw Error(Errc::usage, fmt::format("{} was not made by `talaria prepare`; --force does not "
                                         "replace it: remove it yourself",
                                         out.string()));
}

void check_space(const fs::path& folder, u64 wanted) {
  std::error_code failure;
  const auto space = fs::space(folder, failure);
  if (!failure && space.available < wanted)
    throw Error(Errc::io, fmt::format("{}: {} bytes are free, {} are needed", folder.string(),
                                      space.available, wanted));
}

/// Without the slash that a completed directory name ends with.
fs::path without_slash(const fs::path& path) {
  const fs::path whole = fs::absolute(path).lexically_normal();
  return whole.has_filename() ? whole : whole.parent_path();
}

} // namespace

Prepared prepare_model(const fs::path& model_dir, const fs::path& out,
                       const PrepareOptions& options, Progress& progress) {
  if (!open_folder(model_dir).published())
    throw Error(Errc::usage, fmt::format("{} is prepared already; give the folder it was made from",
                                         model_dir.string()));
  const fs::path target = without_slash(out);
  check_target(target, options.force);
  Preparation preparation(model_dir, options, progress);
  StagingFolder staging(target);
  check_space(staging.path(), preparation.total_bytes());
  Prepared result = preparation.write(staging.path());
  staging.publish();
  return result;
}

} // namespace talaria::model
