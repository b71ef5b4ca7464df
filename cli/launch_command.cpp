#include <fmt/format.h>
#include <unistd.h>

#include <chrono>
#include <condition_variable>
#include <csignal>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "cli/cluster_trace.hpp"
#include "cli/commands.hpp"
#include "cli/forward.hpp"
#include "cli/launch_reload.hpp"
#include "cli/placement_table.hpp"
#include "cli/reload_watch.hpp"
#include "cli/setting_flags.hpp"
#include "core/console.hpp"
#include "core/error.hpp"
#include "launch/control_socket.hpp"
#include "launch/detach.hpp"
#include "launch/gateway_process.hpp"
#include "launch/live_view.hpp"
#include "launch/status.hpp"
#include "launch/supervisor.hpp"
#include "model/weights/plan_file.hpp"

namespace talaria::cli {
namespace {

using Clock = std::chrono::steady_clock;

struct LaunchFlags {
  std::string file;
  std::string trace;
  SettingFlags pin; ///< --model-sha256, --task
  bool dry_run = false;
  bool detach = false;
  bool json = false;
  settings::Allowances allowed;
  int report_fd = -1; ///< set by a launch that detaches, for the one that stays
};

/// Turns the signal watcher's call into something to wait for.
class StopRequest {
public:
  void request() {
    std::lock_guard lock(mutex_);
    requested_ = true;
    changed_.notify_all();
  }
  void wait() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return requested_; });
  }
  /// At most so long. @returns whether it was requested.
  bool wait_for(std::chrono::milliseconds most) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, most, [this] { return requested_; });
  }

private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool requested_ = false;
};

/// What `talaria status` is told, whichever thread asks.
class StatusBoard {
public:
  StatusBoard(const config::PipelineConfig& config, const launch::Supervisor& supervisor)
      : supervisor_(supervisor) {
    status_.file = std::filesystem::absolute(config.file);
    status_.state = "starting";
    status_.serve = config.serve.listen.value_or("");
    status_.logs = std::filesystem::absolute(config.launch.logs);
  }
  void set_state(const std::string& state) {
    std::lock_guard lock(mutex_);
    status_.state = state;
  }
  /// The process that serves and who knows its links, or 0 and null. Returns when no question is
  /// under way any more.
  void set_server(pid_t pid, std::function<std::string()> workers) {
    {
      std::lock_guard lock(mutex_);
      status_.server_pid = pid;
    }
    std::lock_guard lock(asking_);
    workers_ = std::move(workers);
  }
  std::string json() {
    std::string workers = ask_workers();
    std::lock_guard lock(mutex_);
    status_.uptime = std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now() - start_);
    status_.nodes = supervisor_.nodes();
    status_.workers = std::move(workers);
    return launch::to_json(status_);
  }

  /// The links of the gateway, a JSON array.
  std::string links() { return ask_workers(); }

private:
  /// Without `mutex_`: the thread that sets the state is the one that the answer comes through.
  std::string ask_workers() {
    std::lock_guard lock(asking_);
    return workers_ ? workers_() : "[]";
  }

  const launch::Supervisor& supervisor_;
  const Clock::time_point start_ = Clock::now();
  std::mutex asking_;
  std::function<std::string()> workers_;
  std::mutex mutex_; ///< guards what follows
  launch::ClusterStatus status_;
};

/// A detached gateway tells its log, and the launch that waits for it.
class ReportingView final : public launch::LiveView {
public:
  explicit ReportingView(launch::ReadinessReport& report) : report_(report) {}
  void line(std::string_view text) override {
    log_.line(text);
    report_.line(text);
  }
  void show(const std::vector<launch::NodeState>& nodes) override { log_.show(nodes); }

private:
  launch::PlainView log_{STDERR_FILENO, true};
  launch::ReadinessReport& report_;
};

struct Run {
  const LaunchFlags& flags;
  const config::PipelineConfig& config;
  InterruptWatch& interrupts;
  launch::ReadinessReport& report;
  std::shared_ptr<launch::LiveView> view;
  const ClusterTrace& trace;
  const HangupSignal& hangup;
  const FileLook& first_look;
};

