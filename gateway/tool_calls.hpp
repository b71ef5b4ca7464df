#pragma once

#include <string>
#include <string_view>

#include "gateway/call_text.hpp"
#include "gateway/harmony_channels.hpp"
#include "gateway/tool_call.hpp"

namespace talaria::gateway {

/// Finds the calls in an answer that comes piece by piece. Text that is no call is given as it
/// came, so that nothing of an answer is lost. A call begins when its name and the beginning of its
/// arguments are known, and is one from then on; the arguments follow as they come.
class ToolCallFinder {
public:
  /// @param parallel  false: the answer's first call is the only one that is given
  ToolCallFinder(ToolSyntax syntax, bool parallel);
  AnswerParts push(std::string_view piece);
  /// What was held back, at the end of the answer.
  AnswerParts finish();
  /// Calls begun so far.
  std::size_t calls() const noexcept { return count_; }
  /// What comes next belongs to what the model thinks, as far as is known: of harmony.
  bool thinks() const noexcept { return channels_.thinks(); }

private:
  enum class State : u8 {
    text,      ///< until a call may begin
    head,      ///< a call may have begun
    arguments, ///< of one that has
    tail,      ///< what is left of one behind its arguments
    unusual,   ///< what may be a call in another order, known when it is whole
    passes,    ///< text to the end
  };
  AnswerParts run(bool at_end);
  bool step(AnswerParts& parts, bool at_end);
  bool look_for_call(AnswerParts& parts, bool at_end);
  bool look_at_beginning(AnswerParts& parts, bool at_end);
  bool read_head(AnswerParts& parts, bool at_end);
  CallHead head() const;
  bool read_arguments(AnswerParts& parts, bool at_end);
  bool read_tail(bool at_end);
  bool read_unusual(AnswerParts& parts, bool at_end);
  bool waits_for_text(std::string_view text) const;
  void add_text(AnswerParts& parts, std::size_t size);
  void begin_call(AnswerParts& parts, std::string name);
  void add_arguments(AnswerParts& parts, std::string_view part, bool ends);

  ToolSyntax syntax_;
  bool parallel_;
  State state_ = State::text;
  std::string held_;
  ObjectScanner arguments_;
  bool given_ = false; ///< the call whose arguments come is one that is given
  std::size_t count_ = 0;
  bool in_text_ = false;     ///< of which some came since the last call
  HarmonyChannels channels_; ///< of harmony
};

} // namespace talaria::gateway
