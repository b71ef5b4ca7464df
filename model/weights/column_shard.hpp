#pragma once

#include <cstddef>
#include <span>
#include <string>

#include "core/digest.hpp"
#include "core/integers.hpp"
#include "core/model_part.hpp"
#include "model/weights/quantized.hpp"

namespace talaria::model {

using talaria::ColumnShare;

/// Columns [first, first + count) of a matrix as a worker holds it (column sets included).
struct ColumnRange {
  u64 first = 0;
  u64 count = 0;
  friend bool operator==(const ColumnRange&, const ColumnRange&) = default;
};

/// The columns of one share. Cuts lie at multiples of kernels::PackedWeights::kPanel, shares differ
/// by one panel at most, and one after the other they are the whole. A matrix with fewer panels
/// than shares leaves some shares empty (count 0): its owner computes nothing of that matrix.
/// @throws Error{config} if index is not below count.
ColumnRange column_range(u64 columns, ColumnShare share);

/// The part of a matrix that a worker with this range holds: same id, format, d_in and d_out (of
/// the whole), fewer columns, `scale` empty. A range must begin at a panel and end at one or at the
/// last column.
/// @throws Error{internal} for another range.
QuantizedLinear take_columns(const QuantizedLinear& whole, ColumnRange range);

/// What both sides compare when a worker holds part of a matrix: SHA-256 over id, format, d_in,
/// d_out of the whole matrix as in digest(), then first column and count (8 bytes each,
/// little-endian), then the packed panels. For all columns it is digest().
Sha256Digest digest_of_part(const QuantizedLinear& whole, ColumnRange range);

/// The same, by whoever has only the part: `part` of take_columns(), whose first column is `first`.
Sha256Digest digest_of_held_part(const QuantizedLinear& part, u64 first);

/// Puts a matrix together again from panels that arrive in order, as an untrusted worker sends
/// them. Holds one matrix. Nothing of it may be used before finish().
class WeightAssembler {
public:
  /// `name` is for errors, e.g. "layers.3.qkv"; the shape is that of the whole matrix.
  WeightAssembler(std::string name, LinearId id, WeightFormat format, std::size_t d_in,
                  std::size_t d_out);

  std::size_t panels() const noexcept { return linear_.columns.panels(); }
  std::size_t panel_bytes() const noexcept { return panel_bytes_; }
  /// Panels still to come begin here.
  std::size_t next_panel() const noexcept { return next_; }

  /// Panels [first, first + count), as they lie in memory.
  /// @throws Error{verification} naming the matrix if they are not the next ones or of another
  /// size.
  void add(u64 first, u64 count, std::span<const u8> bytes);

  /// What panels [first, first + count) hold, as they lie in memory.
  std::span<const u8> at(u64 first, u64 count) const;
  /// Other bytes for panels that were added, from panel `first` on; whole ones.
  void replace(u64 first, std::span<const u8> bytes);
  /// Whether all panels are there and are those of the matrix with this digest().
  bool matches(const Sha256Digest& expected) const;

  /// The matrix, `scale` empty. Call once.
  /// @throws Error{verification} naming the matrix if panels are missing or its digest() is not
  /// `expected`.
  QuantizedLinear finish(const Sha256Digest& expected);

private:
  std::string name_;
  QuantizedLinear linear_;
  std::size_t panel_bytes_;
  std::size_t next_ = 0;
};

} // namespace talaria::model
