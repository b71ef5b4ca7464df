// Any bytes as a chat template: either an Error, or a text within the limits.

#include <cstdint>
#include <cstdlib>
#include <string>

#include "core/error.hpp"
#include "model/chat_template.hpp"
#include "model/tokenizer.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace talaria;
  const std::string text(reinterpret_cast<const char*>(data), size);
  try {
    auto chat =
        model::ChatTemplate::parse(text, "fuzz", {{"bos_token", "<s>"}, {"eos_token", "</s>"}});
    chat.set_clock(model::ChatClock::parse("2026-11-30", "fuzz"));
    const model::MarkedText prompt = chat.prompt({{"system", " Be brief.\n"},
                                                  {"user", "Größe 😀 {{ 1 }}"},
                                                  {"assistant", "<think>a</think>\n\nb"},
                                                  {"user", ""}},
                                                 true);
    if (prompt.size() > (16u << 20) || model::find_invalid_utf8(prompt.text())) std::abort();
    std::size_t end = 0; // stretches are in order, not empty, inside of the text, on characters
    for (const auto& stretch : prompt.stretches()) {
      const std::string_view rest = std::string_view(prompt.text()).substr(stretch.begin);
      if (stretch.begin < end || stretch.end <= stretch.begin || stretch.end > prompt.size() ||
          model::find_invalid_utf8(rest.substr(0, stretch.end - stretch.begin)))
        std::abort();
      end = stretch.end;
    }
  } catch (const Error& error) {
    const bool known = error.code() == Errc::model || error.code() == Errc::usage;
    if (!known || std::string(error.what()).find('\n') != std::string::npos) std::abort();
  }
  return 0;
}
