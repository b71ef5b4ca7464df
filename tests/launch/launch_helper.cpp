// What the tests of launch/ run as a process of their own.
//   launch_helper supervise FOLDER PROGRAM...   starts the programs as nodes, prints the pid of
//                                               each once all are ready, and waits to be killed
//   launch_helper ready|fail|die|wait --report-fd N    plays the program behind start_detached()
//   launch_helper serve|end-with-3 --report-fd N       plays talaria-enclave behind GatewayProcess
//   launch_helper gateway FILE                  holds the control socket of FILE until stopped

#include <unistd.h>

#include <atomic>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <thread>
#include <vector>

#include "core/error.hpp"
#include "launch/control_socket.hpp"
#include "launch/detach.hpp"
#include "launch/supervisor.hpp"

using namespace talaria;

namespace {

int supervise(const std::filesystem::path& folder, const std::vector<std::string>& programs) {
  config::PipelineConfig config;
  config.file = folder / "pipeline.yaml";
  config.model = folder;
  config.tls.emplace().ca = folder / "ca.pem";
  config.launch.logs = folder / "logs";
  for (const std::string& program : programs) {
    config::WorkerNode node;
    node.name = "node" + std::to_string(config.workers.size());
    node.address = {"localhost", 1};
    node.start = config::WorkerNode::Start::local;
    node.program = program;
    config.workers.push_back(node);
  }
  launch::Supervisor supervisor(config, {launch::startable_nodes(config), nullptr});
  supervisor.start();
  supervisor.wait_until_ready();
  for (const auto& node : supervisor.nodes()) std::printf("%d\n", node.pid);
  std::fflush(stdout);
  for (;;) ::pause();
}

int play_detached(const std::string& role, int fd) {
  launch::ReadinessReport report(fd);
  report.line("first line");
  std::puts("to the log");
  std::fflush(stdout);
  if (role == "fail") report.failed(Error(Errc::no_worker, "nobody came"));
  if (role == "die") std::abort();
  if (role == "ready") {
    report.ready();
    report.line("nobody reads this");
  }
  if (role != "fail") ::sleep(1000);
  return 0;
}

int play_gateway(const std::string& role, int fd) {
  launch::ReadinessReport report(::dup(fd));
  std::signal(SIGTERM, [](int) { ::_exit(0); });
  report.ready();
  if (role == "end-with-3") return 3;
  for (char question = 0; ::read(fd, &question, 1) == 1;) {
    const std::string answer = R"({"workers":[{"name":"a"}]})";
    if (::write(fd, (answer + "\n").data(), answer.size() + 1) < 0) return 1;
  }
  return 1;
}

int hold_gateway(const std::filesystem::path& file) {
  std::atomic<bool> stopped{false};
  const launch::ControlServer server(
      file, {[] { return std::string(R"({"state":"running"})"); }, [&] { stopped = true; }});
  std::puts("listening");
  std::fflush(stdout);
  while (!stopped) std::this_thread::sleep_for(std::chrono::milliseconds(10));
  return 0;
}

} // namespace

int main(int argc, char** argv) {
  const std::vector<std::string> words(argv + 1, argv + argc);
  try {
    if (words.at(0) == "supervise") return supervise(words.at(1), {words.begin() + 2, words.end()});
    if (words.at(0) == "gateway") return hold_gateway(words.at(1));
    if (words.at(0) == "serve" || words.at(0) == "end-with-3")
      return play_gateway(words.at(0), std::stoi(words.at(2)));
    return play_detached(words.at(0), std::stoi(words.at(2)));
  } catch (const std::exception& error) {
    std::fprintf(stderr, "launch_helper: %s\n", error.what());
    return 1;
  }
}
