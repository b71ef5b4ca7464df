#pragma once

#include <cstddef>
#include <memory>

#include "core/integers.hpp"
#include "core/matrix.hpp"

namespace talaria::kernels::cuda {

/// Keeps the memory of replies that nobody needs any more for the next one of the same size: the
/// pages of a fresh large buffer cost more than the copy into it. Thread-safe; replies may outlive
/// the pool.
class ReplyPool {
public:
  /// Keeps at most `most_bytes` that are not in use.
  explicit ReplyPool(std::size_t most_bytes);

  /// A buffer of exactly `bytes` bytes with any contents.
  std::shared_ptr<AlignedBuffer<u8>> take(std::size_t bytes);
  /// Bytes kept for later.
  std::size_t kept_bytes() const;

private:
  struct Store;
  std::shared_ptr<Store> store_;
};

} // namespace talaria::kernels::cuda
