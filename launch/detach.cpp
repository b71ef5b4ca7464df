#include "launch/detach.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <nlohmann/json.hpp>
#include <optional>
#include <system_error>
#include <variant>

#include "launch/child_process.hpp"
#include "launch/line_reader.hpp"
#include "launch/reported_error.hpp"

namespace talaria::launch {
namespace {

using nlohmann::json;

constexpr int kTickMilliseconds = 100;
constexpr std::size_t kMaxLine = std::size_t{64} << 10;

FileDescriptor open_log(const std::filesystem::path& log) {
  std::error_code ignored; // the open below says what is wrong
  std::filesystem::create_directories(log.parent_path(), ignored);
  std::filesystem::rename(log, log.string() + ".1", ignored);
  FileDescriptor file = above_standard(FileDescriptor(
      ::open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, S_IRUSR | S_IWUSR | S_IRGRP)));
  if (!file)
    throw Error(Errc::io, fmt::format("{}: cannot be written: {}; choose another folder with "
                                      "launch.logs",
                                      log.string(), std::strerror(errno)));
  return file;
}

pid_t start(const DetachPlan& plan, int report_fd) {
  const FileDescriptor log = open_log(plan.log);
  const FileDescriptor nothing =
      above_standard(FileDescriptor(::open("/dev/null", O_RDONLY | O_CLOEXEC)));
  SpawnPlan spawned;
  spawned.argv = plan.argv;
  spawned.argv.insert(spawned.argv.end(), {"--report-fd", std::to_string(report_fd)});
  spawned.in = nothing.get();
  spawned.out = spawned.err = log.get();
  spawned.kept = report_fd;
  spawned.own_session = true;
  spawned.dies_with_thread = false;
  return spawn(spawned);
}

struct Ready {};
using Verdict = std::variant<Ready, Error>;

/// One reported line: progress is passed on, a verdict returned.
std::optional<Verdict> take(const std::string& line, const DetachPlan& plan) {
  const json report = json::parse(line, nullptr, false);
  if (!report.is_object()) return std::nullopt;
  if (report.contains("ready")) return Ready{};
  const std::string text = report.value("text", std::string());
  if (report.contains("failed")) {
    return reported_error(report.value("failed", -1), text);
  }
  if (plan.tell) plan.tell(text);
  return std::nullopt;
}

std::optional<Verdict> wait_for_verdict(const DetachPlan& plan, int fd, pid_t pid) {
  LineReader lines(kMaxLine);
  std::optional<Verdict> verdict;
  bool told_to_end = false;
  while (!verdict) {
    if (!told_to_end && plan.cancelled && plan.cancelled()) {
      ::kill(pid, SIGTERM);
      told_to_end = true;
    }
    pollfd waiting{fd, POLLIN, 0};
    if (::poll(&waiting, 1, kTickMilliseconds) <= 0) continue;
    std::array<char, 4096> buffer;
    const ssize_t count = ::read(fd, buffer.data(), buffer.size());
    if (count <= 0) break;
    lines.feed({buffer.data(), static_cast<std::size_t>(count)}, [&](const std::string& line) {
      if (!verdict) verdict = take(line, plan);
    });
  }
  if (told_to_end) return Error(Errc::cancelled, "interrupted; the gateway has been stopped");
  return verdict;
}

} // namespace

pid_t start_detached(const DetachPlan& plan) {
  Pipe report = make_socket_pair(); // writing to one that nobody reads raises no signal
  const pid_t pid = start(plan, report.write.get());
  report.write.reset();
  const std::optional<Verdict> verdict = wait_for_verdict(plan, report.read.get(), pid);
  if (verdict && std::holds_alternative<Ready>(*verdict)) return pid;
  int status = 0;
  ::waitpid(pid, &status, 0);
  if (verdict) throw std::get<Error>(*verdict);
  const Death death =
      WIFSIGNALED(status) ? Death{WTERMSIG(status), 0} : Death{0, WEXITSTATUS(status)};
  throw Error(Errc::internal, fmt::format("the gateway ended before it was ready: {}; see {}",
                                          to_text(death), plan.log.string()));
}

ReadinessReport::ReadinessReport(int fd) : fd_(fd) {
  // The nodes it will start must not hold it open.
  if (fd >= 0) ::fcntl(fd, F_SETFD, FD_CLOEXEC);
}

void ReadinessReport::line(std::string_view text) {
  write(json{{"text", one_line(text)}}.dump(-1, ' ', false, json::error_handler_t::replace));
}

void ReadinessReport::ready() {
  write(R"({"ready":true})");
  fd_.reset();
}

void ReadinessReport::failed(const Error& error) {
  write(json{{"failed", static_cast<int>(error.code())}, {"text", error.what()}}.dump(
      -1, ' ', false, json::error_handler_t::replace));
  fd_.reset();
}

void ReadinessReport::write(const std::string& json) {
  const std::string line = json + "\n";
  if (fd_ && ::send(fd_.get(), line.data(), line.size(), MSG_NOSIGNAL) < 0) fd_.reset();
}

} // namespace talaria::launch
