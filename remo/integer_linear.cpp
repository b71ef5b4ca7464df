#include "remo/integer_linear.hpp"

#include <utility>

#include "core/secret.hpp"
#include "core/step_clock.hpp"
#include "kernels/kernel_set.hpp"
#include "remo/activation_rows.hpp"
#include "remo/public/reply_switch.hpp"

namespace talaria::remo {

/// What the two checks of one row compare with.
struct IntegerLinear::RowChecks {
  ProductCheck::Dots sent{};       ///< c.t
  ProductCheck::Dots activation{}; ///< x_q.t
};

class IntegerLinear::IntegerOpening final : public Opening {
public:
  IntegerOpening(const IntegerLinear* linear, std::size_t row_count)
      : owner(linear), units(row_count), checks(row_count) {}
  std::size_t rows() const noexcept override { return units.size(); }

  const IntegerLinear* owner;
  std::vector<MaskRow> masks; ///< empty without masks
  SecretBuffer<float> units;  ///< of quantize_activation
  SecretBuffer<RowChecks> checks;
};

IntegerLinear::IntegerLinear(const SchemeOptions& options, SharedAbort abort, LinearRecord record,
                             LinearBounds bounds, int delta_bits, ProductCheck check)
    : parameters_(options.parameters), q_(options.parameters->modulus()), reply_(options.reply),
      abort_(std::move(abort)), verify_(options.verify), record_(std::move(record)),
      bounds_(bounds), delta_bits_(delta_bits), check_(std::move(check)) {}

std::optional<Error> IntegerLinear::aborted() const {
  if (!abort_->load()) return std::nullopt;
  return Error(Errc::verification,
               record_.name + ": an earlier switched reply was wrong, which ends the use of its "
                              "secrets: start anew, or use full replies");
}

Masked IntegerLinear::mask(MatrixView<const float> x, std::vector<MaskRow> masks) const {
  if (const auto error = aborted()) throw *error;
  record_.check_input(x, masked() ? masks.size() : x.rows);
  const kernels::KernelSet& kernels = kernels::active_kernels();
  const std::size_t n = record_.d_in;
  auto opening = std::make_unique<IntegerOpening>(this, x.rows);
  auto bytes = std::make_shared<AlignedBuffer<u8>>(x.rows * n * word_bytes(), Unwritten{});
  SecretBuffer<i32> integers(n, Unwritten{});
  SecretBuffer<i64> wide(verify_ ? n : 0, Unwritten{});

  for (std::size_t r = 0; r < x.rows; ++r) {
    const RowMask mask = masked() ? row_mask(masks[r]) : RowMask{};
    opening->units[r] =
        quantize_activation({x.row(r), n}, bounds_.activation_norm, record_.name, integers.data());
    u8* words = bytes->data() + r * n * word_bytes();
    kernels.mask_row(integers.data(), mask.u, words, n, delta_bits_, q_);
    if (!verify_) continue;
    const TimedStep timed(Step::verify, r, x.rows);
    for (std::size_t i = 0; i < n; ++i) wide[i] = integers[i];
    opening->checks[r] = {check_.sent_dots(words), check_.activation_dots(wide.data())};
  }
  if (masked()) {
    masks.erase(masks.begin() + static_cast<std::ptrdiff_t>(x.rows), masks.end());
    opening->masks = std::move(masks);
  }
  const ProductKind kind =
      reply_ == ReplyFormat::full ? ProductKind::residues : ProductKind::switched;
  MaskedTensor tensor{record_.matrix, kind, static_cast<u32>(x.rows), static_cast<u32>(n),
                      std::move(bytes)};
  return {std::move(tensor), std::move(opening)};
}

/// Format, canonical words and, for full replies, check (1). An abort here depends on no secret.
std::optional<Error> IntegerLinear::wrong_words(const IntegerOpening& opening,
                                                const WorkerProduct& product) const {
  const bool full = reply_ == ReplyFormat::full;
  const std::size_t rows = opening.rows();
  const std::size_t value_bytes =
      full ? word_bytes() : static_cast<std::size_t>(parameters_->reply_bytes());
  if (auto wrong = record_.wrong_format(
          product, full ? ProductKind::residues : ProductKind::switched, rows, value_bytes))
    return wrong;
  if (!words_below(product.bytes->data(), rows * record_.columns, static_cast<int>(value_bytes),
                   full ? q_.q : parameters_->reply_modulus))
    return record_.verification_error("holds a word beyond the modulus");
  if (!full || !verify_) return std::nullopt;
  const TimedStep timed(Step::verify);
  for (std::size_t r = 0; r < rows; ++r)
    if (check_.reply_dots(product.bytes->data() + r * record_.columns * value_bytes) !=
        opening.checks[r].sent)
      return record_.verification_error("is not the product (check before decoding)");
  return std::nullopt;
}

Result<Matrix<float>> IntegerLinear::decode(const IntegerOpening& opening,
                                            const WorkerProduct& product,
                                            MatrixView<const float> residual) const {
  const kernels::KernelSet& kernels = kernels::active_kernels();
  const std::size_t columns = record_.columns;
  const bool full = reply_ == ReplyFormat::full;
  const std::size_t reply_row =
      columns * (full ? word_bytes() : static_cast<std::size_t>(parameters_->reply_bytes()));
  Matrix<float> out(opening.rows(), record_.d_out, Unwritten{});
  SecretBuffer<i64> decoded(columns, Unwritten{});
  SecretBuffer<u8> widened(full ? 0 : columns * word_bytes());

  for (std::size_t r = 0; r < opening.rows(); ++r) {
    const u8* words = product.bytes->data() + r * reply_row;
    if (!full) {
      const TimedStep timed(Step::unpack, r, opening.rows());
      unswitch_reply(*parameters_, words, columns, widened.data());
      words = widened.data();
    }
    const RowMask mask = masked() ? row_mask(opening.masks[r]) : RowMask{};
    kernels.decode_row(words, mask.v, decoded.data(), columns, delta_bits_, q_);
    const auto is_activation = [&] {
      const TimedStep timed(Step::verify, r, opening.rows());
      return check_.decoded_dots(decoded.data()) == opening.checks[r].activation;
    };
    if (verify_ && !is_activation()) {
      wipe(out.data(), out.rows() * out.cols() * sizeof(float));
      return record_.verification_error("is not the product (check after decoding)");
    }
    if (record_.two_column_sets()) combine_column_sets(decoded.data());
    kernels.dequantize_row(decoded.data(), opening.units[r], record_.scale.data(),
                           record_.bias.empty() ? nullptr : record_.bias.data(),
                           optional_row(residual, r), out.row(r), record_.d_out);
  }
  return out;
}

Result<Matrix<float>> IntegerLinear::unmask(std::unique_ptr<Opening>& opening,
                                            const WorkerProduct& product,
                                            MatrixView<const float> residual) const {
  const auto* own = dynamic_cast<const IntegerOpening*>(opening.get());
  if (own == nullptr || own->owner != this)
    throw Error(Errc::internal,
                record_.name + ": an opening of another matrix, or one used before");
  record_.check_residual(residual, own->rows());
  auto wrong = aborted();
  if (!wrong) wrong = wrong_words(*own, product);
  Result<Matrix<float>> result =
      wrong ? Result<Matrix<float>>(std::move(*wrong)) : decode(*own, product, residual);
  if (!result && reply_ == ReplyFormat::switched) abort_->store(true);
  if (result || reply_ == ReplyFormat::switched) opening.reset();
  return result;
}

/// The int16 columns [hi | lo] of the product become 256 hi + lo.
void IntegerLinear::combine_column_sets(i64* r) const {
  for (std::size_t j = 0; j < record_.d_out; ++j) r[j] = 256 * r[j] + r[record_.d_out + j];
}

} // namespace talaria::remo
