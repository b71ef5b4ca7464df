#pragma once

#include <memory>

#include "remo/linear_record.hpp"
#include "remo/masking_scheme.hpp"

namespace talaria::remo {

/// One matrix in int8 arithmetic as an engine without secrets does it: each activation row rounded
/// to x_q[i] = rint(127 x[i] / max |x|), sent as it is, multiplied with int32 sums, scaled back.
/// Neither masked nor checked, and coarser than the integers of `lattice` and `clear`: the
/// baseline of `talaria bench` for speed, and of nothing else.
class PlainLinear final : public MaskedLinear {
public:
  explicit PlainLinear(LinearRecord record) : record_(std::move(record)) {}

  u32 matrix() const noexcept override { return record_.matrix; }
  const std::string& name() const noexcept override { return record_.name; }
  std::size_t d_in() const noexcept override { return record_.d_in; }
  std::size_t d_out() const noexcept override { return record_.d_out; }
  std::size_t hint_bytes() const noexcept override { return 0; }
  std::size_t mask_row_bytes() const noexcept override { return 0; }
  std::size_t block_rows() const noexcept override { return 0; }
  std::vector<MaskRow> make_block(Rng&) const override { return {}; }

  Masked mask(MatrixView<const float> x, std::vector<MaskRow> masks) const override;
  Result<Matrix<float>> unmask(std::unique_ptr<Opening>& opening, const WorkerProduct& product,
                               MatrixView<const float> residual) const override;

private:
  class PlainOpening;

  LinearRecord record_;
};

class PlainScheme final : public MaskingScheme {
public:
  SchemeKind kind() const noexcept override { return SchemeKind::plain; }
  std::string warning() const override;
  std::unique_ptr<MaskedLinear> prepare(const LinearSpec& spec, HintSource& source, Rng& rng,
                                        Progress& progress) override;
};

} // namespace talaria::remo
