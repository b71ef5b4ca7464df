#include "remo/hybrid_scheme.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <set>
#include <utility>

#include <fmt/format.h>

#include "core/digest.hpp"
#include "core/step_clock.hpp"
#include "kernels/kernel_set.hpp"
#include "remo/mask_block.hpp"
#include "remo/public/public_matrix.hpp"
#include "remo/samplers.hpp"

namespace talaria::remo {
namespace {

constexpr std::size_t kBlockRows = 64;
constexpr std::size_t kSetupChunkBytes = std::size_t{4} << 20; // of public rows sent at a time

/// out [rows, cols] += a [rows, m] b [m, cols], i in order.
void accumulate_product(const float* a, std::size_t rows, const Matrix<float>& b, float* out) {
  constexpr std::size_t kColumns = 1024; // what is summed stays in the cache
  const std::size_t m = b.rows();
  const std::size_t cols = b.cols();
  for (std::size_t first = 0; first < cols; first += kColumns) {
    const std::size_t last = std::min(cols, first + kColumns);
    for (std::size_t i = 0; i < m; ++i)
      for (std::size_t r = 0; r < rows; ++r) {
        const float factor = a[r * m + i];
        const float* from = b.row(i);
        float* to = out + r * cols;
        for (std::size_t j = first; j < last; ++j) to[j] += factor * from[j];
      }
  }
}

/// R_pub = M_pub W by the worker, every row checked.
Matrix<float> fetch_hint(const LinearRecord& record, const Matrix<float>& rows,
                         const FloatCheck& check, HintSource& source, Progress& progress) {
  Matrix<float> hint(rows.rows(), record.columns);
  const std::size_t row_bytes = std::max(record.d_in, record.columns) * sizeof(float);
  const std::size_t chunk = std::clamp<std::size_t>(kSetupChunkBytes / row_bytes, 1, rows.rows());
  for (std::size_t first = 0; first < rows.rows(); first += chunk) {
    const std::size_t count = std::min(chunk, rows.rows() - first);
    auto bytes = std::make_shared<AlignedBuffer<u8>>(count * record.d_in * sizeof(float));
    std::memcpy(bytes->data(), rows.row(first), bytes->size());
    const WorkerProduct product =
        source.product({record.matrix, ProductKind::float32, static_cast<u32>(count),
                        static_cast<u32>(record.d_in), std::move(bytes)});
    if (auto wrong = record.wrong_format(product, ProductKind::float32, count, sizeof(float)))
      throw WrongHint(*wrong, {});
    std::memcpy(hint.row(first), product.bytes->data(), product.bytes->size());
    std::set<std::size_t> shards;
    bool right = true;
    for (std::size_t r = first; r < first + count; ++r) {
      if (check.accepts(hint.row(r), check.expect(rows.row(r)))) continue;
      right = false;
      check.find_wrong_shards(rows.row(r), hint.row(r), shards);
    }
    if (!right)
      throw WrongHint(
          record.verification_error("for the hint is not M_pub W: it holds other weights, or lies"),
          std::move(shards));
    progress.advance(product.bytes->size());
  }
  return hint;
}

} // namespace

class HybridLinear::HybridOpening final : public Opening {
public:
  HybridOpening(const HybridLinear* linear, std::size_t row_count)
      : Opening(linear), amplitudes(row_count), expected(row_count) {}
  std::size_t rows() const noexcept override { return amplitudes.size(); }

