#include "transport/link_handshake.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "core/random.hpp"
#include "transport/frame_io.hpp"
#include "transport/link_evidence.hpp"

namespace talaria::transport {
namespace {

class Handshake {
public:
  Handshake(const TlsContext& tls, const Address& address, const std::string& expected_name,
            const LinkOptions& options)
      : tls_(tls), address_(address), expected_name_(expected_name),
        deadline_(SteadyClock::now() + options.connect_timeout), options_(options) {
    ChaChaRng::from_system().fill(session_);
  }

  /// Connects, says hello, and returns the worker's hello.
  std::pair<std::unique_ptr<TlsChannel>, Hello> open(Role role, const Identity* wanted) {
    auto channel =
        std::make_unique<TlsChannel>(tls_, connect_to(address_, deadline_), expected_name_);
    // The data connections may stand still for backpressure; that a worker is gone shows on
    // control.
    const Milliseconds stall = std::max(options_.silence * 10, Milliseconds(60'000));
    set_user_timeout(channel->socket(), role == Role::control ? options_.silence : stall);
    channel->set_deadline(deadline_);
    channel->handshake();
    Hello hello;
    hello.role = role;
    hello.session = session_;
    if (wanted != nullptr) hello.identity = *wanted;
    write_frame(*channel, encode(hello));
    return {std::move(channel), read_hello(*channel)};
  }

  std::unique_ptr<TlsChannel> join(Role role) {
    auto [channel, hello] = open(role, nullptr);
    if (hello.refusal) throw *hello.refusal;
    channel->set_deadline(std::nullopt);
    return std::move(channel);
  }

private:
  const TlsContext& tls_;
  const Address& address_;
  const std::string& expected_name_;
  const TimePoint deadline_;
  const LinkOptions& options_;
  SessionId session_{};
};

/// The worker asks as soon as all three connections are there.
void attest(ConnectedLink& link, const LinkOptions& options) {
  link.binding = {{},
                  link.control->exporter(),
                  link.up->exporter(),
                  link.down->exporter(),
                  link.control->own_key()};
  if (!link.peer.attests) return;
  link.control->set_deadline(SteadyClock::now() + options.evidence_timeout);
  const Attested word = LinkEvidence(options.evidence, link.binding).introduce(*link.control);
  link.attested_for = word.valid_for;
  if (word.seal_key && options.take_owner_key) options.take_owner_key(*word.seal_key);
}

/// Both ends compare, and ours is the answer that names "this side"; but a worker of another
/// version may see a difference that we do not.
void check_accepted(const Identity& wanted, const Hello& hello) {
  if (hello.identity) {
    if (const auto difference = first_difference(wanted, *hello.identity))
      throw Error(Errc::config, *difference);
  }
  if (hello.refusal) throw *hello.refusal;
  if (!hello.identity) throw Error(Errc::verification, "its hello does not say what it holds");
}

} // namespace

ConnectedLink connect_link(const TlsContext& tls, const Address& address,
                           const std::string& expected_name, const Identity& wanted,
                           const LinkOptions& options) {
  if (tls.end() != End::enclave)
    throw Error(Errc::internal, "a link to a worker needs the enclave's TLS context");
  ConnectedLink link;
  try {
    Handshake handshake(tls, address, expected_name, options);
    auto [control, hello] = handshake.open(Role::control, &wanted);
    check_accepted(wanted, hello);
    link.control = std::move(control);
    link.peer = std::move(*hello.identity);
    link.up = handshake.join(Role::up);
    link.down = handshake.join(Role::down);
    attest(link, options);
  } catch (const RefusedByOwner& error) {
    throw RefusedByOwner(error.code(),
                         fmt::format("worker {}: {}", to_string(address), error.what()));
  } catch (const Error& error) {
    // A refusal of the worker is no_worker, whatever it says: these codes are of this side.
    const bool ours = error.code() == Errc::config || error.code() == Errc::verification ||
                      error.code() == Errc::internal;
    throw Error(ours ? error.code() : Errc::no_worker,
                fmt::format("worker {}: {}", to_string(address), error.what()));
  }
  link.traffic = std::make_shared<Traffic>();
  for (TlsChannel* channel : {link.control.get(), link.up.get(), link.down.get()})
    channel->share(link.traffic);
  return link;
}

} // namespace talaria::transport