void announce(const Run& run, std::size_t nodes, Clock::time_point start) {
  const auto took = std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now() - start);
  if (run.flags.json)
    print_out("{}\n", nlohmann::json{{"event", "ready"},
                                     {"nodes", nodes},
                                     {"pid", ::getpid()},
                                     {"seconds", static_cast<double>(took.count()) / 1000}}
                          .dump());
  else
    run.view->line(fmt::format("{} {} ready after {}; Ctrl-C or talaria stop {} ends {}", nodes,
                               nodes == 1 ? "node" : "nodes", launch::time_text(took),
                               run.config.file.string(), nodes == 1 ? "it" : "them"));
  run.report.ready();
}

/// talaria-enclave with the flags of this launch. It reads the file itself.
std::vector<std::string> gateway_command(const LaunchFlags& flags) {
  std::vector<std::string> words{program_beside(kEnclaveProgram).string(), kServeCommand.name,
                                 flags.file};
  for (const settings::GivenFlag& given : flags.pin.given())
    words.insert(words.end(), {given.flag, given.value});
  if (!flags.trace.empty()) words.insert(words.end(), {"--trace", flags.trace});
  for (std::string& flag : arguments_of(flags.allowed)) words.push_back(std::move(flag));
  return words;
}

/// While it lives, signals and questions go to the gateway. However serving ends, neither finds
/// what is gone.
class Served {
public:
  Served(const Run& run, StatusBoard& board, launch::GatewayProcess& gateway)
      : interrupts_(run.interrupts), board_(board) {
    board_.set_server(gateway.pid(), [&gateway] { return gateway.workers(); });
    interrupts_.on_interrupt([&gateway] { gateway.request_stop(); });
    if (interrupts_.interrupted()) gateway.request_stop(); // the signal came before
  }
  ~Served() {
    interrupts_.on_interrupt([] {});
    board_.set_server(0, nullptr);
  }
  Served(const Served&) = delete;
  Served& operator=(const Served&) = delete;

private:
  InterruptWatch& interrupts_;
  StatusBoard& board_;
};

int serve_until_it_ends(const Run& run, StatusBoard& board, const std::function<void()>& ready) {
  launch::GatewayProcess gateway(gateway_command(run.flags));
  const Served served(run, board, gateway);
  return gateway.run(ready);
}

/// What the file says now, with the same environment and flags.
LaunchReload reload_of(const Run& run, StatusBoard& board, StopRequest& stop) {
  LaunchReload reload;
  reload.read_again = [&run] {
    return settings::resolve({run.flags.file, std::nullopt, ::getenv, run.flags.pin.given()})
        .config;
  };
  reload.tell = [&run](std::string_view line) { run.view->line(line); };
  if (run.config.serve.listen) reload.links = [&board] { return board.links(); };
  reload.wait = [&stop] { return stop.wait_for(std::chrono::milliseconds(500)); };
  return reload;
}

int run_cluster(const Run& run) {
  const auto start = Clock::now();
  const config::PipelineConfig& config = run.config;
  launch::Supervisor supervisor(config, {launch::startable_nodes(config), run.view});
  StatusBoard board(config, supervisor);
  std::once_flag once; // a second signal would end the process without waiting for its nodes
  const launch::ControlServer control(
      config.file, {[&board] { return board.json(); },
                    [&once] { std::call_once(once, [] { ::kill(::getpid(), SIGTERM); }); }});
  StopRequest stop;
  const OnInterrupt on_interrupt(run.interrupts, [&] {
    stop.request();
    supervisor.request_stop();
  });
  supervisor.start();
  supervisor.wait_until_ready();
  const LaunchReload reload = reload_of(run, board, stop);
  std::optional<ReloadWatch> watch(std::in_place, run.hangup, config.file, run.first_look,
                                   [&] { reload_nodes(config, reload, supervisor); });
  const auto ready = [&] {
    board.set_state("running");
    announce(run, supervisor.nodes().size(), start);
  };
  int status = 0;
  if (config.serve.listen) {
    status = serve_until_it_ends(run, board, ready);
  } else {
    ready();
    stop.wait();
  }
  board.set_state("stopping");
  stop.request();
  watch.reset();
  supervisor.stop();
  run.trace.merge();
  run.view->line("stopped");
  return status;
}

void check_plan(const config::PipelineConfig& config) {
  config::check_layer_count(config, model::load_model_plan(config.model).layer_count());
  if (config.workers.empty() && !config.serve.listen)
    throw Error(Errc::config,
                fmt::format("{}: neither workers to start nor a server to run; add workers: or "
                            "serve:",
                            config.file.string()));
  if (config.serve.listen) program_beside(kEnclaveProgram); // is missed before minutes of loading
}

