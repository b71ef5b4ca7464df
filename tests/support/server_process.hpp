#pragma once

#include <httplib.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>

#include "tests/support/eventually.hpp"
#include "tests/support/free_port.hpp"
#include "tests/support/models.hpp"
#include "tests/support/temporary_folder.hpp"

namespace talaria::tests {

/// `talaria serve` as a process of its own, with talaria-tiny and an embedded worker.
class ServerProcess {
public:
  /// What clients and the section `serve:` need beyond an address.
  struct Access {
    std::string settings;  ///< of the section, like ", keys: FILE"
    bool tls = false;      ///< the settings say so
    std::string key;       ///< sent with every request, unless it is empty
    bool compress = false; ///< bodies of requests (gzip)
  };

  /// Returns once it answers. `redirections` as a shell takes them ("2>/dev/full"). A first line of
  /// "ulimit ...;" may come before the program.
  ServerProcess(const std::filesystem::path& bin, const std::string& redirections,
                const std::string& before = {})
      : ServerProcess(bin, redirections, before, Access{}) {}
  ServerProcess(const std::filesystem::path& bin, const std::string& redirections,
                const std::string& before, Access access)
      : port_(free_port()), access_(std::move(access)) {
    const auto file = folder_.path() / "pipeline.yaml";
    std::ofstream(file) << "model: " << model_folder("talaria-tiny").string()
                        << "\npipeline: { threads: 1 }\nserve: { listen: 127.0.0.1:" << port_
                        << access_.settings << " }\n";
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
  u16 port() const noexcept { return port_; }
  /// The status of the response; -1 without any.
  int get(const std::string& path) const {
    auto client = this->client();
    const auto response = client->Get(path);
    return response ? response->status : -1;
  }
  /// The body of a response with status 200; otherwise an empty text.
  std::string post(const std::string& path, const std::string& body) const {
    auto client = this->client();
    const auto response = client->Post(path, body, "application/json");
    return response && response->status == 200 ? response->body : std::string();
  }
  /// Asks it to end and waits: its exit status, or 128 + the signal that killed it.
  int stop() {
    ::kill(pid_, SIGTERM);
    eventually([this] { return ended(); });
    return status_;
  }

private:
  std::unique_ptr<httplib::Client> client() const {
    auto out = std::make_unique<httplib::Client>(std::string(access_.tls ? "https" : "http") +
                                                 "://127.0.0.1:" + std::to_string(port_));
    out->set_read_timeout(120);
    out->enable_server_certificate_verification(false);
    out->set_compress(access_.compress);
    if (!access_.key.empty()) out->set_bearer_token_auth(access_.key);
    return out;
  }
  bool ended() {
    int status = 0;
    if (status_ < 0 && ::waitpid(pid_, &status, WNOHANG) == pid_)
      status_ = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    return status_ >= 0;
  }

  TemporaryFolder folder_;
  u16 port_;
  Access access_;
  pid_t pid_ = -1;
  int status_ = -1;
};

} // namespace talaria::tests
