#include "cli/web/url.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "config/scalars.hpp"
#include "core/error.hpp"

namespace talaria::cli {

namespace {

[[noreturn]] void refuse_url(std::string_view text, std::string_view flag) {
  throw Error(Errc::usage,
              fmt::format("{}: '{}' is no address of a server; write http://HOST:PORT, "
                          "https://HOST or unix:/PATH",
                          flag, text));
}

bool is_plain(char c) {
  return c > ' ' && c != 0x7f && c != '@' && c != '?' && c != '#';
}

/// With a port: that of the scheme, if none is written.
transport::Address address_of(std::string_view authority, u16 port) {
  const std::size_t bracket = authority.rfind(']');
  const std::size_t from = bracket == std::string_view::npos ? 0 : bracket;
  if (authority.find(':', from) != std::string_view::npos)
    return transport::parse_address(authority);
  return transport::parse_address(fmt::format("{}:{}", authority, port));
}

} // namespace

Url parse_url(std::string_view text, std::string_view flag) {
  Url url;
  if (text.starts_with("unix:")) {
    const auto path = config::parse_unix_path(text);
    if (!path) refuse_url(text, flag);
    url.socket = *path;
    url.authority = "localhost";
    url.text = text;
    return url;
  }
  std::string_view rest = text;
  if (rest.starts_with("https://"))
    url.tls = true, rest.remove_prefix(8);
  else if (rest.starts_with("http://"))
    rest.remove_prefix(7);
  const std::string_view authority = rest.substr(0, rest.find('/'));
  if (authority.empty() || !std::all_of(rest.begin(), rest.end(), is_plain)) refuse_url(text, flag);
  const u16 port = url.tls ? 443 : 80;
  try {
    url.address = address_of(authority, port);
  } catch (const Error&) {
    refuse_url(text, flag);
  }
  url.path = rest.substr(authority.size());
  while (url.path.ends_with('/')) url.path.pop_back();
  url.authority = to_string(url.address);
  const std::string default_port = fmt::format(":{}", port);
  if (url.address.port == port) url.authority.resize(url.authority.size() - default_port.size());
  url.text = (url.tls ? "https://" : "http://") + url.authority;
  return url;
}

} // namespace talaria::cli
