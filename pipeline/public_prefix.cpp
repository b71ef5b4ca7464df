#include "pipeline/public_prefix.hpp"

#include <fmt/format.h>

#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <string>

#include "core/error.hpp"
#include "kv/layout.hpp"
#include "model/tokenizer.hpp"

namespace talaria::pipeline {

namespace {

namespace fs = std::filesystem;

constexpr std::uintmax_t kLargestPrefix = std::uintmax_t{4} << 20;

[[noreturn]] void wrong_prefix(const fs::path& file, const std::string& what) {
  throw Error(Errc::config, fmt::format("pipeline.kv.public_prefix: {}: {}", file.string(), what));
}

std::string content_of(const fs::path& file) {
  std::error_code ignored;
  if (!fs::is_regular_file(file, ignored)) wrong_prefix(file, "is no file");
  if (fs::file_size(file, ignored) > kLargestPrefix) wrong_prefix(file, "is larger than 4 MiB");
  std::ifstream in(file, std::ios::binary);
  std::string text{std::istreambuf_iterator<char>(in), {}};
  if (!in) wrong_prefix(file, "cannot be read");
  return text;
}

std::vector<u32> listed_ids(const nlohmann::json& list, u32 vocab, const fs::path& file) {
  std::vector<u32> out;
  for (const auto& id : list) {
    if (!id.is_number_unsigned() || id.get<u64>() >= vocab)
      wrong_prefix(file,
                   fmt::format("is a list with something that is no token id below {}", vocab));
    out.push_back(id.get<u32>());
  }
  return out;
}

} // namespace

std::vector<u32> public_prefix(const fs::path& file, const model::Tokenizer* tokenizer) {
  if (file.empty()) return {};
  if (tokenizer == nullptr) wrong_prefix(file, "this model has no tokenizer");
  const std::string text = content_of(file);
  const auto list = nlohmann::json::parse(text, nullptr, /*allow_exceptions=*/false);
  const std::vector<u32> ids = list.is_array() && !list.empty()
                                   ? listed_ids(list, tokenizer->vocab_size(), file)
                                   : tokenizer->encode(text, /*add_special_tokens=*/true);
  if (ids.size() < kv::kBlockPositions)
    wrong_prefix(file, fmt::format("has {} tokens; blocks of {} are shared, and none is complete",
                                   ids.size(), kv::kBlockPositions));
  return ids;
}

} // namespace talaria::pipeline
