#include "cli/local_nodes.hpp"

#include <unistd.h>

namespace talaria::cli {

std::unique_ptr<launch::Supervisor> start_local_nodes(const config::PipelineConfig& config,
                                                      InterruptWatch& interrupts) {
  std::vector<std::size_t> nodes = launch::idle_local_nodes(config);
  if (nodes.empty()) return nullptr;
  // Without a terminal standard error belongs to errors.
  auto view = ::isatty(STDERR_FILENO) == 1 ? launch::make_live_view(STDERR_FILENO) : nullptr;
  auto supervisor = std::make_unique<launch::Supervisor>(
      config, launch::SupervisorOptions{std::move(nodes), std::move(view)});
  const OnInterrupt stop(interrupts, [nodes = supervisor.get()] { nodes->request_stop(); });
  supervisor->start();
  supervisor->wait_until_ready();
  return supervisor;
}

} // namespace talaria::cli
