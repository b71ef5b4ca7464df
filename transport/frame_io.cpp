#include "transport/frame_io.hpp"

#include <algorithm>
#include <array>

namespace talaria::transport {

void write_frame(TlsChannel& channel, const OutFrame& frame) {
  channel.write(frame.start, frame.payload ? frame.payload->span() : std::span<const u8>());
}

FrameReader::Head FrameReader::next() {
  std::array<u8, kPrefixBytes> bytes;
  channel_.read(bytes);
  const Prefix prefix = decode_prefix(bytes, max_frame_bytes_);
  if (head_.size() < prefix.head_bytes)
    head_ = AlignedBuffer<u8>(std::max<std::size_t>(prefix.head_bytes, 1024));
  const std::span<u8> head = head_.span().first(prefix.head_bytes);
  channel_.read(head);
  payload_bytes_ = prefix.payload_bytes;
  return {head, payload_bytes_};
}

remo::SharedBytes FrameReader::payload() {
  AlignedBuffer<u8> bytes(payload_bytes_, Unwritten{});
  channel_.read(bytes.span());
  return std::make_shared<const AlignedBuffer<u8>>(std::move(bytes));
}

Hello read_hello(TlsChannel& channel) {
  FrameReader reader(channel, kPrefixBytes + kMaxHeadBytes);
  const FrameReader::Head head = reader.next();
  return decode_hello(head.bytes, head.payload_bytes);
}

} // namespace talaria::transport
