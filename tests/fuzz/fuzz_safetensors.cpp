// Any bytes as a safetensors file: either an Error{model}, or tensors that can be read whole.

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "core/error.hpp"
#include "model/weights/safetensors.hpp"

namespace {

using namespace talaria;

/// The header's promise: every extent fits its shape and lies inside the file.
void read_all(const model::TensorView& tensor, std::span<const u8> file) {
  std::array<float, 64> values{};
  const std::size_t elements = tensor.elements();
  if (elements > file.size()) std::abort();
  for (std::size_t at = 0; at < elements; at += values.size())
    tensor.read(at, std::span(values).first(std::min(values.size(), elements - at)));
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::span<const u8> file(data, size);
  try {
    std::map<std::string, std::string> others;
    for (const auto& [name, tensor] : model::parse_safetensors(file, "fuzz", &others))
      read_all(tensor, file);
  } catch (const Error& error) {
    const std::string message = error.what();
    if (error.code() != Errc::model || message.find('\n') != std::string::npos) std::abort();
  }
  return 0;
}
