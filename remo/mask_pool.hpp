#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "core/random.hpp"
#include "remo/masking_scheme.hpp"

namespace talaria::remo {

/// Stock of mask rows for every matrix, filled by background threads while the enclave waits for
/// other things: first to capacity, later by refills of up to four blocks, which share one reading
/// of the hint. Bounded; never hands out a row twice; never blocks on the fillers: a taker who
/// finds the stock too low makes a block itself (slower, counted). Free of CAF; thread-safe.
class MaskPool {
public:
  struct Options {
    std::size_t rows_ahead = 2048; ///< stock aimed at per matrix, in whole blocks
    /// For all stocks together, but at least one block of each matrix.
    std::size_t memory_bytes = std::size_t{2} << 30;
    std::size_t threads = 1; ///< 0: every block is made inline
  };
  struct Stats {
    u64 rows_made_ahead = 0;
    u64 rows_made_inline = 0;
    u64 stalls = 0;            ///< takes that had to make a block
    u64 bytes_made = 0;        ///< masks of all rows made so far
    u64 bytes_taken = 0;       ///< and of those taken
    double making_seconds = 0; ///< CPU time of whoever made them
    std::size_t bytes = 0;     ///< stock now
    u64 rows_dropped = 0;      ///< made, and never to be used
  };

  /// `linears` must outlive the pool; index = position in the vector. Linears that need no masks
  /// are skipped. `make_rng` is asked anew for every time that blocks are made, so that no
  /// generator lives longer than what it made, and its seed is of that moment.
  MaskPool(const std::vector<const MaskedLinear*>& linears, Options options,
           std::function<std::unique_ptr<Rng>()> make_rng);
  ~MaskPool(); ///< stops the fillers and wipes what is left

  /// `rows` mask rows for linear `index`; empty if that linear needs none.
  /// @throws Error{internal} in a forked child, which has the masks of its parent.
  std::vector<MaskRow> take(std::size_t index, std::size_t rows);

  /// Wipes all that is in stock or being made, and makes it anew: this machine may have been
  /// copied, and the copy has the same masks. A row that is taken after this returns was made after
  /// it.
  void drop_stock();

  /// Blocks until the fillers have nothing to do.
  void wait_until_full();

  Stats stats() const;

private:
  struct Stock;
  struct State;
  std::unique_ptr<State> state_;
};

} // namespace talaria::remo
