#include "settings/serve_rules.hpp"

#include <fmt/format.h>

#include <string>

namespace talaria::settings {

namespace {

using config::PipelineConfig;
using config::Problems;
using config::Serve;

/// Why nobody may be served at `serve.listen` with the other settings as they are, as the rest of a
/// sentence; empty: they may.
std::string exposure_of(const Serve& serve) {
  const auto address = serve.listen ? parse_address(*serve.listen) : std::nullopt;
  if (!address || is_loopback(address->host)) return {};
  if (!serve.tls && !serve.insecure)
    return fmt::format("listens on {}, which other machines can reach, without TLS; expected tls: "
                       "{{ cert, key }}, or insecure: true if something in front of it ends TLS",
                       *serve.listen);
  if (serve.keys) return {};
  return fmt::format("listens on {}, which other machines can reach, and asks nobody who he is; "
                     "expected keys: FILE (talaria keys add makes one)",
                     *serve.listen);
}

void check_exposure(const Serve& serve, const Origins& origins, Problems& problems) {
  const std::string exposed = exposure_of(serve);
  if (exposed.empty()) return;
  const Origin* listen = origins.find("serve.listen");
  const bool by_file = listen == nullptr || listen->source == Source::file;
  const std::string key = by_file ? "serve" : "serve.listen"; // the section, or the flag
  problems.add(origins.place_of(key), origins.name_of(key), exposed);
}

/// What is true of one sort of platform and not of the other.
void check_platform(const config::ServeAttestation& attestation, const Origins& origins,
                    Problems& problems) {
  const bool is_simulated = attestation.platform == "simulated";
  const auto complain = [&](const std::string& what) {
    problems.add(origins.place_of("serve.attestation"), "serve.attestation", what);
  };
  if (is_simulated && attestation.folder.empty())
    complain("platform is simulated, without a folder; expected folder: DIR (talaria attest "
             "simulate init DIR makes one)");
  if (is_simulated || attestation.platform.empty()) return;
  if (!attestation.folder.empty())
    complain("folder is of simulated platforms; expected no folder with platform: " +
             attestation.platform);
  if (!attestation.measurement.empty())
    complain("measurement is what a simulated platform says; a real one measures by itself");
}

void check_attestation(const Serve& serve, const Origins& origins, Problems& problems) {
  if (serve.attestation) check_platform(*serve.attestation, origins, problems);
  if (!serve.attestation || serve.tls) return;
  problems.add(origins.place_of("serve"), "serve",
               "has attestation, which is bound to a TLS connection, but no TLS; expected tls: "
               "{ cert, key }");
}

void check_bodies(const config::ServeLimits& limits, const Origins& origins, Problems& problems) {
  if (limits.buffered < limits.body)
    problems.add(origins.place_of("serve.limits"), "serve.limits",
                 fmt::format("buffered is {} bytes, less than body, which is {}; expected room for "
                             "one body at least",
                             limits.buffered, limits.body));
}

void check_metrics(const PipelineConfig& config, const Origins& origins, Problems& problems) {
  if (!config.telemetry.metrics || config.serve.tls || config.serve.insecure) return;
  const auto address = parse_address(*config.telemetry.metrics);
  if (!address || is_loopback(address->host)) return;
  problems.add(origins.place_of("telemetry.metrics"), "telemetry.metrics",
               fmt::format("listens on {}, which other machines can reach, without TLS; expected "
                           "serve.tls: {{ cert, key }}, or serve.insecure: true",
                           *config.telemetry.metrics));
}

/// Spans tell who reads along when how many tokens were made.
void check_otlp(const PipelineConfig& config, const Origins& origins, Problems& problems) {
  const auto& endpoint = config.telemetry.otlp.endpoint;
  constexpr std::string_view kPlain = "http://";
  if (!endpoint || !endpoint->starts_with(kPlain) || config.serve.insecure) return;
  const std::string authority =
      endpoint->substr(kPlain.size(), endpoint->find('/', kPlain.size()) - kPlain.size());
  const auto address = parse_address(authority);
  if (is_loopback(address ? address->host : authority)) return;
  problems.add(origins.place_of("telemetry.otlp.endpoint"), "telemetry.otlp.endpoint",
               fmt::format("sends to {} without TLS; expected https://, or serve.insecure: true",
                           authority));
}

/// Adapters are called otherwise than the model, and keys are asked for where some need one.
void check_adapters(const Serve& serve, const Origins& origins, Problems& problems) {
  const auto complain = [&](const std::string& what) {
    problems.add(origins.place_of("serve.lora_modules"), origins.name_of("serve.lora_modules"),
                 what);
  };
  for (const config::LoraModule& each : serve.lora_modules) {
    if (serve.model_name && each.name == *serve.model_name)
      complain(fmt::format("has an adapter called {}, as the model is (serve.model_name); expected "
                           "a name of its own",
                           each.name));
    if (!each.keys.empty() && !serve.keys)
      complain(fmt::format("keeps {} for holders of keys, but nobody is asked for one; expected "
                           "serve.keys: FILE",
                           each.name));
  }
}

} // namespace

void check_serving(const PipelineConfig& config, const Origins& origins, Problems& problems) {
  check_exposure(config.serve, origins, problems);
  check_attestation(config.serve, origins, problems);
  check_adapters(config.serve, origins, problems);
  check_bodies(config.serve.limits, origins, problems);
  check_metrics(config, origins, problems);
  check_otlp(config, origins, problems);
}

} // namespace talaria::settings
