#include "model/weights/manifest.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>

#include "arch/json_fields.hpp"
#include "core/chunk_digests.hpp"
#include "core/error.hpp"
#include "model/weights/model_folder.hpp"
#include "model/weights/private_file.hpp"

namespace talaria::model {

using nlohmann::json;

namespace {

constexpr const char* kFormat = "talaria-prepared";
constexpr u32 kVersion = 1;

Sha256Digest read_digest(const JsonFields& fields) {
  const std::string text = fields.text("sha256").value_or("");
  const auto digest = parse_sha256(text);
  if (!digest) fields.refuse("sha256", "64 hexadecimal digits");
  if (to_hex(*digest) != text) fields.refuse("sha256", "64 lower-case hexadecimal digits");
  return *digest;
}

u64 read_count(const JsonFields& fields, const char* name) {
  const json* value = fields.find(name);
  if (value == nullptr || !value->is_number_unsigned())
    fields.refuse(name, "a non-negative integer");
  return value->get<u64>();
}

std::string required_text(const JsonFields& fields, const char* name) {
  const auto text = fields.text(name);
  if (!text) fields.refuse(name, "a string");
  return *text;
}

/// A manifest must not reach outside its folder.
std::string read_file_name(const JsonFields& fields) {
  std::string name = required_text(fields, "name");
  if (name == kPoolingFile) return name;
  if (name.empty() || name == "." || name == ".." || name.find('/') != std::string::npos ||
      name.find('\0') != std::string::npos)
    fields.refuse("name", "a plain file name");
  return name;
}

/// Calls take(fields of the element) for every object of the list `name`.
template <class Take>
void for_each_object(const JsonFields& fields, const std::string& file, const char* name,
                     Take take) {
  const json* list = fields.find(name);
  if (list == nullptr || !list->is_array()) fields.refuse(name, "a list of objects");
  for (std::size_t i = 0; i < list->size(); ++i) {
    if (!(*list)[i].is_object()) fields.refuse(name, "a list of objects");
    take(JsonFields((*list)[i], fmt::format("{}: {}[{}]", file, name, i)));
  }
}

PreparedSide read_side(const JsonFields& fields) {
  const std::string side = fields.text("side").value_or("");
  if (side == "enclave") return PreparedSide::enclave;
  if (side != "worker") fields.refuse("side", "\"enclave\" or \"worker\"");
  return PreparedSide::worker;
}

WeightFormat read_weights(const JsonFields& fields) {
  const std::string weights = fields.text("weights").value_or("");
  if (weights != "int8" && weights != "int16") fields.refuse("weights", "\"int8\" or \"int16\"");
  return parse_weight_format(weights);
}

[[noreturn]] void mismatch(const std::filesystem::path& folder, const std::string& field,
                           const std::string& found, const std::string& wanted) {
  throw Error(Errc::model,
              fmt::format("{}: {} is {}, config.json asks for {}; prepare the model again",
                          (folder / kManifestFile).string(), field, printable(found), wanted));
}

} // namespace

const char* to_string(PreparedSide side) noexcept {
  return side == PreparedSide::enclave ? "enclave" : "worker";
}

const FileEntry& Manifest::file(const std::string& name) const {
  const auto at = std::find_if(files.begin(), files.end(),
                               [&](const FileEntry& entry) { return entry.name == name; });
  if (at == files.end())
    throw Error(Errc::model, fmt::format("{} of the {} folder does not list {}", kManifestFile,
                                         to_string(side), name));
  return *at;
}

std::string to_text(const Manifest& manifest) {
  json matrices = json::array();
  for (const MatrixEntry& entry : manifest.matrices)
    matrices.push_back({{"id", entry.id},
                        {"name", entry.name},
                        {"d_in", entry.d_in},
                        {"columns", entry.columns},
                        {"sha256", to_hex(entry.digest)}});
  json files = json::array();
  for (const FileEntry& entry : manifest.files)
    files.push_back(
        {{"name", entry.name}, {"bytes", entry.bytes}, {"sha256", to_hex(entry.digest)}});
  const json whole{{"format", kFormat},
                   {"version", kVersion},
                   {"side", to_string(manifest.side)},
                   {"model_type", manifest.model_type},
                   {"weights", to_string(manifest.weights)},
                   {"layers", manifest.layers},
                   {"matrices", matrices},
                   {"files", files}};
  return whole.dump(1) + "\n";
}

bool is_manifest(const PrivateFile& file) {
  const json object = parse_json_object(file.text, file.path.string());
  const auto format = object.find("format");
  return format != object.end() && *format == kFormat;
}

bool has_manifest(const std::filesystem::path& folder) {
  const auto file = read_private_file_if_there(folder / kManifestFile);
  return file && is_manifest(*file);
}

Manifest read_manifest(const std::filesystem::path& folder) {
  return parse_manifest(read_private_file(folder / kManifestFile));
}

Manifest parse_manifest(const PrivateFile& from) {
  const std::string file = from.path.string();
  const json object = parse_json_object(from.text, file);
  const JsonFields fields(object, file);
  if (fields.text("format").value_or("") != kFormat)
    fields.refuse("format", fmt::format("\"{}\"", kFormat));
  if (fields.required_integer("version", 0, ~0u) != kVersion)
    fields.refuse("version",
                  fmt::format("{}: prepare the model again with this talaria", kVersion));
  Manifest manifest;
  manifest.side = read_side(fields);
  manifest.model_type = required_text(fields, "model_type");
  manifest.weights = read_weights(fields);
  manifest.layers = fields.required_integer("layers", 1, ~0u);
  for_each_object(fields, file, "matrices", [&](const JsonFields& entry) {
    manifest.matrices.push_back({entry.required_integer("id", 0, ~0u), required_text(entry, "name"),
                                 read_count(entry, "d_in"), read_count(entry, "columns"),
                                 read_digest(entry)});
  });
  for_each_object(fields, file, "files", [&](const JsonFields& entry) {
    manifest.files.push_back(
        {read_file_name(entry), read_count(entry, "bytes"), read_digest(entry)});
  });
  return manifest;
}

void require_side(const Manifest& manifest, PreparedSide side, const std::filesystem::path& file) {
  if (manifest.side != side)
    throw Error(Errc::model,
                fmt::format("{}: side is {}; the {} needs the folder {}/ beside it", file.string(),
                            to_string(manifest.side), to_string(side), to_string(side)));
}

void fit_head(arch::ModelPlan& plan, const Manifest& manifest) {
  if (plan.linears.has_head() && manifest.matrices.size() + 1 == plan.linears.size())
    plan.replace_head(arch::Head::none);
}

void check_manifest(const Manifest& manifest, const arch::ModelPlan& plan,
                    const std::filesystem::path& folder) {
  const auto check = [&](const std::string& field, const auto& found, const auto& wanted) {
    if (found != wanted)
      mismatch(folder, field, fmt::format("{}", found), fmt::format("{}", wanted));
  };
  check("model_type", manifest.model_type, plan.model_type);
  check("layers", manifest.layers, plan.layer_count());
  check("the number of matrices", manifest.matrices.size(), std::size_t{plan.linears.size()});
  for (const arch::Linear& linear : plan.linears) {
    const u32 i = linear.id.value;
    const MatrixEntry& entry = manifest.matrices[i];
    const auto at = [i](const char* field) { return fmt::format("matrices[{}].{}", i, field); };
    check(at("id"), entry.id, i);
    check(at("name"), entry.name, linear.name);
    check(at("d_in"), entry.d_in, u64{linear.d_in});
    check(at("columns"), entry.columns, u64{columns_of(linear, manifest.weights)});
  }
}

void refuse_missing(const std::filesystem::path& path) {
  throw Error(Errc::model,
              fmt::format("{}: No such file or directory, though {} lists it; copy the "
                          "folder again",
                          path.string(), kManifestFile));
}

void check_entry(const std::filesystem::path& path, const FileEntry& entry, u64 bytes,
                 const Sha256Digest& digest) {
  if (bytes != entry.bytes)
    throw Error(Errc::model, fmt::format("{}: {} bytes, {} says {}; copy the folder again",
                                         path.string(), bytes, kManifestFile, entry.bytes));
  if (digest != entry.digest)
    throw Error(Errc::model, fmt::format("{}: its SHA-256 is not the one in {}: damaged, or "
                                         "changed by hand; prepare the model again",
                                         path.string(), kManifestFile));
}

void check_file(const std::filesystem::path& folder, const FileEntry& entry) {
  const auto path = folder / entry.name;
  std::error_code ignored;
  if (!std::filesystem::exists(path, ignored)) refuse_missing(path);
  LargeFile file(path);
  check_entry(path, entry, file.size(), SealingPass(file).finish());
}

} // namespace talaria::model
