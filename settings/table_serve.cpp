#include <algorithm>

#include "config/scalars.hpp"
#include "settings/forms.hpp"
#include "settings/lora_modules.hpp"
#include "settings/network_forms.hpp"
#include "settings/table_parts.hpp"

namespace talaria::settings {

namespace {

using namespace std::chrono_literals;
using config::Otlp;
using config::PipelineConfig;
using config::Serve;
using config::ServeAttestation;
using config::ServeLimits;
using config::ServePerClient;
using config::ServeStream;
using config::ServeTls;
using config::Telemetry;
using config::Tls;

constexpr std::size_t kKiB = 1024;
constexpr std::size_t kMiB = 1024 * kKiB;
constexpr std::size_t kTiB = 1024 * 1024 * kMiB;
constexpr u64 kMaxConnections = 1'000'000;
constexpr u64 kMaxTokens = (u64{1} << 31) - 1;

bool is_model_name(std::string_view text) {
  constexpr std::size_t kLongest = 256;
  return !text.empty() && text.size() <= kLongest &&
         std::all_of(text.begin(), text.end(), [](char c) { return c > ' ' && c < '\x7f'; });
}

bool is_chat_date(std::string_view text) {
  if (text == "today") return true;
  static constexpr std::string_view shape = "0000-00-00";
  return text.size() == shape.size() &&
         std::equal(text.begin(), text.end(), shape.begin(), [](char c, char like) {
           return like == '-' ? c == '-' : c >= '0' && c <= '9';
         });
}

/// A value of `serve.tls`, which need not be there.
At<PipelineConfig, std::filesystem::path> serve_tls(std::filesystem::path ServeTls::*file) {
  return [file](PipelineConfig& config) -> std::filesystem::path& {
    if (!config.serve.tls) config.serve.tls.emplace();
    return (*config.serve.tls).*file;
  };
}

/// A value of `serve.attestation`, which need not be there.
template <class T>
At<PipelineConfig, T> attestation(T ServeAttestation::*value) {
  return [value](PipelineConfig& config) -> T& {
    if (!config.serve.attestation) config.serve.attestation.emplace();
    return (*config.serve.attestation).*value;
  };
}

bool is_measurement(std::string_view text) {
  constexpr std::size_t kDigits = 96; // 48 bytes
  return text.size() == kDigits && std::all_of(text.begin(), text.end(), [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
         });
}

void add_attestation(std::vector<Setting>& rows) {
  rows.push_back(row("serve.attestation.platform",
                     choice({"auto", "sev-snp", "tdx", "azure", "simulated"}),
                     attestation(&ServeAttestation::platform),
                     "what vouches for this program before its clients; simulated proves nothing")
                     .required());
  rows.push_back(row("serve.attestation.folder", path(), attestation(&ServeAttestation::folder),
                     "the simulated platform (talaria attest simulate init makes one)")
                     .by_default("required with platform: simulated, and only there"));
  rows.push_back(row("serve.attestation.bundle", path(), attestation(&ServeAttestation::bundle),
                     "collateral that evidence of a real platform is sent with (talaria attest "
                     "bundle)")
                     .by_default("what the platform's host gives"));
  rows.push_back(row("serve.attestation.evidence", choice({"snp", "tdx"}),
                     attestation(&ServeAttestation::evidence), "kind of evidence"));
  rows.push_back(row("serve.attestation.measurement",
                     text(is_measurement, "48 bytes as 96 digits of lower-case hexadecimal, in "
                                          "quotes"),
                     attestation(&ServeAttestation::measurement), "what the platform measured")
                     .by_default("SHA-384 of the program"));
  rows.push_back(row("serve.attestation.service",
                     text(is_served_host, "a name like api.example.org"),
                     attestation(&ServeAttestation::service), "the server's name in its statement")
                     .by_default("the first of serve.hosts, or the host of serve.listen"));
  rows.push_back(row("serve.attestation.required", yes_or_no(),
                     attestation(&ServeAttestation::required),
                     "connections that have not asked for evidence are refused (428)"));
}

void add_tls(std::vector<Setting>& rows) {
  constexpr const char* kAdvice = "talaria certs init makes them";
  constexpr auto tls = &PipelineConfig::tls;
  rows.push_back(row("tls.ca", pem_file(kAdvice), member(tls, &Tls::ca),
                     "certificate of the authority that signed those of enclave and workers")
                     .required());
  rows.push_back(
      row("tls.cert", pem_file(kAdvice), member(tls, &Tls::cert), "the enclave's certificate")
          .by_default("required unless tls.identity is ephemeral"));
  rows.push_back(
      row("tls.key", pem_file(kAdvice), member(tls, &Tls::key), "the enclave's private key")
          .by_default("required unless tls.identity is ephemeral"));
  rows.push_back(row("tls.identity", choice_of<bool>({{"files", false}, {"ephemeral", true}}),
                     member(tls, &Tls::is_ephemeral),
                     "where the enclave's key is from: tls.cert and tls.key, or made at each start "
                     "for workers that demand evidence"));
  rows.push_back(row("tls.enclave_name", text(is_host_name, "the name in the certificate"),
                     member(tls, &Tls::enclave_name), "what workers expect in tls.cert"));
}

void add_serve(std::vector<Setting>& rows) {
  constexpr auto serve = &PipelineConfig::serve;
  rows.push_back(
      row("serve.listen", served_address(), member(serve, &Serve::listen),
          "where the API is served; beyond loopback it takes serve.tls (or insecure) "
          "and serve.keys")
          .from_flag("--listen", FlagGroup::serve)
          .required()
          .by_default(std::string(config::kDefaultListen) + ", without a section serve"));
  rows.push_back(row("serve.tls.cert", pem_file(), serve_tls(&ServeTls::cert),
                     "certificate of the API, with its chain")
                     .required());
  rows.push_back(row("serve.tls.key", pem_file(), serve_tls(&ServeTls::key),
                     "its private key, without a passphrase")
                     .required());
  add_attestation(rows);
  rows.push_back(row("serve.receipts", choice_of<bool>({{"off", false}, {"on", true}}),
                     member(serve, &Serve::receipts),
                     "answers come with receipts that the enclave signs; takes serve.attestation"));
  rows.push_back(row("serve.insecure", yes_or_no(), member(serve, &Serve::insecure),
                     "plain HTTP is wanted where other machines reach it: something in front ends "
                     "TLS"));
  rows.push_back(row("serve.allow_special", yes_or_no(), member(serve, &Serve::allow_special),
                     "text of messages may make special tokens, as in Hugging Face"));
  rows.push_back(
      row("serve.hosts",
          texts(is_served_host, "a name or an address without port, like api.example.org"),
          member(serve, &Serve::hosts),
          "further names of this server, as clients write them into the URL"));
  rows.push_back(row("serve.origins",
                     texts(is_web_origin, "an origin like https://chat.example.org"),
                     member(serve, &Serve::origins), "web pages that may use the API"));
  rows.push_back(row("serve.keys", optional_path(), member(serve, &Serve::keys),
                     "file of the clients' keys (talaria keys add)")
                     .by_default("no file: nobody is asked for a key"));
  rows.push_back(
      row("serve.model_name",
          optional_text(is_model_name, "1 to 256 printable ASCII characters without blanks"),
          member(serve, &Serve::model_name), "what clients call the model")
          .by_default("the last part of the model's path"));
  rows.push_back(row("serve.lora_modules", lora_modules(), member(serve, &Serve::lora_modules),
                     "LoRA adapters (PEFT folders) that requests may name as their model; with "
                     "keys only by holders of these")
                     .by_default("none")
                     .from_flag("--lora-modules", FlagGroup::serve));
}

void add_clients(std::vector<Setting>& rows) {
  constexpr auto serve = &PipelineConfig::serve;
  rows.push_back(row("serve.per_client.requests", whole<u32>(0, kMaxConnections),
                     member(serve, &Serve::per_client, &ServePerClient::requests),
                     "requests of one key (without keys: one address) under way at once; 0: any"));
  rows.push_back(row("serve.per_client.tokens_per_minute", whole<u32>(0, kMaxTokens),
                     member(serve, &Serve::per_client, &ServePerClient::tokens_per_minute),
                     "tokens of its prompts and answers; 0: any"));
  rows.push_back(row("serve.stream.obfuscation", yes_or_no(),
                     member(serve, &Serve::stream, &ServeStream::obfuscation),
                     "events and bodies are filled up to hide the lengths of tokens"));
  rows.push_back(row("serve.stream.pace", duration_or_none(10ms, 10s),
                     member(serve, &Serve::stream, &ServeStream::pace),
                     "time between events; 0s: as tokens come"));
}

void add_otlp(std::vector<Setting>& rows) {
  const auto otlp = [](auto Otlp::*value) {
    return member(&PipelineConfig::telemetry, &Telemetry::otlp, value);
  };
  rows.push_back(row("telemetry.otlp.endpoint",
                     optional_text(is_server_url, "a URL like https://collector.example.org:4318"),
                     otlp(&Otlp::endpoint),
                     "OpenTelemetry collector that gets spans and figures (OTLP/HTTP); http:// "
                     "beyond loopback takes serve.insecure")
                     .by_default("nowhere"));
  rows.push_back(row("telemetry.otlp.headers", optional_path(), otlp(&Otlp::headers),
                     "file of what the collector asks for: NAME: VALUE by line")
                     .by_default("none"));
  rows.push_back(row("telemetry.otlp.ca", pem_file(), otlp(&Otlp::ca),
                     "authority of the collector's certificate")
                     .by_default("the system's"));
  rows.push_back(row("telemetry.otlp.interval", duration(100ms, 1h), otlp(&Otlp::interval),
                     "time between two exports; 512 spans go at once"));
}

void add_limits(std::vector<Setting>& rows) {
  const auto limit = [](auto ServeLimits::*value) {
    return member(&PipelineConfig::serve, &Serve::limits, value);
  };
  rows.push_back(row("serve.limits.connections", whole<u32>(16, kMaxConnections),
                     limit(&ServeLimits::connections), "connections at once"));
  rows.push_back(row("serve.limits.per_address", whole<u32>(1, kMaxConnections),
                     limit(&ServeLimits::per_address), "connections of one address"));
  rows.push_back(row("serve.limits.head", bytes(4 * kKiB, kMiB), limit(&ServeLimits::head),
                     "size of a request's head"));
  rows.push_back(row("serve.limits.body", bytes(kKiB, 1024 * kMiB), limit(&ServeLimits::body),
                     "size of a request's body, also after decompression"));
  rows.push_back(row("serve.limits.buffered", bytes(kMiB, kTiB), limit(&ServeLimits::buffered),
                     "size of all bodies held; at least serve.limits.body"));
  rows.push_back(row("serve.limits.parsing", bytes(kMiB, kTiB), limit(&ServeLimits::parsing),
                     "memory that JSON being read may need"));
  rows.push_back(row("serve.limits.head_within", duration(1s, 10min),
                     limit(&ServeLimits::head_within), "time for a head to arrive"));
  rows.push_back(row("serve.limits.body_within", duration(1s, 1h), limit(&ServeLimits::body_within),
                     "time for a body to arrive"));
  rows.push_back(row("serve.limits.idle", duration(1s, 24h), limit(&ServeLimits::idle),
                     "time between two requests of a connection"));
}

} // namespace

std::vector<Setting> serve_settings() {
  std::vector<Setting> rows;
  add_tls(rows);
  add_serve(rows);
  add_clients(rows);
  add_limits(rows);
  rows.push_back(row("chat.date", text(is_chat_date, "a date like 2026-11-30, or today"),
                     member(&PipelineConfig::chat_date),
                     "what a chat template that asks for the date is told"));
  rows.push_back(row("telemetry.metrics", listen_address(),
                     member(&PipelineConfig::telemetry, &Telemetry::metrics),
                     "where /metrics is served; beyond loopback it takes serve.tls or "
                     "serve.insecure")
                     .by_default("nowhere"));
  rows.push_back(row("telemetry.trace", folder_path(),
                     member(&PipelineConfig::telemetry, &Telemetry::trace),
                     "folder into which the gateway writes a trace of every run")
                     .by_default("nowhere"));
  add_otlp(rows);
  return rows;
}

} // namespace talaria::settings
