#pragma once

#include <cstddef>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "core/secret.hpp"
#include "core/thread_team.hpp"

namespace talaria::enclave {

/// Working memory of attention, which grows with the context: one buffer for each thread that has
/// ever been at work at the same time. Wiped when it goes. Thread-safe.
class ScratchPool {
public:
  /// A buffer for as long as this lives.
  class Loan {
  public:
    explicit Loan(ScratchPool& pool) : pool_(pool), scratch_(pool.take()) {}
    ~Loan() { pool_.give(std::move(scratch_)); }
    Loan(const Loan&) = delete;
    Loan& operator=(const Loan&) = delete;
    SecretBuffer<float>& operator*() const noexcept { return *scratch_; }

  private:
    ScratchPool& pool_;
    std::unique_ptr<SecretBuffer<float>> scratch_;
  };

private:
  using Scratch = std::unique_ptr<SecretBuffer<float>>;

  Scratch take() {
    const std::lock_guard lock(mutex_);
    if (free_.empty()) {
      free_.reserve(++made_); // giving it back allocates nothing
      return std::make_unique<SecretBuffer<float>>();
    }
    Scratch scratch = std::move(free_.back());
    free_.pop_back();
    return scratch;
  }
  void give(Scratch scratch) noexcept {
    const std::lock_guard lock(mutex_);
    free_.push_back(std::move(scratch));
  }

  std::mutex mutex_;
  std::vector<Scratch> free_;
  std::size_t made_ = 0;
};

/// What the attention stages of all layers share.
struct AttentionTeam {
  /// `threads` >= 1, the stage's own included.
  explicit AttentionTeam(std::size_t threads) : helpers(threads) {}
  ThreadTeam helpers;
  ScratchPool scratch;
};

} // namespace talaria::enclave
