#include "transport/worker_server.hpp"

#include <fmt/format.h>
#include <poll.h>
#include <sys/eventfd.h>

#include <algorithm>
#include <atomic>
#include <list>
#include <map>
#include <mutex>
#include <optional>
#include <thread>

#include "core/wall_clock.hpp"
#include "transport/frame_io.hpp"
#include "transport/server_admission.hpp"
#include "transport/server_session.hpp"

namespace talaria::transport {
namespace {

constexpr Milliseconds kLastWords{500}; ///< for a refused peer to read why
constexpr Milliseconds kTick{100};      ///< how often a session looks at its clock

/// One accepted connection and its thread. Made, interrupted and destroyed by the acceptor.
struct Connection {
  Connection(const TlsContext& tls, Accepted accepted, const std::string& enclave_name)
      : address(to_string(accepted.peer)), channel(tls, std::move(accepted.socket), enclave_name) {}

  const std::string address;
  TlsChannel channel;
  /// A stranger until its hello has been accepted, unless the acceptor wants its place first.
  enum class State { half_open, settled, evicted };
  std::atomic<State> state{State::half_open};
  std::atomic<bool> done{false};
  std::thread thread; ///< last: the others outlive it

  bool move_on(State next) {
    State expected = State::half_open;
    return state.compare_exchange_strong(expected, next);
  }
};

} // namespace

class WorkerServer::Impl {
public:
  Impl(const TlsContext& tls, const Address& listen, Identity identity,
       const ServerOptions& options, Events events)
      : tls_(tls), identity_(std::move(identity)), options_(options), events_(std::move(events)),
        wake_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
    if (tls.end() != End::worker)
      throw Error(Errc::internal, "a worker's server needs the worker's TLS context");
    if (tls.takes_strangers() && !options_.gate)
      throw Error(Errc::internal, "certificates of strangers are accepted without a gate");
    identity_.attests = options_.gate != nullptr;
    if (identity_.attests) identity_.protocol_oldest = kProtocolEvidence;
    TlsChannel(tls_, Socket(), options_.enclave_name); // throws for a name that matches anybody
    listener_ = listen_on(listen);
    port_ = local_port(listener_);
    acceptor_ = std::thread([this] { accept_until_stopped(); });
  }

  ~Impl() {
    stopping_ = true;
    wake();
    acceptor_.join();
  }

  u16 port() const noexcept { return port_; }
  std::size_t sessions() const {
    const std::lock_guard lock(mutex_);
    return sessions_.size();
  }

  std::vector<Enclave> enclaves() const {
    const std::lock_guard lock(mutex_);
    std::map<Sha256Digest, Enclave> found;
    for (const auto& [id, session] : sessions_) {
      Enclave& enclave = found[session->enclave()];
      enclave.id = session->enclave();
      ++enclave.sessions;
      enclave.use = session->share().use();
    }
    std::vector<Enclave> all;
    for (const auto& [id, enclave] : found) all.push_back(enclave);
    return all;
  }

private:
  void log(const std::string& line) {
    const std::lock_guard lock(log_mutex_);
    if (events_.log) events_.log(line);
  }
  void wake() noexcept { ::eventfd_write(wake_.get(), 1); }

  // ---- the acceptor's thread --------------------------------------------------------------------

  void accept_until_stopped() {
    bool paused = false; // out of descriptors: wait for a connection to end, or a while
    while (!stopping_) {
      pollfd waiting[2] = {{wake_.get(), POLLIN, 0}, {listener_.get(), POLLIN, 0}};
      ::poll(waiting, paused ? 1 : 2, paused ? 100 : -1);
      eventfd_t count = 0;
      ::eventfd_read(wake_.get(), &count);
      reap();
      paused = !stopping_ && !accept_waiting();
    }
    end_all();
  }

