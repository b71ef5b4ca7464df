#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "transport/identity.hpp"
#include "transport/link_gate.hpp"
#include "transport/messages.hpp"

/// Frames to bytes and back, without a socket: what wire.capnp describes. Decoders take bytes of
/// whoever is at the other end: they throw Error{verification} on anything malformed, allocate no
/// more than the bytes they are given warrant, and what they return keeps its promises.
namespace talaria::transport {

inline constexpr std::size_t kPrefixBytes = 16;
inline constexpr std::size_t kMaxHeadBytes = std::size_t{1} << 20; ///< a hello of 10,000 matrices

/// Bytes of one value, from what both ends agreed on in their hellos. 0: such values cannot travel.
struct WireFormat {
  std::size_t residue_bytes = 0;
  std::size_t rounded_bytes = 0;
  std::size_t switched_bytes = 0;
};
WireFormat wire_format(const Identity& identity);

enum class Role : u8 { control, up, down };
using SessionId = std::array<u8, 16>;

struct Hello {
  Role role = Role::control;
  SessionId session{};
  std::optional<Identity> identity;
  std::optional<Error> refusal;
};

struct Beat {
  i64 sent = 0;  ///< ns on the enclave's steady clock
  i64 clock = 0; ///< ns since 1970 on the sender's clock
  bool answer = false;
};

/// A frame ready to be written: `start`, then `payload` if there is one. Small payloads are copied
/// into `start`, so that one TLS record carries the frame; large ones are shared.
struct OutFrame {
  std::vector<u8> start;
  remo::SharedBytes payload;
  std::size_t size() const { return start.size() + (payload ? payload->size() : 0); }
};

/// Asks the enclave for evidence.
struct AttestRequest {
  LinkNonce nonce{};
};
/// The frame in which it comes; the document is the payload.
struct Evidence {};
struct Attested {
  std::chrono::seconds valid_for{0};
  std::optional<SealKey> seal_key{}; ///< what the owner gives the enclave for its disk
};
/// What comes over a control connection after the hello. An Error is the worker's reason to refuse.
using ControlFrame = std::variant<Beat, AttestRequest, Evidence, Attested, Error>;

OutFrame encode(const Hello& hello);
OutFrame encode(const AttestRequest& request);
/// @throws Error{internal} if it is empty or exceeds kMaxLinkEvidenceBytes.
OutFrame encode_evidence(std::string_view document);
OutFrame encode(const Attested& attested);
OutFrame encode_refusal(const std::string& code, const std::string& message);
OutFrame encode(const Beat& beat);
/// @throws Error{internal} if shape and bytes disagree: such a frame would end the link.
OutFrame encode(u64 id, const Request& request, const WireFormat& format);
OutFrame encode(u64 id, const Reply& reply, const WireFormat& format);

/// The lengths that the first kPrefixBytes bytes of a frame announce.
struct Prefix {
  std::size_t head_bytes = 0;
  std::size_t payload_bytes = 0;
};
/// Refuses more than kMaxHeadBytes of head and more than `max_frame_bytes` altogether.
Prefix decode_prefix(std::span<const u8, kPrefixBytes> bytes, std::size_t max_frame_bytes);

// Heads are 8-byte aligned. A decoder checks the shape against `payload_bytes`, so that nothing is
// allocated for a payload that cannot be right.
Hello decode_hello(std::span<const u8> head, std::size_t payload_bytes);
Beat decode_beat(std::span<const u8> head, std::size_t payload_bytes);
/// Evidence must have a payload within its bound, the others none.
ControlFrame decode_control(std::span<const u8> head, std::size_t payload_bytes);
/// The id and the request; a tensor's bytes are still missing: see set_payload().
std::pair<u64, Request> decode_request(std::span<const u8> head, std::size_t payload_bytes,
                                       const WireFormat& format);
std::pair<u64, Reply> decode_reply(std::span<const u8> head, std::size_t payload_bytes,
                                   const WireFormat& format);
void set_payload(Request& request, remo::SharedBytes bytes);
void set_payload(Reply& reply, remo::SharedBytes bytes);

} // namespace talaria::transport
