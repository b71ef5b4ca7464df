#pragma once

#include <httplib.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <string>

#include "tests/support/eventually.hpp"
#include "tests/support/free_port.hpp"
#include "tests/support/models.hpp"
#include "tests/support/temporary_folder.hpp"

namespace talaria::tests {

/// `talaria serve` as a process of its own, with talaria-tiny and an embedded worker.
class ServerProcess {
public:
  /// Returns once it answers. `redirections` as a shell takes them ("2>/dev/full"). A first line of
  /// "ulimit ...;" may come before the program.
  ServerProcess(const std::filesystem::path& bin, const std::string& redirections,
                const std::string& before = {})
      : port_(free_port()) {
    const auto file = folder_.path() / "pipeline.yaml";
    std::ofstream(file) << "model: " << model_folder("talaria-tiny").string()
                        << "\npipeline: { threads: 1 }\nserve: { listen: 127.0.0.1:" << port_
                        << " }\n";
    const std::string command = before + "exec " + (bin / "talaria").string() + " serve " +
                                file.string() + " " + redirections;
    pid_ = ::fork();
    if (pid_ == 0) {
      ::execl("/bin/sh", "sh", "-c", command.c_str(), nullptr);
      ::_exit(127);
    }
    const bool answers = eventually([this] { return get("/health") == 200 || ended(); });
    if (!answers || status_ >= 0)
      throw std::runtime_error("the server does not answer: " + command);
  }
  ~ServerProcess() {
    if (status_ >= 0) return;
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }
  ServerProcess(const ServerProcess&) = delete;
  ServerProcess& operator=(const ServerProcess&) = delete;

  pid_t pid() const noexcept { return pid_; }
  /// The status of the response; -1 without any.
  int get(const std::string& path) const {
    httplib::Client client("127.0.0.1", port_);
    const auto response = client.Get(path);
    return response ? response->status : -1;
  }
  /// The body of a response with status 200; otherwise an empty text.
  std::string post(const std::string& path, const std::string& body) const {
    httplib::Client client("127.0.0.1", port_);
    client.set_read_timeout(120);
    const auto response = client.Post(path, body, "application/json");
    return response && response->status == 200 ? response->body : std::string();
  }
  /// Asks it to end and waits: its exit status, or 128 + the signal that killed it.
  int stop() {
    ::kill(pid_, SIGTERM);
    eventually([this] { return ended(); });
    return status_;
  }

private:
  bool ended() {
    int status = 0;
    if (status_ < 0 && ::waitpid(pid_, &status, WNOHANG) == pid_)
      status_ = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    return status_ >= 0;
  }

  TemporaryFolder folder_;
  u16 port_;
  pid_t pid_ = -1;
  int status_ = -1;
};

} // namespace talaria::tests
