#pragma once

#include <condition_variable>
#include <cstddef>
#include <functional>
#include <mutex>

#include "core/integers.hpp"

namespace talaria::transport {

/// What all links of one enclave may have under way at one worker together: requests that are not
/// answered, or whose answer is not sent yet, and their bytes. Thread-safe.
class EnclaveShare {
public:
  EnclaveShare(std::size_t max_jobs, std::size_t max_bytes);

  /// Waits until a request of `bytes` bytes fits, and takes its place; one always fits. False, and
  /// nothing is taken, if `ended` says so: whoever makes it say so calls wake().
  bool take(std::size_t bytes, const std::function<bool()>& ended);
  /// A request has become an answer: `before` bytes are `after` bytes now, whether they fit or not.
  void change(std::size_t before, std::size_t after);
  /// Gives back `jobs` places and `bytes` bytes.
  void leave(std::size_t jobs, std::size_t bytes);
  void wake();

  struct Use {
    std::size_t jobs = 0;
    std::size_t bytes = 0;
    u64 held_back = 0; ///< times a request had to wait for its place
  };
  Use use() const;

private:
  const std::size_t max_jobs_;
  const std::size_t max_bytes_;
  mutable std::mutex mutex_;
  std::condition_variable room_;
  Use use_;
};

} // namespace talaria::transport
