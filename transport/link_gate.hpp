#pragma once

#include <array>
#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "core/digest.hpp"
#include "core/error.hpp"
#include "core/seal.hpp"

namespace talaria::transport {

inline constexpr std::size_t kMaxLinkEvidenceBytes = std::size_t{64} << 10;

using LinkNonce = std::array<u8, 32>;
/// Keying material of one TLS connection alone (RFC 9266); both of its ends compute the same.
using TlsExporter = std::array<u8, 32>;

/// What evidence about a link is bound to. Each end takes all of it from its own TLS stack, but the
/// nonce, which the worker makes.
struct LinkBinding {
  LinkNonce nonce{};
  TlsExporter control{};
  TlsExporter up{};
  TlsExporter down{};
  Sha256Digest enclave_key{}; ///< SHA-256 of the enclave's SubjectPublicKeyInfo
};

/// The enclave's side: an evidence document of at most 64 KiB about a link. Runs on threads of the
/// link, may block for as long as the platform needs. @throws Error{io} if there is none now.
using GiveEvidence = std::function<std::string(const LinkBinding&)>;

/// The enclave's side: a key that the owner of the weights gives it for what it keeps of them on
/// its disk. Called on a thread that connects, for each link whose worker has one.
using TakeOwnerKey = std::function<void(const SealKey& key)>;

/// What a worker's owner has decided about an enclave.
struct GateVerdict {
  bool accepted = false;
  bool undecided = false; ///< not accepted for want of something; it may be another time
  std::string code;       ///< of the failing check, "image"; empty if accepted
  std::string reason;     ///< one line for both ends; holds no secret
  std::string about;      ///< if accepted, one line for the worker's log: the image, the platform
  std::chrono::seconds valid_for{0}; ///< then evidence is demanded anew; at least 1
  /// If accepted: for the enclave's disk, of this image and model alone; nothing: it gets none.
  std::optional<SealKey> seal_key;
};

/// The worker's side: decides whom hints, weights and products are given to. Thread-safe.
class LinkGate {
public:
  virtual ~LinkGate() = default;
  /// @param document  as the enclave has sent it: anything
  /// @param patience  how long it may wait for something that the document lacks; 0 if the link is
  ///                  in use, since its heartbeats and new requests wait for this verdict
  virtual GateVerdict judge(std::string_view document, const LinkBinding& own,
                            std::chrono::milliseconds patience) = 0;
};

/// The worker's owner refuses this enclave. Errc::config: trying again at once will not help; or
/// Errc::no_worker if he could not decide.
class RefusedByOwner : public Error {
public:
  using Error::Error;
};

} // namespace talaria::transport
