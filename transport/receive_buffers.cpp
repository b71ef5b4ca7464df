#include "transport/receive_buffers.hpp"

#include <algorithm>

namespace talaria::transport {
namespace {

constexpr std::size_t kMostBuffers = 128; // bounds the search, too

} // namespace

std::shared_ptr<ReceiveBuffers> ReceiveBuffers::create(std::size_t retained_bytes) {
  return std::shared_ptr<ReceiveBuffers>(new ReceiveBuffers(retained_bytes));
}

std::shared_ptr<AlignedBuffer<u8>> ReceiveBuffers::take(std::size_t bytes) {
  Buffer buffer;
  {
    const std::lock_guard lock(mutex_);
    const auto fits = [bytes](const Buffer& b) { return b->size() == bytes; };
    const auto found = std::find_if(unused_.rbegin(), unused_.rend(), fits);
    if (found != unused_.rend()) {
      buffer = std::move(*found);
      unused_.erase(std::next(found).base());
      retained_ -= bytes;
    }
  }
  if (!buffer) buffer = std::make_unique<AlignedBuffer<u8>>(bytes);
  auto give_back = [pool = shared_from_this()](AlignedBuffer<u8>* used) {
    pool->give_back(Buffer(used));
  };
  AlignedBuffer<u8>* raw = buffer.release(); // shared_ptr runs the deleter if it cannot be made
  return {raw, std::move(give_back)};
}

std::size_t ReceiveBuffers::retained() const {
  const std::lock_guard lock(mutex_);
  return retained_;
}

void ReceiveBuffers::give_back(Buffer buffer) noexcept {
  const std::size_t bytes = buffer->size();
  if (bytes == 0 || bytes > limit_) return;
  std::deque<Buffer> leaving; // freed outside the lock
  const std::lock_guard lock(mutex_);
  while (!unused_.empty() && (retained_ + bytes > limit_ || unused_.size() >= kMostBuffers)) {
    retained_ -= unused_.front()->size();
    leaving.push_back(std::move(unused_.front()));
    unused_.pop_front();
  }
  unused_.push_back(std::move(buffer));
  retained_ += bytes;
}

} // namespace talaria::transport
