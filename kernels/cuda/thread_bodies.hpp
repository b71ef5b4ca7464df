#pragma once

#include <cstddef>

#include "core/integers.hpp"
#include "kernels/cuda/residue_math.hpp"

/// What each thread of the CUDA kernels does, index arithmetic included, as functions that run on
/// the CPU as well: tests run whole grids of them.
namespace talaria::kernels::cuda {

inline constexpr unsigned kThreads = 256;     ///< of a block
inline constexpr unsigned kThreadColumns = 4; ///< that one thread recombines
inline constexpr unsigned kBlockColumns = kThreads * kThreadColumns;
inline constexpr unsigned kPanelColumns = 64; ///< PackedWeights::kPanel

/// Where a thread stands. Blocks have kThreads threads.
struct ThreadIndex {
  unsigned thread = 0;
  unsigned block_x = 0;
  unsigned block_y = 0;
  TALARIA_BOTH_SIDES std::size_t along_x() const {
    return static_cast<std::size_t>(block_x) * kThreads + thread;
  }
};

/// Blocks of `each` items that cover `count` of them.
inline unsigned blocks_for(std::size_t count, std::size_t each) {
  return static_cast<unsigned>((count + each - 1) / each);
}

/// Panels of PackedWeights to columns of `depth` inputs: out[j][i], four inputs at a time.
struct PanelsToColumns {
  const u32* packed = nullptr; ///< [panels][groups][64]
  u32* columns = nullptr; ///< [64 panels][depth / 4]; what lies behind the groups is left alone
  std::size_t panels = 0;
  std::size_t groups = 0;
  std::size_t depth = 0; ///< a multiple of 4, at least 4 groups
};

inline unsigned unpack_blocks(const PanelsToColumns& job) {
  return blocks_for(job.panels * job.groups * kPanelColumns, kThreads);
}

/// One thread per column and group: neighbours read neighbouring words. Run once per matrix.
TALARIA_BOTH_SIDES inline void unpack_thread(const ThreadIndex& at, const PanelsToColumns& job) {
  const std::size_t n = at.along_x();
  if (n >= job.panels * job.groups * kPanelColumns) return;
  const std::size_t j = n % kPanelColumns;
  const std::size_t group = n / kPanelColumns % job.groups;
  const std::size_t panel = n / kPanelColumns / job.groups;
  job.columns[(panel * kPanelColumns + j) * (job.depth / 4) + group] = job.packed[n];
}

/// Words to limb rows: limbs[l rows + t][i] = digit l of word [t][i], 0 for d_in <= i < depth.
struct WordsToLimbs {
  const u8* words = nullptr; ///< [rows][d_in] without gaps
  u32* limbs = nullptr;      ///< [format.limbs rows][depth / 4], four int8 each
  std::size_t rows = 0;      ///< < 65536
  std::size_t d_in = 0;
  std::size_t depth = 0; ///< a multiple of 4, at least d_in
  LimbFormat format{};
};

inline unsigned split_blocks_x(const WordsToLimbs& job) {
  return blocks_for(job.depth, std::size_t{4} * kThreads);
}

/// One thread per four inputs of row `block_y`: a warp writes 128 bytes of each limb row.
TALARIA_BOTH_SIDES inline void split_thread(const ThreadIndex& at, const WordsToLimbs& job) {
  const std::size_t i = at.along_x() * 4;
  const std::size_t t = at.block_y;
  if (i >= job.depth) return;
  const LimbFormat& format = job.format;
  u64 digits[4];
  for (unsigned k = 0; k < 4; ++k) {
    digits[k] = 0;
    if (i + k >= job.d_in) continue;
    const std::size_t word = (t * job.d_in + i + k) * static_cast<unsigned>(format.limbs);
    digits[k] = format.digits(word_at(job.words + word, format.limbs));
  }
  for (int l = 0; l < format.limbs; ++l) {
    u32 four = 0;
    for (unsigned k = 0; k < 4; ++k)
      four |= static_cast<u32>(digits[k] >> (8 * l) & 0xff) << (8 * k);
    job.limbs[((static_cast<unsigned>(l) * job.rows + t) * job.depth + i) / 4] = four;
  }
}

/// Sums of some columns of a product to the bytes that travel: limbs put together mod q, switched
/// to the reply format if there is one, packed.
struct SumsToReply {
  const i32* sums = nullptr;   ///< [limbs rows][stride], row l rows + t for limb l; 16-byte aligned
  std::size_t stride = 0;      ///< a multiple of 4
  std::size_t rows = 0;        ///< < 65536
  std::size_t columns = 0;     ///< to recombine, <= stride
  u8* out = nullptr;           ///< [rows][out_columns] values without gaps; 4-byte aligned
  std::size_t out_columns = 0; ///< of the whole matrix
  std::size_t first_column = 0; ///< of the matrix, where these columns begin
  Recombination recombination{};
  ReplyFormat reply{};
  Packing packing{}; ///< of reply.bytes
};

inline unsigned reply_blocks_x(const SumsToReply& job) {
  return blocks_for(job.columns, kBlockColumns);
}

/// What the threads of a block share: the values of its columns, and one that is read but not used.
struct BlockValues {
  u64 value[kBlockColumns + 1];
};

/// Makes the values of four columns of row `block_y`. All threads of a block are to have done this
/// before one of them goes on to pack_thread().
template <int kLimbs>
TALARIA_BOTH_SIDES inline void recombine_thread(const ThreadIndex& at, const SumsToReply& job,
                                                BlockValues& shared) {
  struct alignas(16) Four {
    i32 column[kThreadColumns];
  };
  const std::size_t first = static_cast<std::size_t>(at.block_x) * kBlockColumns;
  const unsigned mine = at.thread * kThreadColumns;
  if (first + mine >= job.columns) return;
  Four sums[kLimbs];
  for (int l = 0; l < kLimbs; ++l) {
    const std::size_t row = static_cast<unsigned>(l) * job.rows + at.block_y;
    sums[l] = *reinterpret_cast<const Four*>(job.sums + row * job.stride + first + mine);
  }
  for (unsigned k = 0; k < kThreadColumns; ++k) {
    i32 s[kLimbs];
    for (int l = 0; l < kLimbs; ++l) s[l] = sums[l].column[k];
    shared.value[mine + k] = job.reply.value(job.recombination.word<kLimbs>(s));
  }
}

/// Writes the block's values as the run of bytes they are: whole 4-byte pieces, and single bytes at
/// both ends, where neighbouring blocks write to the same piece.
TALARIA_BOTH_SIDES inline void pack_thread(const ThreadIndex& at, const SumsToReply& job,
                                           const BlockValues& shared) {
  const std::size_t first = static_cast<std::size_t>(at.block_x) * kBlockColumns;
  const std::size_t left = job.columns - first;
  const std::size_t count = left < kBlockColumns ? left : kBlockColumns;
  const auto width = static_cast<unsigned>(job.packing.bytes);
  const std::size_t begin = (at.block_y * job.out_columns + job.first_column + first) * width;
  const std::size_t end = begin + count * width;
  for (std::size_t piece = begin / 4 * 4 + at.thread * 4; piece < end; piece += kThreads * 4) {
    if (piece >= begin && piece + 4 <= end) {
      *reinterpret_cast<u32*>(job.out + piece) =
          job.packing.piece(shared.value, static_cast<u32>(piece - begin));
      continue;
    }
    for (std::size_t b = piece; b < piece + 4; ++b)
      if (b >= begin && b < end)
        job.out[b] = job.packing.byte(shared.value, static_cast<u32>(b - begin));
  }
}

} // namespace talaria::kernels::cuda
