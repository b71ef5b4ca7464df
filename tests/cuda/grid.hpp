#pragma once

#include <cstddef>
#include <cstring>
#include <memory>
#include <stdexcept>
#include <type_traits>

#include "kernels/cuda/thread_bodies.hpp"

namespace talaria::kernels::cuda {

/// Calls `body` once for every thread of a grid, one after the other.
template <class Body>
void for_grid(unsigned blocks_x, std::size_t blocks_y, Body body) {
  for (unsigned y = 0; y < blocks_y; ++y)
    for (unsigned x = 0; x < blocks_x; ++x)
      for (unsigned thread = 0; thread < kThreads; ++thread) body(ThreadIndex{thread, x, y});
}

/// Calls `body` with a number of limbs that the compiler knows.
template <class Body>
void for_limbs(int limbs, Body body) {
  if (limbs == 4) return body(std::integral_constant<int, 4>());
  if (limbs == 5) return body(std::integral_constant<int, 5>());
  if (limbs == 6) return body(std::integral_constant<int, 6>());
  if (limbs == 7) return body(std::integral_constant<int, 7>());
  throw std::logic_error("no kernel for so many limbs");
}

inline void split_grid(const WordsToLimbs& job) {
  for_limbs(job.format.limbs, [&](auto limbs) {
    for_grid(split_blocks_x(job), job.rows,
             [&](const ThreadIndex& at) { split_thread<limbs.value>(at, job); });
  });
}

/// A recombination with its barrier. Threads run backwards on shared memory full of ones: none may
/// rely on one before it, or on what was there.
template <class Kind>
void recombine_grid_of(const SumsToReply& job) {
  const auto shared = std::make_unique<BlockValues>();
  for (unsigned y = 0; y < job.rows; ++y)
    for (unsigned x = 0; x < reply_blocks_x(job); ++x) {
      std::memset(shared.get(), 0xff, sizeof *shared);
      for (unsigned t = kThreads; t-- > 0;) recombine_thread<Kind>({t, x, y}, job, *shared);
      for (unsigned t = kThreads; t-- > 0;) write_thread<Kind>({t, x, y}, job, *shared);
    }
}

inline void recombine_grid(const SumsToReply& job) {
  for_limbs(job.recombination.limbs, [&](auto limbs) {
    if (job.reply.switched)
      recombine_grid_of<ReplyKind<limbs.value, true>>(job);
    else
      recombine_grid_of<ReplyKind<limbs.value, false>>(job);
  });
}

} // namespace talaria::kernels::cuda
