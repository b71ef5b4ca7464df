#include "connect/wire.hpp"

#include <poll.h>

#include <algorithm>
#include <array>

#include "core/secret.hpp"

namespace talaria::connect {

namespace {

using transport::IoResult;
using Kind = transport::IoResult::Kind;

constexpr std::chrono::milliseconds kSlice{100}; // between two looks at what ends a wait
constexpr std::size_t kPiece = 16 << 10;

/// False once the patience is over.
bool wait_for(int socket, short events, const Patience& patience) {
  for (;;) {
    if (patience.is_over && patience.is_over()) return false;
    const int left = transport::milliseconds_until(patience.deadline);
    if (left <= 0) return false;
    pollfd waiting{socket, events, 0};
    if (::poll(&waiting, 1, std::min(left, static_cast<int>(kSlice.count()))) > 0) return true;
  }
}

} // namespace

bool wait_for_bytes(int socket, const Patience& patience) {
  return wait_for(socket, POLLIN, patience);
}

Wire::Wire(const transport::ClientTls& tls, transport::Socket socket, const std::string& host)
    : socket_(std::move(socket)), tls_(tls, socket_.get(), host) {}

Wire::~Wire() {
  tls_.close_notify();
}

/// The last result; one that wants something means that the patience is over.
template <class Step>
IoResult Wire::until_done(const Patience& patience, const Step& step) {
  for (;;) {
    const IoResult result = step();
    if (result.kind != Kind::wants_input && result.kind != Kind::wants_output) return result;
    const short events = result.kind == Kind::wants_input ? POLLIN : POLLOUT;
    if (!wait_for(socket_.get(), events, patience)) return result;
  }
}

bool Wire::handshake(const Patience& patience) {
  return until_done(patience, [this] { return tls_.handshake(); }).kind == Kind::done;
}

bool Wire::write(std::string_view bytes, const Patience& patience) {
  while (!bytes.empty()) {
    const IoResult result =
        until_done(patience, [&] { return tls_.write(bytes.data(), bytes.size()); });
    if (result.kind != Kind::done) return false;
    bytes.remove_prefix(result.bytes);
  }
  return true;
}

Wire::Got Wire::read(std::string& out, const Patience& patience) {
  std::array<char, kPiece> piece;
  const IoResult result = until_done(patience, [&] { return tls_.read(piece.data(), kPiece); });
  if (result.kind == Kind::closed) return Got::end;
  if (result.kind == Kind::failed) return Got::failure;
  if (result.kind != Kind::done) return Got::nothing_in_time;
  out.append(piece.data(), result.bytes);
  wipe(piece.data(), result.bytes);
  return Got::bytes;
}

bool Wire::is_quiet() const {
  if (tls_.has_pending()) return false;
  pollfd waiting{socket_.get(), POLLIN, 0};
  return ::poll(&waiting, 1, 0) == 0;
}

} // namespace talaria::connect
