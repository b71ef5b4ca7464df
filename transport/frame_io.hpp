#pragma once

#include <cstddef>
#include <optional>
#include <span>

#include "core/matrix.hpp"
#include "transport/tls_channel.hpp"
#include "transport/wire_codec.hpp"

namespace talaria::transport {

/// Frames up to this size are written by whoever has them, if nothing is in the way: handing 100 KB
/// to another thread takes longer than encrypting them.
inline constexpr std::size_t kWrittenAtOnce = std::size_t{128} << 10;

/// Writes a whole frame.
void write_frame(TlsChannel& channel, const OutFrame& frame);

/// Reads frames in two steps, so that a payload is only received (and memory for it only taken)
/// after its head has been understood.
class FrameReader {
public:
  FrameReader(TlsChannel& channel, std::size_t max_frame_bytes)
      : channel_(channel), max_frame_bytes_(max_frame_bytes) {}

  struct Head {
    std::span<const u8> bytes; ///< valid until the next call
    std::size_t payload_bytes = 0;
  };
  /// Waits for the next frame. @throws as TlsChannel::read() and decode_prefix().
  Head next();
  /// The payload of the frame whose head next() has returned; empty, not null, if it has none.
  remo::SharedBytes payload();

private:
  TlsChannel& channel_;
  const std::size_t max_frame_bytes_;
  AlignedBuffer<u8> head_;
  std::size_t payload_bytes_ = 0;
};

/// The first frame of a connection. @throws Error{verification} if it is anything but a hello.
Hello read_hello(TlsChannel& channel);

} // namespace talaria::transport
