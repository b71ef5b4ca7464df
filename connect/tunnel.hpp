#pragma once

#include "connect/server_address.hpp"
#include "connect/wire.hpp"

namespace talaria::connect {

/// A TCP connection to `server`, through its HTTP proxy if it has one (`via`; CONNECT, RFC 9110
/// section 9.3.6): TLS goes through to the end, and so does what evidence is bound to. The proxy is
/// told where to, and nothing else.
/// @throws Error{io} if nobody answers in time, or the proxy refuses.
transport::Socket connect_through(const ServerAddress& server, const Patience& patience);

} // namespace talaria::connect
