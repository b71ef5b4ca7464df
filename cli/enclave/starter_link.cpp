#include "cli/enclave/starter_link.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <nlohmann/json.hpp>
#include <utility>

namespace talaria::cli {

namespace {

using nlohmann::json;

bool is_stream_socket(int fd) {
  int type = 0;
  socklen_t size = sizeof type;
  return ::getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) == 0 && type == SOCK_STREAM;
}

} // namespace

StarterLink::StarterLink(int fd) {
  if (fd < 0) return;
  if (!is_stream_socket(fd))
    throw Error(Errc::usage, fmt::format("--report-fd {} is for talaria launch; leave it out", fd));
  fd_ = FileDescriptor(fd);
  ::fcntl(fd, F_SETFD, FD_CLOEXEC);
  thread_ = std::thread([this] { answer_questions(); });
}

StarterLink::~StarterLink() {
  if (!thread_.joinable()) return;
  ::shutdown(fd_.get(), SHUT_RD); // wakes the thread; what has been sent still arrives
  thread_.join();
}

void StarterLink::ready() {
  send(R"({"ready":true})");
}

void StarterLink::failed(const Error& error) {
  send(json{{"failed", static_cast<int>(error.code())}, {"text", error.what()}}.dump(
      -1, ' ', false, json::error_handler_t::replace));
}

void StarterLink::publish_workers(std::function<std::string()> workers) {
  const std::lock_guard lock(mutex_);
  workers_ = std::move(workers);
}

/// Each byte is a question.
void StarterLink::answer_questions() {
  std::array<char, 16> questions;
  for (;;) {
    const ssize_t count = ::read(fd_.get(), questions.data(), questions.size());
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return;
    for (ssize_t i = 0; i < count; ++i) {
      const std::lock_guard lock(mutex_);
      send(R"({"workers":)" + (workers_ ? workers_() : "[]") + "}");
    }
  }
}

void StarterLink::send(const std::string& json) {
  if (!fd_) return;
  const std::string line = json + "\n";
  const std::lock_guard lock(sending_);
  for (std::size_t at = 0; at < line.size();) {
    const ssize_t count = ::send(fd_.get(), line.data() + at, line.size() - at, MSG_NOSIGNAL);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return; // nobody is there any more; this process ends with it
    at += static_cast<std::size_t>(count);
  }
}

} // namespace talaria::cli