  std::vector<MaskRow> masks;
  SecretBuffer<float> amplitudes;
  SecretBuffer<FloatCheck::Expected> expected;
};

HybridLinear::HybridLinear(const SchemeOptions& options, LinearRecord record, FloatCheck check,
                           std::shared_ptr<const Matrix<float>> public_rows, Matrix<float> hint)
    : record_(std::move(record)), amplitude_(options.hybrid_amplitude), verify_(options.verify),
      check_(std::move(check)), public_(std::move(public_rows)), hint_(std::move(hint)) {}

std::size_t HybridLinear::block_rows() const noexcept {
  return kBlockRows;
}

std::vector<MaskRow> HybridLinear::make_block(Rng& rng) const {
  auto block =
      std::make_shared<PairedMaskBlock>(this, kBlockRows, record_.d_in * sizeof(float),
                                        record_.columns * sizeof(float), MaskLayout::packed);
  const SecretBuffer<float> secret = draw_normal(kBlockRows * public_->rows(), rng);
  accumulate_product(secret.data(), kBlockRows, *public_, reinterpret_cast<float*>(block->u(0)));
  accumulate_product(secret.data(), kBlockRows, hint_, reinterpret_cast<float*>(block->v(0)));
  return PairedMaskBlock::hand_out(std::move(block));
}

/// The rms of the mask. A zero row is masked as if its rms were 1: that it is zero must not show.
float HybridLinear::mask_amplitude(const float* x) const {
  const float squares = kernels::active_kernels().sum_squares(x, record_.d_in);
  if (!std::isfinite(squares))
    throw Error(Errc::internal, record_.name + ": an activation is not finite");
  const double rms = std::sqrt(static_cast<double>(squares) / static_cast<double>(record_.d_in));
  return static_cast<float>(amplitude_ * (rms > 0 ? rms : 1));
}

Masked HybridLinear::mask(MatrixView<const float> x, std::vector<MaskRow> masks) const {
  record_.check_input(x, masks.size());
  const std::size_t n = record_.d_in;
  auto opening = std::make_unique<HybridOpening>(this, x.rows);
  auto bytes = std::make_shared<AlignedBuffer<u8>>(x.rows * n * sizeof(float), Unwritten{});
  for (std::size_t r = 0; r < x.rows; ++r) {
    PairedMaskBlock& block = PairedMaskBlock::of_unused(masks[r], this);
    const auto* u = reinterpret_cast<const float*>(block.u(masks[r].index()));
    const float amplitude = mask_amplitude(x.row(r));
    float* sent = reinterpret_cast<float*>(bytes->data()) + r * n;
    for (std::size_t i = 0; i < n; ++i) sent[i] = x(r, i) + amplitude * u[i];
    block.wipe_u(masks[r].index());
    opening->amplitudes[r] = amplitude;
    if (!verify_) continue;
    const TimedStep timed(Step::verify, r, x.rows);
    opening->expected[r] = check_.expect(sent);
  }
  masks.erase(masks.begin() + static_cast<std::ptrdiff_t>(x.rows), masks.end());
  opening->masks = std::move(masks);
  MaskedTensor tensor{record_.matrix, ProductKind::float32, static_cast<u32>(x.rows),
                      static_cast<u32>(n), std::move(bytes)};
  return {std::move(tensor), std::move(opening)};
}

void HybridLinear::open_row(const float* y, const float* v, float amplitude, const float* residual,
                            float* out) const {
  for (std::size_t j = 0; j < record_.d_out; ++j) {
    float value = y[j] - amplitude * v[j];
    if (record_.two_column_sets()) {
      const std::size_t low = record_.d_out + j;
      value = 256 * value + (y[low] - amplitude * v[low]);
    }
    value *= record_.scale[j];
    if (!record_.bias.empty()) value += record_.bias[j];
    out[j] = residual == nullptr ? value : value + residual[j];
  }
}

Result<Matrix<float>> HybridLinear::unmask(std::unique_ptr<Opening>& opening,
                                           const WorkerProduct& product,
                                           MatrixView<const float> residual) const {
  const auto& own = opening_of<HybridOpening>(this, opening);
  const std::size_t rows = own.rows();
  record_.check_residual(residual, rows);
  if (auto wrong = record_.wrong_format(product, ProductKind::float32, rows, sizeof(float)))
    return std::move(*wrong);
  const auto* y = reinterpret_cast<const float*>(product.bytes->data());
  if (verify_) {
    const TimedStep timed(Step::verify);
    for (std::size_t r = 0; r < rows; ++r)
      if (!check_.accepts(y + r * record_.columns, own.expected[r]))
        return record_.verification_error("is not the product");
  }

  Matrix<float> out(rows, record_.d_out, Unwritten{});
  for (std::size_t r = 0; r < rows; ++r) {
    const MaskRow& mask = own.masks[r];
    const auto* v = reinterpret_cast<const float*>(PairedMaskBlock::of(mask, this).v(mask.index()));
    open_row(y + r * record_.columns, v, own.amplitudes[r], optional_row(residual, r), out.row(r));
  }
  opening.reset();
  return out;
}

std::set<std::size_t> HybridLinear::wrong_shards(const MaskedTensor& sent,
                                                 const WorkerProduct& product) const {
  std::set<std::size_t> wrong;
  if (!verify_ || record_.wrong_format(product, ProductKind::float32, sent.rows, sizeof(float)))
    return wrong;
  const auto* c = reinterpret_cast<const float*>(sent.bytes->data());
  const auto* y = reinterpret_cast<const float*>(product.bytes->data());
  for (std::size_t r = 0; r < sent.rows; ++r)
    check_.find_wrong_shards(c + r * record_.d_in, y + r * record_.columns, wrong);
  return wrong;
}

HybridScheme::HybridScheme(const SchemeOptions& options) : options_(options) {
  if (!(options.hybrid_rank > 0 && options.hybrid_rank <= 1))
    throw Error(Errc::usage, fmt::format("the hybrid scheme's rank ratio is {}; it must be above 0 "
                                         "and at most 1",
                                         options.hybrid_rank));
  if (!(options.hybrid_amplitude > 0 && std::isfinite(options.hybrid_amplitude)))
    throw Error(Errc::usage, fmt::format("the hybrid scheme's amplitude is {}; it must be positive",
                                         options.hybrid_amplitude));
}

std::string HybridScheme::warning() const {
  return fmt::format(
      "hybrid (rank ratio {:g}): {}; for research only", options_.hybrid_rank,
      options_.hybrid_rank < 1
          ? "the worker sees every activation on the complement of rowspace(M_pub), enough to "
            "recover the tokens"
          : "a square M_pub is ill-conditioned, so the worker still recovers most tokens");
}

std::shared_ptr<const Matrix<float>> HybridScheme::public_rows(std::size_t d_in) {
  std::shared_ptr<const Matrix<float>>& entry = public_[d_in];
  if (entry) return entry;
  const auto m = std::clamp<std::size_t>(
      static_cast<std::size_t>(std::ceil(options_.hybrid_rank * static_cast<double>(d_in))), 1,
      d_in);
  std::vector<u8> seed(public_matrix_seed().begin(), public_matrix_seed().end());
  const std::string suffix = fmt::format("|P|{}|{}", m, d_in);
  seed.insert(seed.end(), suffix.begin(), suffix.end());
  ChaChaRng rng(sha256(seed), 0);
  const SecretBuffer<float> normal = draw_normal(m * d_in, rng);
  auto rows = std::make_shared<Matrix<float>>(m, d_in);
  const float unit = static_cast<float>(1 / std::sqrt(static_cast<double>(m)));
  for (std::size_t i = 0; i < normal.size(); ++i) rows->data()[i] = unit * normal[i];
  return entry = std::move(rows);
}

std::unique_ptr<MaskedLinear> HybridScheme::prepare(const LinearSpec& spec, HintSource& source,
                                                    Rng& rng, Progress& progress) {
  LinearRecord record(spec);
  FloatCheck check(*spec.columns, rng, spec.cuts);
  auto rows = public_rows(spec.d_in);
  Matrix<float> hint = fetch_hint(record, *rows, check, source, progress);
  return std::make_unique<HybridLinear>(options_, std::move(record), std::move(check),
                                        std::move(rows), std::move(hint));
}

} // namespace talaria::remo
