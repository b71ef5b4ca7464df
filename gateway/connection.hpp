#pragma once

#include <httplib.h>

#include <atomic>
#include <chrono>
#include <string>

namespace talaria::gateway {

/// One accepted connection as httplib reads and writes it: with limits on how long a request may
/// take to arrive and how long its head may be, so that nobody holds a thread or fills memory by
/// sending slowly or without end.
class Connection final : public httplib::Stream {
public:
  /// Takes over `socket`. Everything fails soon after `abort` became true.
  Connection(socket_t socket, const std::atomic<bool>& abort);
  ~Connection() override; ///< closes
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  /// Waits for the first byte of the next request; false if none comes, or `closing` becomes true.
  bool await_request(const std::atomic<bool>& closing);
  /// The request line and the headers are read: what follows is a body.
  void end_of_head() noexcept { in_head_ = false; }
  /// The other end closed its side.
  bool peer_left() const;
  /// The other end's IP address; empty if it has none.
  std::string remote_address() const;
  /// To be closed although the client may still be sending: it gets a moment to read the answer.
  void linger() noexcept { linger_ = true; }

  bool is_readable() const override;
  bool is_writable() const override;
  ssize_t read(char* out, std::size_t size) override;
  ssize_t write(const char* data, std::size_t size) override;
  using Stream::write;
  void get_remote_ip_and_port(std::string& ip, int& port) const override;
  void get_local_ip_and_port(std::string& ip, int& port) const override;
  socket_t socket() const override { return socket_; }

private:
  using Clock = std::chrono::steady_clock;
  bool wait_for(short events, Clock::time_point deadline) const;
  void discard_input();

  const socket_t socket_;
  const std::atomic<bool>& abort_;
  std::string buffer_;   ///< received
  std::size_t next_ = 0; ///< first byte of it that has not been read
  std::size_t head_bytes_ = 0;
  bool in_head_ = true;
  bool linger_ = false;
  Clock::time_point deadline_; ///< for the present request to have arrived
};

} // namespace talaria::gateway
