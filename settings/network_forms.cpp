#include "settings/network_forms.hpp"

#include <fmt/format.h>
#include <sys/un.h>

#include <algorithm>
#include <cctype>

#include "config/scalars.hpp"

namespace talaria::settings {

namespace {

namespace fs = std::filesystem;
using config::Value;

constexpr const char* kWorkerAddress = "HOST:PORT with a port from 1 to 65535";
constexpr const char* kServedAddress = "HOST:PORT or unix:/PATH";
constexpr std::size_t kLongestSocketPath = sizeof(sockaddr_un::sun_path) - 1;

/// What is wrong with `text` in the place of `serve.listen`, as the rest of a sentence; empty:
/// nothing.
std::string mistake_in_listen(std::string_view text) {
  const auto path = config::parse_unix_path(text);
  if (path && path->size() > kLongestSocketPath)
    return fmt::format("names a socket of {} bytes; a socket's path has at most {}", path->size(),
                       kLongestSocketPath);
  if (path || parse_address(text)) return {};
  return fmt::format("is {}; expected {}", config::in_quotes(text), kServedAddress);
}

/// What one of the parsers of core/model_part.hpp reads.
template <class T>
Form<T> part(std::string type, std::string expected, std::optional<T> (*parse)(std::string_view)) {
  return {std::move(type), expected,
          [expected, parse](const Value& value, const fs::path&, T& out) {
            const auto given = config::scalar_text(value, expected);
            const auto read = given ? parse(*given) : std::nullopt;
            if (read)
              out = *read;
            else if (given)
              value.expected(expected);
          },
          [](const T& value) { return to_string(value); }};
}

} // namespace

Form<Address> worker_address() {
  return {"address", kWorkerAddress,
          [](const Value& value, const fs::path&, Address& out) {
            const auto given = config::scalar_text(value, kWorkerAddress);
            if (!given) return;
            const auto read = parse_address(*given);
            if (read && read->port != 0)
              out = *read;
            else
              value.expected(kWorkerAddress);
          },
          [](const Address& value) { return value.port == 0 ? std::string() : to_string(value); }};
}

Form<std::optional<std::string>> listen_address() {
  return {"address", "HOST:PORT",
          [](const Value& value, const fs::path&, std::optional<std::string>& out) {
            config::listen_address_in(out)(value);
          },
          [](const std::optional<std::string>& value) { return value.value_or(""); }};
}

Form<std::optional<std::string>> served_address() {
  return {"address", kServedAddress,
          [](const Value& value, const fs::path&, std::optional<std::string>& out) {
            const auto given = config::scalar_text(value, kServedAddress);
            if (!given) return;
            const std::string mistake = mistake_in_listen(*given);
            if (mistake.empty())
              out = std::string(*given);
            else
              value.refuse(mistake);
          },
          [](const std::optional<std::string>& value) { return value.value_or(""); }};
}

Form<LayerRange> layers() {
  return part<LayerRange>("layers", expected_layers(), parse_layers);
}

Form<ColumnShare> columns() {
  return part<ColumnShare>("share", expected_share(), parse_share);
}

Form<std::string> node_name() {
  constexpr const char* kExpected = "1 to 64 letters, digits, '-', '_' and '.'";
  return {"text", kExpected,
          [](const Value& value, const fs::path&, std::string& out) {
            config::text_in(out, config::is_node_name, kExpected)(value);
            // They would name a folder, not the log file of a node.
            if (out == "." || out == "..") value.expected("a name of its own");
          },
          [](const std::string& value) { return value; }};
}

bool is_served_host(std::string_view text) {
  if (text.starts_with('[') && text.ends_with(']') && text.size() > 2) {
    text = text.substr(1, text.size() - 2);
    return text.find(':') != text.npos && is_host_name(text);
  }
  return text.find(':') == text.npos && is_host_name(text);
}

bool is_server_url(std::string_view text) {
  const std::size_t scheme = text.starts_with("https://") ? 8 : text.starts_with("http://") ? 7 : 0;
  if (scheme == 0) return false;
  text.remove_prefix(scheme);
  const std::string_view authority = text.substr(0, text.find('/'));
  const auto is_plain = [](char c) {
    return c > ' ' && c < 0x7f && std::string_view("?#@\"\\").find(c) == std::string_view::npos;
  };
  return std::all_of(text.begin(), text.end(), is_plain) &&
         (is_served_host(authority) || parse_address(authority).has_value());
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

} // namespace talaria::settings
