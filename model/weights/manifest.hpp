#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "core/digest.hpp"
#include "core/integers.hpp"
#include "model/weights/quantized.hpp"

namespace talaria::model {

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

/// One file beside the manifest, named without folders.
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

/// True if FOLDER/manifest.json is there and is one of ours (whatever its version).
/// @throws Error{model} if it is there and is no JSON object.
bool has_manifest(const std::filesystem::path& folder);

/// Reads FOLDER/manifest.json.
/// @throws Error{model} naming the file and the field that is missing, malformed, or of a version
/// this program does not read.
Manifest read_manifest(const std::filesystem::path& folder);

/// @throws Error{model} naming the field of FOLDER/manifest.json that does not fit its config.json.
void check_manifest(const Manifest& manifest, const ModelConfig& config,
                    const std::filesystem::path& folder);

/// Compares a file with its entry: size, then SHA-256.
/// @throws Error{model} naming the file and what is wrong with it.
void check_file(const std::filesystem::path& folder, const FileEntry& entry);

} // namespace talaria::model
