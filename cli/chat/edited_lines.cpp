#include <histedit.h>

#include <array>
#include <cerrno>
#include <clocale>
#include <cstdio>
#include <langinfo.h>
#include <string_view>
#include <unistd.h>

#include "cli/chat/line_reader.hpp"
#include "cli/wake.hpp"
#include "core/error.hpp"

namespace talaria::cli {

namespace {

constexpr int kHistoryLines = 1000;

/// libedit turns wide characters into bytes by the locale; ours are UTF-8 wherever this runs.
void use_utf8() {
  std::setlocale(LC_CTYPE, "");
  if (std::string_view(::nl_langinfo(CODESET)) != "UTF-8") std::setlocale(LC_CTYPE, "C.UTF-8");
}

class EditedLines final : public LineReader {
public:
  EditedLines() {
    use_utf8();
    edit_ = ::el_init("talaria", stdin, stdout, stderr);
    history_ = ::history_init();
    if (edit_ == nullptr || history_ == nullptr) {
      end();
      throw Error(Errc::io, "the terminal cannot be used for editing lines; set TERM, or give "
                            "messages on a pipe");
    }
    HistEvent event;
    ::history(history_, &event, H_SETSIZE, kHistoryLines);
    ::history(history_, &event, H_SETUNIQUE, 1);
    ::el_set(edit_, EL_CLIENTDATA, this);
    ::el_set(edit_, EL_EDITOR, "emacs");
    ::el_set(edit_, EL_SIGNAL, 0); // signals are watched by a thread
    ::el_set(edit_, EL_PROMPT, &EditedLines::prompt_of);
    ::el_set(edit_, EL_HIST, ::history, history_);
    ::el_set(edit_, EL_GETCFN, &EditedLines::next_character);
    ::el_set(edit_, EL_BIND, "^R", "em-inc-search-prev", nullptr);
  }
  ~EditedLines() override { end(); }
  EditedLines(const EditedLines&) = delete;
  EditedLines& operator=(const EditedLines&) = delete;

  Got read(const std::string& prompt, std::string& line) override {
    prompt_ = prompt;
    was_interrupted_ = false;
    ::el_resize(edit_);
    int count = 0;
    const char* text = ::el_gets(edit_, &count);
    if (was_interrupted_) return std::fputc('\n', stdout), std::fflush(stdout), Got::interrupted;
    if (text == nullptr || count <= 0)
      return std::fputc('\n', stdout), std::fflush(stdout), Got::end;
    line.assign(text, static_cast<std::size_t>(count));
    while (line.ends_with('\n') || line.ends_with('\r')) line.pop_back();
    HistEvent event;
    if (!line.empty()) ::history(history_, &event, H_ENTER, line.c_str());
    return Got::line;
  }
  void interrupt() noexcept override { wake_.set(); }

private:
  void end() noexcept {
    if (edit_ != nullptr) ::el_end(edit_); // gives the terminal back as it was
    if (history_ != nullptr) ::history_end(history_);
  }
  static EditedLines& of(EditLine* edit) {
    void* self = nullptr;
    ::el_get(edit, EL_CLIENTDATA, &self);
    return *static_cast<EditedLines*>(self);
  }
  static char* prompt_of(EditLine* edit) { return of(edit).prompt_.data(); }
  /// libedit's: 1 and a character, 0 at the end, -1 for an error.
  static int next_character(EditLine* edit, wchar_t* out) { return of(edit).next(*out); }

  int next(wchar_t& out) {
    unsigned char first = 0;
    if (const int got = next_byte(first); got != 1) return got;
    const int more = first < 0x80 ? 0 : first < 0xe0 ? 1 : first < 0xf0 ? 2 : 3;
    const std::array<unsigned, 4> kBits{0x7f, 0x1f, 0x0f, 0x07};
    unsigned character = first & kBits[static_cast<std::size_t>(more)];
    for (int i = 0; i < more; ++i) {
      unsigned char next = 0;
      if (const int got = next_byte(next); got != 1) return got;
      character = character << 6 | (next & 0x3fU);
    }
    out = static_cast<wchar_t>(character > 0x10ffff ? 0xfffd : character);
    return 1;
  }
  int next_byte(unsigned char& out) {
    for (;;) {
      if (wake_.wait(STDIN_FILENO, POLLIN) == Wake::Got::woken) {
        wake_.clear();
        was_interrupted_ = true;
        return 0;
      }
      const ssize_t count = ::read(STDIN_FILENO, &out, 1);
      if (count < 0 && (errno == EINTR || errno == EAGAIN)) continue;
      return static_cast<int>(count);
    }
  }

  EditLine* edit_ = nullptr;
  History* history_ = nullptr;
  std::string prompt_;
  bool was_interrupted_ = false;
  Wake wake_;
};

} // namespace

std::unique_ptr<LineReader> edited_lines() {
  return std::make_unique<EditedLines>();
}

} // namespace talaria::cli
