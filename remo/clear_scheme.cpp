#include "remo/clear_scheme.hpp"

#include <utility>

#include "kernels/kernel_set.hpp"

namespace talaria::remo {

// Switching rounds the product by q / q_d, so then the integers need Delta's headroom even
// unmasked.
ClearLinear::ClearLinear(const SchemeOptions& options, SharedAbort abort, LinearRecord record,
                         LinearBounds bounds, ProductCheck check)
    : IntegerLinear(options, std::move(abort), std::move(record), bounds,
                    options.reply == ReplyFormat::switched ? bounds.delta_bits : 0,
                    std::move(check)) {}

ClearScheme::ClearScheme(const SchemeOptions& options)
    : options_(options), abort_(std::make_shared<std::atomic<bool>>(false)) {}

std::string ClearScheme::warning() const {
  return "clear: nothing is hidden, the worker sees every activation; for comparison only";
}

std::unique_ptr<MaskedLinear> ClearScheme::prepare(const LinearSpec& spec, HintSource&, Rng& rng,
                                                   Progress&) {
  LinearRecord record(spec);
  const LatticeParameters& parameters = *options_.parameters;
  const LinearBounds bounds =
      linear_bounds(parameters, spec.name, spec.d_in, kernels::max_column_norm(*spec.columns));
  ProductCheck check(*spec.columns, words_of(parameters, bounds).modulus, parameters.check_vectors,
                     rng, spec.cuts);
  return std::make_unique<ClearLinear>(options_, abort_, std::move(record), bounds,
                                       std::move(check));
}

} // namespace talaria::remo
