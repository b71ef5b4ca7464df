#pragma once

#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <bit>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "core/error.hpp"
#include "core/integers.hpp"
#include "core/random.hpp"

namespace talaria::test {

using Bytes = std::vector<u8>;

/// A new, empty folder that disappears with the object.
class TemporaryFolder {
public:
  TemporaryFolder() {
    auto rng = ChaChaRng::from_system();
    std::string name = "talaria-test-";
    name += std::to_string(rng.below(~u64{0}));
    path_ = std::filesystem::temp_directory_path() / name;
    std::filesystem::create_directory(path_);
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  ~TemporaryFolder() { std::filesystem::remove_all(path_); }

  const std::filesystem::path& path() const { return path_; }
  std::filesystem::path write(const std::string& name, std::string_view text) const {
    std::ofstream(path_ / name, std::ios::binary) << text;
    return path_ / name;
  }
  std::filesystem::path write(const std::string& name, const Bytes& bytes) const {
    return write(name, std::string_view(reinterpret_cast<const char*>(bytes.data()), bytes.size()));
  }

private:
  std::filesystem::path path_;
};

/// Length, header and data of a safetensors file, whatever they say.
inline Bytes safetensors_file(const std::string& header, const Bytes& data) {
  const u64 length = header.size();
  Bytes out(8 + header.size() + data.size());
  std::memcpy(out.data(), &length, 8);
  std::copy(header.begin(), header.end(), out.begin() + 8);
  std::copy(data.begin(), data.end(), out.end() - static_cast<std::ptrdiff_t>(data.size()));
  return out;
}

inline Bytes f32_bytes(const std::vector<float>& values) {
  Bytes out(values.size() * 4);
  if (!values.empty()) std::memcpy(out.data(), values.data(), out.size());
  return out;
}

/// The upper halves: exact only for values that are bf16 already.
inline Bytes bf16_bytes(const std::vector<float>& values) {
  Bytes out;
  for (const float x : values) {
    const u32 bits = std::bit_cast<u32>(x);
    out.push_back(static_cast<u8>(bits >> 16));
    out.push_back(static_cast<u8>(bits >> 24));
  }
  return out;
}

inline float to_bf16(float x) {
  return std::bit_cast<float>(std::bit_cast<u32>(x) & 0xffff0000u);
}

struct TestTensor {
  std::vector<std::size_t> shape;
  std::vector<float> values;
};
using TestTensors = std::map<std::string, TestTensor>;

/// A correct safetensors file; `dtype` is "F32" or "BF16".
inline Bytes safetensors_file(const TestTensors& tensors, const std::string& dtype) {
  nlohmann::json header;
  Bytes data;
  for (const auto& [name, tensor] : tensors) {
    const Bytes bytes = dtype == "F32" ? f32_bytes(tensor.values) : bf16_bytes(tensor.values);
    header[name] = {{"dtype", dtype},
                    {"shape", tensor.shape},
                    {"data_offsets", {data.size(), data.size() + bytes.size()}}};
    data.insert(data.end(), bytes.begin(), bytes.end());
  }
  return safetensors_file(header.dump(), data);
}

/// Checks that `run` throws Error with `code` whose message is one line holding all of `parts`.
template <class Run>
void check_error(Run run, Errc code, const std::vector<std::string>& parts) {
  std::string message;
  try {
    run();
  } catch (const Error& error) {
    message = error.what();
    BOOST_TEST(to_string(error.code()) == std::string(to_string(code)));
  }
  BOOST_TEST(!message.empty(), "no error where one was due");
  BOOST_TEST(message.find('\n') == std::string::npos);
  for (const std::string& part : parts)
    BOOST_TEST(message.find(part) != std::string::npos,
               "\"" << message << "\" does not hold \"" << part << "\"");
}

} // namespace talaria::test
