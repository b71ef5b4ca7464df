#pragma once

#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <string>

#include "core/integers.hpp"

namespace talaria::tests {

/// Ids of a padded copy that no token has; the model's own end before them.
constexpr u32 kPaddedRows = 64;

/// Writes a copy of the model in `from` (one safetensors file, bf16, an untied head) to `to` whose
/// matrices have kPaddedRows rows more than its tokenizer has tokens, as every published Qwen2,
/// Qwen2.5 and Qwen3 has. Two of them have such a large logit that one is the likeliest next token
/// after any prompt.
inline void write_padded_vocabulary(const std::filesystem::path& from,
                                    const std::filesystem::path& to) {
  using nlohmann::json;
  namespace fs = std::filesystem;
  const auto read = [](const fs::path& path) {
    std::ifstream in(path, std::ios::binary);
    return std::string(std::istreambuf_iterator<char>(in), {});
  };
  const auto write = [](const fs::path& path, const std::string& text) {
    std::ofstream(path, std::ios::binary | std::ios::trunc) << text;
  };
  fs::copy(from, to);
  json config = json::parse(read(to / "config.json"));
  const auto rows = config["vocab_size"].get<std::size_t>();
  config["vocab_size"] = rows + kPaddedRows;
  write(to / "config.json", config.dump());

  const std::string file = read(to / "model.safetensors");
  u64 length = 0;
  std::memcpy(&length, file.data(), 8);
  const json header = json::parse(file.substr(8, length));
  json padded_header = json::object();
  std::string padded;
  for (const auto& [name, tensor] : header.items()) {
    if (name == "__metadata__") continue;
    const auto begin = tensor["data_offsets"][0].get<std::size_t>();
    const auto end = tensor["data_offsets"][1].get<std::size_t>();
    json shape = tensor["shape"];
    std::string bytes = file.substr(8 + length + begin, end - begin);
    const bool by_token = name == "model.embed_tokens.weight" || name == "lm_head.weight";
    if (by_token) {
      const auto columns = shape[1].get<std::size_t>();
      bytes.append(kPaddedRows * columns * 2, '\0');
      shape[0] = rows + kPaddedRows;
      if (name == "lm_head.weight") { // 8 or -8 in every column
        for (std::size_t i = 0; i < columns; ++i) {
          bytes[((rows + 4) * columns + i) * 2 + 1] = '\x41';
          bytes[((rows + 5) * columns + i) * 2 + 1] = '\xC1';
        }
      }
    }
    padded_header[name] = {{"dtype", tensor["dtype"]},
                           {"shape", shape},
                           {"data_offsets", {padded.size(), padded.size() + bytes.size()}}};
    padded += bytes;
  }
  std::string head = padded_header.dump();
  head.append((8 - head.size() % 8) % 8, ' ');
  length = head.size();
  std::string out(8, '\0');
  std::memcpy(out.data(), &length, 8);
  write(to / "model.safetensors", out + head + padded);
}

} // namespace talaria::tests
