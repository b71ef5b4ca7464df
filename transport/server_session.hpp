#pragma once

#include <atomic>
#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "transport/tls_channel.hpp"
#include "transport/wire_codec.hpp"
#include "transport/worker_server.hpp"

namespace talaria::transport {

/// What an enclave has shown in its TLS handshake.
struct EnclaveKeys {
  Sha256Digest certificate{};
  Sha256Digest key{}; ///< of its SubjectPublicKeyInfo
  TlsExporter exporter{};
};
inline EnclaveKeys enclave_keys(const TlsChannel& channel) {
  return {channel.peer_certificate(), channel.peer_key(), channel.exporter()};
}

/// What the threads of one session share: the books of its requests, the queue of its replies.
/// Thread-safe. Holds no reference to the server, so that whoever works on a request may keep it.
class ServerSession final : public WorkerServer::Session {
public:
  /// With options.gate the session is not admitted yet.
  /// @param share  of the enclave that this is a link of
  ServerSession(std::string peer, const EnclaveKeys& keys, const WireFormat& format,
                const ServerOptions& options, std::shared_ptr<EnclaveShare> share);

  void reply(u64 id, const Reply& reply) override;
  const std::string& peer() const override { return peer_; }
  const Sha256Digest& enclave() const override { return keys_.key; }
  const EnclaveShare& share() const noexcept { return *share_; }

  /// Registers a connection, so that end() reaches it; each role once, with the certificate of the
  /// first. @throws Error{config} if it does not belong here. The channel must stay until detach().
  void attach(Role role, const EnclaveKeys& keys, TlsChannel& channel);
  void detach(TlsChannel& channel);
  /// Whether all three connections have come.
  bool complete() const;
  /// Waits for them; false if they have not come by `limit`, or the session has ended.
  bool wait_until_complete(TimePoint limit);

  /// What evidence about this link is bound to, once it is complete.
  LinkBinding binding(const LinkNonce& nonce) const;
  /// Requests are answered from now on.
  void admit();
  /// New requests wait; those under way are answered.
  void hold();
  bool admitted() const;
  /// False if the session has ended.
  bool wait_until_admitted();

  /// Ends the session for the first reason given: connections are interrupted, waiting threads
  /// wake, later replies are dropped.
  void end(const std::string& reason);
  /// The reason that end() is going to be given, while the enclave is still told: whatever breaks
  /// until then follows from it.
  void blame(const std::string& reason);
  bool ended() const;
  std::string reason() const;

  /// Waits until a request of `bytes` bytes may be taken in, by this session's bounds and by its
  /// enclave's, and keeps the place for it; false if the session has ended.
  bool wait_for_room(std::size_t bytes);
  /// Enters the request that a place is kept for. @throws Error{verification} if its id is in
  /// flight already.
  void begin(u64 id, std::size_t bytes);
  /// Sends replies over `channel` until the session ends. Small ones are written by those who have
  /// them.
  void send_replies(TlsChannel& channel);

  const std::shared_ptr<Traffic>& traffic() const noexcept { return traffic_; }
  const WireFormat& format() const noexcept { return format_; }

private:
  std::optional<OutFrame> next_reply();
  void write(TlsChannel& channel, const OutFrame& frame);
  bool may_write_at_once(std::size_t bytes) const;

  const std::string peer_;
  const EnclaveKeys keys_; ///< the exporter is that of control
  const WireFormat format_;
  const std::size_t max_in_flight_;
  const std::size_t max_in_flight_bytes_;
  const std::size_t max_frame_bytes_;
  const std::shared_ptr<Traffic> traffic_ = std::make_shared<Traffic>();
  const std::shared_ptr<EnclaveShare> share_; ///< its mutex is taken inside of ours, never around

  mutable std::mutex mutex_;
  std::condition_variable room_;
  std::condition_variable replies_ready_;
  std::condition_variable standing_; ///< complete, admitted, ended
  bool ended_ = false;
  std::atomic<bool> has_ended_{false}; ///< the same, for whoever has not this mutex
  std::string reason_;
  bool admitted_ = true;
  bool taken_[3] = {};                        ///< by Role
  TlsExporter exporters_[3] = {};             ///< by Role
  std::vector<TlsChannel*> channels_;         ///< those of threads that are running
  std::unordered_map<u64, std::size_t> open_; ///< requests without a reply: id to bytes
  std::deque<OutFrame> replies_;
  TlsChannel* down_ = nullptr;       ///< while replies can be sent
  bool writing_ = false;             ///< somebody uses it
  std::size_t unsent_ = 0;           ///< replies queued or being written
  std::size_t bytes_ = 0;            ///< of open requests and unsent replies
  std::optional<std::size_t> place_; ///< bytes of the request that is about to begin
};

} // namespace talaria::transport
