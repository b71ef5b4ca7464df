#include "remo/integer_linear.hpp"

#include <array>
#include <utility>

#include "core/constant_time.hpp"
#include "core/declassify.hpp"
#include "core/secret.hpp"
#include "core/step_clock.hpp"
#include "kernels/kernel_set.hpp"
#include "remo/activation_rows.hpp"
#include "remo/mask_block.hpp"
#include "remo/public/reply_switch.hpp"

namespace talaria::remo {

namespace {

/// Whether a check failed may be seen, by how much it did may not.
template <std::size_t Count>
bool differ(const std::array<u64, Count>& a, const std::array<u64, Count>& b) {
  u64 difference = 0;
  for (std::size_t i = 0; i < Count; ++i) difference |= a[i] ^ b[i];
  return declassified(~constant_time::equal(difference, u64{0})) != 0;
}

} // namespace

class IntegerLinear::IntegerOpening final : public Opening {
public:
  IntegerOpening(const IntegerLinear* linear, std::size_t row_count)
      : Opening(linear), row_scales(row_count), sent(row_count) {}
  std::size_t rows() const noexcept override { return row_scales.size(); }

  std::vector<MaskRow> masks;          ///< empty without masks
  SecretBuffer<float> row_scales;      ///< of quantize_activation
  SecretBuffer<kernels::RowDots> sent; ///< c.t and x_q.t, what the two checks of a row compare with
};

IntegerLinear::IntegerLinear(const SchemeOptions& options, SharedAbort abort, LinearRecord record,
                             LinearBounds bounds, int delta_bits, ProductCheck check)
    : words_(words_of(*options.parameters, bounds)), reply_(options.reply),
      kind_(kind_of_words(bounds.rounded, reply_ == ReplyFormat::switched)),
      abort_(std::move(abort)), verify_(options.verify), record_(std::move(record)),
      bounds_(bounds), delta_bits_(delta_bits), check_(std::move(check)) {}

std::optional<Error> IntegerLinear::aborted() const {
  if (!abort_->load()) return std::nullopt;
  return Error(Errc::verification,
               record_.name + ": an earlier switched reply was wrong, which ends the use of its "
                              "secrets: start anew, or use full replies");
}

Masked IntegerLinear::mask(MatrixView<const float> x, std::vector<MaskRow> masks) const {
  if (const auto error = aborted()) throw Error(*error);
  record_.check_input(x, masked() ? masks.size() : x.rows);
  const std::size_t n = record_.d_in;
  auto opening = std::make_unique<IntegerOpening>(this, x.rows);
  auto bytes = std::make_shared<AlignedBuffer<u8>>(x.rows * n * word_bytes(), Unwritten{});
  SecretBuffer<i32> integers(n, Unwritten{});

  for (std::size_t r = 0; r < x.rows; ++r) {
    opening->row_scales[r] =
        quantize_activation({x.row(r), n}, bounds_.activation_norm, record_.name, integers.data());
    u8* words = bytes->data() + r * n * word_bytes();
    hide(integers.data(), masked() ? &masks[r] : nullptr, words);
    if (!verify_) continue;
    const TimedStep timed(Step::verify, r, x.rows);
    opening->sent[r] = check_.sent(words, integers.data());
  }
  if (masked()) {
    masks.erase(masks.begin() + static_cast<std::ptrdiff_t>(x.rows), masks.end());
    opening->masks = std::move(masks);
  }
  MaskedTensor tensor{record_.matrix, kind_, static_cast<u32>(x.rows), static_cast<u32>(n),
                      std::move(bytes)};
  return {std::move(tensor), std::move(opening)};
}

/// One row of integers as words; what of a mask has hidden them is wiped.
void IntegerLinear::hide(const i32* x, const MaskRow* mask, u8* words) const {
  const kernels::KernelSet& kernels = kernels::active_kernels();
  if (mask == nullptr)
    return kernels.mask_row(x, nullptr, words, record_.d_in, delta_bits_, words_.modulus);
  PairedMaskBlock& block = PairedMaskBlock::of_unused(*mask, this);
  kernels.mask_row(x, block.u(mask->index()), words, record_.d_in, delta_bits_, words_.modulus);
  block.wipe_u(mask->index());
}

/// Bytes of a value of a reply.
std::size_t IntegerLinear::reply_bytes() const {
  return reply_ == ReplyFormat::full ? word_bytes()
                                     : static_cast<std::size_t>(words_.reply_bytes());
}

/// What can be seen before any row is opened: the format, and words beyond the modulus unless
/// wrong_row() looks for them.
std::optional<Error> IntegerLinear::wrong_reply(const WorkerProduct& product,
                                                std::size_t rows) const {
  const bool full = reply_ == ReplyFormat::full;
  if (auto wrong = record_.wrong_format(product, kind_, rows, reply_bytes())) return wrong;
  const bool checked_by_row = full && verify_;
  if (!checked_by_row &&
      !words_below(product.bytes->data(), rows * record_.columns, static_cast<int>(reply_bytes()),
                   full ? words_.modulus.q : words_.reply_modulus))
    return beyond_modulus();
  return std::nullopt;
}

Error IntegerLinear::beyond_modulus() const {
  return record_.verification_error("holds a word beyond the modulus");
}

/// Canonical words and check (1), for full replies, whose abort depends on no secret; then check
/// (2) of what they decode to. Nothing of a row is used before it has passed.
std::optional<Error> IntegerLinear::wrong_row(const kernels::RowDots& sent, const u8* words,
                                              const i64* decoded) const {
  const bool full = reply_ == ReplyFormat::full;
  const kernels::RowDots received = check_.received(full ? words : nullptr, decoded);
  if (!received.below) return beyond_modulus();
  if (full && differ(received.words, sent.words))
    return record_.verification_error("is not the product (check before decoding)");
  if (differ(received.integers, sent.integers))
    return record_.verification_error("is not the product (check after decoding)");
  return std::nullopt;
}

Result<Matrix<float>> IntegerLinear::decode(const IntegerOpening& opening,
                                            const WorkerProduct& product,
                                            MatrixView<const float> residual) const {
  const kernels::KernelSet& kernels = kernels::active_kernels();
  const std::size_t columns = record_.columns;
  const bool full = reply_ == ReplyFormat::full;
  Matrix<float> out(opening.rows(), record_.d_out, Unwritten{});
  SecretBuffer<i64> decoded(columns, Unwritten{});
  SecretBuffer<u8> widened(full ? 0 : columns * word_bytes());

  for (std::size_t r = 0; r < opening.rows(); ++r) {
    const u8* words = product.bytes->data() + r * columns * reply_bytes();
    if (!full) {
      const TimedStep timed(Step::unpack, r, opening.rows());
      unswitch_reply(words_, words, columns, widened.data());
      words = widened.data();
    }
    const MaskRow* mask = masked() ? &opening.masks[r] : nullptr;
    const u8* v = mask ? PairedMaskBlock::of(*mask, this).v(mask->index()) : nullptr;
    kernels.decode_row(words, v, decoded.data(), columns, delta_bits_, words_.modulus);
    const auto wrong = [&]() -> std::optional<Error> {
      if (!verify_) return std::nullopt;
      const TimedStep timed(Step::verify, r, opening.rows());
      return wrong_row(opening.sent[r], words, decoded.data());
    }();
    if (wrong) {
      wipe(out.data(), out.rows() * out.cols() * sizeof(float));
      return *wrong;
    }
    if (record_.two_column_sets()) combine_column_sets(decoded.data());
    kernels.dequantize_row(decoded.data(), opening.row_scales[r], record_.scale.data(),
                           record_.bias.empty() ? nullptr : record_.bias.data(),
                           optional_row(residual, r), out.row(r), record_.d_out);
  }
  return out;
}

Result<Matrix<float>> IntegerLinear::unmask(std::unique_ptr<Opening>& opening,
                                            const WorkerProduct& product,
                                            MatrixView<const float> residual) const {
  const auto& own = opening_of<IntegerOpening>(this, opening);
  record_.check_residual(residual, own.rows());
  auto wrong = aborted();
  if (!wrong) wrong = wrong_reply(product, own.rows());
  Result<Matrix<float>> result =
      wrong ? Result<Matrix<float>>(std::move(*wrong)) : decode(own, product, residual);
  if (!result && reply_ == ReplyFormat::switched) abort_->store(true);
  if (result || reply_ == ReplyFormat::switched) opening.reset();
  return result;
}

std::set<std::size_t> IntegerLinear::wrong_shards(const MaskedTensor& sent,
                                                  const WorkerProduct& product) const {
  std::set<std::size_t> wrong;
  if (reply_ != ReplyFormat::full || !verify_ || wrong_reply(product, sent.rows)) return wrong;
  for (std::size_t r = 0; r < sent.rows; ++r)
    check_.find_wrong_shards(sent.bytes->data() + r * record_.d_in * word_bytes(),
                             product.bytes->data() + r * record_.columns * word_bytes(), wrong);
  return wrong;
}

/// The int16 columns [hi | lo] of the product become 256 hi + lo.
void IntegerLinear::combine_column_sets(i64* r) const {
  for (std::size_t j = 0; j < record_.d_out; ++j) r[j] = 256 * r[j] + r[record_.d_out + j];
}

} // namespace talaria::remo
