#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "gateway/exchange.hpp"

namespace talaria::gateway {

/// Which names a server answers to, and which web pages may use it. A browser runs any page's
/// scripts next to the user's own services: without this, a page whose name is made to point at
/// this address (DNS rebinding) asks as if it came from here.
class AccessPolicy {
public:
  /// @param listen_host  as configured; also a name that the server answers to
  /// @param hosts        further names or addresses, without ports
  /// @param origins      of pages that may ask from elsewhere, "https://chat.example.org"
  AccessPolicy(std::string listen_host, std::vector<std::string> hosts,
               std::vector<std::string> origins);

  /// Notes the origin in the exchange if it is one that may read answers.
  /// @param local_host  the address that the client connected to; empty: a Unix socket
  /// @throws ApiError 403 naming what has to be configured.
  void check(Exchange& exchange, const std::string& local_host) const;

  /// Whether this is a browser's question before a request from another origin; only after check().
  static bool is_preflight(const Exchange& exchange);
  /// Answers it.
  static void answer_preflight(const Exchange& exchange, HttpResponse& response);
  /// What a page of another origin needs to read an answer.
  static void add_fields(const Exchange& exchange, HttpResponse& response);

private:
  void check_host(const Exchange& exchange, const std::string& local_host) const;
  void check_origin(Exchange& exchange) const;
  bool answers_to(std::string_view host, const std::string& local_host) const;

  std::vector<std::string> hosts_;
  std::vector<std::string> origins_;
};

} // namespace talaria::gateway
