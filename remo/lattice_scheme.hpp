#pragma once

#include <map>
#include <memory>

#include "kernels/ntt_plan.hpp"
#include "remo/hint_tiles.hpp"
#include "remo/integer_linear.hpp"
#include "remo/mask_block.hpp"
#include "remo/masking_scheme.hpp"

namespace talaria::remo {

/// One matrix under Module-LWE masks (docs/protocol.md, Overview). Blocks of N rows share one
/// secret.
class LatticeLinear final : public IntegerLinear {
public:
  LatticeLinear(const SchemeOptions& options, SharedAbort abort, LinearRecord record,
                LinearBounds bounds, ProductCheck check,
                std::shared_ptr<const kernels::NttPlan> plan, std::shared_ptr<const HintTiles> a,
                HintTiles hint);

  std::size_t hint_bytes() const noexcept override { return hint_.bytes(); }
  std::size_t mask_row_bytes() const noexcept override {
    return round_up(record().d_in * word_bytes(), 64) +
           round_up(record().columns * word_bytes(), 64);
  }
  std::size_t block_rows() const noexcept override { return plan_->n; }
  std::vector<MaskRow> make_block(Rng& rng) const override;
  std::vector<std::vector<MaskRow>> make_blocks(Rng& rng, std::size_t count) const override;

private:
  /// From the masks' modulus to that of this matrix's words.
  kernels::WordRounding rounding() const { return {plan_->modulus, words().modulus}; }

  std::shared_ptr<const kernels::NttPlan> plan_;
  std::shared_ptr<const HintTiles> a_; ///< shared by all matrices with as many inputs
  HintTiles hint_;
};

class LatticeScheme final : public MaskingScheme {
public:
  explicit LatticeScheme(const SchemeOptions& options);
  SchemeKind kind() const noexcept override { return SchemeKind::lattice; }
  std::string warning() const override { return {}; }
  std::unique_ptr<MaskedLinear> prepare(const LinearSpec& spec, HintSource& source, Rng& rng,
                                        Progress& progress) override;

private:
  std::shared_ptr<const HintTiles> public_matrix(std::size_t d_in);

  SchemeOptions options_;
  SharedAbort abort_;
  std::shared_ptr<const kernels::NttPlan> plan_;
  std::map<std::size_t, std::shared_ptr<const HintTiles>> public_; ///< A by d_in
};

} // namespace talaria::remo
