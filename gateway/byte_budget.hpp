#pragma once

#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <mutex>
#include <optional>

namespace talaria::gateway {

/// How many bytes of one kind may be held at once, over all requests. Thread-safe. Whoever gives a
/// lease back has freed what it was for; the allocator, which keeps that for the thread that freed
/// it, is made to give it to the system now and then, before anybody else takes a lease. Where all
/// memory is locked the kernel takes no page back; JSON is read in one arena therefore (OneArena).
class ByteBudget {
public:
  /// Bytes taken from a budget; given back at its end. Movable.
  class Lease {
  public:
    Lease() = default; ///< of nothing
    Lease(Lease&& other) noexcept;
    Lease& operator=(Lease&& other) noexcept;
    ~Lease() { give_back(); }
    std::size_t bytes() const noexcept { return bytes_; }

  private:
    friend class ByteBudget;
    Lease(ByteBudget& budget, std::size_t bytes) : budget_(&budget), bytes_(bytes) {}
    void give_back() noexcept;
    ByteBudget* budget_ = nullptr;
    std::size_t bytes_ = 0;
  };

  explicit ByteBudget(std::size_t total) : total_(total) {}

  /// Waits until `bytes` are free; more than there are in all counts as all.
  Lease take(std::size_t bytes);
  /// Nothing if they are not free now.
  std::optional<Lease> try_take(std::size_t bytes);
  /// Makes a lease of this budget larger; false, and unchanged, if the bytes are not free now.
  bool try_grow(Lease& lease, std::size_t bytes);

  std::size_t total() const noexcept { return total_; }
  std::size_t taken() const;

private:
  /// Bytes of leases given back, after which free memory goes to the system.
  static constexpr std::size_t kTrimAfter = std::size_t{64} << 20;
  void note_freed(std::size_t bytes) noexcept;

  const std::size_t total_;
  std::atomic<std::size_t> freed_bytes_{0}; ///< since memory was last given to the system
  mutable std::mutex mutex_;
  std::condition_variable freed_;
  std::size_t taken_ = 0;
};

} // namespace talaria::gateway
