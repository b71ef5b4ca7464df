#include "launch/gateway_process.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstring>
#include <nlohmann/json.hpp>

#include "launch/reported_error.hpp"

namespace talaria::launch {
namespace {

using nlohmann::json;

constexpr std::size_t kMaxReport = std::size_t{1} << 20; // some thousand workers
constexpr auto kAnswerWithin = std::chrono::seconds(1);
constexpr int kDeathTickMilliseconds = 100; // where the kernel does not tell of a death

FileDescriptor standard_error() {
  return FileDescriptor(::fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, STDERR_FILENO + 1));
}

} // namespace

GatewayProcess::GatewayProcess(std::vector<std::string> argv) : lines_(kMaxReport) {
  Pipe link = make_socket_pair();
  const FileDescriptor nothing =
      above_standard(FileDescriptor(::open("/dev/null", O_RDONLY | O_CLOEXEC)));
  const FileDescriptor log = standard_error();
  if (!nothing || !log)
    throw Error(Errc::io, fmt::format("no descriptors for {}: {}; raise ulimit -n", argv.at(0),
                                      std::strerror(errno)));
  SpawnPlan plan;
  plan.argv = std::move(argv);
  plan.argv.insert(plan.argv.end(), {"--report-fd", std::to_string(link.write.get())});
  plan.in = nothing.get();
  plan.out = plan.err = log.get();
  plan.kept = link.write.get();
  child_.emplace(plan);
  link_ = std::move(link.read);
}

GatewayProcess::~GatewayProcess() = default;

int GatewayProcess::run(const std::function<void()>& ready) {
  for (;;) {
    wait_for_events();
    read_reports(ready);
    if (const auto death = poll_death()) {
      read_reports(ready); // what it said last
      return verdict(*death);
    }
  }
}

void GatewayProcess::wait_for_events() const {
  std::array<pollfd, 2> waiting{{{child_->death_fd(), POLLIN, 0}, {-1, POLLIN, 0}}};
  if (!link_ended_) waiting[1].fd = link_.get();
  ::poll(waiting.data(), waiting.size(), child_->death_fd() < 0 ? kDeathTickMilliseconds : -1);
}

void GatewayProcess::read_reports(const std::function<void()>& ready) {
  std::array<char, 4096> buffer;
  while (!link_ended_) {
    const ssize_t count = ::recv(link_.get(), buffer.data(), buffer.size(), MSG_DONTWAIT);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0 && errno == EAGAIN) return;
    link_ended_ = count <= 0;
    if (count > 0)
      lines_.feed({buffer.data(), static_cast<std::size_t>(count)},
                  [&](const std::string& line) { take(line, ready); });
  }
}

void GatewayProcess::take(const std::string& line, const std::function<void()>& ready) {
  const json report = json::parse(line, nullptr, false);
  if (!report.is_object()) return;
  if (report.contains("ready") && !was_ready_) {
    was_ready_ = true;
    ready();
  } else if (report.contains("failed")) {
    failure_ = reported_error(report.value("failed", -1), report.value("text", std::string()));
  } else if (report.contains("workers")) {
    const std::lock_guard lock(mutex_);
    workers_ = report["workers"].dump();
    ++answers_;
    changed_.notify_all();
  }
}

std::optional<Death> GatewayProcess::poll_death() {
  const std::lock_guard lock(mutex_); // no signal to a number that may be somebody else's
  const auto death = child_->poll_death();
  if (death) over_ = true;
  if (death) changed_.notify_all();
  return death;
}

int GatewayProcess::verdict(const Death& death) const {
  if (failure_) throw *failure_;
  const std::lock_guard lock(mutex_);
  const bool interrupted =
      death.signal == SIGTERM || death.exit_code == exit_status(Errc::cancelled);
  if (stop_requested_ && !was_ready_ && interrupted)
    throw Error(Errc::cancelled, "stopped before the gateway was ready");
  if (death.signal == 0) return death.exit_code;
  throw Error(Errc::internal,
              fmt::format("the gateway was {}{}", to_text(death),
                          death.signal == SIGKILL ? "; if nobody did that, the machine had no "
                                                    "memory left: see dmesg"
                                                  : ""));
}

std::string GatewayProcess::workers() {
  std::unique_lock lock(mutex_);
  const char question = '?';
  if (over_ || ::send(link_.get(), &question, 1, MSG_NOSIGNAL | MSG_DONTWAIT) != 1) return "[]";
  const unsigned asked = ++questions_;
  changed_.wait_for(lock, kAnswerWithin, [&] { return over_ || answers_ >= asked; });
  return answers_ >= asked ? workers_ : "[]";
}

void GatewayProcess::request_stop() {
  const std::lock_guard lock(mutex_);
  if (!over_ && !stop_requested_) child_->signal(SIGTERM); // a second one would end it at once
  stop_requested_ = true;
}

} // namespace talaria::launch
