#pragma once

#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "core/integers.hpp"
#include "tests/support/models.hpp"
#include "tests/support/temporary_folder.hpp"

namespace talaria::tests {

/// A copy of a model of the tests, which a test may change.
class ModelCopy {
public:
  using json = nlohmann::json;

  explicit ModelCopy(const std::string& name) {
    for (const auto& entry : std::filesystem::directory_iterator(model_folder(name)))
      std::filesystem::copy_file(entry.path(), path() / entry.path().filename());
  }

  const std::filesystem::path& path() const noexcept { return folder_.path(); }

  std::string read(const std::string& file) const {
    std::ifstream in(path() / file, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  void write(const std::string& file, const std::string& bytes) const {
    std::filesystem::create_directories((path() / file).parent_path());
    std::ofstream(path() / file, std::ios::binary) << bytes;
  }
  void change_json(const std::string& file, const std::function<void(json&)>& change) const {
    json object = json::parse(read(file));
    change(object);
    write(file, object.dump());
  }

  /// What sentence-transformers puts beside a model for embeddings.
  void add_modules(const json& pooling, bool normalise = true) const {
    json modules = json::array({module(0, "", "Transformer"), module(1, "1_Pooling", "Pooling")});
    if (normalise) modules.push_back(module(2, "2_Normalize", "Normalize"));
    write("modules.json", modules.dump());
    write("1_Pooling/config.json", pooling.dump());
  }
  static json module(int index, const std::string& path, const std::string& kind) {
    return {{"idx", index},
            {"name", std::to_string(index)},
            {"path", path},
            {"type", "sentence_transformers.models." + kind}};
  }

  /// Gives every tensor of model.safetensors another name, or, for "", none: it is no longer there.
  void rename_tensors(const std::function<std::string(const std::string&)>& renamed) const {
    const std::string bytes = read("model.safetensors");
    u64 length = 0;
    std::memcpy(&length, bytes.data(), sizeof length);
    const json header = json::parse(bytes.substr(sizeof length, length));
    const std::string data = bytes.substr(sizeof length + length);
    json out = json::object();
    std::string kept;
    for (const auto& [name, entry] : header.items()) {
      const std::string to = name == "__metadata__" ? "" : renamed(name);
      if (to.empty()) continue;
      const auto at = entry.at("data_offsets").get<std::vector<std::size_t>>();
      out[to] = entry;
      out[to]["data_offsets"] = {kept.size(), kept.size() + at[1] - at[0]};
      kept += data.substr(at[0], at[1] - at[0]);
    }
    write_tensors(out, kept);
  }
  /// Puts an fp32 tensor behind the others.
  void add_tensor(const std::string& name, const std::vector<std::size_t>& shape,
                  const std::vector<float>& values) const {
    const std::string bytes = read("model.safetensors");
    u64 length = 0;
    std::memcpy(&length, bytes.data(), sizeof length);
    json header = json::parse(bytes.substr(sizeof length, length));
    std::string data = bytes.substr(sizeof length + length);
    header[name] = {{"dtype", "F32"},
                    {"shape", shape},
                    {"data_offsets", {data.size(), data.size() + values.size() * sizeof(float)}}};
    data.append(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(float));
    write_tensors(header, data);
  }

private:
  void write_tensors(const json& header, const std::string& data) const {
    const std::string text = header.dump();
    const u64 length = text.size();
    std::string bytes(sizeof length, '\0');
    std::memcpy(bytes.data(), &length, sizeof length);
    write("model.safetensors", bytes + text + data);
  }

  TemporaryFolder folder_;
};

} // namespace talaria::tests
