#pragma once

#include <atomic>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "core/digest.hpp"
#include "transport/link_gate.hpp"
#include "transport/socket.hpp"
#include "transport/tls.hpp"

struct ssl_st; // OpenSSL's SSL
struct bio_st;

namespace talaria::transport {

/// What the connections of one link have in common: every received byte is a sign of life.
struct Traffic {
  std::atomic<i64> last_received{0}; ///< ns on the steady clock
  std::atomic<u64> received{0};      ///< bytes on the wire, TLS included
  std::atomic<u64> sent{0};
};
/// ns on the steady clock.
i64 steady_ns() noexcept;

/// One TLS connection. One thread uses it at a time; interrupt() alone may come from any thread.
/// After an error it is of no further use. Writes never raise SIGPIPE.
class TlsChannel {
public:
  /// Takes a connected socket. `peer_name` must stand in the other end's certificate as a DNS name
  /// or IP address. @throws Error{config} if it is empty or a pattern.
  TlsChannel(const TlsContext& context, Socket socket, const std::string& peer_name);
  ~TlsChannel();
  TlsChannel(const TlsChannel&) = delete;

  /// From now on counts into `traffic`, too.
  void share(std::shared_ptr<Traffic> traffic);
  /// Reads, writes and the handshake fail after this time; nothing: they wait for ever.
  void set_deadline(std::optional<TimePoint> deadline) { deadline_ = deadline; }

  // All of these throw Error{no_worker} with a reason that quotes no byte of the other end.
  void handshake();
  void read(std::span<u8> out);
  /// Writes one and then the other.
  void write(std::span<const u8> bytes, std::span<const u8> more = {});

  /// Whether so many bytes fit into the kernel's buffer now, so that write() would not wait for the
  /// other end.
  bool can_write_at_once(std::size_t bytes) const noexcept;
  /// Whether something can be read (or the connection has ended) within `limit`.
  bool wait_readable(Milliseconds limit);
  /// SHA-256 of the certificate that the other end has shown.
  Sha256Digest peer_certificate() const;
  /// Keying material of this connection alone, for evidence. Both ends get the same.
  /// @throws Error{internal} before the handshake.
  TlsExporter exporter() const;
  /// SHA-256 of the SubjectPublicKeyInfo of the certificate that this or the other end has shown.
  Sha256Digest own_key() const;
  Sha256Digest peer_key() const;
  const Socket& socket() const noexcept { return socket_; }

  /// Ends the connection; whoever waits in it wakes up with an error.
  void interrupt() noexcept;
  /// Ends the sending half and waits for the other end to leave, at most `limit`: closing at once
  /// with unread bytes would tear our last words out of the other end's hands.
  void linger(Milliseconds limit) noexcept;

private:
  struct Bio; // the functions OpenSSL calls to move bytes
  friend struct Bio;

  bool wait(short events) noexcept;
  int receive(char* out, int n) noexcept;
  int gather(const char* data, int n) noexcept; ///< sealed records on their way out
  bool flush() noexcept;
  void seal(std::span<const u8> bytes);
  [[noreturn]] void fail(const char* doing);

  Socket socket_;
  End end_;
  u64 key_update_bytes_;
  u64 since_key_update_ = 0;
  std::shared_ptr<Traffic> traffic_;
  std::vector<char> unsent_;
  std::optional<TimePoint> deadline_;
  bool timed_out_ = false;
  bool closed_ = false;
  int errno_ = 0;
  ssl_st* ssl_ = nullptr;
};

} // namespace talaria::transport
