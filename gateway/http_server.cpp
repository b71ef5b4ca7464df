#include "gateway/http_server.hpp"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <condition_variable>
#include <mutex>
#include <optional>
#include <system_error>
#include <thread>

#include "gateway/access_policy.hpp"
#include "gateway/api_response.hpp"
#include "gateway/attestation_routes.hpp"
#include "gateway/completion_service.hpp"
#include "gateway/dashboard_page.hpp"
#include "gateway/httpd.hpp"
#include "gateway/live_feed.hpp"
#include "gateway/readiness.hpp"
#include "gateway/request_spans.hpp"
#include "gateway/router.hpp"
#include "gateway/unix_listener.hpp"
#include "telemetry/trace_id.hpp"

namespace talaria::gateway {

namespace {

using namespace std::chrono_literals;

constexpr std::size_t kMoreThreads = 16; // beside those of answers, for requests that are refused
constexpr auto kDrainCheck = 20ms;
constexpr auto kToExport = 5s; // the last spans and figures, when the server ends

i64 unix_time() {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  return std::chrono::duration_cast<std::chrono::seconds>(now).count();
}

/// "2026-02-03T04:05:06.789Z POST /v1/completions 200 prompt=5 completion=16 ms=123.4
/// trace=0123456789abcdef", in one line. 499: the client left before the end.
std::string access_line(const Exchange& exchange) {
  const auto ms =
      std::chrono::duration_cast<std::chrono::milliseconds>(exchange.arrived.time_since_epoch())
          .count();
  const std::chrono::duration<double, std::milli> took =
      std::chrono::steady_clock::now() - exchange.began;
  const std::string trace =
      exchange.trace == 0 ? std::string() : fmt::format(" trace={:016x}", exchange.trace);
  return fmt::format("{:%Y-%m-%dT%H:%M:%S}.{:03}Z {} {} {} prompt={} completion={} ms={:.1f}{}",
                     fmt::gmtime(static_cast<std::time_t>(ms / 1000)), ms % 1000, exchange.method,
                     exchange.route, exchange.outcome(), exchange.prompt_tokens,
                     exchange.completion_tokens, took.count(), trace);
}

CompletionService::Options service_options(const pipeline::Engine& engine, ServerOptions& options,
                                           ByteBudget& parsing, const HttpServer::Log& log) {
  CompletionService::Options out;
  out.defaults = {options.model_name,  engine.generation_config(),
                  options.max_running, &parsing,
                  engine.drafts(),     options.adapters};
  if (options.chat_template)
    out.chat.emplace(std::move(*options.chat_template), engine.tokenizer(), options.allow_special);
  // More would wait for memory, in the order of its arrival and not in that of fairness.
  out.limits = {options.max_running, options.max_waiting, engine.kv_report().max_tokens};
  out.stream = options.stream;
  out.coarse_metrics = options.coarse_metrics;
  out.fingerprint = options.fingerprint;
  out.receipts = options.receipts.get();
  out.log = log;
  return out;
}

} // namespace

struct HttpServer::Impl {
  Impl(pipeline::Engine& served, ServerOptions given, Log log_line)
      : engine(served), options(std::move(given)), log(std::move(log_line)),
        parsing(options.max_parsing_bytes), access(options.access, log),
        service(engine, service_options(engine, options, parsing, log), shutdown),
        feed({engine, service.admission(), service.metrics(), service.requests()},
             {options.model_name, options.version, options.coarse_metrics}),
        api_policy(options.listen.host, options.hosts, options.origins),
        probe_policy(options.metrics.value_or(options.listen).host, options.hosts, {}),
        api_router(options.max_body_bytes), probe_router(0),
        api(options.limits, options.max_running + options.max_waiting + kMoreThreads, api_router,
            [this](const Exchange& exchange) { answered(exchange); }),
        probes(options.limits, LiveFeed::kMostViewers + 1, probe_router,
               [this](const Exchange& exchange) { answered(exchange); }) {
    route();
    if (options.socket)
      api.adopt(socket.emplace(*options.socket).take(), options.tls);
    else
      port = api.bind(options.listen.host, options.listen.port, options.tls);
    if (options.metrics)
      metrics_port = probes.bind(options.metrics->host, options.metrics->port, options.metrics_tls);
  }

