#include <fmt/format.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <memory>
#include <string>
#include <thread>

#include "cli/commands.hpp"
#include "cli/setting_flags.hpp"
#include "cli/top/top_frame.hpp"
#include "cli/web/event_lines.hpp"
#include "cli/web/web_client.hpp"
#include "core/console.hpp"
#include "core/error.hpp"

namespace talaria::cli {

namespace {

using namespace std::chrono_literals;

struct TopFlags {
  std::string target;
  std::string ca;
  bool once = false;
};

/// A server's address, or where the file's gateway has its metrics.
Url top_url(const std::string& target) {
  std::error_code ignored;
  if (!std::filesystem::exists(target, ignored)) return parse_url(target, "TARGET");
  const config::PipelineConfig settings = resolve_target(target, {}).config;
  if (!settings.telemetry.metrics)
    throw Error(Errc::usage, target + ": it has no telemetry.metrics, where a gateway would tell "
                                      "how it is; set one, 127.0.0.1:9091 say");
  const auto address = transport::parse_address(*settings.telemetry.metrics);
  const bool tls = settings.serve.tls.has_value() && !is_loopback(address.host);
  return parse_url(fmt::format("{}://{}", tls ? "https" : "http", to_string(address)), "TARGET");
}

/// The terminal while frames are shown: another screen, no cursor, keys at once. Given back as it
/// was.
class FrameScreen {
public:
  FrameScreen() {
    has_keys_ = ::isatty(STDIN_FILENO) == 1 && ::tcgetattr(STDIN_FILENO, &before_) == 0;
    if (has_keys_) {
      termios keys = before_;
      keys.c_lflag &= ~static_cast<tcflag_t>(ICANON | ECHO);
      keys.c_cc[VMIN] = 0;
      keys.c_cc[VTIME] = 0;
      ::tcsetattr(STDIN_FILENO, TCSANOW, &keys);
    }
    write_out("\x1b[?1049h\x1b[?25l");
  }
  ~FrameScreen() {
    [[maybe_unused]] const bool written = write_fully(STDOUT_FILENO, "\x1b[?25h\x1b[?1049l");
    if (has_keys_) ::tcsetattr(STDIN_FILENO, TCSANOW, &before_);
  }
  FrameScreen(const FrameScreen&) = delete;
  FrameScreen& operator=(const FrameScreen&) = delete;

  /// Each line ends what stood there before, so that nothing flickers.
  static void show(const std::string& frame) {
    std::string out = "\x1b[H";
    for (const char c : frame) out += c == '\n' ? std::string("\x1b[K\n") : std::string(1, c);
    if (out.ends_with('\n')) out.pop_back(); // the last line shall not scroll
    write_out(out + "\x1b[J");
  }
  bool wants_to_leave() const {
    char key = 0;
    while (has_keys_ && ::read(STDIN_FILENO, &key, 1) == 1)
      if (key == 'q' || key == 'Q') return true;
    return false;
  }

private:
  termios before_{};
  bool has_keys_ = false;
};

TopFrames::Screen screen_now(bool is_terminal) {
  TopFrames::Screen screen;
  winsize size{};
  if (is_terminal && ::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) {
    screen.width = size.ws_col;
    screen.height = size.ws_row;
  }
  screen.colours = is_terminal;
  return screen;
}

/// Shows what comes until the connection ends, or `show` wants no more.
/// @throws Error{io} if the gateway does not answer as one
void follow(WebClient& client, TopFrames& frames, const std::function<bool()>& show) {
  EventLines lines;
  const auto answer = client.request("/dashboard/events", {}, [&](std::string_view part) {
    return lines.feed(part, [&](const std::string& event) {
      frames.take(event);
      return show();
    });
  });
  if (answer.status != 200)
    throw Error(Errc::io, fmt::format("{} answers {}; the live page is at the gateway's "
                                      "telemetry.metrics",
                                      client.url().text, answer.status));
}

int show_once(WebClient& client) {
  TopFrames frames;
  bool shown = false;
  follow(client, frames, [&] {
    TopFrames::Screen screen = screen_now(::isatty(STDOUT_FILENO) == 1);
    screen.height = 0;
    write_out(frames.frame(screen));
    shown = true;
    return false;
  });
  if (!shown) throw Error(Errc::io, client.url().text + ": it ended before it said anything");
  return 0;
}

int show_on(WebClient& client, InterruptWatch& interrupts) {
  TopFrames frames;
  bool leave = false;
  const FrameScreen terminal;
  const auto show = [&] {
    FrameScreen::show(frames.frame(screen_now(true)));
    leave = terminal.wants_to_leave();
    return !leave;
  };
  bool was_there = false;
  while (!leave && !interrupts.interrupted()) {
    try {
      follow(client, frames, [&] { return was_there = true, show(); });
    } catch (const Error& error) {
      if (error.code() == Errc::cancelled) break;
      if (!was_there) throw;
      FrameScreen::show(fmt::format("{}\ntrying again; q ends\n", error.what()));
    }
    if (leave) break;
    std::this_thread::sleep_for(1s);
    leave = terminal.wants_to_leave();
  }
  return 0;
}

int run_top(const TopFlags& flags, InterruptWatch& interrupts) {
  constexpr auto kSilence = 10s; // the gateway tells something every second
  WebClient client({top_url(flags.target), flags.ca, {}, {}, kSilence});
  const OnInterrupt cancel(interrupts, [&client] { client.cancel(); });
  if (flags.once) return show_once(client);
  if (::isatty(STDOUT_FILENO) != 1)
    throw Error(Errc::usage, "standard output is no terminal; --once prints one frame");
  return show_on(client, interrupts);
}

} // namespace

void add_top_command(CLI::App& app, Action& chosen) {
  auto flags = std::make_shared<TopFlags>();
  CLI::App* command =
      app.add_subcommand("top", "How a running gateway is, once a second; q ends it");
  command
      ->add_option("TARGET", flags->target,
                   "the gateway's telemetry.metrics as http://HOST:PORT, or its pipeline.yaml")
      ->required();
  command->add_option("--ca", flags->ca, "authority that its certificate is checked by");
  command->add_flag("--once", flags->once, "print one frame and end");
  command->callback([flags, &chosen] {
    chosen = [flags](InterruptWatch& interrupts) { return run_top(*flags, interrupts); };
  });
}

} // namespace talaria::cli
