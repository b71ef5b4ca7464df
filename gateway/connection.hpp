#pragma once

#include <atomic>
#include <chrono>
#include <optional>
#include <string>

#include "gateway/byte_budget.hpp"
#include "gateway/http_session.hpp"
#include "transport/server_tls.hpp"
#include "transport/socket.hpp"

namespace talaria::gateway {

/// One client's socket with what is said on it. One thread at a time: the one that waits for all
/// connections, or, from a complete request to its response, the one that handles it.
class Connection {
public:
  using Clock = std::chrono::steady_clock;
  enum class Phase {
    handshake, ///< of TLS
    idle,      ///< no byte of a request
    head,      ///< of a request arrives
    body,
    handling, ///< a complete request waits for a thread, or has one
    sending,  ///< a response that the client does not take at once
    parting,  ///< all is sent; the client gets a moment to read it
    over
  };
  enum class Needs { input, output, a_handler, nothing };

  /// @param tls    null: plain
  /// @param peer   the client's address, without port; empty: a Unix socket
  /// @param abort  once true, a thread that writes gives up
  Connection(transport::Socket socket, std::string peer, std::string local_host,
             const HttpSession::Settings& settings, const transport::ServerTls* tls,
             const std::atomic<bool>& abort);
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  int socket() const noexcept { return socket_.get(); }
  /// The other end's IP address; empty if it has none.
  const std::string& remote_address() const noexcept { return peer_; }
  HttpSession& session() noexcept { return session_; }
  /// To bind something to this connection alone; null: plain.
  const transport::ServerTlsStream* tls() const noexcept { return tls_ ? &*tls_ : nullptr; }
  /// Whether evidence about this connection was given on it.
  bool is_attested() const noexcept { return attested_; }
  void note_attested() noexcept { attested_ = true; }

  // For the thread that waits; none of these wait.

  /// Goes on as far as the socket allows.
  Needs advance();
  Phase phase() const noexcept { return phase_; }
  Clock::time_point phase_began() const noexcept { return phase_began_; }
  Clock::time_point last_progress() const noexcept { return last_progress_; }
  /// A handler has ended and the output is to be sent.
  void handled();
  /// A share of the budget for what is held; false if there is no room.
  bool keep(ByteBudget& budget);
  /// Tells the client why, if it can be told, and parts.
  void give_up(const ApiError& error);

  // For the thread that handles a request.

  /// True if the client is gone. A client that only ended its own sending (RFC 9112 section 9.6
  /// lets it) is still there; what looks the same is told apart by a sign that nobody but a client
  /// that is gone minds: an interim response before the response, a comment in a stream of events.
  bool peer_left();
  /// Sends all output; waits for a client that reads. False if it does not, or is gone.
  bool send_all();
  /// The response cannot be completed: the client sees that it was cut.
  void break_off() noexcept;
  /// Sends what the socket takes now.
  void send_some();

private:
  enum class Sent { all, blocked, failed };
  Sent send_output();
  transport::IoResult write(std::string_view bytes);
  transport::IoResult read(char* out, std::size_t size);
  std::optional<Needs> read_more();
  Needs part();
  void enter(Phase phase);
  void note_hand_over();
  bool wait_for_output() const;

  transport::Socket socket_;
  const std::string peer_;
  const std::atomic<bool>& abort_;
  std::optional<transport::ServerTlsStream> tls_;
  HttpSession session_;
  ByteBudget::Lease held_;
  Phase phase_;
  Clock::time_point phase_began_;
  Clock::time_point last_progress_;
  std::size_t discarded_ = 0;
  bool input_ended_ = false;
  bool output_ended_ = false;
  bool attested_ = false;
  // Of the request being handled:
  bool ended_early_ = false; ///< the client had ended its sending with the request
  unsigned signs_ = 0;       ///< of life that were sent
  Clock::time_point next_sign_;
};

} // namespace talaria::gateway
