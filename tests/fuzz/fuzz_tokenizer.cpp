// Any bytes as a tokenizer.json: either an Error{model}, or a tokenizer that keeps its promises.

#include <cstdint>
#include <cstdlib>
#include <string>

#include "core/error.hpp"
#include "model/tokenizer.hpp"

namespace {

using namespace talaria;

void use(const model::Tokenizer& tokenizer, const std::string& text) {
  const std::vector<u32> ids = tokenizer.encode(text, true);
  // Marks alone change nothing.
  const model::OriginLimits limits = tokenizer.limits(text);
  if (tokenizer.encode(model::MarkedText(text), limits) != tokenizer.encode(text, false))
    std::abort();
  tokenizer.encode(model::MarkedText(text, model::Origin::input), limits);
  for (const bool skip_special : {false, true}) {
    model::StreamDecoder decoder(tokenizer, skip_special);
    std::string streamed;
    for (const u32 id : ids) streamed += decoder.push(id);
    streamed += decoder.finish();
    if (streamed != tokenizer.decode(ids, skip_special)) std::abort();
  }
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string json(reinterpret_cast<const char*>(data), size);
  try {
    const model::Tokenizer tokenizer = model::Tokenizer::parse(json, "fuzz");
    use(tokenizer, "Hello  wörld's 1234 ▁ </s>\n\t<0x41> ﬁ");
    use(tokenizer, model::replace_invalid_utf8(json.substr(0, 4096)));
  } catch (const Error& error) {
    // Error{usage}: a pattern that needs too much work on the text.
    const bool known = error.code() == Errc::model || error.code() == Errc::usage;
    if (!known || std::string(error.what()).find('\n') != std::string::npos) std::abort();
  }
  return 0;
}
