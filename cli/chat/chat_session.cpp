#include "cli/chat/chat_session.hpp"

#include <fmt/format.h>

#include <filesystem>
#include <utility>

#include "core/error.hpp"
#include "core/private_file.hpp"

namespace talaria::cli {

namespace {

constexpr int kInterruptedStatus = 130;
constexpr const char* kPrompt = "> ";
constexpr const char* kGoOn = ". ";
constexpr std::string_view kBlockMark = "\"\"\"";

using Got = LineReader::Got;

} // namespace

ChatSession::ChatSession(LineReader& lines, Answerer& answerer, Options options, Output output)
    : lines_(lines), answerer_(answerer), options_(std::move(options)), output_(std::move(output)) {
  conversation_.set_system(options_.system);
}

int ChatSession::run() {
  if (options_.interactive)
    output_.remark(answerer_.status() + "  /help says what can be typed.\n");
  for (std::string message;; message.clear()) {
    const Next next = read_message(message);
    if (next == Next::leave) return status_;
    if (next == Next::nothing) continue;
    const ChatLine line = parse_chat_line(message);
    if (line.kind == ChatLine::Kind::message)
      converse(line.text);
    else if (!obey(line))
      return status_;
  }
}

bool ChatSession::interrupt() noexcept {
  const std::lock_guard lock(mutex_);
  if (!answering_) return lines_.interrupt(), true;
  if (std::exchange(stopped_, true)) return false;
  answerer_.cancel();
  return true;
}

void ChatSession::end() noexcept {
  const std::lock_guard lock(mutex_);
  ended_ = true;
  if (answering_) {
    stopped_ = true;
    answerer_.cancel();
  }
  lines_.interrupt();
}

LineReader::Got ChatSession::read_line(const char* prompt, std::string& line) {
  {
    const std::lock_guard lock(mutex_);
    if (ended_) return Got::interrupted;
  }
  const Got got = lines_.read(prompt, line);
  if (got == Got::line) interrupts_ = 0;
  return got;
}

ChatSession::Next ChatSession::at_interrupt() {
  const std::lock_guard lock(mutex_);
  if (ended_ || ++interrupts_ > 1) {
    status_ = kInterruptedStatus;
    return Next::leave;
  }
  if (options_.interactive) output_.remark("  Ctrl-C again, or Ctrl-D, ends the chat.\n");
  return Next::nothing;
}

/// Lines that end in a backslash go on; a line of three quotes begins a block.
ChatSession::Next ChatSession::read_message(std::string& message) {
  for (const char* prompt = kPrompt;; prompt = kGoOn) {
    std::string line;
    const Got got = read_line(prompt, line);
    if (got == Got::interrupted) return at_interrupt();
    if (got == Got::end) return message.empty() ? Next::leave : Next::message;
    if (message.empty() && line == kBlockMark) return read_block(message);
    const bool goes_on = line.ends_with('\\');
    if (goes_on) line.pop_back();
    message += line;
    if (!goes_on) break;
    message += '\n';
  }
  const bool is_blank = message.find_first_not_of(" \t\n") == std::string::npos;
  return is_blank ? Next::nothing : Next::message;
}

ChatSession::Next ChatSession::read_block(std::string& message) {
  for (;;) {
    std::string line;
    const Got got = read_line(kGoOn, line);
    if (got == Got::interrupted) return at_interrupt();
    if (got == Got::end || line == kBlockMark) break;
    if (!message.empty()) message += '\n';
    message += line;
  }
  if (message.starts_with('/')) message.insert(0, 1, '/'); // text, and no command
  return message.empty() ? Next::nothing : Next::message;
}

bool ChatSession::obey(const ChatLine& line) {
  switch (line.kind) {
  case ChatLine::Kind::quit:
    return false;
  case ChatLine::Kind::help:
    output_.remark(kChatHelp);
    break;
  case ChatLine::Kind::status:
    output_.remark(answerer_.status());
    break;
  case ChatLine::Kind::reset:
    conversation_.reset();
    output_.remark("  The conversation is forgotten.\n");
    break;
  case ChatLine::Kind::system:
    conversation_.set_system(line.text);
    output_.remark(line.text.empty() ? "  There is no system message any more.\n"
                                     : "  The system message holds from now on.\n");
    break;
  case ChatLine::Kind::save:
    save(line.text);
    break;
  default:
    output_.remark(fmt::format("  {} is no command; /help lists them, and // begins a message "
                               "with a slash.\n",
                               for_terminal(line.text)));
  }
  return true;
}

void ChatSession::save(const std::string& file) {
  const auto complain = [&](const std::string& why) {
    const std::string text = fmt::format("/save: {}", why);
    if (!options_.interactive) throw Error(Errc::io, text);
    output_.remark("  " + text + "\n");
  };
  if (file.empty()) return complain("name a file");
  std::error_code ignored;
  if (std::filesystem::exists(file, ignored))
    return complain(file + ": it exists; name another file");
  const bool is_json = std::filesystem::path(file).extension() == ".json";
  try {
    replace_private_file(file, is_json ? conversation_.to_json() : conversation_.to_markdown());
  } catch (const Error& error) {
    return complain(error.what());
  }
  output_.remark(fmt::format("  Written to {}, for you alone to read.\n", file));
}

void ChatSession::begin_answer() {
  const std::lock_guard lock(mutex_);
  answerer_.rearm();
  stopped_ = ended_;
  answering_ = true;
  if (ended_) answerer_.cancel();
}

AnswerFigures ChatSession::ask(std::string& text) {
  struct NoLonger {
    ChatSession& session;
    ~NoLonger() {
      const std::lock_guard lock(session.mutex_);
      session.answering_ = false;
    }
  };
  begin_answer();
  const NoLonger at_the_end{*this};
  return answerer_.answer(conversation_.messages(), [&](std::string_view piece) {
    text += piece;
    output_.answer(piece);
  });
}

void ChatSession::converse(const std::string& message) {
  conversation_.say(message);
  std::string text;
  try {
    const AnswerFigures figures = ask(text);
    output_.answer("\n");
    bool stopped = false;
    {
      const std::lock_guard lock(mutex_);
      stopped = stopped_;
    }
    tell(figures, stopped);
  } catch (const Error& error) {
    if (!text.empty()) output_.answer("\n");
    conversation_.take_back();
    if (!options_.interactive) throw;
    return output_.remark(fmt::format("  {}\n", error.what()));
  }
  if (text.empty())
    conversation_.take_back();
  else
    conversation_.answer(text);
}

void ChatSession::tell(const AnswerFigures& figures, bool stopped) {
  if (stopped) output_.remark("  stopped\n");
  if (!options_.figures) return;
  std::string line = fmt::format("  {} {}", figures.tokens,
                                 figures.tokens_are_counted ? "tokens" : "pieces of text");
  if (figures.first_s) line += fmt::format(", the first after {:.2f} s", *figures.first_s);
  if (figures.tokens_per_s) line += fmt::format(", {:.1f} per second", *figures.tokens_per_s);
  if (figures.is_cut) line += "; cut by the limit of tokens";
  output_.remark(line + "\n");
}

} // namespace talaria::cli
