#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "connect/channel_pool.hpp"
#include "connect/receipt_store.hpp"

namespace talaria::connect {

struct ProxyOptions {
  ChannelPool::Options pool;
  transport::Address listen{"127.0.0.1", 8000}; ///< loopback, or nobody
  std::optional<std::filesystem::path> socket;  ///< in the file system, in the place of `listen`
  std::size_t max_body_bytes = std::size_t{64} << 20; ///< the server has a bound of its own
  /// Bodies are filled up with blanks to a multiple of this many bytes; 0: as they are.
  std::size_t pad_requests = 0;
  /// What is made of the body of a POST to `path` before it is sent; empty: nothing. May throw
  /// gateway::ApiError: then nothing is sent.
  std::function<std::string(std::string_view path, const std::string& body)> rewrite;
  std::shared_ptr<ReceiptStore> receipts; ///< where receipts are kept; null: nowhere
};

/// Plain HTTP for clients on this machine, whose requests go to a server whose evidence was
/// verified on the connection that carries them.
///
///   GET /talaria/verdict   the last verdict as JSON (docs/attestation.md)
///   GET /health            this program is there
///   GET /ready             503 while the server is refused
///   anything else          goes to the server, GET or POST
///
/// A request that was not wholly sent is repeated once, on a channel verified anew; one that was,
/// never, unless it is a GET without any answer. A refusal is 502 with the error type
/// attestation_failed. Redirects are refused: where they lead is nobody's evidence.
class Proxy {
public:
  /// Binds; requests wait until run().
  /// @throws Error{usage} for an address that other machines reach, Error{io} for one that cannot
  /// be bound.
  Proxy(ProxyOptions options, std::shared_ptr<const Trust> trust, ChannelPool::Log log);
  ~Proxy();

  /// Tries once, so that a server that will never be accepted shows at once.
  attest::Verdict first_attempt();
  /// Serves until stop(). Once.
  void run();
  /// Makes run() return; answers under way are cut. Thread-safe, as are the following.
  void stop();
  /// Another policy, or with null none (ChannelPool::set_trust()).
  void set_trust(std::shared_ptr<const Trust> trust);
  /// The port that `listen` was bound to; 0 for a `socket`.
  u16 port() const noexcept;

private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

} // namespace talaria::connect
