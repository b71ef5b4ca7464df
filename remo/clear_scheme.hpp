#pragma once

#include <memory>

#include "remo/integer_linear.hpp"
#include "remo/masking_scheme.hpp"

namespace talaria::remo {

/// One matrix without any protection: the integers of the lattice scheme, sent as they are.
class ClearLinear final : public IntegerLinear {
public:
  ClearLinear(const SchemeOptions& options, SharedAbort abort, LinearRecord record,
              LinearBounds bounds, ProductCheck check);

  std::size_t hint_bytes() const noexcept override { return 0; }
  std::size_t mask_row_bytes() const noexcept override { return 0; }
  std::size_t block_rows() const noexcept override { return 0; }
  std::vector<MaskRow> make_block(Rng&) const override { return {}; }
};

class ClearScheme final : public MaskingScheme {
public:
  explicit ClearScheme(const SchemeOptions& options);
  SchemeKind kind() const noexcept override { return SchemeKind::clear; }
  std::string warning() const override;
  std::unique_ptr<MaskedLinear> prepare(const LinearSpec& spec, HintSource& source, Rng& rng,
                                        Progress& progress) override;

private:
  SchemeOptions options_;
  SharedAbort abort_;
};

} // namespace talaria::remo
