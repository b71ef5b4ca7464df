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
  const u8* words = nullptr; ///< [rows][d_in] without gaps; 4-byte aligned
  u32* limbs = nullptr;      ///< [format.limbs rows][depth / 4], four int8 each
  std::size_t rows = 0;      ///< < 65536
  std::size_t d_in = 0;
  std::size_t depth = 0; ///< a multiple of 4, at least d_in
  LimbFormat format{};
};

inline unsigned split_blocks_x(const WordsToLimbs& job) {
  return blocks_for(job.depth, std::size_t{4} * kThreads);
}

/// Words k of `kBytes` bytes each, k < 4, that lie in kBytes 4-byte pieces without gaps.
template <int kBytes>
TALARIA_BOTH_SIDES inline u64 word_in(const u32 (&pieces)[kBytes], int k) {
  const int first = k * kBytes / 4;
  const int skipped = 8 * (k * kBytes % 4);
  u64 word = static_cast<u64>(pieces[first]) >> skipped;
  for (int n = 1, bits = 32 - skipped; bits < 8 * kBytes; ++n, bits += 32)
    word |= static_cast<u64>(pieces[first + n]) << bits;
  return word & ((u64{1} << (8 * kBytes)) - 1);
}

/// One thread per four inputs of row `block_y`: a warp writes 128 bytes of each limb row.
/// @param kLimbs  as job.format.limbs, known to the compiler
template <int kLimbs>
TALARIA_BOTH_SIDES inline void split_thread(const ThreadIndex& at, const WordsToLimbs& job) {
  const std::size_t i = at.along_x() * 4;
  const std::size_t t = at.block_y;
  if (i >= job.depth) return;
  const u8* words = job.words + (t * job.d_in + i) * kLimbs;
  u64 digits[4] = {};
  if (job.d_in % 4 == 0) { // then four words are whole, and begin at a whole piece
    if (i < job.d_in) {
      u32 pieces[kLimbs];
      for (int n = 0; n < kLimbs; ++n) pieces[n] = reinterpret_cast<const u32*>(words)[n];
      for (int k = 0; k < 4; ++k) digits[k] = job.format.digits(word_in<kLimbs>(pieces, k));
    }
  } else {
    for (unsigned k = 0; k < 4; ++k)
      if (i + k < job.d_in) digits[k] = job.format.digits(word_at<kLimbs>(words + k * kLimbs));
  }
  for (int l = 0; l < kLimbs; ++l) {
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

/// What the threads of a block share of their columns: packed pieces where the block's bytes begin
/// at a whole piece, else values, and one more that is read but not used.
union BlockValues {
  u64 value[kBlockColumns + 1];
  u32 piece[kThreads * kMaxLimbs];
};

/// What the compiler knows of a recombination: with whole words a value has as many bytes as limbs;
/// of switched replies only those of 4 bytes are packed in pieces.
template <int kLimbCount, bool kSwitchedReply>
struct ReplyKind {
  static constexpr int kLimbs = kLimbCount;
  static constexpr bool kSwitched = kSwitchedReply;
  static constexpr int kBytes = kSwitchedReply ? 4 : kLimbCount; ///< of a value in pieces
};

/// The bytes that a block writes.
struct BlockBytes {
  std::size_t begin = 0;
  std::size_t end = 0;

  TALARIA_BOTH_SIDES BlockBytes(const ThreadIndex& at, const SumsToReply& job) {
    const std::size_t first = static_cast<std::size_t>(at.block_x) * kBlockColumns;
    const std::size_t left = job.columns - first;
    const std::size_t count = left < kBlockColumns ? left : kBlockColumns;
    const auto width = static_cast<unsigned>(job.packing.bytes);
    begin = (at.block_y * job.out_columns + job.first_column + first) * width;
    end = begin + count * width;
  }
  /// Whether a thread's four values are whole pieces.
  template <class Kind>
  TALARIA_BOTH_SIDES bool in_pieces(const SumsToReply& job) const {
    return job.packing.bytes == Kind::kBytes && begin % 4 == 0;
  }
};

/// Four values of kBytes bytes, 4 to 7, without gaps.
template <int kBytes>
TALARIA_BOTH_SIDES inline void pack_four(const u64 (&values)[4], u32* pieces) {
  for (int n = 0; n < kBytes; ++n) {
    const int first = 4 * n / kBytes;
    const int skipped = 4 * n % kBytes;
    u64 piece = values[first] >> (8 * skipped);
    if (kBytes - skipped < 4) piece |= values[first + 1] << (8 * (kBytes - skipped));
    pieces[n] = static_cast<u32>(piece);
  }
}

/// Makes the values of four columns of row `block_y`. All threads of a block are to have done this
/// before one of them goes on to write_thread().
template <class Kind>
TALARIA_BOTH_SIDES inline void recombine_thread(const ThreadIndex& at, const SumsToReply& job,
                                                BlockValues& shared) {
  struct alignas(16) Four {
    i32 column[kThreadColumns];
  };
  const std::size_t first = static_cast<std::size_t>(at.block_x) * kBlockColumns;
  const unsigned mine = at.thread * kThreadColumns;
  if (first + mine >= job.columns) return;
  Four sums[Kind::kLimbs];
  for (int l = 0; l < Kind::kLimbs; ++l) {
    const std::size_t row = static_cast<unsigned>(l) * job.rows + at.block_y;
    sums[l] = *reinterpret_cast<const Four*>(job.sums + row * job.stride + first + mine);
  }
  u64 values[kThreadColumns];
  for (unsigned k = 0; k < kThreadColumns; ++k) {
    i32 s[Kind::kLimbs];
    for (int l = 0; l < Kind::kLimbs; ++l) s[l] = sums[l].column[k];
    values[k] = job.recombination.word<Kind::kLimbs>(s);
    if constexpr (Kind::kSwitched) values[k] = job.reply.switched_value(values[k]);
  }
  if (BlockBytes(at, job).in_pieces<Kind>(job))
    pack_four<Kind::kBytes>(values, shared.piece + at.thread * Kind::kBytes);
  else
    for (unsigned k = 0; k < kThreadColumns; ++k) shared.value[mine + k] = values[k];
}

/// Writes a block's packed pieces, and the single bytes behind the last whole one.
TALARIA_BOTH_SIDES inline void write_pieces(const ThreadIndex& at, const BlockBytes& bytes, u8* out,
                                            const BlockValues& shared) {
  const auto count = static_cast<unsigned>(bytes.end - bytes.begin);
  u32* pieces = reinterpret_cast<u32*>(out + bytes.begin);
  for (unsigned n = at.thread; n < count / 4; n += kThreads) pieces[n] = shared.piece[n];
  if (const unsigned b = count / 4 * 4 + at.thread; b < count)
    out[bytes.begin + b] = static_cast<u8>(shared.piece[b / 4] >> (8 * (b % 4)));
}

/// Writes the block's bytes: whole 4-byte pieces, and single bytes at both ends, where neighbouring
/// blocks write to the same piece.
template <class Kind>
TALARIA_BOTH_SIDES inline void write_thread(const ThreadIndex& at, const SumsToReply& job,
                                            const BlockValues& shared) {
  const BlockBytes bytes(at, job);
  if (bytes.in_pieces<Kind>(job)) return write_pieces(at, bytes, job.out, shared);
  for (std::size_t piece = bytes.begin / 4 * 4 + at.thread * 4; piece < bytes.end;
       piece += kThreads * 4) {
    if (piece >= bytes.begin && piece + 4 <= bytes.end) {
      *reinterpret_cast<u32*>(job.out + piece) =
          job.packing.piece(shared.value, static_cast<u32>(piece - bytes.begin));
      continue;
    }
    for (std::size_t b = piece; b < piece + 4; ++b)
      if (b >= bytes.begin && b < bytes.end)
        job.out[b] = job.packing.byte(shared.value, static_cast<u32>(b - bytes.begin));
  }
}

} // namespace talaria::kernels::cuda
