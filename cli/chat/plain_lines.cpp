#include <array>
#include <cerrno>
#include <unistd.h>

#include "cli/chat/line_reader.hpp"
#include "cli/wake.hpp"
#include "core/secret.hpp"

namespace talaria::cli {

namespace {

class PlainLines final : public LineReader {
public:
  Got read(const std::string&, std::string& line) override {
    for (;;) {
      const std::size_t end = held_.find('\n');
      if (end != std::string::npos) return take(end, end + 1, line), Got::line;
      if (ended_ && held_.empty()) return Got::end;
      if (ended_) return take(held_.size(), held_.size(), line), Got::line;
      if (wake_.wait(STDIN_FILENO, POLLIN) == Wake::Got::woken)
        return wake_.clear(), Got::interrupted;
      read_some();
    }
  }
  void interrupt() noexcept override { wake_.set(); }

private:
  void take(std::size_t size, std::size_t with_end, std::string& line) {
    line = held_.substr(0, size);
    held_.erase(0, with_end);
    if (line.ends_with('\r')) line.pop_back();
  }
  void read_some() {
    std::array<char, 4096> piece;
    const ssize_t count = ::read(STDIN_FILENO, piece.data(), piece.size());
    if (count < 0 && (errno == EINTR || errno == EAGAIN)) return;
    if (count <= 0)
      ended_ = true;
    else
      held_.append(piece.data(), static_cast<std::size_t>(count));
    wipe(piece.data(), piece.size());
  }

  Wake wake_;
  std::string held_;
  bool ended_ = false;
};

} // namespace

std::unique_ptr<LineReader> plain_lines() {
  return std::make_unique<PlainLines>();
}

} // namespace talaria::cli
