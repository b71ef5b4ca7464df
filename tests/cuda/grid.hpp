#pragma once

#include <algorithm>
#include <cstddef>
#include <iterator>
#include <memory>

#include "kernels/cuda/thread_bodies.hpp"

namespace talaria::kernels::cuda {

/// Calls `body` once for every thread of a grid, one after the other.
template <class Body>
void for_grid(unsigned blocks_x, std::size_t blocks_y, Body body) {
  for (unsigned y = 0; y < blocks_y; ++y)
    for (unsigned x = 0; x < blocks_x; ++x)
      for (unsigned thread = 0; thread < kThreads; ++thread) body(ThreadIndex{thread, x, y});
}

/// A recombination with its barrier. Threads run backwards on shared memory full of ones: none may
/// rely on one before it, or on what was there.
template <int kLimbs>
void recombine_grid(const SumsToReply& job) {
  const auto shared = std::make_unique<BlockValues>();
  for (unsigned y = 0; y < job.rows; ++y)
    for (unsigned x = 0; x < reply_blocks_x(job); ++x) {
      std::fill(std::begin(shared->value), std::end(shared->value), ~u64{0});
      for (unsigned t = kThreads; t-- > 0;) recombine_thread<kLimbs>({t, x, y}, job, *shared);
      for (unsigned t = kThreads; t-- > 0;) pack_thread({t, x, y}, job, *shared);
    }
}

} // namespace talaria::kernels::cuda
