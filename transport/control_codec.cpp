// Frames of the control connection that are neither hellos nor beats (wire_codec.hpp).
#include <algorithm>
#include <limits>

#include "transport/wire_codec_parts.hpp"

namespace talaria::transport {
namespace {

AttestRequest read_request(wire::AttestRequest::Reader in) {
  AttestRequest out;
  const auto nonce = in.getNonce();
  if (nonce.size() != out.nonce.size()) malformed("a nonce is not 32 bytes long");
  std::copy(nonce.begin(), nonce.end(), out.nonce.begin());
  return out;
}

Attested read_attested(wire::Attested::Reader in) {
  constexpr u64 kYear = 366 * 86400;
  Attested out{std::chrono::seconds(std::min<u64>(in.getValidFor(), kYear))};
  const auto key = in.getSealKey();
  if (key.size() == 0) return out;
  if (key.size() != sizeof(SealKey)) malformed("a key for sealed files is not 32 bytes long");
  std::copy(key.begin(), key.end(), out.seal_key.emplace().begin());
  return out;
}

} // namespace

OutFrame encode(const AttestRequest& request) {
  capnp::MallocMessageBuilder message;
  auto out = message.initRoot<wire::Frame>().initAttestRequest();
  out.setNonce({request.nonce.data(), request.nonce.size()});
  return finish(message, nullptr);
}

OutFrame encode_evidence(std::string_view document) {
  if (document.empty() || document.size() > kMaxLinkEvidenceBytes)
    throw Error(Errc::internal, "evidence for a worker has 1 byte to 64 KiB");
  capnp::MallocMessageBuilder message;
  message.initRoot<wire::Frame>().setEvidence();
  AlignedBuffer<u8> bytes(document.size());
  std::copy(document.begin(), document.end(), bytes.data());
  return finish(message, std::make_shared<const AlignedBuffer<u8>>(std::move(bytes)));
}

OutFrame encode(const Attested& attested) {
  capnp::MallocMessageBuilder message;
  auto out = message.initRoot<wire::Frame>().initAttested();
  out.setValidFor(static_cast<u64>(attested.valid_for.count()));
  if (attested.seal_key) out.setSealKey({attested.seal_key->data(), attested.seal_key->size()});
  return finish(message, nullptr);
}

OutFrame encode_refusal(const std::string& code, const std::string& text) {
  capnp::MallocMessageBuilder message;
  auto out = message.initRoot<wire::Frame>().initFailure();
  out.setCode(code);
  out.setMessage(text.substr(0, kMaxMessage));
  return finish(message, nullptr);
}

ControlFrame decode_control(std::span<const u8> head, std::size_t payload_bytes) {
  const auto frame_of = [payload_bytes](wire::Frame::Reader frame) -> ControlFrame {
    if (frame.isEvidence()) {
      if (payload_bytes == 0 || payload_bytes > kMaxLinkEvidenceBytes)
        malformed("evidence has 1 byte to 64 KiB");
      return Evidence{};
    }
    no_payload(payload_bytes);
    if (frame.isAttestRequest()) return read_request(frame.getAttestRequest());
    if (frame.isAttested()) return read_attested(frame.getAttested());
    if (frame.isFailure()) return read_failure(frame.getFailure());
    if (frame.isBeat()) return read_beat(frame.getBeat());
    malformed("expected a heartbeat or a word about evidence");
  };
  return with_frame(head, frame_of);
}

} // namespace talaria::transport
