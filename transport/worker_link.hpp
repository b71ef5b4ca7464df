#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "core/error.hpp"
#include "transport/address.hpp"
#include "transport/identity.hpp"
#include "transport/link_gate.hpp"
#include "transport/messages.hpp"
#include "transport/tls.hpp"

namespace talaria::transport {

using Milliseconds = std::chrono::milliseconds;

struct LinkOptions {
  Milliseconds connect_timeout{5000}; ///< for everything until the link can be used
  Milliseconds heartbeat{100};
  Milliseconds silence{2000}; ///< no byte for this long on any connection: the worker is lost
  std::size_t max_frame_bytes = std::size_t{1} << 30;
  std::size_t max_queued_bytes = std::size_t{256} << 20; ///< waiting to be sent
  std::size_t max_in_flight = 4096;                      ///< requests not answered yet
  GiveEvidence evidence;       ///< for workers that demand it; empty: they are not worked with
  TakeOwnerKey take_owner_key; ///< told of a key that the worker gives; empty: nobody wants it
  Milliseconds evidence_timeout{15000}; ///< for them to accept it, on top of connect_timeout
};

/// The enclave's end of a link to one worker: three TLS connections and a thread for each.
///
///   send() ──[queue]──► up thread   ══ requests ══► worker
///   reply(), lost() ◄── down thread ◄══ replies  ══ worker
///                       control     ◄══ beats    ══► worker
///
/// All callbacks come from the down thread: replies in the order they arrive, then perhaps one
/// `lost`, then nothing. The link does not answer requests that were open when it was lost; its
/// owner does. A callback may call send() and figures(), but must not destroy the link.
class WorkerLink {
public:
  struct Events {
    /// Answers the request with this id; every id at most once. A product may still have another
    /// matrix or another number of rows than were asked for: shapes are only checked against the
    /// bytes and against what the request can at most need.
    std::function<void(u64 id, Reply)> reply;
    /// Error{no_worker}: gone or silent. Error{verification}: it sent what no honest worker sends.
    std::function<void(Error)> lost;
  };

  /// Blocks up to connect_timeout for three connections, hellos exchanged, identities compared by
  /// both ends. `expected_name` must stand in the worker's certificate.
  /// @throws Error{no_worker} (unreachable, TLS refused, no room: says what), Error{config}
  /// (identities differ: says which field), Error{verification} (it does not speak this protocol),
  /// RefusedByOwner (its owner does not accept the evidence).
  WorkerLink(const TlsContext& tls, const Address& address, const std::string& expected_name,
             const Identity& wanted, const LinkOptions& options, Events events);
  /// Shuts the connections down and joins the threads; no callback runs after it returns.
  ~WorkerLink();
  WorkerLink(const WorkerLink&) = delete;

  /// What the worker says it is and holds.
  const Identity& peer() const noexcept;

  /// Sends a request under an id that is not in flight: at once if it is small and the kernel has
  /// room for it, otherwise from a queue. False if the link is lost or a bound of LinkOptions is
  /// reached; never waits for the worker. Tensor bytes are shared, not copied. Thread-safe.
  /// @throws Error{internal} if shape and bytes disagree or exceed max_frame_bytes, or the id is
  /// used.
  bool send(u64 id, const Request& request);

  /// Why the link is lost, as its event says or will say; nothing while it is not. Thread-safe.
  std::optional<Error> loss() const;

  /// Ends the link and joins its threads: not to be called on one of them, in an event. Nothing is
  /// said afterwards. The destructor does the same.
  void close();

  struct Figures {
    u64 bytes_up = 0; ///< on the wire, TLS included, on all connections
    u64 bytes_down = 0;
    double round_trip_ms = 0;   ///< median of the last heartbeats
    double clock_offset_ms = 0; ///< the worker's clock minus ours
    /// Until when the worker accepts the evidence it has; nothing: it has asked for none.
    std::optional<std::chrono::system_clock::time_point> attested_until;
  };
  Figures figures() const;

private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

} // namespace talaria::transport
