#include "config/serve.hpp"

#include <algorithm>
#include <cctype>
#include <fstream>
#include <sys/un.h>
#include <system_error>

#include <fmt/format.h>

#include "config/scalars.hpp"

namespace talaria::config {
namespace {

using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;

constexpr u64 kMaxConnections = 1'000'000;
constexpr std::size_t kMaxListed = 256;
constexpr const char* kServedAddress = "HOST:PORT or unix:/PATH";
constexpr std::size_t kLongestSocketPath = sizeof(sockaddr_un::sun_path) - 1;

ReadValue pem_file_in(std::filesystem::path& out, const std::filesystem::path& folder) {
  return [&out, &folder](const Value& value) {
    path_in(out, folder)(value);
    std::error_code ignored;
    if (!out.empty() &&
        (!std::filesystem::is_regular_file(out, ignored) || !std::ifstream(out).is_open()))
      value.refuse(fmt::format("{} cannot be read; expected a PEM file", in_quotes(out.string())));
  };
}

ReadValue tls_in(std::optional<ServeTls>& out, const std::filesystem::path& folder) {
  return [&out, &folder](const Value& value) {
    ServeTls& tls = out.emplace();
    read_mapping(value, {{"cert", pem_file_in(tls.cert, folder), Presence::required},
                         {"key", pem_file_in(tls.key, folder), Presence::required}});
  };
}

ReadValue flag_in(bool& out) {
  return [&out](const Value& value) {
    const auto text = scalar_text(value, "true or false");
    if (!text) return;
    if (value.node.is_quoted || (*text != "true" && *text != "false"))
      value.expected("true or false");
    else
      out = *text == "true";
  };
}

ReadValue list_in(std::vector<std::string>& out, bool (*accepts)(std::string_view),
                  std::string expected) {
  return [&out, accepts, expected = std::move(expected)](const Value& value) {
    const auto items = list_items(value);
    if (items.size() > kMaxListed)
      return value.refuse(
          fmt::format("holds {} entries; expected at most {}", items.size(), kMaxListed));
    std::vector<std::string> listed;
    for (const Value& item : items) text_in(listed.emplace_back(), accepts, expected)(item);
    out = std::move(listed);
  };
}

ReadValue bytes_from(std::size_t& out, std::size_t low, std::size_t high) {
  return [&out, low, high](const Value& value) {
    std::size_t bytes = low;
    bytes_in(bytes)(value);
    if (bytes < low || bytes > high)
      value.expected(fmt::format("{} to {} bytes", low, high));
    else
      out = bytes;
  };
}

ReadValue limits_in(ServeLimits& out) {
  constexpr std::size_t kKiB = 1024;
  constexpr std::size_t kMiB = 1024 * kKiB;
  return [&out](const Value& value) {
    read_mapping(value, {{"connections", whole_in(out.connections, 16, kMaxConnections)},
                         {"per_address", whole_in(out.per_address, 1, kMaxConnections)},
                         {"head", bytes_from(out.head, 4 * kKiB, kMiB)},
                         {"body", bytes_from(out.body, kKiB, 1024 * kMiB)},
                         {"buffered", bytes_from(out.buffered, kMiB, 1024 * 1024 * kMiB)},
                         {"parsing", bytes_from(out.parsing, kMiB, 1024 * 1024 * kMiB)},
                         {"head_within", duration_in(out.head_within, seconds(1), minutes(10))},
                         {"body_within", duration_in(out.body_within, seconds(1), hours(1))},
                         {"idle", duration_in(out.idle, seconds(1), hours(24))}});
    if (out.buffered < out.body)
      value.refuse(fmt::format("buffered is {} bytes, less than body, which is {}; expected room "
                               "for one body at least",
                               out.buffered, out.body));
  };
}

ReadValue keys_in(std::optional<std::filesystem::path>& out, const std::filesystem::path& folder) {
  return [&out, &folder](const Value& value) { path_in(out.emplace(), folder)(value); };
}

bool is_model_name(std::string_view text) {
  constexpr std::size_t kLongest = 256;
  return !text.empty() && text.size() <= kLongest &&
         std::all_of(text.begin(), text.end(), [](char c) { return c > ' ' && c < '\x7f'; });
}

ReadValue model_name_in(std::optional<std::string>& out) {
  return [&out](const Value& value) {
    text_in(out.emplace(), is_model_name,
            "1 to 256 printable ASCII characters without blanks")(value);
  };
}

ReadValue per_client_in(ServePerClient& out) {
  constexpr u64 kMaxTokens = (u64{1} << 31) - 1;
  return [&out](const Value& value) {
    read_mapping(value, {{"requests", whole_in(out.requests, 0, kMaxConnections)},
                         {"tokens_per_minute", whole_in(out.tokens_per_minute, 0, kMaxTokens)}});
  };
}

ReadValue stream_in(ServeStream& out) {
  return [&out](const Value& value) {
    read_mapping(value,
                 {{"obfuscation", flag_in(out.obfuscation)},
                  {"pace", duration_in(out.pace, std::chrono::milliseconds(10), seconds(10))}});
  };
}

bool is_measurement(std::string_view text) {
  constexpr std::size_t kDigits = 96; // 48 bytes
  return text.size() == kDigits && std::all_of(text.begin(), text.end(), [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
         });
}

ReadValue attestation_in(std::optional<ServeAttestation>& out,
                         const std::filesystem::path& folder) {
  return [&out, &folder](const Value& value) {
    ServeAttestation& read = out.emplace();
    read_mapping(value, {{"platform", one_of(read.platform, {"simulated"}), Presence::required},
                         {"folder", path_in(read.folder, folder), Presence::required},
                         {"evidence", one_of(read.evidence, {"snp", "tdx"})},
                         {"measurement", text_in(read.measurement, is_measurement,
                                                 "48 bytes as 96 digits of lower-case "
                                                 "hexadecimal, in quotes")},
                         {"service", text_in(read.service, is_served_host,
                                             "a name like "
                                             "api.example.org")},
                         {"required", flag_in(read.required)}});
  };
}

ReadValue served_address_in(std::optional<std::string>& out) {
  return [&out](const Value& value) {
    const auto text = scalar_text(value, kServedAddress);
    if (!text) return;
    const std::string mistake = mistake_in_listen(*text);
    if (mistake.empty())
      out = std::string(*text);
    else
      value.refuse(mistake);
  };
}

} // namespace

std::string mistake_in_listen(std::string_view text) {
  const auto path = parse_unix_path(text);
  if (path && path->size() > kLongestSocketPath)
    return fmt::format("names a socket of {} bytes; a socket's path has at most {}", path->size(),
                       kLongestSocketPath);
  if (path || parse_address(text)) return {};
  return fmt::format("is {}; expected {}", in_quotes(text), kServedAddress);
}

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

ReadValue serve_in(Serve& out, const std::filesystem::path& folder) {
  return [&out, &folder](const Value& value) {
    read_mapping(value,
                 {{"listen", served_address_in(out.listen), Presence::required},
                  {"tls", tls_in(out.tls, folder)},
                  {"attestation", attestation_in(out.attestation, folder)},
                  {"insecure", flag_in(out.insecure)},
                  {"allow_special", flag_in(out.allow_special)},
                  {"hosts", list_in(out.hosts, is_served_host,
                                    "a name or an address without port, like api.example.org")},
                  {"origins",
                   list_in(out.origins, is_web_origin, "an origin like https://chat.example.org")},
                  {"keys", keys_in(out.keys, folder)},
                  {"model_name", model_name_in(out.model_name)},
                  {"per_client", per_client_in(out.per_client)},
                  {"stream", stream_in(out.stream)},
                  {"limits", limits_in(out.limits)}});
    if (const std::string exposed = exposure_of(out); !exposed.empty()) value.refuse(exposed);
    if (out.attestation && !out.tls)
      value.refuse("has attestation, which is bound to a TLS connection, but no TLS; expected tls: "
                   "{ cert, key }");
  };
}

void check_metrics(const PipelineConfig& config, const std::optional<Position>& at,
                   Problems& problems) {
  if (!config.telemetry.metrics || config.serve.tls || config.serve.insecure) return;
  const auto address = parse_address(*config.telemetry.metrics);
  if (!address || is_loopback(address->host)) return;
  problems.add(*at, "telemetry.metrics",
               fmt::format("listens on {}, which other machines can reach, without TLS; expected "
                           "serve.tls: {{ cert, key }}, or serve.insecure: true",
                           *config.telemetry.metrics));
}

bool is_served_host(std::string_view text) {
  if (text.starts_with('[') && text.ends_with(']') && text.size() > 2) {
    text = text.substr(1, text.size() - 2);
    return text.find(':') != text.npos && is_host_name(text);
  }
  return text.find(':') == text.npos && is_host_name(text);
}

bool is_web_origin(std::string_view text) {
  const auto has_upper = [](std::string_view t) {
    return std::any_of(t.begin(), t.end(), [](unsigned char c) { return std::isupper(c) != 0; });
  };
  if (has_upper(text)) return false;
  for (const std::string_view scheme : {"https://", "http://"}) {
    if (!text.starts_with(scheme)) continue;
    text.remove_prefix(scheme.size());
    return is_served_host(text) || parse_address(text).has_value();
  }
  return false;
}

} // namespace talaria::config
