#include <fmt/chrono.h>
#include <fmt/format.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>

#include "cli/commands.hpp"
#include "cli/engine_flags.hpp"
#include "cli/run_report.hpp"
#include "gateway/http_server.hpp"
#include "model/weights/prepared.hpp"
#include "pipeline/cluster_plan.hpp"

namespace talaria::cli {

namespace {

constexpr const char* kDefaultListen = "127.0.0.1:8000";

void print_line(const std::string& line) {
  fmt::print(stderr, "{}\n", line);
}

void refuse_clear(const config::PipelineConfig& settings) {
  if (settings.masking.scheme == "clear")
    throw Error(Errc::usage,
                fmt::format("{}: masking.scheme is clear, which shows the workers every prompt; "
                            "serve only does lattice or hybrid",
                            settings.file.empty() ? "settings" : settings.file.string()));
}

/// The last part of the model's path: what clients call it.
std::string model_name(const std::filesystem::path& model) {
  const auto path = std::filesystem::weakly_canonical(model);
  return path.has_filename() ? path.filename().string() : path.parent_path().filename().string();
}

gateway::ServerOptions server_options(const config::PipelineConfig& settings,
                                      const pipeline::EngineOptions& engine_options,
                                      const pipeline::Engine& engine) {
  gateway::ServerOptions options;
  options.listen = transport::parse_address(settings.serve.listen.value_or(kDefaultListen));
  options.most_body_bytes = settings.serve.limits.body;
  options.most_parsing_bytes = settings.serve.limits.parsing;
  if (settings.telemetry.metrics)
    options.metrics = transport::parse_address(*settings.telemetry.metrics);
  options.model_name = model_name(settings.model);
  options.chat_template =
      model::ChatTemplate::load(model::enclave_folder(engine_options.model_dir));
  options.most_running = engine_options.batch.max_rows; // a row of each fits into a micro-batch
  if (engine_options.cluster)
    options.placement =
        pipeline::plan_cluster(*engine_options.cluster, engine.config(), engine_options.weights,
                               *engine_options.scheme.parameters)
            .placement;
  return options;
}

void warn_about_open_address(const transport::Address& address) {
  if (address.host == "localhost" || address.host == "::1" || address.host.starts_with("127."))
    return;
  fmt::print(stderr,
             "talaria: warning: {} can be reached from other machines, and prompts travel to it "
             "without encryption; put a TLS proxy in front of it\n",
             to_string(address));
}

std::string workers_json(const pipeline::Engine& engine) {
  auto list = nlohmann::json::array();
  for (const auto& worker : engine.workers()) list.push_back(worker_json(worker));
  return list.dump();
}

/// However serving ends, neither a signal nor `talaria status` finds what is gone.
class Published {
public:
  Published(GatewayContext& context, gateway::HttpServer& server, const pipeline::Engine& engine)
      : context_(context) {
    context_.publish_workers([&engine] { return workers_json(engine); });
    context_.interrupts.on_interrupt([&server] { server.stop(); });
    if (context_.interrupts.interrupted()) server.stop();
  }
  ~Published() {
    context_.interrupts.on_interrupt([] {});
    context_.publish_workers(nullptr);
  }
  Published(const Published&) = delete;
  Published& operator=(const Published&) = delete;

private:
  GatewayContext& context_;
};

/// A broken engine ends the server, and with it the process, so that whoever watches over it starts
/// another: requests under way get their error first.
class EndsWhenBroken {
public:
  EndsWhenBroken(pipeline::Engine& engine, gateway::HttpServer& server) : engine_(engine) {
    engine_.on_broken([&server](const Error& error) {
      print_line(fmt::format("talaria: {}", error.what()));
      server.stop();
    });
  }
  ~EndsWhenBroken() { engine_.on_broken(nullptr); }
  EndsWhenBroken(const EndsWhenBroken&) = delete;
  EndsWhenBroken& operator=(const EndsWhenBroken&) = delete;

private:
  pipeline::Engine& engine_;
};

/// A file of its own for every run, or nothing without `telemetry.trace`.
std::filesystem::path trace_file(const config::PipelineConfig& settings) {
  if (!settings.telemetry.trace) return {};
  std::error_code ignored; // the tracer says what is wrong with the file
  std::filesystem::create_directories(*settings.telemetry.trace, ignored);
  const auto now = std::chrono::system_clock::to_time_t(std::chrono::system_clock::now());
  return *settings.telemetry.trace /
         fmt::format("gateway-{:%Y%m%dT%H%M%SZ}-{}.json", fmt::gmtime(now), ::getpid());
}

/// @param announced_on  where the line goes that says where requests are taken
int serve(GatewayContext& context, std::FILE* announced_on) {
  const config::PipelineConfig& settings = context.config;
  refuse_clear(settings);
  auto engine_options = EngineFlags().engine_options(settings);
  engine_options.trace = context.trace.empty() ? trace_file(settings) : context.trace;
  TerminalProgress progress;
  pipeline::Engine engine(engine_options, progress);
  if (!engine.warning().empty()) fmt::print(stderr, "talaria: warning: {}\n", engine.warning());
  auto options = server_options(settings, engine_options, engine);
  warn_about_open_address(options.listen);
  transport::Address address = options.listen;
  gateway::HttpServer server(engine, std::move(options), print_line);
  address.port = server.port();
  const Published published(context, server, engine);
  const EndsWhenBroken ends(engine, server);
  fmt::print(announced_on, "listening on http://{}\n", to_string(address));
  std::fflush(announced_on);
  context.ready();
  server.run();
  engine.write_trace();
  const auto broken = engine.broken();
  return broken ? exit_status(broken->code()) : 0;
}

int serve_file(const std::string& file, InterruptWatch& interrupts) {
  const config::PipelineConfig settings = EngineFlags().resolve_for(file);
  GatewayContext context{settings, interrupts, [] {}, [](const auto&) {}};
  return serve(context, stdout);
}

} // namespace

Gateway http_gateway() {
  return
      [](GatewayContext& context) { return serve(context, stderr); }; // launch has its own stdout
}

void add_serve_command(CLI::App& app, Action& chosen) {
  auto file = std::make_shared<std::string>();
  CLI::App* command = app.add_subcommand(
      "serve", "Answer OpenAI's API over HTTP; the workers of the file must be up (see launch)");
  command->add_option("FILE", *file, "pipeline.yaml, or a model folder")->required();
  command->callback([file, &chosen] {
    chosen = [file](InterruptWatch& interrupts) { return serve_file(*file, interrupts); };
  });
}

} // namespace talaria::cli
