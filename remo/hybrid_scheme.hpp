#pragma once

#include <map>
#include <memory>

#include "core/matrix.hpp"
#include "remo/float_check.hpp"
#include "remo/linear_record.hpp"
#include "remo/masking_scheme.hpp"

namespace talaria::remo {

/// One matrix under the paper's low-rank masks in fp32 (arXiv 2603.00196; docs/protocol.md, Other
/// schemes):
///
///   offline  u = P M_pub, v = P R_pub         P a normal row of length m, R_pub = M_pub W
///   mask     c = x + a u                      a = amplitude rms(x)
///   unmask   x W = c W - a v
/// For research: attacks recover tokens from c (docs/protocol.md, Attacks tried), and results carry
/// rounding errors.
class HybridLinear final : public MaskedLinear {
public:
  HybridLinear(const SchemeOptions& options, LinearRecord record, FloatCheck check,
               std::shared_ptr<const Matrix<float>> public_rows, Matrix<float> hint);

  u32 matrix() const noexcept override { return record_.matrix; }
  const std::string& name() const noexcept override { return record_.name; }
  std::size_t d_in() const noexcept override { return record_.d_in; }
  std::size_t d_out() const noexcept override { return record_.d_out; }
  std::size_t hint_bytes() const noexcept override {
    return hint_.rows() * hint_.cols() * sizeof(float);
  }
  std::size_t mask_row_bytes() const noexcept override {
    return (record_.d_in + record_.columns) * sizeof(float);
  }
  std::size_t block_rows() const noexcept override;

  std::vector<MaskRow> make_block(Rng& rng) const override;
  Masked mask(MatrixView<const float> x, std::vector<MaskRow> masks) const override;
  Result<Matrix<float>> unmask(std::unique_ptr<Opening>& opening, const WorkerProduct& product,
                               MatrixView<const float> residual) const override;
  std::set<std::size_t> wrong_shards(const MaskedTensor& sent,
                                     const WorkerProduct& product) const override;

private:
  class HybridOpening;

  float mask_amplitude(const float* x) const;
  void open_row(const float* y, const float* v, float amplitude, const float* residual,
                float* out) const;

  LinearRecord record_;
  double amplitude_;
  bool verify_;
  FloatCheck check_;
  std::shared_ptr<const Matrix<float>> public_; ///< M_pub [m, d_in], shared by equal d_in
  Matrix<float> hint_;                          ///< R_pub [m, columns]
};

class HybridScheme final : public MaskingScheme {
public:
  /// @throws Error{usage} unless 0 < hybrid_rank <= 1 and hybrid_amplitude > 0.
  explicit HybridScheme(const SchemeOptions& options);
  SchemeKind kind() const noexcept override { return SchemeKind::hybrid; }
  std::string warning() const override;
  std::unique_ptr<MaskedLinear> prepare(const LinearSpec& spec, HintSource& source, Rng& rng,
                                        Progress& progress) override;

private:
  std::shared_ptr<const Matrix<float>> public_rows(std::size_t d_in);

  SchemeOptions options_;
  std::map<std::size_t, std::shared_ptr<const Matrix<float>>> public_; ///< M_pub by d_in
};

} // namespace talaria::remo
