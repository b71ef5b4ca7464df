#include "model/weights/manifest.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <fstream>
#include <nlohmann/json.hpp>
#include <optional>

#include "core/error.hpp"
#include "model/weights/json_fields.hpp"

namespace talaria::model {

using nlohmann::json;

namespace {

constexpr const char* kFormat = "talaria-prepared";
constexpr u32 kVersion = 1;

std::optional<u8> nibble(char c) {
  if (c >= '0' && c <= '9') return static_cast<u8>(c - '0');
  if (c >= 'a' && c <= 'f') return static_cast<u8>(c - 'a' + 10);
  return std::nullopt;
}

Sha256Digest read_digest(const JsonFields& fields) {
  const std::string text = fields.text("sha256").value_or("");
  Sha256Digest out{};
  if (text.size() != 2 * out.size()) fields.refuse("sha256", "64 hexadecimal digits");
  for (std::size_t i = 0; i < out.size(); ++i) {
    const auto high = nibble(text[2 * i]);
    const auto low = nibble(text[2 * i + 1]);
    if (!high || !low) fields.refuse("sha256", "64 lower-case hexadecimal digits");
    out[i] = static_cast<u8>(*high << 4 | *low);
  }
  return out;
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

bool has_manifest(const std::filesystem::path& folder) {
  const auto path = folder / kManifestFile;
  std::error_code ignored;
  if (!std::filesystem::exists(path, ignored)) return false;
  const json object = read_json_object(path);
  const auto format = object.find("format");
  return format != object.end() && *format == kFormat;
}

Manifest read_manifest(const std::filesystem::path& folder) {
  const std::string file = (folder / kManifestFile).string();
  const json object = read_json_object(file);
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

void check_manifest(const Manifest& manifest, const ModelConfig& config,
                    const std::filesystem::path& folder) {
  const auto check = [&](const std::string& field, const auto& found, const auto& wanted) {
    if (found != wanted)
      mismatch(folder, field, fmt::format("{}", found), fmt::format("{}", wanted));
  };
  check("model_type", manifest.model_type, config.model_type);
  check("layers", manifest.layers, config.layers);
  check("the number of matrices", manifest.matrices.size(), std::size_t{linear_count(config)});
  const std::size_t sets = manifest.weights == WeightFormat::int16 ? 2 : 1;
  for (u32 i = 0; i < linear_count(config); ++i) {
    const MatrixEntry& entry = manifest.matrices[i];
    const LinearKind kind = linear_kind(config, {i});
    const auto at = [i](const char* field) { return fmt::format("matrices[{}].{}", i, field); };
    check(at("id"), entry.id, i);
    check(at("name"), entry.name, linear_name(config, {i}));
    check(at("d_in"), entry.d_in, u64{linear_inputs(config, kind)});
    check(at("columns"), entry.columns, u64{sets * linear_outputs(config, kind)});
  }
}

void check_file(const std::filesystem::path& folder, const FileEntry& entry) {
  const auto path = folder / entry.name;
  std::error_code failure;
  const auto size = std::filesystem::file_size(path, failure);
  if (failure)
    throw Error(Errc::model, fmt::format("{}: {}, though {} lists it; copy the folder again",
                                         path.string(), failure.message(), kManifestFile));
  if (size != entry.bytes)
    throw Error(Errc::model, fmt::format("{}: {} bytes, {} says {}; copy the folder again",
                                         path.string(), size, kManifestFile, entry.bytes));
  std::ifstream in(path, std::ios::binary);
  std::vector<char> buffer(std::size_t{1} << 20);
  Sha256 hash;
  u64 seen = 0;
  while (in) {
    in.read(buffer.data(), static_cast<std::streamsize>(buffer.size()));
    const auto got = static_cast<std::size_t>(in.gcount());
    hash.update({reinterpret_cast<const u8*>(buffer.data()), got});
    seen += got;
  }
  if (seen != entry.bytes)
    throw Error(Errc::model, fmt::format("{}: cannot be read", path.string()));
  if (hash.finish() != entry.digest)
    throw Error(Errc::model, fmt::format("{}: its SHA-256 is not the one in {}: damaged, or "
                                         "changed by hand; prepare the model again",
                                         path.string(), kManifestFile));
}

} // namespace talaria::model
