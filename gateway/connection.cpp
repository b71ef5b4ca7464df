#include "gateway/connection.hpp"

#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>

#include "core/secret.hpp"

namespace talaria::gateway {

namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using Kind = transport::IoResult::Kind;

constexpr seconds kSilence{10};     // without a byte that the client takes
constexpr milliseconds kSlice{100}; // between two looks at what ends a wait
constexpr std::size_t kBuffer = 16 << 10;
constexpr std::size_t kMaxDiscarded = 64 << 20;
constexpr std::size_t kLeaseStep = 4 << 10;
constexpr int kMaxTurns = 64;     // reads of one connection while others wait
constexpr unsigned kMaxSigns = 4; // clients may limit how many interim responses they bear
constexpr seconds kFirstSign{1};  // for a client that ended its sending with the request

short ready_events(int socket, short events, milliseconds patience) {
  pollfd entry{socket, events, 0};
  const int count = ::poll(&entry, 1, static_cast<int>(patience.count()));
  return count > 0 ? entry.revents : short{0};
}

transport::IoResult result_of(ssize_t count, Kind blocked) {
  if (count > 0) return {Kind::done, static_cast<std::size_t>(count)};
  if (count == 0) return {Kind::closed, 0};
  const bool later = errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR;
  return {later ? blocked : Kind::failed, 0};
}

} // namespace

Connection::Connection(transport::Socket socket, std::string peer, std::string local_host,
                       const HttpSession::Settings& settings, const transport::ServerTls* tls,
                       const std::atomic<bool>& abort)
    : socket_(std::move(socket)), peer_(std::move(peer)), abort_(abort),
      session_(settings, std::move(local_host), this), phase_(tls ? Phase::handshake : Phase::idle),
      phase_began_(Clock::now()), last_progress_(phase_began_) {
  if (tls != nullptr) tls_.emplace(*tls, socket_.get());
}

void Connection::enter(Phase phase) {
  if (phase == phase_) return;
  phase_ = phase;
  phase_began_ = last_progress_ = Clock::now();
}

transport::IoResult Connection::write(std::string_view bytes) {
  if (tls_) return tls_->write(bytes.data(), bytes.size());
  return result_of(::send(socket_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT),
                   Kind::wants_output);
}

transport::IoResult Connection::read(char* out, std::size_t size) {
  if (tls_) return tls_->read(out, size);
  return result_of(::recv(socket_.get(), out, size, MSG_DONTWAIT), Kind::wants_input);
}

Connection::Sent Connection::send_output() {
  while (!session_.output().empty()) {
    const auto result = write(session_.output());
    if (result.kind == Kind::wants_output || result.kind == Kind::wants_input) return Sent::blocked;
    if (result.kind != Kind::done) return Sent::failed;
    session_.consume(result.bytes);
    last_progress_ = Clock::now();
  }
  return Sent::all;
}

Connection::Needs Connection::advance() {
  if (phase_ == Phase::handshake) {
    const auto result = tls_->handshake();
    if (result.kind == Kind::wants_input) return Needs::input;
    if (result.kind == Kind::wants_output) return Needs::output;
    enter(result.kind == Kind::done ? Phase::idle : Phase::over);
  }
  for (int turn = 0; phase_ != Phase::over && phase_ != Phase::parting; ++turn) {
    if (turn == kMaxTurns) return Needs::output; // others come in between
    const Sent sent = send_output();
    if (sent == Sent::failed) break;
    if (sent == Sent::blocked) {
      enter(Phase::sending);
      return Needs::output;
    }
    if (session_.closing()) return part();
    if (session_.advance()) {
      enter(Phase::handling);
      note_hand_over();
      return Needs::a_handler;
    }
    if (!session_.output().empty() || session_.closing()) continue;
    enter(!session_.is_partial() ? Phase::idle : session_.in_body() ? Phase::body : Phase::head);
    if (const auto needs = read_more()) return *needs;
  }
  if (phase_ == Phase::parting) return part();
  enter(Phase::over);
  return Needs::nothing;
}

