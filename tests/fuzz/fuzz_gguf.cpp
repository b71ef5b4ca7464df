// Any bytes as a GGUF file: either an Error{model} in one line, or tensors that lie inside the
// file, a config.json that the plan takes or refuses, and a tokenizer likewise.

#include <cstdint>
#include <cstdlib>
#include <functional>
#include <string>
#include <vector>

#include "arch/model_plan.hpp"
#include "core/error.hpp"
#include "model/tokenizer.hpp"
#include "model/weights/gguf.hpp"
#include "model/weights/gguf_config.hpp"
#include "model/weights/gguf_tokenizer.hpp"

namespace {

using namespace talaria;

void attempt(const std::function<void()>& run) {
  try {
    run();
  } catch (const Error& error) {
    const std::string message = error.what();
    if (error.code() != Errc::model || message.find('\n') != std::string::npos) std::abort();
  }
}

void decode_all(const model::GgufTensor& tensor, std::span<const u8> file) {
  if (tensor.offset > file.size() || tensor.bytes > file.size() - tensor.offset) std::abort();
  std::vector<float> block(tensor.type->values);
  for (u64 at = 0; at < tensor.bytes; at += tensor.type->bytes)
    tensor.type->decode(file.data() + tensor.offset + at, 1, block.data());
}

void read(std::span<const u8> file) {
  const model::GgufHeader header = model::parse_gguf_header(file, "fuzz");
  const model::GgufFields fields(header.metadata, "fuzz");
  model::GgufTensors tensors;
  tensors.values = [](const std::string&) { return std::vector<float>{1, 2}; };
  for (const model::GgufTensor& tensor : header.tensors) {
    tensors.shapes.emplace(tensor.name, tensor.shape);
    decode_all(tensor, file);
    attempt([&] { model::gguf_target(fields, tensor.name); });
  }
  attempt([&] {
    const std::string config = model::gguf_config(fields, tensors);
    if (fields.integer(*fields.text("general.architecture") + ".block_count").value_or(0) < 64)
      arch::parse_model_plan(config, "fuzz");
  });
  attempt([&] {
    const model::GgufTokenizer texts = model::gguf_tokenizer(fields);
    model::Tokenizer::parse(texts.tokenizer, "fuzz");
  });
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  attempt([&] { read({data, size}); });
  return 0;
}