  /// False if the process is out of descriptors.
  bool accept_waiting() {
    bool out_of_descriptors = false;
    while (auto accepted = accept_from(listener_, out_of_descriptors)) {
      make_room();
      start(std::move(*accepted));
    }
    return !out_of_descriptors;
  }

  void start(Accepted accepted) {
    const std::string address = to_string(accepted.peer);
    try {
      connections_.emplace_back(tls_, std::move(accepted), options_.enclave_name);
      Connection& connection = connections_.back();
      connection.thread = std::thread([this, &connection] { run(connection); });
    } catch (const std::exception& error) {
      if (!connections_.empty() && !connections_.back().thread.joinable()) connections_.pop_back();
      log(fmt::format("refused {}: {}", address, error.what()));
    }
  }

  /// Strangers can hold max_half_open threads and no more; an honest handshake takes milliseconds,
  /// so the oldest is the one to go.
  void make_room() {
    const auto half_open = [](const Connection& c) {
      return c.state == Connection::State::half_open && !c.done;
    };
    const auto count = std::count_if(connections_.begin(), connections_.end(), half_open);
    if (static_cast<std::size_t>(count) < std::max<std::size_t>(options_.max_half_open, 1)) return;
    const auto oldest = std::find_if(connections_.begin(), connections_.end(), half_open);
    if (oldest != connections_.end() && oldest->move_on(Connection::State::evicted))
      oldest->channel.interrupt();
  }

  void reap() {
    connections_.remove_if([](Connection& c) {
      if (!c.done) return false;
      c.thread.join();
      return true;
    });
  }

  void end_all() {
    listener_ = Socket();
    std::map<SessionId, std::shared_ptr<ServerSession>> sessions;
    {
      const std::lock_guard lock(mutex_);
      sessions = sessions_;
    }
    for (const auto& [id, session] : sessions) session->end("this worker stops");
    for (Connection& c : connections_) c.channel.interrupt();
    for (Connection& c : connections_) c.thread.join();
    connections_.clear();
  }

  // ---- a connection's thread --------------------------------------------------------------------

  void run(Connection& c) noexcept {
    try {
      serve(c);
    } catch (const std::exception& error) {
      if (!stopping_) refused(c, error.what());
    }
    c.channel.interrupt();
    c.done = true;
    wake();
  }

  void refused(Connection& c, const std::string& why) {
    const bool evicted = c.state == Connection::State::evicted;
    log(fmt::format("refused {}: {}", c.address,
                    evicted ? "too many unfinished handshakes, this was the oldest" : why));
    if (!evicted) c.channel.linger(kLastWords);
  }

  void serve(Connection& c) {
    c.channel.set_deadline(SteadyClock::now() + options_.handshake_timeout);
    c.channel.handshake();
    const Hello hello = read_hello(c.channel);
    std::shared_ptr<ServerSession> session;
    try {
      session = hello.role == Role::control ? open_session(c, hello) : find_session(c, hello);
    } catch (const Error& error) {
      Hello answer = answer_to(hello);
      answer.refusal = error;
      write_frame(c.channel, encode(answer));
      throw;
    }
    // Whatever happens from here on ends the session, and its control thread says so.
    try {
      if (!options_.gate) settle(c);
      c.channel.share(session->traffic());
      write_frame(c.channel, encode(answer_to(hello)));
      c.channel.set_deadline(std::nullopt);
      run_role(c, hello, session);
    } catch (const std::exception& error) {
      session->end(error.what());
    }
    session->detach(c.channel);
    if (hello.role == Role::control) close_session(hello.session, *session);
  }

  static void settle(Connection& c) {
    if (!c.move_on(Connection::State::settled))
      throw Error(Errc::no_worker, "a connection was dropped as half open");
  }

