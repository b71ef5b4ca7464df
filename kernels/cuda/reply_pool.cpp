#include "kernels/cuda/reply_pool.hpp"

#include <map>
#include <mutex>
#include <new>
#include <utility>

namespace talaria::kernels::cuda {

struct ReplyPool::Store {
  std::mutex mutex;
  std::multimap<std::size_t, std::unique_ptr<AlignedBuffer<u8>>> free;
  std::size_t bytes = 0; ///< in `free`
  std::size_t most_bytes = 0;

  void give_back(std::unique_ptr<AlignedBuffer<u8>> buffer) noexcept try {
    const std::size_t size = buffer->size();
    if (size > most_bytes) return;
    const std::lock_guard lock(mutex);
    if (bytes + size > most_bytes) { // sizes that are no longer asked for fill it
      free.clear();
      bytes = 0;
    }
    free.emplace(size, std::move(buffer));
    bytes += size;
  } catch (const std::bad_alloc&) {
    // Then it is not kept.
  }
};

ReplyPool::ReplyPool(std::size_t most_bytes) : store_(std::make_shared<Store>()) {
  store_->most_bytes = most_bytes;
}

std::shared_ptr<AlignedBuffer<u8>> ReplyPool::take(std::size_t bytes) {
  std::unique_ptr<AlignedBuffer<u8>> buffer;
  {
    const std::lock_guard lock(store_->mutex);
    if (const auto it = store_->free.find(bytes); it != store_->free.end()) {
      buffer = std::move(it->second);
      store_->free.erase(it);
      store_->bytes -= bytes;
    }
  }
  if (buffer == nullptr) buffer = std::make_unique<AlignedBuffer<u8>>(bytes, Unwritten{});
  return {buffer.release(), [store = store_](AlignedBuffer<u8>* used) {
            store->give_back(std::unique_ptr<AlignedBuffer<u8>>(used));
          }};
}

std::size_t ReplyPool::kept_bytes() const {
  const std::lock_guard lock(store_->mutex);
  return store_->bytes;
}

} // namespace talaria::kernels::cuda
