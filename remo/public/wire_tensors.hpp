#pragma once

#include <cstddef>
#include <memory>
#include <vector>

#include "core/integers.hpp"
#include "core/matrix.hpp"

namespace talaria::remo {

/// The arithmetic a worker is asked for, and with it the format of a reply's values.
enum class ProductKind : u8 {
  residues, ///< words mod q in, words mod q out
  switched, ///< words mod q in, words mod q_d out: round(y q_d / q) mod q_d (docs/protocol.md,
            ///< Switched replies)
  float32,  ///< fp32 in, fp32 out: the hybrid research scheme
  int8,     ///< int8 in, int32 out, neither masked nor checked: the baseline of `talaria bench`
  rounded,  ///< residues modulo p instead of q, for a set that rounds and a matrix that it rounds
  rounded_switched, ///< likewise
};
const char* to_string(ProductKind kind) noexcept;

constexpr bool is_rounded(ProductKind kind) noexcept {
  return kind == ProductKind::rounded || kind == ProductKind::rounded_switched;
}
constexpr bool is_switched(ProductKind kind) noexcept {
  return kind == ProductKind::switched || kind == ProductKind::rounded_switched;
}
/// Whether values are words modulo q or p.
constexpr bool is_words(ProductKind kind) noexcept {
  return kind != ProductKind::float32 && kind != ProductKind::int8;
}
/// The kind of words that a tensor of masks has.
constexpr ProductKind kind_of_words(bool rounded, bool switched) noexcept {
  if (rounded) return switched ? ProductKind::rounded_switched : ProductKind::rounded;
  return switched ? ProductKind::switched : ProductKind::residues;
}

using SharedBytes = std::shared_ptr<const AlignedBuffer<u8>>;

/// Ties a product to the request it is made for, in traces only. All zero unless the enclave
/// traces: otherwise it would show a worker which rows belong together.
struct TraceMark {
  u64 id = 0; ///< of the request; of the first one if the micro-batch carries several
  u64 micro_batch = 0;
};

/// When a worker did what: ns since 1970 by its own clock, 0 where unknown. The worker's word and
/// nothing else: drawn in traces, never used for a decision.
struct ProductTiming {
  i64 received = 0; ///< the whole request was there
  i64 started = 0;  ///< the product that these rows were part of began
  i64 finished = 0;
  u32 joined_rows = 0; ///< in that product, these included
};

/// What the enclave hands to a worker: rows of a masked activation for one matrix. One of the two
/// tensor types that may leave the process. Copies share the bytes.
struct MaskedTensor {
  u32 matrix = 0; ///< LinearId of the matrix to multiply by
  ProductKind kind = ProductKind::residues;
  u32 rows = 0;
  u32 cols = 0;      ///< d_in
  SharedBytes bytes; ///< [rows][cols] values without gaps, little-endian
  TraceMark mark = {};
  i64 received = 0; ///< when the worker got it, ns since 1970; 0: unknown. Never travels
};

/// What a worker answers: the product with its matrix, row for row. The other type that may travel.
struct WorkerProduct {
  u32 matrix = 0;
  ProductKind kind = ProductKind::residues;
  u32 rows = 0;
  u32 cols = 0; ///< columns of the matrix as the worker holds it (2 d_out for int16)
  SharedBytes bytes;
  /// Who computed it, one node number per column shard, filled in by the enclave's dispatcher;
  /// never travels. Empty from an embedded worker.
  std::vector<u32> answered_by{};
  ProductTiming timing = {};
};

/// Asks for rows [first, first + count) of the hint R = A W of one matrix.
struct HintRequest {
  u32 matrix = 0;
  u32 first = 0;
  u32 count = 0;
};

/// Asks for panels [first, first + count) of one matrix (kernels::PackedWeights::kPanel columns
/// each): an enclave without weights streams them once, for its integrity vectors.
struct WeightRequest {
  u32 matrix = 0;
  u32 first = 0;
  u32 count = 0;
};

/// Panels as they lie in memory, [count][ceil(d_in / 4)][64 columns][4 inputs] int8.
struct WeightPanels {
  u32 matrix = 0;
  u32 first = 0;
  u32 count = 0;
  SharedBytes bytes;
};

} // namespace talaria::remo