int launch_here(const LaunchFlags& flags, config::PipelineConfig config,
                InterruptWatch& interrupts) {
  launch::ReadinessReport report(flags.report_fd);
  std::shared_ptr<launch::LiveView> view;
  if (flags.report_fd >= 0)
    view = std::make_shared<ReportingView>(report);
  else if (flags.json)
    view = std::make_shared<launch::JsonView>(STDOUT_FILENO);
  else
    view = launch::make_live_view(STDERR_FILENO);
  try {
    const HangupSignal hangup; // before there are other threads
    const auto first_look = FileLook::at(config.file);
    const ClusterTrace trace(flags.trace, config);
    return run_cluster({flags, config, interrupts, report, view, trace, hangup, first_look});
  } catch (const Error& error) {
    report.failed(error);
    throw;
  }
}

int launch_detached(const LaunchFlags& flags, const config::PipelineConfig& config,
                    InterruptWatch& interrupts) {
  if (const auto pid = launch::running_gateway(config.file))
    throw Error(Errc::config, fmt::format("{} is running already (pid {}); see talaria status, "
                                          "talaria stop",
                                          config.file.string(), *pid));
  std::shared_ptr<launch::LiveView> view = launch::make_live_view(STDERR_FILENO);
  if (flags.json) view = std::make_shared<launch::JsonView>(STDOUT_FILENO);
  // Held while waiting; the signal is seen in `interrupted`.
  const OnInterrupt on_interrupt(interrupts, [] {});
  const auto log = config.launch.logs / "gateway.log";
  std::vector<std::string> command{std::filesystem::read_symlink("/proc/self/exe").string(),
                                   "launch", std::filesystem::absolute(config.file).string()};
  for (const settings::GivenFlag& given : flags.pin.given())
    command.insert(command.end(), {given.flag, given.value});
  if (!flags.trace.empty()) {
    command.emplace_back("--trace");
    command.push_back(std::filesystem::absolute(flags.trace).string());
  }
  for (std::string& flag : arguments_of(flags.allowed)) command.push_back(std::move(flag));
  const pid_t pid = launch::start_detached({std::move(command), log,
                                            [&view](std::string_view line) { view->line(line); },
                                            [&interrupts] { return interrupts.interrupted(); }});
  if (flags.json)
    print_out("{}\n",
              nlohmann::json{{"event", "ready"}, {"pid", pid}, {"log", log.string()}}.dump());
  else
    print_out("running with pid {}, log in {}\n", pid, log.string());
  return 0;
}

int print_plan(const LaunchFlags& flags, const config::PipelineConfig& config) {
  const PlacementTable table = placement_table(config, model::load_model_plan(config.model));
  if (flags.json)
    print_out("{}\n", to_json(table).dump());
  else
    print_out("{}{}", to_text(table), sums_text(table));
  return 0;
}

int launch_command(const LaunchFlags& flags, InterruptWatch& interrupts) {
  config::PipelineConfig config =
      settings::resolve({flags.file, std::nullopt, ::getenv, flags.pin.given()}).config;
  if (flags.dry_run) return print_plan(flags, config);
  check_plan(config);
  if (config.serve.listen) settings::require_protection(config, flags.allowed);
  if (flags.detach) return launch_detached(flags, config, interrupts);
  return launch_here(flags, config, interrupts);
}

} // namespace

void add_launch_command(CLI::App& app, Action& chosen) {
  auto flags = std::make_shared<LaunchFlags>();
  CLI::App* command =
      app.add_subcommand("launch", "Start the nodes of a pipeline.yaml, keep them up, and serve");
  command->add_option("FILE", flags->file, "pipeline.yaml")->required();
  command->add_option("--trace", flags->trace,
                      "when all has ended, write a Chrome trace of gateway and local workers");
  flags->pin.add_to(*command, {settings::FlagGroup::pin});
  command->add_flag("--dry-run", flags->dry_run, "print the resolved plan and start nothing");
  command->add_flag("--detach", flags->detach, "return once all is ready; the rest goes on");
  add_allowances(*command, flags->allowed);
  command->add_flag("--json", flags->json, "print events, or the plan, as JSON");
  command->add_option("--report-fd", flags->report_fd)->group(""); // between two launches
  command->callback([flags, &chosen] {
    chosen = [flags](InterruptWatch& interrupts) { return launch_command(*flags, interrupts); };
  });
}

} // namespace talaria::cli
