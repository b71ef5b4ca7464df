#include "model/weights/model_folder.hpp"

#include <fmt/format.h>

#include "core/error.hpp"
#include "model/weights/gguf.hpp"
#include "model/weights/manifest.hpp"

namespace talaria::model {

namespace fs = std::filesystem;

namespace {

/// FOLDER/manifest.json if it is there and one of ours.
std::optional<PrivateFile> manifest_in(const fs::path& folder) {
  auto file = read_private_file_if_there(folder / kManifestFile);
  if (file && !is_manifest(*file)) file.reset();
  return file;
}

[[noreturn]] void wrong_half(const fs::path& folder, const char* is, const char* lacks) {
  throw Error(Errc::model, fmt::format("{}: the {}'s half of a prepared model; it holds no {}. "
                                       "Give the other half or the folder above",
                                       folder.string(), is, lacks));
}

} // namespace

OpenedFolder open_folder(const fs::path& folder) {
  OpenedFolder out;
  out.folder = folder;
  if (names_gguf(folder)) {
    if (!is_there(folder))
      throw Error(Errc::model, fmt::format("{}: no such file", folder.string()));
    out.kind = FolderKind::gguf;
    return out;
  }
  if (auto manifest = manifest_in(folder)) {
    const bool enclave = parse_manifest(*manifest).side == PreparedSide::enclave;
    out.kind = enclave ? FolderKind::prepared_enclave : FolderKind::prepared_worker;
    (enclave ? out.enclave_manifest : out.worker_manifest) = std::move(manifest);
    return out;
  }
  out.enclave_manifest = manifest_in(folder / "enclave");
  out.worker_manifest = manifest_in(folder / "worker");
  if (out.enclave_manifest && out.worker_manifest) {
    out.kind = FolderKind::prepared_root;
    return out;
  }
  out.enclave_manifest.reset();
  out.worker_manifest.reset();
  if (is_there(folder / "config.json")) return out;
  throw Error(Errc::model,
              fmt::format("{}: {}", folder.string(),
                          is_there(folder) ? "neither a model folder (config.json is missing) nor "
                                             "one that `talaria prepare` made"
                                           : "no such folder"));
}

fs::path OpenedFolder::enclave() const {
  if (kind == FolderKind::prepared_worker)
    wrong_half(folder, "worker", "tokenizer and no embeddings");
  return kind == FolderKind::prepared_root ? folder / "enclave" : folder;
}

fs::path OpenedFolder::worker() const {
  if (kind == FolderKind::prepared_enclave) wrong_half(folder, "enclave", "weights");
  return kind == FolderKind::prepared_root ? folder / "worker" : folder;
}

FolderKind folder_kind(const fs::path& folder) {
  return open_folder(folder).kind;
}

fs::path enclave_folder(const fs::path& folder) {
  return open_folder(folder).enclave();
}

fs::path worker_folder(const fs::path& folder) {
  return open_folder(folder).worker();
}

} // namespace talaria::model
