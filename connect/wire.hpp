#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "transport/client_tls.hpp"
#include "transport/socket.hpp"

namespace talaria::connect {

/// How long one waits for the other end.
struct Patience {
  transport::TimePoint deadline;
  std::function<bool()> is_over; ///< looked at ten times a second; empty: never
};

/// Whether something can be read from `socket` before the patience is over.
bool wait_for_bytes(int socket, const Patience& patience);

/// A TLS connection to a server, with a name that was checked and without a verdict. Whoever could
/// write to it could send a prompt to anybody: only the two types below can, the one a nonce, the
/// other what it likes, but it exists only after a verdict.
class Wire {
public:
  Wire(const Wire&) = delete;
  Wire& operator=(const Wire&) = delete;
  ~Wire();

private:
  friend class UnverifiedConnection;
  friend class VerifiedChannel;

  enum class Got { bytes, end, failure, nothing_in_time };

  Wire(const transport::ClientTls& tls, transport::Socket socket, const std::string& host);

  /// Done, or why not (then the wire is of no further use).
  bool handshake(const Patience& patience);
  bool write(std::string_view bytes, const Patience& patience);
  /// Appends what has come; waits for the first byte.
  Got read(std::string& out, const Patience& patience);
  /// Whether nothing has come that nobody asked for, the end included.
  bool is_quiet() const;

  template <class Step>
  transport::IoResult until_done(const Patience& patience, const Step& step);

  transport::Socket socket_;
  transport::ClientTlsStream tls_;
};

} // namespace talaria::connect
