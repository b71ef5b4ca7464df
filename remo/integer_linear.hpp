#pragma once

#include <atomic>
#include <cstddef>
#include <memory>
#include <vector>

#include "remo/bounds.hpp"
#include "remo/integrity.hpp"
#include "remo/linear_record.hpp"
#include "remo/masking_scheme.hpp"

namespace talaria::remo {

/// Set once a switched reply was wrong; one for all linears of a scheme.
using SharedAbort = std::shared_ptr<std::atomic<bool>>;

/// What `lattice` and `clear` share, and why they agree bit for bit: the same integers go out, with
/// or without masks, and the same integers come back.
///
///   mask    c = Delta x_q + u mod q                     ||x_q|| <= B (bounds.hpp)
///   unmask  (1) y.z = c.t   before decoding; full replies only
///           (2) r = round([y - v]_q / Delta)
///           (3) r.z = x_q.t after decoding
///
/// with q the modulus of the matrix's words: p where masks are rounded. Rows of a mask, where there
/// are any, are those of a PairedMaskBlock.
///
/// With switched replies an abort may depend on the errors under a mask, so the first one ends the
/// use of every secret of the scheme: from then on no linear of it masks or opens anything.
class IntegerLinear : public MaskedLinear {
public:
  u32 matrix() const noexcept final { return record_.matrix; }
  const std::string& name() const noexcept final { return record_.name; }
  std::size_t d_in() const noexcept final { return record_.d_in; }
  std::size_t d_out() const noexcept final { return record_.d_out; }
  std::size_t word_bytes() const noexcept final { return words_.word_bytes(); }

  Masked mask(MatrixView<const float> x, std::vector<MaskRow> masks) const final;
  Result<Matrix<float>> unmask(std::unique_ptr<Opening>& opening, const WorkerProduct& product,
                               MatrixView<const float> residual) const final;
  std::set<std::size_t> wrong_shards(const MaskedTensor& sent,
                                     const WorkerProduct& product) const final;

  const LinearBounds& bounds() const noexcept { return bounds_; }

protected:
  IntegerLinear(const SchemeOptions& options, SharedAbort abort, LinearRecord record,
                LinearBounds bounds, int delta_bits, ProductCheck check);

  const LinearRecord& record() const noexcept { return record_; }
  const WordFormat& words() const noexcept { return words_; }

private:
  class IntegerOpening;

  std::optional<Error> aborted() const;
  bool masked() const noexcept { return mask_row_bytes() != 0; }
  void hide(const i32* x, const MaskRow* mask, u8* words) const;
  std::size_t reply_bytes() const;
  std::optional<Error> wrong_reply(const WorkerProduct& product, std::size_t rows) const;
  Error beyond_modulus() const;
  std::optional<Error> wrong_row(const kernels::RowDots& sent, const u8* words,
                                 const i64* decoded) const;
  Result<Matrix<float>> decode(const IntegerOpening& opening, const WorkerProduct& product,
                               MatrixView<const float> residual) const;
  void combine_column_sets(i64* r) const;

  WordFormat words_;
  ReplyFormat reply_;
  ProductKind kind_;
  SharedAbort abort_;
  bool verify_;
  LinearRecord record_;
  LinearBounds bounds_;
  int delta_bits_;
  ProductCheck check_;
};

} // namespace talaria::remo
