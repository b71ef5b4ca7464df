#pragma once

#include "audit/transcript.hpp"

namespace talaria::audit {

/// What a worker would have recorded under other proposals, made of what it recorded in clear. They
/// exist to show that the attacks work; nothing can be run with them.

/// A secret permutation of the features of each matrix, the same for all rows (STIP,
/// arXiv:2312.00025).
Recording permuted(const Recording& clear, u64 seed);

/// Fresh random combinations of the rows of each tensor (GELO's non-orthogonal mixing,
/// arXiv:2603.05035).
Recording mixed(const Recording& clear, u64 seed);

/// Gaussian noise on every value, `ratio` times its row's root mean square.
Recording noisy(const Recording& clear, double ratio, u64 seed);

} // namespace talaria::audit