  void run_role(Connection& c, const Hello& hello, const std::shared_ptr<ServerSession>& session) {
    const Milliseconds stall = std::max(options_.silence * 10, Milliseconds(60'000));
    set_user_timeout(c.channel.socket(), hello.role == Role::control ? options_.silence : stall);
    switch (hello.role) {
    case Role::control:
      log(fmt::format("{}: linked", session->peer()));
      return run_control(c, *session);
    case Role::up:
      if (options_.gate && !await_admission(c, *session)) return;
      return run_up(c.channel, session);
    case Role::down:
      if (options_.gate) {
        if (!session->wait_until_admitted()) return;
        settle(c);
      }
      return session->send_replies(c.channel);
    }
  }

  /// Nothing may come before the session is admitted, not even to be left in the kernel's buffer.
  bool await_admission(Connection& c, ServerSession& session) {
    while (!session.admitted()) {
      if (session.ended()) return false;
      if (!c.channel.wait_readable(kTick) || session.admitted()) continue;
      c.channel.set_deadline(SteadyClock::now() + options_.handshake_timeout);
      FrameReader(c.channel, kPrefixBytes + kMaxHeadBytes).next();
      throw Error(Errc::verification, "a request came before its evidence was accepted");
    }
    settle(c);
    return true;
  }

  Hello answer_to(const Hello& hello) const {
    Hello answer;
    answer.role = hello.role;
    answer.session = hello.session;
    if (hello.role == Role::control) answer.identity = identity_;
    return answer;
  }

  std::shared_ptr<ServerSession> open_session(Connection& c, const Hello& hello) {
    if (!hello.identity)
      throw Error(Errc::verification, "the hello does not say what the enclave wants");
    if (const auto difference = first_difference_for_worker(*hello.identity, identity_))
      throw Error(Errc::config, *difference);
    const EnclaveKeys keys = enclave_keys(c.channel);
    const std::lock_guard lock(mutex_);
    if (sessions_.size() >= options_.max_sessions)
      throw Error(Errc::no_worker,
                  fmt::format("{} enclaves are linked already", options_.max_sessions));
    const auto of_it = static_cast<std::size_t>(
        std::count_if(sessions_.begin(), sessions_.end(),
                      [&keys](const auto& entry) { return entry.second->enclave() == keys.key; }));
    if (of_it >= options_.max_sessions_of_one)
      throw Error(Errc::no_worker, fmt::format("this enclave is linked {} times already", of_it));
    auto session =
        std::make_shared<ServerSession>(fmt::format("{} ({})", options_.enclave_name, c.address),
                                        keys, wire_format(identity_), options_, share_of(keys.key));
    if (!sessions_.emplace(hello.session, session).second)
      throw Error(Errc::verification, "the session id is in use");
    session->attach(Role::control, keys, c.channel);
    return session;
  }

  /// With mutex_. Lives as long as a session of the enclave does, or a request of one.
  std::shared_ptr<EnclaveShare> share_of(const Sha256Digest& enclave) {
    std::erase_if(shares_, [](const auto& entry) { return entry.second.expired(); });
    auto& known = shares_[enclave];
    auto share = known.lock();
    if (!share) {
      share = std::make_shared<EnclaveShare>(options_.max_jobs_of_one, options_.max_bytes_of_one);
      known = share;
    }
    return share;
  }

  std::shared_ptr<ServerSession> find(const SessionId& id) const {
    const std::lock_guard lock(mutex_);
    const auto found = sessions_.find(id);
    if (found == sessions_.end()) throw Error(Errc::no_worker, "there is no such session");
    return found->second;
  }

  std::shared_ptr<ServerSession> find_session(Connection& c, const Hello& hello) const {
    auto session = find(hello.session);
    session->attach(hello.role, enclave_keys(c.channel), c.channel);
    return session;
  }

  void close_session(const SessionId& id, const ServerSession& session) {
    {
      const std::lock_guard lock(mutex_);
      sessions_.erase(id);
    }
    log(fmt::format("{}: unlinked: {}", session.peer(), session.reason()));
  }

  void run_control(Connection& c, ServerSession& session) {
    TlsChannel& channel = c.channel;
    FrameReader reader(channel, kPrefixBytes + kMaxHeadBytes);
    std::optional<ServerAdmission> admission;
    if (options_.gate) {
      admission.emplace(
          options_.gate,
          ServerAdmission::Times{options_.evidence_timeout, options_.verdict_patience}, session,
          [this](const std::string& line) { log(line); });
      admission->admit(channel);
      settle(c);
    }
    const TimePoint complete_by = SteadyClock::now() + options_.handshake_timeout;
    while (!session.ended()) {
      if (channel.wait_readable(kTick)) {
        channel.set_deadline(SteadyClock::now() + options_.silence);
        const FrameReader::Head head = reader.next();
        const ControlFrame frame = decode_control(head.bytes, head.payload_bytes);
        if (admission && std::holds_alternative<Evidence>(frame))
          admission->take(channel, reader);
        else
          answer_beat(channel, frame);
      }
      if (admission) admission->tick(channel);
      const auto silent = std::chrono::nanoseconds(steady_ns() - session.traffic()->last_received);
      if (silent > options_.silence)
        return session.end(fmt::format("silent for more than {} ms", options_.silence.count()));
      if (!session.complete() && SteadyClock::now() > complete_by)
        return session.end("its other connections did not come");
    }
  }

  static void answer_beat(TlsChannel& channel, const ControlFrame& frame) {
    const auto* asked = std::get_if<Beat>(&frame);
    if (asked == nullptr || asked->answer)
      throw Error(Errc::verification, "unexpected heartbeat reply; expected a heartbeat request");
    Beat beat = *asked;
    beat.answer = true;
    beat.clock = wall_ns();
    write_frame(channel, encode(beat));
  }

  void run_up(TlsChannel& channel, const std::shared_ptr<ServerSession>& session) {
    FrameReader reader(channel, options_.max_frame_bytes);
    for (;;) {
      const FrameReader::Head head = reader.next();
      auto [id, request] = decode_request(head.bytes, head.payload_bytes, session->format());
      if (!session->wait_until_admitted() || !session->wait_for_room(head.payload_bytes)) return;
      session->begin(id, head.payload_bytes);
      set_payload(request, reader.payload());
      if (auto* tensor = std::get_if<remo::MaskedTensor>(&request)) tensor->received = wall_ns();
      deliver(session, id, std::move(request));
    }
  }

  void deliver(const std::shared_ptr<ServerSession>& session, u64 id, Request request) {
    try {
      events_.request(session, id, std::move(request));
    } catch (const Error& error) {
      session->reply(id, error);
    } catch (const std::exception& error) {
      session->reply(id, Error(Errc::internal, error.what()));
    }
  }

  const TlsContext tls_;
  Identity identity_; ///< constant once the acceptor runs
  const ServerOptions options_;
  const Events events_;
  const FileDescriptor wake_; ///< stirs the acceptor
  Socket listener_;
  u16 port_ = 0;
  std::atomic<bool> stopping_{false};
  std::list<Connection> connections_; ///< of the acceptor's thread; the oldest first

  mutable std::mutex mutex_;
  std::map<SessionId, std::shared_ptr<ServerSession>> sessions_;
  std::map<Sha256Digest, std::weak_ptr<EnclaveShare>> shares_;
  std::mutex log_mutex_;
  std::thread acceptor_;
};

WorkerServer::WorkerServer(const TlsContext& tls, const Address& listen, Identity identity,
                           const ServerOptions& options, Events events)
    : impl_(std::make_unique<Impl>(tls, listen, std::move(identity), options, std::move(events))) {}

WorkerServer::~WorkerServer() = default;

u16 WorkerServer::port() const noexcept {
  return impl_->port();
}

std::size_t WorkerServer::sessions() const {
  return impl_->sessions();
}

std::vector<WorkerServer::Enclave> WorkerServer::enclaves() const {
  return impl_->enclaves();
}

} // namespace talaria::transport
