#pragma once

#include <string>
#include <string_view>

#include "gateway/tool_call.hpp"

namespace talaria::gateway {

/// The messages of which answers of gpt-oss consist, each on a channel (OpenAI's "harmony" format):
///
///   <|channel|>analysis<|message|>...<|end|>                        what the model thinks
///   <|start|>assistant<|channel|>commentary to=functions.f
///       <|constrain|>json<|message|>{...}<|call|>                   a call
///   <|start|>assistant<|channel|>final<|message|>...<|return|>      what it answers
///
/// The opening <|start|>assistant belongs to the prompt. Text that does not begin like this is the
/// answer itself, as a grammar makes it.
class HarmonyChannels {
public:
  /// @param parallel  false: the answer's first call is the only one that is given
  explicit HarmonyChannels(bool parallel) : parallel_(parallel) {}

  /// What `held` begins with, as far as it is certain, which is taken off.
  AnswerParts take(std::string& held, bool at_end);
  /// Calls begun so far.
  std::size_t calls() const noexcept { return calls_; }
  /// In a message on the channel of what the model thinks.
  bool thinks() const noexcept { return body_ == Body::reasoning; }

private:
  enum class Body : u8 { none, text, reasoning, call, ignored };
  bool read_header(AnswerParts& parts, std::string& held, bool at_end);
  bool read_body(AnswerParts& parts, std::string& held, bool at_end);
  void begin(AnswerParts& parts, std::string_view header);
  void add(AnswerParts& parts, std::string_view text) const;

  bool parallel_;
  bool first_ = true; ///< nothing has been read
  Body body_ = Body::none;
  std::size_t calls_ = 0;
};

} // namespace talaria::gateway
