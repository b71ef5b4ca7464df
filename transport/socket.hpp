#pragma once

#include <chrono>
#include <optional>

#include "core/file_descriptor.hpp"
#include "transport/address.hpp"

namespace talaria::transport {

using Milliseconds = std::chrono::milliseconds;
using SteadyClock = std::chrono::steady_clock;
using TimePoint = SteadyClock::time_point;

/// Milliseconds until `deadline`, rounded up, as poll(2) wants them; 0 if it has passed.
int milliseconds_until(TimePoint deadline) noexcept;

using Socket = FileDescriptor;

/// Resolves the name and tries its addresses one after the other. The socket blocks and has
/// TCP_NODELAY. @throws Error{no_worker} if none answers before `deadline`.
Socket connect_to(const Address& address, TimePoint deadline);

/// A listening, non-blocking socket; "::" takes IPv4 as well.
/// @throws Error{io} if the address cannot be bound.
Socket listen_on(const Address& address);

/// The port a socket is bound to.
u16 local_port(const Socket& socket);

struct Accepted {
  Socket socket;
  Address peer; ///< empty for a socket in the file system
};
/// The next waiting connection, blocking and with TCP_NODELAY; nothing if there is none, or if the
/// process is out of descriptors (`out_of_descriptors` says so).
std::optional<Accepted> accept_from(const Socket& listener, bool& out_of_descriptors);

/// Ends the connection if bytes stay unacknowledged for `limit`. Linux counts a window that stays
/// shut as well, so a connection that is paused for backpressure needs a generous limit.
void set_user_timeout(const Socket& socket, Milliseconds limit) noexcept;

} // namespace talaria::transport
