#pragma once

#include <cstddef>
#include <deque>
#include <memory>
#include <mutex>

#include "core/matrix.hpp"

namespace talaria::transport {

/// Recycles the buffers that payloads are received into, so that the steady state has neither page
/// faults nor clearing. A model asks for few different sizes, so a buffer serves its exact size
/// again. Thread-safe; buffers find their way back from any thread, even after the last user of the
/// pool is gone.
class ReceiveBuffers : public std::enable_shared_from_this<ReceiveBuffers> {
public:
  /// Keeps at most `retained_bytes` of unused buffers, the oldest leave first.
  static std::shared_ptr<ReceiveBuffers> create(std::size_t retained_bytes = std::size_t{256}
                                                                             << 20);

  /// A buffer of exactly `bytes` bytes with arbitrary contents.
  std::shared_ptr<AlignedBuffer<u8>> take(std::size_t bytes);

  /// Bytes of unused buffers held now.
  std::size_t retained() const;

private:
  using Buffer = std::unique_ptr<AlignedBuffer<u8>>;
  explicit ReceiveBuffers(std::size_t retained_bytes) : limit_(retained_bytes) {}
  void give_back(Buffer buffer) noexcept;

  const std::size_t limit_;
  mutable std::mutex mutex_;
  std::deque<Buffer> unused_; ///< the most recently used at the back
  std::size_t retained_ = 0;
};

} // namespace talaria::transport
