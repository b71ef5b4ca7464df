#include "gateway/byte_budget.hpp"

#include <malloc.h>

#include <algorithm>
#include <utility>

namespace talaria::gateway {

ByteBudget::Lease::Lease(Lease&& other) noexcept
    : budget_(std::exchange(other.budget_, nullptr)), bytes_(std::exchange(other.bytes_, 0)) {}

ByteBudget::Lease& ByteBudget::Lease::operator=(Lease&& other) noexcept {
  if (this != &other) {
    give_back();
    budget_ = std::exchange(other.budget_, nullptr);
    bytes_ = std::exchange(other.bytes_, 0);
  }
  return *this;
}

void ByteBudget::Lease::give_back() noexcept {
  if (budget_ == nullptr) return;
  budget_->note_freed(bytes_);
  const std::lock_guard lock(budget_->mutex_);
  budget_->taken_ -= bytes_;
  budget_->freed_.notify_all();
}

void ByteBudget::note_freed(std::size_t bytes) noexcept {
  if (freed_bytes_.fetch_add(bytes) + bytes < kTrimAfter) return;
  freed_bytes_ = 0;
  ::malloc_trim(0);
}

ByteBudget::Lease ByteBudget::take(std::size_t bytes) {
  bytes = std::min(bytes, total_);
  std::unique_lock lock(mutex_);
  freed_.wait(lock, [&] { return bytes <= total_ - taken_; });
  taken_ += bytes;
  return {*this, bytes};
}

std::optional<ByteBudget::Lease> ByteBudget::try_take(std::size_t bytes) {
  const std::lock_guard lock(mutex_);
  if (bytes > total_ - taken_) return std::nullopt;
  taken_ += bytes;
  return Lease(*this, bytes);
}

bool ByteBudget::try_grow(Lease& lease, std::size_t bytes) {
  auto more = try_take(bytes);
  if (!more) return false;
  lease.budget_ = this;
  lease.bytes_ += std::exchange(more->bytes_, 0);
  return true;
}

std::size_t ByteBudget::taken() const {
  const std::lock_guard lock(mutex_);
  return taken_;
}

} // namespace talaria::gateway
