#pragma once

#include <future>
#include <optional>

#include "transport/frame_io.hpp"
#include "transport/tls_channel.hpp"
#include "transport/wire_codec.hpp"

namespace talaria::transport {

/// The enclave's half of what a worker with a gate demands. Of the thread that uses `control`.
class LinkEvidence {
public:
  /// @param links  of the three connections, handshakes done; the nonce comes with each request
  LinkEvidence(GiveEvidence give, const LinkBinding& link) : give_(std::move(give)), link_(link) {}

  /// Waits for the first request, answers it and waits for the word. The channel's deadline holds.
  /// @return how long it is good for, and the owner's key if he gives one
  /// @throws RefusedByOwner; Error{config} if this side has no evidence to give;
  /// Error{verification} for any other frame; as TlsChannel does.
  Attested introduce(TlsChannel& control);

  /// Begins to answer a request. A second one before the first is answered is refused.
  /// @throws Error{verification, config}
  void begin(const AttestRequest& request);
  /// The document, once the platform has made it. @throws what GiveEvidence does.
  std::optional<std::string> take_if_ready();

private:
  const GiveEvidence give_;
  const LinkBinding link_;
  std::future<std::string> making_; ///< on a thread of its own: beats must not wait for hardware
};

/// The worker's refusal as this side's error. Its words are shown and decide only how soon this
/// side tries again.
RefusedByOwner refused_by_owner(const Error& said);

} // namespace talaria::transport
