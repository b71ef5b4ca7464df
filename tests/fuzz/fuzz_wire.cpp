// Any bytes as frames of the wire, read by both ends: either an Error{verification}, or a message
// that keeps the decoder's promises and survives a round trip.
//
// The first byte chooses the decoder; the rest is a frame as it would come out of TLS.

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <string>

#include "transport/wire_codec.hpp"

namespace {

using namespace talaria;
using namespace talaria::transport;

constexpr std::size_t kLimit = std::size_t{1} << 22;
const WireFormat kFormat{6, 4};

void require(bool kept) {
  if (!kept) std::abort();
}

/// The head of `frame` in aligned memory, as FrameReader hands it to a decoder.
struct Head {
  AlignedBuffer<u8> bytes;
  std::size_t payload_bytes = 0;

  explicit Head(std::span<const u8> frame) {
    if (frame.size() < kPrefixBytes) throw Error(Errc::verification, "too short");
    const Prefix prefix = decode_prefix(frame.first<kPrefixBytes>(), kLimit);
    require(prefix.head_bytes <= kMaxHeadBytes && prefix.payload_bytes <= kLimit);
    bytes = AlignedBuffer<u8>(prefix.head_bytes);
    const auto rest = frame.subspan(kPrefixBytes);
    std::copy_n(rest.begin(), std::min(rest.size(), prefix.head_bytes), bytes.begin());
    payload_bytes = prefix.payload_bytes;
  }
};

void check_text(const std::string& text) {
  for (const char c : text) require(c >= ' ' && c <= '~');
}

template <class Tensor>
void check_tensor(const Tensor& t, std::size_t payload_bytes) {
  require(payload_bytes == 0 || payload_bytes / t.rows / t.cols >= 4);
}

template <class Body>
void check_round_trip(u64 id, Body body, std::size_t payload_bytes) {
  set_payload(body, std::make_shared<const AlignedBuffer<u8>>(payload_bytes));
  const OutFrame out = encode(id, body, kFormat);
  const Head again(out.start);
  require(again.payload_bytes == payload_bytes);
  if constexpr (std::is_same_v<Body, Request>)
    require(decode_request(again.bytes.span(), payload_bytes, kFormat).first == id);
  else
    require(decode_reply(again.bytes.span(), payload_bytes, kFormat).first == id);
}

void read_hello(const Head& head) {
  const Hello hello = decode_hello(head.bytes.span(), head.payload_bytes);
  if (hello.refusal) check_text(hello.refusal->what());
  if (!hello.identity) return;
  const Identity& peer = *hello.identity;
  for (const std::string* text :
       {&peer.name, &peer.software, &peer.parameters, &peer.weights, &peer.device})
    check_text(*text);
  require(wire_format(peer).residue_bytes <= 8);
  first_difference(peer, Identity{});
  first_difference(Identity{}, peer);
  require(!first_difference(peer, peer) || peer.protocol_oldest > peer.protocol_newest ||
          peer.matrices.size() > 1); // one matrix twice with different shapes
}

void read_control(const Head& head) {
  const ControlFrame frame = decode_control(head.bytes.span(), head.payload_bytes);
  if (const auto* error = std::get_if<Error>(&frame)) check_text(error->what());
  require(!std::holds_alternative<Evidence>(frame) ||
          (head.payload_bytes > 0 && head.payload_bytes <= kMaxLinkEvidenceBytes));
}

void read(u8 decoder, const Head& head) {
  switch (decoder % 4) {
  case 0:
    return read_hello(head);
  case 1:
    read_control(head);
    return;
  case 2: {
    auto [id, request] = decode_request(head.bytes.span(), head.payload_bytes, kFormat);
    if (const auto* t = std::get_if<remo::MaskedTensor>(&request))
      check_tensor(*t, head.payload_bytes);
    return check_round_trip(id, std::move(request), head.payload_bytes);
  }
  default: {
    auto [id, reply] = decode_reply(head.bytes.span(), head.payload_bytes, kFormat);
    if (const auto* t = std::get_if<remo::WorkerProduct>(&reply))
      check_tensor(*t, head.payload_bytes);
    if (const auto* error = std::get_if<Error>(&reply)) check_text(error->what());
    return check_round_trip(id, std::move(reply), head.payload_bytes);
  }
  }
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  try {
    read(data[0], Head({data + 1, size - 1}));
  } catch (const Error& error) {
    const std::string message = error.what();
    if (error.code() != Errc::verification || message.find('\n') != std::string::npos) std::abort();
  }
  return 0;
}