  ~Impl() {
    if (options.otlp) options.otlp->collect_from({}); // which would ask what is gone
  }

  void route();
  void add_probes(Router& router);
  void add_evidence();
  void add_dashboard();
  void add_receipts();
  void add_answers(const std::string& path, Dialect dialect);
  void add_messages();
  void answered(const Exchange& exchange);
  void await_stop();
  bool drained_within(std::chrono::milliseconds patience) const;
  void drain();

  pipeline::Engine& engine;
  ServerOptions options;
  Log log;
  Shutdown shutdown;
  ByteBudget parsing;
  Access access;
  Limits limits;
  CompletionService service;
  LiveFeed feed;
  AccessPolicy api_policy;
  AccessPolicy probe_policy;
  Router api_router;
  Router probe_router;
  std::optional<UnixListener> socket; ///< its file; gone before the last of the requests is
  Httpd api;
  Httpd probes; ///< serves only if there is an address for it
  u16 port = 0;
  u16 metrics_port = 0;

  std::mutex mutex;
  std::condition_variable changed;
  bool stop_asked = false;
};

void HttpServer::Impl::route() {
  const auto created = unix_time();
  const u32 context = engine.plan().max_position;
  const auto answer_json = [](HttpResponse& response, const std::string& body) {
    response.set_content(body, "application/json");
  };
  api_router.set_policy(api_policy);
  probe_router.set_policy(probe_policy);
  add_probes(api_router);
  add_evidence();
  api_router.guard([this](Exchange& exchange, HttpResponse&) {
    if (options.require_attestation) require_attested(exchange);
    exchange.visit = limits.enter(access.identify(exchange.request.field("Authorization"),
                                                  exchange.connection->remote_address(),
                                                  exchange.request.field("X-Api-Key")));
  });
  api_router.get("/v1/models", [=, this](HttpResponse& response) {
    const auto open = options.adapters.open_to(Httpd::exchange().visit->client().name);
    answer_json(response, models_body(options.model_name, open, context, created));
  });
  api_router.get("/v1/models/" + options.model_name, [=, this](HttpResponse& response) {
    answer_json(response, model_body(options.model_name, context, created));
  });
  for (const ServedAdapter& adapter : options.adapters.all())
    api_router.get("/v1/models/" + adapter.name, [=, this](HttpResponse& response) {
      const auto open = options.adapters.open_to(Httpd::exchange().visit->client().name);
      if (open.find(adapter.name) == nullptr) throw ApiError(404, "no such endpoint");
      answer_json(response, adapter_body(adapter, options.model_name, context, created));
    });
  add_answers("/v1/chat/completions", Dialect::chat);
  add_answers("/v1/completions", Dialect::completions);
  add_answers("/v1/responses", Dialect::responses);
  api_router.post("/v1/responses/input_tokens", [=, this](std::string body,
                                                          HttpResponse& response) {
    answer_json(response, fmt::format(R"({{"object":"response.input_tokens","input_tokens":{}}})",
                                      service.count(Dialect::responses, std::move(body))));
  });
  for (const char* path : {"/v1/embeddings", "/embeddings"}) add_answers(path, Dialect::embeddings);
  for (const char* path : {"/v1/score", "/score"}) add_answers(path, Dialect::score);
  for (const char* path : {"/v1/rerank", "/v2/rerank", "/rerank"})
    add_answers(path, Dialect::rerank);
  add_messages();
  api_router.post("/tokenize", [this](std::string body, HttpResponse& response) {
    service.tokenize(std::move(body), response);
  });
  api_router.post("/detokenize", [this](std::string body, HttpResponse& response) {
    service.detokenize(std::move(body), response);
  });
  add_receipts();
  api_router.get("/version", [=, this](HttpResponse& response) {
    answer_json(response, fmt::format(R"({{"version":"{}"}})", options.version));
  });
  add_probes(probe_router);
  add_dashboard();
  service.metrics().built(options.version);
  if (options.otlp) {
    service.metrics().exported_by(options.otlp);
    options.otlp->collect_from([this] { return service.metrics().figures(); });
  }
  probe_router.get("/metrics", [this](HttpResponse& response) {
    response.set_content(service.metrics().text(), "text/plain; version=0.0.4; charset=utf-8");
  });
}

void HttpServer::Impl::add_answers(const std::string& path, Dialect dialect) {
  api_router.post(path, [this, dialect](std::string body, HttpResponse& response) {
    service.answer(dialect, std::move(body), response);
  });
}

namespace {

/// "2023-06-01" and later dates: nothing that is served here has changed its shape since.
bool is_known_version(std::string_view version) {
  constexpr std::string_view kFirst = "2023-06-01";
  if (version.size() != kFirst.size() || version < kFirst) return false;
  for (std::size_t i = 0; i < version.size(); ++i)
    if (kFirst[i] == '-' ? version[i] != '-' : version[i] < '0' || version[i] > '9') return false;
  return true;
}

/// What Anthropic's clients read besides, and what they say which version they speak.
void greet_anthropic_client(HttpResponse& response) {
  const Exchange& exchange = Httpd::exchange();
  const std::string_view version = exchange.request.field("anthropic-version");
  if (!version.empty() && !is_known_version(version))
    throw ApiError(400, "anthropic-version must be 2023-06-01 or a later date");
  response.set_header("request-id", telemetry::to_hex(exchange.trace));
}

} // namespace

void HttpServer::Impl::add_messages() {
  api_router.shape_errors(ErrorShape::anthropic);
  api_router.post("/v1/messages", [this](std::string body, HttpResponse& response) {
    greet_anthropic_client(response);
    service.answer(Dialect::messages, std::move(body), response);
  });
  api_router.post("/v1/messages/count_tokens", [this](std::string body, HttpResponse& response) {
    greet_anthropic_client(response);
    response.set_content(
        fmt::format(R"({{"input_tokens":{}}})", service.count(Dialect::messages, std::move(body))),
        "application/json");
  });
  api_router.shape_errors(ErrorShape::openai);
}

/// Without a guard: a client wants to know whom it talks to before it says who it is.
void HttpServer::Impl::add_evidence() {
  if (!options.attester) return;
  service.metrics().attested(options.attester->is_simulated());
  add_attestation(api_router, *options.attester);
}

void HttpServer::Impl::add_dashboard() {
  probe_router.get("/dashboard", [page = dashboard_page()](HttpResponse& response) {
    response.set_content(page.html, "text/html; charset=utf-8");
    response.set_header("Content-Security-Policy", page.policy);
    response.set_header("X-Content-Type-Options", "nosniff");
    response.set_header("Referrer-Policy", "no-referrer");
  });
  probe_router.get(
      "/dashboard/events",
      [this](HttpResponse& response) {
        response.set_header("Cache-Control", "no-store");
        response.set_header("X-Accel-Buffering", "no");
        if (Httpd::exchange().method == "HEAD") // which has no body, and so no end of one
          return response.set_content({}, "text/event-stream");
        response.set_stream("text/event-stream", feed.watch());
      },
      Router::On::a_thread_for_long);
}

/// Another client's receipts are as little here as those that never were.
void HttpServer::Impl::add_receipts() {
  if (!options.receipts) return;
  service.metrics().signs_receipts();
  constexpr std::string_view kFolder = "/v1/receipts/";
  api_router.get(std::string(kFolder) + "*", [=, this](HttpResponse& response) {
    const Exchange& exchange = current_exchange();
    const auto record = options.receipts->find(receipt_owner(exchange.visit->client()),
                                               exchange.request.path.substr(kFolder.size()));
    if (!record)
      throw ApiError(404, "there is no receipt of this response, or none any more", {},
                     "unknown_receipt");
    response.set_header("Cache-Control", "no-store");
    response.set_content(attest::to_json(*record), "application/json");
  });
}

void HttpServer::Impl::add_probes(Router& router) {
  router.get(
      "/health",
      [this](HttpResponse& response) {
        require_live(engine);
        response.set_content(R"({"status":"live"})", "application/json");
      },
      Router::On::the_spot);
  router.get("/ready", [this](HttpResponse& response) {
    require_live(engine);
    if (shutdown.draining) throw shutting_down();
    if (!(options.layers_ready ? options.layers_ready() : engine.every_layer_is_ready()))
      throw ApiError(503, "some layers have no worker that is ready", {}, "no_worker");
    response.set_content(R"({"status":"ready"})", "application/json");
  });
}

void HttpServer::Impl::answered(const Exchange& exchange) {
  service.metrics().responded(exchange.route, exchange.outcome());
  log(access_line(exchange));
  if (!options.otlp || options.coarse_metrics) return;
  for (telemetry::OtlpSpan& span : request_spans(exchange, options.model_name))
    options.otlp->add(std::move(span));
}

void HttpServer::Impl::await_stop() {
  std::unique_lock lock(mutex);
  changed.wait(lock, [this] { return stop_asked; });
}

bool HttpServer::Impl::drained_within(std::chrono::milliseconds patience) const {
  const auto deadline = std::chrono::steady_clock::now() + patience;
  while (api.active() > 0) {
    if (std::chrono::steady_clock::now() >= deadline) return false;
    std::this_thread::sleep_for(kDrainCheck);
  }
  return true;
}

/// New connections are still accepted, to be told that this server goes down.
void HttpServer::Impl::drain() {
  constexpr auto kToWriteErrors = 2s;
  shutdown.draining = true;
  api.close_idle();
  if (drained_within(options.grace)) return;
  shutdown.over = true;
  if (!drained_within(kToWriteErrors)) api.abort();
}

HttpServer::HttpServer(pipeline::Engine& engine, ServerOptions options, Log log)
    : impl_(std::make_unique<Impl>(engine, std::move(options), std::move(log))) {}

HttpServer::~HttpServer() = default;

namespace {

/// Serves on a thread of its own for as long as it lives.
class Serving {
public:
  explicit Serving(Httpd& httpd) : httpd_(httpd) {
    try {
      thread_ = std::thread([&httpd] { httpd.serve(); });
    } catch (const std::system_error& error) {
      throw Error(Errc::io, fmt::format("no thread can be started: {}; allow more of them (ulimit "
                                        "-u, TasksMax)",
                                        error.code().message()));
    }
  }
  ~Serving() {
    httpd_.stop();
    thread_.join();
  }
  Serving(const Serving&) = delete;
  Serving& operator=(const Serving&) = delete;

private:
  Httpd& httpd_;
  std::thread thread_;
};

} // namespace

void HttpServer::run() {
  Impl& server = *impl_;
  std::optional<Serving> probes; // they answer to the end
  if (server.options.metrics) probes.emplace(server.probes);
  const Serving api(server.api);
  server.await_stop();
  server.drain();
  server.feed.close();
  if (server.options.otlp) server.options.otlp->close(kToExport);
}

void HttpServer::stop() {
  const std::lock_guard lock(impl_->mutex);
  impl_->stop_asked = true;
  impl_->changed.notify_all();
}

u16 HttpServer::port() const noexcept {
  return impl_->port;
}

u16 HttpServer::metrics_port() const noexcept {
  return impl_->metrics_port;
}

} // namespace talaria::gateway
