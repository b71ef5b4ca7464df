#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "core/digest.hpp"
#include "transport/address.hpp"
#include "transport/enclave_share.hpp"
#include "transport/identity.hpp"
#include "transport/link_gate.hpp"
#include "transport/messages.hpp"
#include "transport/tls.hpp"

namespace talaria::transport {

using Milliseconds = std::chrono::milliseconds;

struct ServerOptions {
  std::string enclave_name = "talaria-enclave"; ///< must stand in the enclave's certificate
  Milliseconds handshake_timeout{5000};         ///< from the first packet to an accepted hello
  Milliseconds silence{10000};    ///< no byte for this long on any connection: the session ends
  std::size_t max_half_open = 16; ///< connections without an accepted hello; then the oldest goes
  std::size_t max_sessions = 64;
  /// Of one enclave, or of several that share a certificate: never all of them.
  std::size_t max_sessions_of_one = 32;
  std::size_t max_frame_bytes = std::size_t{1} << 30;
  /// Requests of a session that are not answered, or whose answer is not sent yet. At the bound its
  /// reader stops reading, and TCP holds the enclave back.
  std::size_t max_in_flight = 256;
  std::size_t max_in_flight_bytes = std::size_t{1}
                                    << 30; ///< the same for their bytes; one always fits
  /// The same two for all sessions of one enclave together.
  std::size_t max_jobs_of_one = 256;
  std::size_t max_bytes_of_one = std::size_t{1} << 30;
  /// Decides about each enclave before anything but hellos is said to it; null: whoever has the
  /// right certificate is answered.
  std::shared_ptr<LinkGate> gate;
  Milliseconds evidence_timeout{10000}; ///< for an enclave to give evidence, each time
  /// For the gate to get what an enclave's first evidence lacks: less than `silence`, since nothing
  /// is said meanwhile, and than LinkOptions::evidence_timeout, for which the enclave waits.
  Milliseconds verdict_patience{6000};
};

/// The worker's end: accepts links from enclaves that show the right certificate and want what this
/// worker holds. Each connection has a thread; strangers share max_half_open of them. With a
/// gate an enclave is a stranger until its evidence has been accepted.
class WorkerServer {
public:
  /// An enclave's link. Requests keep it alive; it outlives its connections and the server.
  class Session {
  public:
    virtual ~Session() = default;
    /// Answers the request with this id. From any thread; never blocks. Dropped if the session has
    /// ended or the request has been answered already.
    /// @throws Error{internal} if shape and bytes disagree.
    virtual void reply(u64 id, const Reply& reply) = 0;
    /// "talaria-enclave (127.0.0.1:40112)", for logs.
    virtual const std::string& peer() const = 0;
    /// Which enclave this is: SHA-256 of the public key in its certificate. All links of an enclave
    /// have one; so do enclaves that share a certificate.
    virtual const Sha256Digest& enclave() const = 0;
  };

  struct Events {
    /// On the session's up thread; may block, which holds back that enclave alone. What it throws
    /// becomes the reply.
    std::function<void(std::shared_ptr<Session>, u64 id, Request)> request;
    /// One line for each refusal and each beginning and end of a session; one call at a time.
    std::function<void(const std::string&)> log;
  };

  /// Listens at once. `identity` is what this worker is and holds; every enclave is told.
  /// With a gate it also says that evidence is demanded.
  /// @throws Error{io} if the address cannot be bound, Error{config} if enclave_name is no name,
  /// Error{internal} if `tls` takes strangers and there is no gate.
  WorkerServer(const TlsContext& tls, const Address& listen, Identity identity,
               const ServerOptions& options, Events events);
  /// Ends all sessions and joins all threads; waits for a request callback that is running.
  ~WorkerServer();
  WorkerServer(const WorkerServer&) = delete;

  /// The port it listens on, also if port 0 was asked for.
  u16 port() const noexcept;
  /// Enclaves linked now.
  std::size_t sessions() const;
  /// The same by enclave, in the order of their ids.
  struct Enclave {
    Sha256Digest id{};
    std::size_t sessions = 0;
    EnclaveShare::Use use;
  };
  std::vector<Enclave> enclaves() const;

private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

} // namespace talaria::transport
