#pragma once

#include <chrono>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "attest/endpoint/attester.hpp"
#include "gateway/access.hpp"
#include "gateway/event_stream.hpp"
#include "gateway/httpd.hpp"
#include "gateway/receipt_book.hpp"
#include "gateway/served_adapters.hpp"
#include "model/chat_template.hpp"
#include "pipeline/engine.hpp"
#include "telemetry/otlp_exporter.hpp"
#include "transport/address.hpp"
#include "transport/server_tls.hpp"

namespace talaria::gateway {

struct ServerOptions {
  transport::Address listen{"127.0.0.1", 8000};
  std::optional<std::filesystem::path> socket; ///< in the file system, in the place of `listen`
  std::shared_ptr<transport::ServerTls> tls;   ///< of `listen` or `socket`; null: plain
  /// A second address for /metrics, with /health and /ready; nothing: no metrics at all, since they
  /// tell whoever reads them how many tokens everybody uses.
  std::optional<transport::Address> metrics;
  std::shared_ptr<transport::ServerTls> metrics_tls; ///< of `metrics`; null: plain
  std::vector<std::string> hosts;   ///< further names of this server, without ports
  std::vector<std::string> origins; ///< of web pages that may use the API
  HttpLimits limits;
  /// Figures of single answers are rounded or left out: they would undo masking.padding.
  bool coarse_metrics = false;
  std::string model_name;  ///< what clients call the model; not empty
  std::string version;     ///< of this program, for /version
  ServedAdapters adapters; ///< those of the engine: what else clients may name, and who
  /// What answers depend on besides requests (`system_fingerprint`); empty: not told.
  std::string fingerprint;
  /// Nothing: /v1/chat/completions is refused.
  std::optional<model::ChatTemplate> chat_template;
  bool allow_special = false; ///< text of messages may become special tokens
  /// Whether every layer has a worker; null: the engine says.
  std::function<bool()> layers_ready;
  std::size_t max_running = 256; ///< answers made at once, at least 1
  std::size_t max_waiting =
      256; ///< requests that wait for the first; further requests are refused with 429
  std::size_t max_body_bytes = std::size_t{4} << 20;
  std::size_t max_parsing_bytes = std::size_t{256} << 20; ///< of all JSON that is being read
  AccessOptions access;                                   ///< who may ask, and for how much
  std::shared_ptr<attest::Attester> attester; ///< null: no evidence is given. Needs `tls`
  bool require_attestation = false;           ///< who has not asked for evidence gets nothing else
  std::shared_ptr<ReceiptBook> receipts;      ///< null: answers have none
  /// Spans and figures go there; null: nowhere. With `coarse_metrics` figures alone.
  std::shared_ptr<telemetry::OtlpExporter> otlp;
  StreamOptions stream;
  std::chrono::milliseconds grace{10000}; ///< for running requests when the server ends
};

/// OpenAI's API and Anthropic's messages over HTTP, with or without TLS 1.3.
///
///   POST /v1/chat/completions, /v1/completions   streamed or whole
///   POST /v1/responses, /v1/messages             the same; with what counts their tokens
///   POST /v1/embeddings, /v1/score, /v1/rerank   of models that are served for that
///   POST /tokenize, /detokenize                  as vLLM has them
///   GET  /v1/models, /version, /health, /ready
///   GET, POST /v1/attestation                    evidence, if there is an attester
///   GET  /v1/receipts/ID                         of a response, if there are receipts
///
/// At an address of its own: GET /metrics, /dashboard, /dashboard/events, /health, /ready.
///
/// Sampling fields that a request leaves out take the model's own defaults, as in `talaria run`.
class HttpServer {
public:
  /// Receives one line per request: time, method, path, status, tokens in and out, milliseconds;
  /// nothing that a client sent. Called from many threads.
  using Log = std::function<void(const std::string& line)>;

  /// Binds; requests wait until run(). `engine` must outlive this object.
  /// @throws Error{io} naming an address that cannot be bound.
  HttpServer(pipeline::Engine& engine, ServerOptions options, Log log);
  ~HttpServer();

  /// Serves until stop(): then new requests are refused, running ones have `grace` to end and are
  /// cancelled after it. Once.
  void run();
  /// Makes run() return. Thread-safe, returns at once.
  void stop();
  /// The port that `listen` was bound to; 0 for a `socket`.
  u16 port() const noexcept;
  /// The port that `metrics` was bound to; 0 without one.
  u16 metrics_port() const noexcept;

private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

} // namespace talaria::gateway
