#pragma once

#include <sys/types.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "config/pipeline_config.hpp"
#include "launch/live_view.hpp"
#include "launch/supervisor.hpp"
#include "tests/support/eventually.hpp"
#include "tests/support/temporary_folder.hpp"

namespace talaria::tests {

using namespace std::chrono_literals;

inline std::string text_of(const std::filesystem::path& file) {
  std::ifstream stream(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(stream), {}};
}

/// Whether a process runs; one that only waits to be reaped does not.
inline bool is_running(pid_t pid) {
  const std::string stat = text_of("/proc/" + std::to_string(pid) + "/stat");
  const std::size_t name_end = stat.rfind(')');
  return name_end != std::string::npos && stat.substr(name_end + 2, 1) != "Z";
}

/// Remembers what it was told.
class RecordingView final : public launch::LiveView {
public:
  void line(std::string_view text) override {
    std::lock_guard lock(mutex_);
    lines_ += std::string(text) + "\n";
  }
  void show(const std::vector<launch::NodeState>&) override {}
  std::string lines() const {
    std::lock_guard lock(mutex_);
    return lines_;
  }

private:
  mutable std::mutex mutex_;
  std::string lines_;
};

inline constexpr const char* kReadyLine =
    R"(echo '{"event":"ready","address":"a","matrices":9,"bytes":4000}')";
/// Says that it is ready and ends when its standard input does, as workers do.
inline const std::string kGoodNode = std::string(kReadyLine) + "\nexec cat >/dev/null\n";

/// A pipeline whose nodes are shell scripts.
class Cluster {
public:
  Cluster() {
    for (const char* file : {"ca.pem", "localhost.pem", "localhost.key", "pipeline.yaml"})
      std::ofstream(root() / file) << "a file\n";
    std::filesystem::create_directories(root() / "model");
    config.file = root() / "pipeline.yaml";
    config.model = root() / "model";
    config.tls = config::Tls{root() / "ca.pem", root() / "enclave.pem", root() / "enclave.key",
                             config::Tls().enclave_name};
    config.launch.logs = root() / "logs";
    config.launch.backoff_first = 20ms;
    config.launch.backoff_max = 50ms;
    config.launch.restarts = 2;
  }
  const std::filesystem::path& root() const { return folder_.path(); }

  /// An executable shell script.
  std::filesystem::path script(const std::string& name, const std::string& body) const {
    const auto path = root() / name;
    std::ofstream(path) << "#!/bin/sh\n" << body;
    std::filesystem::permissions(path, std::filesystem::perms::owner_all);
    return path;
  }
  /// A local node that runs this script. Nobody listens on port 1.
  config::WorkerNode& add(const std::string& name, const std::string& body) {
    config::WorkerNode node;
    node.name = name;
    node.address = {"localhost", 1};
    node.tls_name = "localhost";
    node.layers.all = true;
    node.start = config::WorkerNode::Start::local;
    node.program = script(name + ".sh", body);
    config.workers.push_back(node);
    return config.workers.back();
  }
  std::unique_ptr<launch::Supervisor> supervisor() {
    return std::make_unique<launch::Supervisor>(
        config, launch::SupervisorOptions{launch::startable_nodes(config), view});
  }
  std::string log(const std::string& name) const {
    return text_of(config.launch.logs / (name + ".log"));
  }

  config::PipelineConfig config;
  std::shared_ptr<RecordingView> view = std::make_shared<RecordingView>();

private:
  TemporaryFolder folder_;
};

} // namespace talaria::tests
