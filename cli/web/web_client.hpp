#pragma once

#include <chrono>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "cli/wake.hpp"
#include "cli/web/url.hpp"
#include "gateway/http_message.hpp"
#include "transport/client_tls.hpp"

namespace talaria::cli {

/// An HTTP/1.1 client for commands that talk to a gateway: one connection per request, TLS 1.3
/// with the system's authorities or one's own.
class WebClient {
public:
  struct Options {
    Url url;
    std::filesystem::path ca;    ///< PEM; empty: the system's authorities
    std::string key;             ///< sent as a bearer token; empty: none
    gateway::HttpFields headers; ///< sent besides
    /// Longest time without a byte; 0: without end.
    std::chrono::milliseconds silence{0};
  };
  struct Answer {
    int status = 0;
    gateway::HttpFields fields;
    std::string body; ///< empty if its parts were taken

    std::string_view field(std::string_view name) const noexcept;
  };
  /// Takes a part of a body; false: no more is wanted.
  using TakePart = std::function<bool(std::string_view part)>;

  /// @throws Error{config} for an authority's file that cannot be used.
  explicit WebClient(Options options);

  /// Asks and waits for the whole answer.
  /// @param path  from the root of the server
  /// @param body  JSON for a POST; empty: a GET
  /// @param take  takes the parts of a body with status 200 as they come; empty: none does
  /// @throws Error{io} naming the server, if it cannot be reached or its answer is cut;
  ///         Error{cancelled} after cancel()
  Answer request(const std::string& path, const std::string& body, const TakePart& take = {});

  /// Ends the request under way, or the next one. Thread-safe.
  void cancel() noexcept { wake_.set(); }
  /// Forgets a cancel().
  void rearm() noexcept { wake_.clear(); }
  const Url& url() const noexcept { return options_.url; }

private:
  class Wire;
  std::string head_of(const std::string& path, const std::string& body) const;

  const Options options_;
  std::unique_ptr<transport::ClientTls> tls_; ///< null: plain
  Wake wake_;
};

} // namespace talaria::cli
