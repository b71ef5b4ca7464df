#pragma once

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>
#include <vector>

#include "core/integers.hpp"

namespace talaria::tests {

/// A talaria-worker as a process of its own, which ends with this object. Its log is lost.
class WorkerProcess {
public:
  /// `arguments` behind the program's name; --listen, --progress and --exit-with-stdin are added.
  /// Returns once it is ready. @throws std::runtime_error with its message if it never is.
  WorkerProcess(const std::filesystem::path& program, std::vector<std::string> arguments) {
    for (const char* word : {"--listen", "127.0.0.1:0", "--progress", "json", "--exit-with-stdin"})
      arguments.emplace_back(word);
    arguments.insert(arguments.begin(), program.string());
    int in[2];
    int out[2];
    if (::pipe2(in, O_CLOEXEC) != 0 || ::pipe2(out, O_CLOEXEC) != 0)
      throw std::runtime_error("pipe");
    std::vector<char*> argv;
    for (auto& word : arguments) argv.push_back(word.data());
    argv.push_back(nullptr);
    pid_ = ::fork();
    if (pid_ == 0) {
      ::dup2(in[0], 0);
      ::dup2(out[1], 1);
      const int nowhere = ::open("/dev/null", O_WRONLY);
      ::dup2(nowhere, 2);
      ::execv(argv[0], argv.data());
      ::_exit(127);
    }
    ::close(in[0]);
    ::close(out[1]);
    stdin_ = in[1];
    stdout_ = out[0];
    wait_until_ready();
  }
  ~WorkerProcess() { end(SIGKILL); }
  WorkerProcess(const WorkerProcess&) = delete;
  WorkerProcess& operator=(const WorkerProcess&) = delete;

  u16 port() const noexcept { return port_; }
  void send(int signal) const { ::kill(pid_, signal); }
  /// Ends it with `signal` (a stopped one is woken first) and waits; returns waitpid's status.
  int end(int signal) {
    if (pid_ <= 0) return 0;
    ::kill(pid_, signal);
    ::kill(pid_, SIGCONT);
    ::close(stdin_);
    ::close(stdout_);
    int status = 0;
    ::waitpid(pid_, &status, 0);
    pid_ = -1;
    return status;
  }

private:
  void wait_until_ready() {
    std::string line;
    char c = 0;
    while (::read(stdout_, &c, 1) == 1) {
      if (c != '\n') {
        line += c;
        continue;
      }
      const auto event = nlohmann::json::parse(line);
      line.clear();
      if (event.at("event") == "error") throw std::runtime_error(event.at("message"));
      if (event.at("event") != "ready") continue;
      const std::string address = event.at("address");
      port_ = static_cast<u16>(std::stoi(address.substr(address.rfind(':') + 1)));
      return;
    }
    throw std::runtime_error("the worker ended before it was ready");
  }

  pid_t pid_ = -1;
  int stdin_ = -1;
  int stdout_ = -1;
  u16 port_ = 0;
};

} // namespace talaria::tests
