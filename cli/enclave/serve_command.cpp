#include "cli/enclave/serve_command.hpp"

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>

#include "cli/enclave/gateway_context.hpp"
#include "cli/enclave/reloaded_workers.hpp"
#include "cli/enclave/serve_otlp.hpp"
#include "cli/enclave/serve_receipts.hpp"
#include "cli/enclave/starter_link.hpp"
#include "cli/engine_flags.hpp"
#include "cli/forward.hpp"
#include "cli/serve_attestation.hpp"
#include "cli/setting_flags.hpp"
#include "cli/worker_json.hpp"
#include "config/scalars.hpp"
#include "core/console.hpp"
#include "core/digest.hpp"
#include "gateway/http_server.hpp"
#include "gateway/keys.hpp"
#include "model/tokenizer.hpp"
#include "pipeline/adapters.hpp"
#include "pipeline/cluster_plan.hpp"
#include "pipeline/model_loader.hpp"
#include "settings/engine/engine_options.hpp"
#include "settings/engine/process_setup.hpp"

namespace talaria::cli {

namespace {

void print_line(const std::string& line) {
  print_log("{}", line);
}

/// What clients call the model: as the file says, or the last part of the model's path.
/// @throws Error{usage} for a folder whose name cannot stand in JSON
std::string model_name(const config::PipelineConfig& settings) {
  if (settings.serve.model_name) return *settings.serve.model_name;
  const auto path = std::filesystem::weakly_canonical(settings.model);
  const std::string name =
      path.has_filename() ? path.filename().string() : path.parent_path().filename().string();
  if (model::find_invalid_utf8(name))
    throw Error(Errc::usage, "the model's folder has a name that is not UTF-8, which answers "
                             "cannot hold; say serve.model_name, or rename the folder");
  return name;
}

gateway::AccessOptions access_options(const config::PipelineConfig& settings) {
  const auto& limits = settings.serve.per_client;
  const bool by_permission =
      settings.serve.listen && config::parse_unix_path(*settings.serve.listen);
  return {settings.serve.keys, by_permission, {limits.requests, limits.tokens_per_minute}};
}

/// @throws Error{model} naming file and line for a template that cannot render a conversation: now,
/// and not to each client.
std::optional<model::ChatTemplate> load_chat_template(const config::PipelineConfig& settings,
                                                      const pipeline::ModelLoader& model) {
  auto chat = model::ChatTemplate::load(model.files()->texts());
  if (!chat) return chat;
  chat->set_clock(model::ChatClock::parse(
      settings.chat_date,
      settings.file.empty() ? "chat.date" : settings.file.string() + ": chat.date"));
  chat->check();
  return chat;
}

void warn_about_open_address(const gateway::ServerOptions& options) {
  if (options.tls || options.socket || is_loopback(options.listen.host)) return;
  print_log("talaria: warning: {} can be reached from other machines, and prompts travel to it "
            "without encryption (serve.insecure)",
            to_string(options.listen));
}

/// TLS of the API's listener, and of the one for metrics where other machines reach it.
void add_tls(const config::Serve& serve, gateway::ServerOptions& options) {
  if (!serve.tls) return;
  options.tls = std::make_shared<transport::ServerTls>(serve.tls->cert, serve.tls->key);
  if (options.metrics && !is_loopback(options.metrics->host)) options.metrics_tls = options.tls;
}

gateway::HttpLimits http_limits(const config::ServeLimits& limits) {
  gateway::HttpLimits out;
  out.connections = limits.connections;
  out.per_address = limits.per_address;
  out.head_bytes = limits.head;
  out.buffered_bytes = limits.buffered;
  out.head_within = limits.head_within;
  out.body_within = limits.body_within;
  out.idle = limits.idle;
  return out;
}

bool is_padded(const config::Padding& padding) {
  return !padding.buckets.empty() || padding.rounds > 1 || padding.pace.count() > 0;
}

/// Names what answers depend on besides requests: the model's files, how its weights are rounded,
/// the parameters that bound activations, and this program. Equal names, equal bits.
std::string fingerprint(const pipeline::EngineOptions& options) {
  const auto& scheme = options.scheme;
  std::string text =
      fmt::format("talaria {}\nmodel {}\nweights {}\nparameters {}\nkv {}\n", TALARIA_VERSION,
                  to_hex(options.model->files()->root()), to_string(options.weights),
                  scheme.parameters->name, static_cast<int>(options.kv.format));
  if (const auto& pooling = options.model->pooling())
    text += fmt::format("task {}\n", to_string(pooling->task));
  return "fp_" +
         to_hex(sha256({reinterpret_cast<const u8*>(text.data()), text.size()})).substr(0, 16);
}

/// Those of `serve.lora_modules`, which has a list of them that were loaded in its order.
gateway::ServedAdapters served_adapters(const config::Serve& serve,
                                        const pipeline::EngineOptions& options) {
  std::vector<gateway::ServedAdapter> served;
  for (std::size_t i = 0; i < options.adapters.size(); ++i)
    served.push_back(
        {serve.lora_modules[i].name, options.adapters[i]->digest(), serve.lora_modules[i].keys});
  return gateway::ServedAdapters(std::move(served));
}

void load_adapters(const config::Serve& serve, const std::string& model,
                   pipeline::EngineOptions& options) {
  std::vector<pipeline::AdapterFolder> folders;
  for (const config::LoraModule& each : serve.lora_modules) {
    if (each.name == model)
      throw Error(Errc::config, fmt::format("serve.lora_modules: {} is what the model is called; "
                                            "give the adapter a name of its own",
                                            each.name));
    folders.push_back({each.name, each.path});
  }
  pipeline::load_adapters(folders, options);
}

std::vector<attest::AdapterClaim> adapter_claims(const pipeline::EngineOptions& options) {
  std::vector<attest::AdapterClaim> claims;
  for (const model::AdapterPtr& each : options.adapters)
    claims.push_back({each->name(), each->digest()});
  return claims;
}

gateway::ServerOptions server_options(const config::PipelineConfig& settings,
                                      const pipeline::EngineOptions& engine_options) {
  gateway::ServerOptions options;
  const std::string listen = settings.serve.listen.value_or(config::kDefaultListen);
  if (const auto path = config::parse_unix_path(listen))
    options.socket = *path;
  else
    options.listen = transport::parse_address(listen);
  options.max_body_bytes = settings.serve.limits.body;
  options.max_parsing_bytes = settings.serve.limits.parsing;
  if (settings.telemetry.metrics)
    options.metrics = transport::parse_address(*settings.telemetry.metrics);
  add_tls(settings.serve, options);
  options.hosts = settings.serve.hosts;
  options.origins = settings.serve.origins;
  options.limits = http_limits(settings.serve.limits);
  options.coarse_metrics = is_padded(settings.masking.padding);
  options.model_name = model_name(settings);
  options.version = TALARIA_VERSION;
  options.fingerprint = fingerprint(engine_options);
  options.adapters = served_adapters(settings.serve, engine_options);
  options.chat_template = load_chat_template(settings, *engine_options.model);
  options.allow_special = settings.serve.allow_special;
  options.access = access_options(settings);
  options.require_attestation = settings.serve.attestation && settings.serve.attestation->required;
  options.stream = {settings.serve.stream.obfuscation, settings.serve.stream.pace};
  options.max_running = engine_options.batch.max_rows; // a row of each fits into a micro-batch
  return options;
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

/// Says where requests are taken. A server goes on without a reader of that line.
using Announce = void (*)(const std::string& line);

void announce_on_output(const std::string& line) {
  if (!write_fully(STDOUT_FILENO, line + "\n")) print_line(line);
}

/// What clients connect to, once the port is known.
std::function<std::string(u16 port)> url_of(const gateway::ServerOptions& options) {
  if (options.socket)
    return [url = (options.tls ? "https+unix:" : "unix:") + options.socket->string()](u16) {
      return url;
    };
  return [host = options.listen.host, tls = options.tls != nullptr](u16 port) {
    return fmt::format("{}://{}", tls ? "https" : "http",
                       to_string(transport::Address{host, port}));
  };
}

int serve(GatewayContext& context, Announce announce) {
  const config::PipelineConfig& settings = context.config;
  settings::require_protection(settings, context.allowed);
  const HangupSignal hangup; // before there are other threads
  const auto first_look = FileLook::at(settings.file);
  model_name(settings); // what is wrong with these shall not be told after minutes of loading
  if (settings.serve.keys) gateway::read_keys(*settings.serve.keys);
  const auto otlp = otlp_exporter(settings);
  if (settings.masking.integrity == "none") print_log("talaria: warning: {}", kUnverifiedWarning);
  auto engine_options = settings::engine_options(settings, print_worker_line);
  settings::set_up_process(settings);
  engine_options.trace = context.trace.empty() ? trace_file(settings) : context.trace;
  // Of a padded engine nobody may be told them (gateway/live_feed.hpp).
  engine_options.stage_times =
      settings.telemetry.metrics.has_value() && !is_padded(settings.masking.padding);
  engine_options.model = std::make_shared<const pipeline::ModelLoader>(
      engine_options.model_dir, engine_options.weights, engine_options.model_sha256,
      engine_options.task);
  load_chat_template(settings,
                     *engine_options.model); // what is wrong with it shows before hours of hints
  load_adapters(settings.serve, model_name(settings), engine_options); // likewise
  // One for clients and workers: they are told of the same instance.
  const auto signer = receipt_signer(settings.serve);
  const auto attester = make_attester(
      settings, model_name(settings), engine_options.model->files()->root(),
      signer ? std::optional(signer->public_key()) : std::nullopt, adapter_claims(engine_options));
  if (attester && engine_options.cluster)
    engine_options.cluster->evidence = [attester](const Sha256Digest&) {
      return link_evidence(attester);
    };
  if (attester) engine_options.hints.chip_key = [attester] { return attester->derived_key(); };
  TerminalProgress progress;
  pipeline::Engine engine(engine_options, progress);
  print_warnings(engine);
  auto options = server_options(settings, engine_options);
  options.attester = attester;
  options.otlp = otlp;
  if (signer) options.receipts = receipt_book(settings, *attester, signer, options.fingerprint);
  warn_about_open_address(options);
  const auto url = url_of(options);
  gateway::HttpServer server(engine, std::move(options), print_line);
  const Published published(context, server, engine);
  const EndsWhenBroken ends(engine, server);
  const ReloadWatch watch(hangup, settings.file, first_look,
                          reloaded_workers(context, engine, print_line));
  announce("listening on " + url(server.port()));
  context.ready();
  server.run();
  engine.write_trace();
  const auto broken = engine.broken();
  return broken ? exit_status(broken->code()) : 0;
}

struct ServeFlags {
  std::string file;
  std::string attest_simulated; ///< a folder; empty: as the file says
  bool require_attestation = false;
  SettingFlags flags;
  settings::Allowances allowed;
  std::string trace; ///< these two are given by `talaria launch`
  int report_fd = -1;
};

/// What holds for `serve.attestation` holds for the flags.
void attest_as(const ServeFlags& flags, config::Serve& serve) {
  if (!flags.attest_simulated.empty()) {
    if (!serve.attestation) serve.attestation.emplace();
    serve.attestation->platform = "simulated";
    serve.attestation->folder = flags.attest_simulated;
  }
  if (flags.require_attestation && !serve.attestation)
    throw Error(Errc::usage, "--require-attestation needs serve.attestation, or "
                             "--attest-simulated DIR");
  if (serve.attestation && !serve.tls)
    throw Error(Errc::usage, "--attest-simulated: evidence is bound to a TLS connection; the file "
                             "needs serve.tls: { cert, key }");
  if (flags.require_attestation) serve.attestation->required = true;
  if (serve.receipts && !serve.attestation)
    throw Error(Errc::usage, "serve.receipts: on needs serve.attestation, or --attest-simulated "
                             "DIR: nothing would vouch for the key that signs them");
}

int serve_file(const ServeFlags& flags, InterruptWatch& interrupts, StarterLink& starter) {
  const auto read = [&flags] {
    config::PipelineConfig settings = resolve_target(flags.file, flags.flags.given()).config;
    attest_as(flags, settings.serve);
    return settings;
  };
  const config::PipelineConfig settings = read();
  GatewayContext context{settings,
                         interrupts,
                         [&starter] { starter.ready(); },
                         [&starter](auto workers) { starter.publish_workers(std::move(workers)); },
                         flags.trace,
                         read,
                         flags.allowed};
  return serve(context, starter.has_starter() ? print_line : announce_on_output);
}

/// Under `talaria launch` its standard output is not ours, and it says what went wrong.
int serve_command(const ServeFlags& flags, InterruptWatch& interrupts) {
  StarterLink starter(flags.report_fd);
  if (!starter.has_starter()) return serve_file(flags, interrupts, starter);
  std::signal(SIGTTOU,
              SIG_IGN); // in the background of launch's terminal, where it may be set to stop
  try {
    return serve_file(flags, interrupts, starter);
  } catch (const Error& error) {
    starter.failed(error);
    return exit_status(error.code());
  }
}

} // namespace

void add_serve_command(CLI::App& app, Action& chosen) {
  auto flags = std::make_shared<ServeFlags>();
  CLI::App* command = app.add_subcommand(kServeCommand.name, kServeCommand.summary);
  command->add_option("FILE", flags->file, "pipeline.yaml, a model folder or a GGUF file")
      ->required();
  flags->flags.add_to(*command, {settings::FlagGroup::serve, settings::FlagGroup::pin});
  add_allowances(*command, flags->allowed);
  command->add_option("--attest-simulated", flags->attest_simulated,
                      "give evidence of the simulated platform in this folder; it proves nothing");
  command->add_flag("--require-attestation", flags->require_attestation,
                    "refuse connections that have not asked for evidence");
  command->add_option("--trace", flags->trace)->group("");
  command->add_option("--report-fd", flags->report_fd)->group("");
  command->callback([flags, &chosen] {
    chosen = [flags](InterruptWatch& interrupts) { return serve_command(*flags, interrupts); };
  });
}

} // namespace talaria::cli
