#include "model/weights/model_files.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "core/error.hpp"

namespace talaria::model {

namespace fs = std::filesystem;

ModelFiles::ModelFiles(const fs::path& folder, const std::optional<Sha256Digest>& pinned)
    : ModelFiles(open_folder(folder), pinned) {}

ModelFiles::ModelFiles(const OpenedFolder& opened, const std::optional<Sha256Digest>& pinned)
    : texts_(opened.enclave()) {
  if (opened.kind == FolderKind::gguf) {
    read_gguf(opened.folder, pinned);
  } else if (opened.enclave_manifest) {
    root_ = opened.enclave_manifest->digest;
    check_root(folder(), root_, pinned); // before anything else is read
    read_prepared(*opened.enclave_manifest);
    list_entries();
  } else {
    read_published();
    list_entries();
    root_ = root_of(entries_);
    check_root(folder(), root_, pinned);
  }
}

void ModelFiles::read_published() {
  texts_ = TextFiles(folder(), kTextFiles);
  if (is_there(folder() / kSingleWeights)) return seal(kSingleWeights);
  auto index = read_private_file_if_there(folder() / kWeightIndex);
  if (!index) refuse_no_weights(folder());
  index_ = parse_weight_index(*index); // says which files to read
  texts_.add(kWeightIndex, std::move(*index));
  for (const std::string& name : index_->files) {
    if (!is_there(folder() / name)) refuse_missing_shard(*index_, name);
    seal(name);
  }
}

/// Every part is hashed before anything in it is believed.
void ModelFiles::read_gguf(const fs::path& path, const std::optional<Sha256Digest>& pinned) {
  std::vector<std::shared_ptr<const GgufFile>> parts;
  for (const fs::path& part : gguf_parts(path)) {
    parts.push_back(std::make_shared<const GgufFile>(GgufFile::sealed(part)));
    const GgufFile& file = *parts.back();
    entries_.push_back({part.filename().string(), file.size(), file.digest()});
  }
  root_ = root_of(entries_);
  check_root(path, root_, pinned);
  gguf_ = std::make_shared<const GgufModel>(std::move(parts));
  texts_ = gguf_->texts();
}

void ModelFiles::read_prepared(const PrivateFile& manifest) {
  manifest_ = parse_manifest(manifest);
  require_side(*manifest_, PreparedSide::enclave, manifest.path);
  for (const FileEntry& entry : manifest_->files) read_listed(entry);
  refuse_unlisted();
  const PrivateFile* const index = texts_.find(kWeightIndex);
  if (index == nullptr && !weights_.contains(kSingleWeights)) refuse_no_weights(folder());
  if (index == nullptr) return;
  index_ = parse_weight_index(*index);
  for (const std::string& name : index_->files)
    if (!weights_.contains(name)) refuse_missing_shard(*index_, name);
}

/// Whatever the manifest lists is read and compared, used or not: a damaged copy is found out.
void ModelFiles::read_listed(const FileEntry& entry) {
  const fs::path path = folder() / entry.name;
  if (!is_there(path)) refuse_missing(path);
  if (entry.name.ends_with(".safetensors")) {
    seal(entry.name);
    const SafetensorsFile& file = *weights_.at(entry.name);
    check_entry(path, entry, file.size(), file.digest());
  } else {
    PrivateFile file = read_private_file(path);
    check_entry(path, entry, file.text.size(), file.digest);
    texts_.add(entry.name, std::move(file));
  }
}

/// A file that would be used if it were listed must not be passed over: who put it there wants it
/// to count.
void ModelFiles::refuse_unlisted() const {
  for (const std::string_view name : kTextFiles)
    if (texts_.find(name) == nullptr && is_there(folder() / name))
      throw Error(Errc::model,
                  fmt::format("{}: {} does not list it; remove it, or prepare the model again",
                              (folder() / name).string(), kManifestFile));
}

void ModelFiles::seal(const std::string& name) {
  weights_.emplace(
      name, std::make_shared<const SafetensorsFile>(SafetensorsFile::sealed(folder() / name)));
}

void ModelFiles::list_entries() {
  for (const auto& [name, file] : texts_.all())
    entries_.push_back({name, file.text.size(), file.digest});
  for (const auto& [name, file] : weights_)
    entries_.push_back({name, file->size(), file->digest()});
  std::sort(entries_.begin(), entries_.end(),
            [](const FileEntry& a, const FileEntry& b) { return a.name < b.name; });
}

Sha256Digest root_of(const std::vector<FileEntry>& entries) {
  std::string text = "talaria model 1\n";
  for (const FileEntry& entry : entries)
    text += fmt::format("{} {} {}\n", to_hex(entry.digest), entry.bytes, entry.name);
  return sha256({reinterpret_cast<const u8*>(text.data()), text.size()});
}

void check_root(const fs::path& folder, const Sha256Digest& root,
                const std::optional<Sha256Digest>& pinned) {
  if (pinned && *pinned != root)
    throw Error(
        Errc::model,
        fmt::format("{}: the model's SHA-256 is {}, but {} is pinned (model_sha256): it was "
                    "changed, or is another model",
                    folder.string(), to_hex(root), to_hex(*pinned)));
}

} // namespace talaria::model
