#pragma once

#include <functional>
#include <mutex>
#include <string>
#include <string_view>

#include "cli/chat/answerer.hpp"
#include "cli/chat/chat_line.hpp"
#include "cli/chat/conversation.hpp"
#include "cli/chat/line_reader.hpp"

namespace talaria::cli {

/// A conversation between somebody who types lines and somebody who answers.
class ChatSession {
public:
  struct Options {
    std::string system; ///< the system message; empty: none
    bool interactive =
        false;            ///< somebody sits in front: prompts, figures, and errors do not end it
    bool figures = false; ///< tokens and times behind each answer
  };
  struct Output {
    std::function<void(std::string_view)> answer; ///< text of answers
    std::function<void(std::string_view)> remark; ///< everything else, in whole lines
  };
  /// `lines` and `answerer` must outlive this object.
  ChatSession(LineReader& lines, Answerer& answerer, Options options, Output output);

  /// Until the end of the lines, /quit, or an interrupt that ends it. Returns the exit status.
  /// @throws Error if an answer fails and the session is not interactive
  int run();

  /// Ctrl-C: ends the answer under way; at the prompt it drops the line, and the second time in a
  /// row it ends the session. False: it was pressed again while an answer ends. Thread-safe.
  bool interrupt() noexcept;
  /// Ends the session as soon as possible. Thread-safe.
  void end() noexcept;

private:
  enum class Next { message, nothing, leave };
  Next read_message(std::string& message);
  Next read_block(std::string& message);
  LineReader::Got read_line(const char* prompt, std::string& line);
  Next at_interrupt();
  /// False: the session is over.
  bool obey(const ChatLine& line);
  void save(const std::string& file);
  void converse(const std::string& message);
  AnswerFigures ask(std::string& text);
  void begin_answer();
  void tell(const AnswerFigures& figures, bool stopped);

  LineReader& lines_;
  Answerer& answerer_;
  const Options options_;
  const Output output_;
  Conversation conversation_;
  unsigned interrupts_ = 0; ///< in a row, at the prompt
  int status_ = 0;

  std::mutex mutex_; ///< guards what follows
  bool answering_ = false;
  bool stopped_ = false; ///< the answer under way, or the last one
  bool ended_ = false;
};

} // namespace talaria::cli
