#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "core/digest.hpp"
#include "core/integers.hpp"
#include "model/weights/quantized.hpp"

namespace talaria::model {

struct PrivateFile;

inline constexpr const char* kManifestFile = "manifest.json";

/// Which half of a prepared model a folder holds.
enum class PreparedSide : u8 { enclave, worker };
const char* to_string(PreparedSide side) noexcept;

/// One matrix as a worker holds it.
struct MatrixEntry {
  u32 id = 0;       ///< LinearId
  std::string name; ///< linear_name()
  u64 d_in = 0;
  u64 columns = 0;       ///< column sets included: 2 d_out for int16
  Sha256Digest digest{}; ///< model::digest() of the packed matrix
};

/// One file beside the manifest, named without folders but for kPoolingFile.
struct FileEntry {
  std::string name;
  u64 bytes = 0;
  Sha256Digest digest{}; ///< SHA-256 of its bytes
};

/// What manifest.json says of a prepared folder. The matrices are the same on both sides; the files
/// are those of the folder it lies in.
struct Manifest {
  PreparedSide side = PreparedSide::worker;
  std::string model_type;
  WeightFormat weights = WeightFormat::int8;
  u32 layers = 0;
  std::vector<MatrixEntry> matrices; ///< matrices[i].id == i
  std::vector<FileEntry> files;

  /// @throws Error{model} if the manifest lists no such file.
  const FileEntry& file(const std::string& name) const;
};

/// The text of manifest.json: JSON, format version 1, digests in hexadecimal.
std::string to_text(const Manifest& manifest);

/// True if a manifest.json is one of ours (whatever its version).
/// @throws Error{model} if it is no JSON object.
bool is_manifest(const PrivateFile& file);
/// The same for FOLDER/manifest.json; false if it is not there.
bool has_manifest(const std::filesystem::path& folder);

/// What a manifest.json says.
/// @throws Error{model} naming the file and the field that is missing, malformed, or of a version
/// this program does not read.
Manifest parse_manifest(const PrivateFile& file);
/// The same for FOLDER/manifest.json.
Manifest read_manifest(const std::filesystem::path& folder);

/// @throws Error{model} naming the manifest, `file`, if it is the other half's.
void require_side(const Manifest& manifest, PreparedSide side, const std::filesystem::path& file);

/// Takes the head out of `plan` if the manifest has every matrix but that one: such a folder was
/// made of an embedding model, whose config.json may speak of a head that nobody uses.
void fit_head(arch::ModelPlan& plan, const Manifest& manifest);

/// @throws Error{model} naming the field of FOLDER/manifest.json that does not fit its config.json.
void check_manifest(const Manifest& manifest, const arch::ModelPlan& plan,
                    const std::filesystem::path& folder);

/// @throws Error{model}: the manifest lists `path`, and it is not there.
[[noreturn]] void refuse_missing(const std::filesystem::path& path);

/// Compares what was read of the file `path` with its entry: size, then SHA-256.
/// @throws Error{model} naming the file and what is wrong with it.
void check_entry(const std::filesystem::path& path, const FileEntry& entry, u64 bytes,
                 const Sha256Digest& digest);

/// Reads a file and compares it with its entry.
/// @throws Error{model} naming the file and what is wrong with it.
void check_file(const std::filesystem::path& folder, const FileEntry& entry);

} // namespace talaria::model
