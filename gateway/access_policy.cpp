#include "gateway/access_policy.hpp"

#include <algorithm>

#include "gateway/api_error.hpp"
#include "transport/address.hpp"

namespace talaria::gateway {

namespace {

/// "HOST", "HOST:PORT", "[IPV6]:PORT" in two; the brackets are taken off.
struct Authority {
  explicit Authority(std::string_view text) {
    const std::size_t bracket = text.starts_with('[') ? text.find(']') : std::string_view::npos;
    const std::size_t colon = text.find(':', bracket == std::string_view::npos ? 0 : bracket);
    host = text.substr(0, colon);
    if (bracket != std::string_view::npos) host = text.substr(1, bracket - 1);
    if (colon != std::string_view::npos) port = text.substr(colon + 1);
    if (host.ends_with('.')) host.remove_suffix(1); // the root's name may be written out
  }
  std::string_view host;
  std::string_view port;
};

bool is_loopback(std::string_view address) {
  return address == "::1" || address.starts_with("127.") || address.starts_with("::ffff:127.");
}

/// Addresses that a listener for both families sees as IPv6.
std::string_view without_mapping(std::string_view address) {
  constexpr std::string_view kMapped = "::ffff:";
  if (address.starts_with(kMapped) && address.find('.') != std::string_view::npos)
    address.remove_prefix(kMapped.size());
  return address;
}

/// Whether a page of `origin` is one of the server that `authority` names: scheme and port of a
/// proxy in front are not known here, so that default ports count as none.
bool is_own_page(std::string_view origin, std::string_view authority) {
  const std::size_t scheme = origin.find("://");
  if (scheme == std::string_view::npos) return false;
  const auto without_default = [](std::string_view port) {
    return port == "80" || port == "443" ? std::string_view() : port;
  };
  const Authority page(origin.substr(scheme + 3));
  const Authority here(authority);
  return same_name(page.host, here.host) &&
         without_default(page.port) == without_default(here.port);
}

/// Names of fields, as a browser lists them: echoed, so nothing else may be in there.
bool is_list_of_names(std::string_view text) {
  return text.size() <= 1024 && std::all_of(text.begin(), text.end(), [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                  c == '-' || c == '_' || c == ',' || c == ' ';
         });
}

} // namespace

AccessPolicy::AccessPolicy(std::string listen_host, std::vector<std::string> hosts,
                           std::vector<std::string> origins)
    : hosts_(std::move(hosts)), origins_(std::move(origins)) {
  hosts_.push_back(std::move(listen_host));
  for (std::string& host : hosts_)
    host = std::string(Authority(host.find(':') == host.rfind(':') || host.starts_with('[')
                                     ? host
                                     : "[" + host + "]")
                           .host);
}

void AccessPolicy::check(Exchange& exchange, const std::string& local_host) const {
  if (!local_host.empty()) check_host(exchange, local_host);
  check_origin(exchange);
}

bool AccessPolicy::answers_to(std::string_view host, const std::string& local_host) const {
  if (host.empty()) return false;
  if (std::any_of(hosts_.begin(), hosts_.end(),
                  [&](const std::string& known) { return same_name(known, host); }))
    return true;
  if (host == without_mapping(local_host)) return true;
  return is_loopback(local_host) && (same_name(host, "localhost") || is_loopback(host)) &&
         (same_name(host, "localhost") || transport::is_ip_address(std::string(host)));
}

/// HTTP/1.0 knows no Host, and no browser speaks it.
void AccessPolicy::check_host(const Exchange& exchange, const std::string& local_host) const {
  const HttpRequest& request = exchange.request;
  if (request.authority.empty() && request.http_1_0 && !request.has("Host")) return;
  if (!answers_to(Authority(request.authority).host, local_host))
    throw ApiError(403,
                   "this server does not answer to the name in Host; its operator can list names "
                   "as serve.hosts",
                   {}, "host_not_allowed");
}

void AccessPolicy::check_origin(Exchange& exchange) const {
  const std::string_view origin = exchange.request.field("Origin");
  const bool listed = std::any_of(origins_.begin(), origins_.end(), [&](const std::string& known) {
    return same_name(known, origin);
  });
  if (listed) exchange.origin = std::string(origin);
  // Without an Origin (a page that embeds an answer as an image or script) browsers still say this.
  const std::string_view site = exchange.request.field("Sec-Fetch-Site");
  const bool from_elsewhere = origin.empty()
                                  ? same_name(site, "cross-site") || same_name(site, "same-site")
                                  : !is_own_page(origin, exchange.request.authority);
  if (from_elsewhere && !listed)
    throw ApiError(403,
                   "web pages of another origin may not use this server; its operator can list "
                   "origins as serve.origins",
                   {}, "origin_not_allowed");
}

bool AccessPolicy::is_preflight(const Exchange& exchange) {
  return exchange.method == "OPTIONS" && !exchange.origin.empty() &&
         exchange.request.has("Access-Control-Request-Method");
}

void AccessPolicy::answer_preflight(const Exchange& exchange, HttpResponse& response) {
  response.status = 204;
  response.set_header("Access-Control-Allow-Methods", "GET, POST");
  const std::string_view names = exchange.request.field("Access-Control-Request-Headers");
  if (!names.empty() && is_list_of_names(names))
    response.set_header("Access-Control-Allow-Headers", std::string(names));
  if (exchange.request.has("Access-Control-Request-Private-Network"))
    response.set_header("Access-Control-Allow-Private-Network", "true");
  response.set_header("Access-Control-Max-Age", "600");
}

void AccessPolicy::add_fields(const Exchange& exchange, HttpResponse& response) {
  if (exchange.request.has("Origin")) response.set_header("Vary", "Origin");
  if (exchange.origin.empty()) return;
  response.set_header("Access-Control-Allow-Origin", exchange.origin);
  response.set_header("Access-Control-Expose-Headers",
                      "X-Request-Id, Retry-After, Talaria-Receipt, Talaria-Receipt-Salts");
}

} // namespace talaria::gateway
