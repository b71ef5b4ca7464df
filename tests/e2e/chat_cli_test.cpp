// `talaria chat` with the embedded engine: from a pipe, and on a terminal of its own.
#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <array>
#include <poll.h>
#include <pty.h>
#include <termios.h>

#include "tests/support/models.hpp"
#include "tests/support/process.hpp"
#include "tests/support/temporary_folder.hpp"

namespace talaria {

namespace {

const std::string kChatModel = tests::model_folder("talaria-tiny").string();

tests::Finished chat(const std::string& input, std::vector<std::string> more = {}) {
  std::vector<std::string> command{
      TALARIA_BIN "/talaria", "chat", "--model", kChatModel, "--threads", "1"};
  command.insert(command.end(), more.begin(), more.end());
  return tests::run_program(command, input);
}

/// A program whose standard streams are one terminal.
class OnTerminal {
public:
  explicit OnTerminal(const std::vector<std::string>& command) {
    std::vector<char*> argv;
    for (const auto& word : command) argv.push_back(const_cast<char*>(word.c_str()));
    argv.push_back(nullptr);
    winsize size{24, 200, 0, 0};
    child_ = ::forkpty(&terminal_, nullptr, nullptr, &size);
    if (child_ != 0) return;
    ::setenv("TERM", "xterm", 1);
    ::execv(argv[0], argv.data());
    ::_exit(127);
  }
  ~OnTerminal() {
    if (child_ > 0) ::kill(child_, SIGKILL), ::waitpid(child_, nullptr, 0);
    ::close(terminal_);
  }
  OnTerminal(const OnTerminal&) = delete;
  OnTerminal& operator=(const OnTerminal&) = delete;

  /// Types once the program reads single keys. Until then, and that is for a moment after the
  /// prompt is shown, the kernel edits lines, and would take a backspace for the last character's.
  void type(const std::string& text) const {
    termios mode{};
    for (int waited_ms = 0; ::tcgetattr(terminal_, &mode) == 0 && (mode.c_lflag & ICANON) != 0;
         ++waited_ms) {
      BOOST_TEST_REQUIRE(waited_ms < kPatienceMs, "the terminal still edits lines: " << shown_);
      ::usleep(1000);
    }
    BOOST_TEST_REQUIRE(::write(terminal_, text.data(), text.size()) ==
                       static_cast<ssize_t>(text.size()));
  }
  /// Reads until the screen shows `text` behind what was awaited before.
  void await(const std::string& text) {
    for (std::size_t found; (found = shown_.find(text, seen_)) == std::string::npos;)
      BOOST_TEST_REQUIRE(read_more(), "the terminal shows no '" << text << "': " << shown_);
    seen_ = shown_.find(text, seen_) + text.size();
  }
  /// Presses `key` until the program has ended, as a person does: between two lines the terminal is
  /// the kernel's for a moment, which takes the key for its own. Returns the exit status.
  int end_by(const std::string& key) {
    int presses = 0;
    for (bool is_open = true; is_open;) {
      BOOST_TEST_REQUIRE(++presses < kPatienceMs / 1000, "the program does not end: " << shown_);
      (void)!::write(terminal_, key.data(), key.size()); // may be closed already
      pollfd more{terminal_, POLLIN, 0};
      while (is_open && ::poll(&more, 1, 1000) != 0) is_open = read_more();
    }
    int status = 0;
    ::waitpid(std::exchange(child_, -1), &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  }
  const std::string& shown() const noexcept { return shown_; }

private:
  static constexpr int kPatienceMs = 120'000;

  bool read_more() {
    pollfd more{terminal_, POLLIN, 0};
    if (::poll(&more, 1, kPatienceMs) == 0) return false;
    std::array<char, 4096> piece;
    const ssize_t count = ::read(terminal_, piece.data(), piece.size());
    if (count > 0) shown_.append(piece.data(), static_cast<std::size_t>(count));
    return count > 0;
  }

  int terminal_ = -1;
  pid_t child_ = -1;
  std::string shown_;
  std::size_t seen_ = 0;
};

std::vector<std::string> on_terminal(std::vector<std::string> more = {}) {
  std::vector<std::string> command{
      TALARIA_BIN "/talaria", "chat", "--model", kChatModel, "--threads", "1",
      "--temperature",        "0"};
  command.insert(command.end(), more.begin(), more.end());
  return command;
}

} // namespace

BOOST_AUTO_TEST_CASE(a_piped_chat_answers_as_run_does) {
  const tests::TemporaryFolder folder;
  const std::string file = (folder.path() / "talk.json").string();
  const auto talk = chat("Who are you?\n/save " + file + "\nWhat else?",
                         {"--temperature", "0", "--max-tokens", "12", "--stats"});
  BOOST_TEST_REQUIRE(talk.status == 0, talk.err);
  const auto run = tests::run_program({TALARIA_BIN "/talaria", "run", "--model", kChatModel,
                                       "--threads", "1", "--chat", "--prompt", "Who are you?",
                                       "--temperature", "0", "--max-tokens", "12"});
  BOOST_TEST_REQUIRE(run.status == 0, run.err);
  BOOST_TEST(talk.out.starts_with(run.out), talk.out << " and " << run.out);
  BOOST_TEST(talk.out.size() > run.out.size());
  BOOST_TEST(talk.err.find("tokens, the first after") != std::string::npos, talk.err);
  BOOST_TEST(std::filesystem::exists(file));
}

BOOST_AUTO_TEST_CASE(what_a_chat_cannot_do_is_said_in_a_line) {
  const auto both = chat("x", {"--url", "http://127.0.0.1:1"});
  BOOST_TEST(both.status == 2);
  const auto nobody = tests::run_program(
      {TALARIA_BIN "/talaria", "chat", "--url", "http://127.0.0.1:1", "--served-model", "m"},
      "x\n");
  BOOST_TEST(nobody.status == 2);
  BOOST_TEST(nobody.err.find("127.0.0.1:1") != std::string::npos, nobody.err);
  BOOST_TEST(std::count(nobody.err.begin(), nobody.err.end(), '\n') == 1, nobody.err);
}

BOOST_AUTO_TEST_CASE(a_terminal_edits_lines_remembers_them_and_survives_an_interrupt) {
  OnTerminal chat(on_terminal({"--max-tokens", "100000"}));
  chat.await("/help says what can be typed");
  chat.await("> ");
  chat.type("/stattus\x1b[D\x1b[D\x1b[D\x7f\r"); // three to the left, one out: /status
  chat.await("none needed");
  chat.await("> ");
  chat.type("\x1b[A\r"); // the line before
  chat.await("none needed");
  chat.await("> ");
  chat.type("half a line");
  chat.await("half a line");
  chat.type("\x03");
  chat.await("Ctrl-C again");
  chat.await("> ");
  BOOST_TEST(chat.end_by("\x04") == 0, chat.shown());
}

BOOST_AUTO_TEST_CASE(two_interrupts_at_the_prompt_end_the_program) {
  OnTerminal chat(on_terminal());
  chat.await("> ");
  chat.type("\x03");
  chat.await("Ctrl-C again");
  chat.await("> ");
  BOOST_TEST(chat.end_by("\x03") == 130, chat.shown());
}

} // namespace talaria