/// Nothing if there is something to go on with.
std::optional<Connection::Needs> Connection::read_more() {
  std::array<char, kBuffer> bytes;
  const auto result = read(bytes.data(), bytes.size());
  if (result.kind == Kind::wants_input) return Needs::input;
  if (result.kind == Kind::wants_output) return Needs::output;
  if (result.kind == Kind::done) {
    session_.receive({bytes.data(), result.bytes});
    wipe(bytes.data(), result.bytes); // this thread handles no request, so nobody wipes its stack
    last_progress_ = Clock::now();
    return std::nullopt;
  }
  enter(Phase::over); // between two requests, or in one that nobody can complete any more
  return Needs::nothing;
}

/// Closing with unread bytes resets the connection, and the client may never see the answer.
Connection::Needs Connection::part() {
  if (!std::exchange(output_ended_, true)) {
    if (tls_) tls_->close_notify();
    ::shutdown(socket_.get(), SHUT_WR);
  }
  enter(session_.lingers() ? Phase::parting : Phase::over);
  std::array<char, kBuffer> bytes;
  for (int turn = 0; phase_ == Phase::parting; ++turn) {
    if (turn == kMaxTurns) return Needs::input;
    const ssize_t count = ::recv(socket_.get(), bytes.data(), bytes.size(), MSG_DONTWAIT);
    if (count < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR))
      return Needs::input;
    if (count <= 0 || (discarded_ += static_cast<std::size_t>(count)) > kMaxDiscarded)
      enter(Phase::over);
  }
  return Needs::nothing;
}

void Connection::handled() {
  held_ = {};
  enter(Phase::sending);
}

bool Connection::keep(ByteBudget& budget) {
  const std::size_t held = session_.held();
  if (held == 0) held_ = {};
  if (held <= held_.bytes()) return true;
  const std::size_t more = (held - held_.bytes() + kLeaseStep - 1) / kLeaseStep * kLeaseStep;
  return budget.try_grow(held_, more);
}

void Connection::give_up(const ApiError& error) {
  session_.give_up(error);
  held_ = {};
  enter(Phase::sending);
}

void Connection::note_hand_over() {
  ended_early_ = (ready_events(socket_.get(), POLLRDHUP, milliseconds(0)) & POLLRDHUP) != 0;
  signs_ = 0;
  next_sign_ = Clock::now() + (ended_early_ ? Clock::duration(kFirstSign) : Clock::duration(0));
}

bool Connection::peer_left() {
  const short events = ready_events(socket_.get(), POLLRDHUP, milliseconds(0));
  if ((events & (POLLHUP | POLLERR)) != 0) return true;
  if ((events & POLLRDHUP) == 0 || signs_ >= kMaxSigns || Clock::now() < next_sign_) return false;
  next_sign_ = Clock::now() + kFirstSign * (1 << ++signs_);
  const std::string_view sign = session_.sign_of_life();
  if (sign.empty() || !session_.output().empty()) return false;
  const auto result = write(sign);
  const bool blocked = result.kind == Kind::wants_output || result.kind == Kind::wants_input;
  return !blocked && result.bytes < sign.size();
}

bool Connection::wait_for_output() const {
  for (;;) {
    const auto left =
        std::chrono::duration_cast<milliseconds>(last_progress_ + kSilence - Clock::now());
    if (abort_ || left <= milliseconds(0)) return false;
    const short events = ready_events(socket_.get(), POLLOUT, std::min(left, kSlice));
    if ((events & (POLLHUP | POLLERR)) != 0) return false;
    if (events != 0) return true;
  }
}

bool Connection::send_all() {
  last_progress_ = Clock::now();
  for (;;) {
    const Sent sent = send_output();
    if (sent != Sent::blocked) return sent == Sent::all;
    if (!wait_for_output()) return false;
  }
}

void Connection::break_off() noexcept {
  session_.break_off();
  ::shutdown(socket_.get(), SHUT_RDWR);
}

void Connection::send_some() {
  send_output();
}

} // namespace talaria::gateway
