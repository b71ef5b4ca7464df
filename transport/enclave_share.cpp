#include "transport/enclave_share.hpp"

#include <algorithm>

namespace talaria::transport {

EnclaveShare::EnclaveShare(std::size_t max_jobs, std::size_t max_bytes)
    : max_jobs_(std::max<std::size_t>(max_jobs, 1)), max_bytes_(max_bytes) {}

bool EnclaveShare::take(std::size_t bytes, const std::function<bool()>& ended) {
  std::unique_lock lock(mutex_);
  const auto fits = [&] {
    return use_.jobs == 0 || (use_.jobs < max_jobs_ && use_.bytes + bytes <= max_bytes_);
  };
  if (!fits()) ++use_.held_back;
  room_.wait(lock, [&] { return ended() || fits(); });
  if (ended()) return false;
  ++use_.jobs;
  use_.bytes += bytes;
  return true;
}

void EnclaveShare::change(std::size_t before, std::size_t after) {
  {
    const std::lock_guard lock(mutex_);
    use_.bytes += after;
    use_.bytes -= before;
  }
  if (after < before) room_.notify_all();
}

void EnclaveShare::leave(std::size_t jobs, std::size_t bytes) {
  {
    const std::lock_guard lock(mutex_);
    use_.jobs -= jobs;
    use_.bytes -= bytes;
  }
  room_.notify_all();
}

void EnclaveShare::wake() {
  { const std::lock_guard lock(mutex_); } // whoever has just looked is waiting now
  room_.notify_all();
}

EnclaveShare::Use EnclaveShare::use() const {
  const std::lock_guard lock(mutex_);
  return use_;
}

} // namespace talaria::transport
