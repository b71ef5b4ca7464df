#include "remo/lattice_scheme.hpp"

#include <algorithm>
#include <optional>
#include <set>
#include <utility>

#include "kernels/kernel_set.hpp"
#include "remo/lattice_masks.hpp"
#include "remo/mask_block.hpp"
#include "remo/public/public_matrix.hpp"
#include "remo/samplers.hpp"

namespace talaria::remo {
namespace {

constexpr std::size_t kChunkBytes = std::size_t{4} << 20; // of hint rows asked for at a time

/// WrongHint unless rows [first, ...) of the product are rows of A times W: R z = A t.
void check_hint(const LinearRecord& record, const WorkerProduct& product, std::size_t count,
                const u8* a_rows, const kernels::Modulus& q, const ProductCheck& check) {
  const std::size_t word = static_cast<std::size_t>(q.word_bytes);
  if (auto wrong = record.wrong_format(product, ProductKind::residues, count, word))
    throw WrongHint(*wrong, {});
  const u8* rows = product.bytes->data();
  std::set<std::size_t> shards;
  std::optional<Error> wrong;
  for (std::size_t r = 0; r < count; ++r) {
    const u8* row = rows + r * record.columns * word;
    const u8* a_row = a_rows + r * record.d_in * word;
    const auto received = check.received(row, nullptr);
    if (received.below && received.words == check.sent(a_row, nullptr).words) continue;
    check.find_wrong_shards(a_row, row, shards);
    if (!wrong)
      wrong = record.verification_error(
          received.below ? "for the hint is not A W: it holds other weights, or lies"
                         : "for the hint holds a word beyond the modulus");
  }
  if (wrong) throw WrongHint(*wrong, std::move(shards));
}

/// The whole hint, checked row by row before it is stored.
HintTiles fetch_hint(const LatticeParameters& parameters, const LinearRecord& record,
                     const HintTiles& a, const ProductCheck& check, HintSource& source,
                     Progress& progress) {
  const kernels::Modulus q = parameters.modulus();
  const std::size_t word = static_cast<std::size_t>(q.word_bytes);
  const std::size_t row_bytes = record.columns * word;
  HintTiles hint(parameters, record.columns);
  const std::size_t chunk = std::clamp<std::size_t>(kChunkBytes / row_bytes, 1, hint.rows());
  AlignedBuffer<u8> a_rows(chunk * record.d_in * word);
  for (std::size_t first = 0; first < hint.rows(); first += chunk) {
    const std::size_t count = std::min(chunk, hint.rows() - first);
    const WorkerProduct product =
        source.hint_rows(record.matrix, static_cast<u32>(first), static_cast<u32>(count));
    a.copy_rows(first, count, a_rows.data());
    check_hint(record, product, count, a_rows.data(), q, check);
    hint.put_rows(first, count, product.bytes->data());
    progress.advance(count * row_bytes);
  }
  return hint;
}

} // namespace

LatticeLinear::LatticeLinear(const SchemeOptions& options, SharedAbort abort, LinearRecord record,
                             LinearBounds bounds, ProductCheck check,
                             std::shared_ptr<const kernels::NttPlan> plan,
                             std::shared_ptr<const HintTiles> a, HintTiles hint)
    : IntegerLinear(options, std::move(abort), std::move(record), bounds, bounds.delta_bits,
                    std::move(check)),
      plan_(std::move(plan)), a_(std::move(a)), hint_(std::move(hint)) {}

std::vector<MaskRow> LatticeLinear::make_block(Rng& rng) const {
  return std::move(make_blocks(rng, 1).front());
}

std::vector<std::vector<MaskRow>> LatticeLinear::make_blocks(Rng& rng, std::size_t count) const {
  std::vector<std::shared_ptr<PairedMaskBlock>> blocks;
  std::vector<SecretBuffer<u64>> secrets;
  for (std::size_t i = 0; i < count; ++i) {
    blocks.push_back(std::make_shared<PairedMaskBlock>(this, plan_->n, record().d_in * word_bytes(),
                                                       record().columns * word_bytes(),
                                                       MaskLayout::lines));
    secrets.push_back(draw_secret(*plan_, hint_.rows() / plan_->n, rng));
  }
  std::vector<MaskTarget> u, v;
  for (std::size_t i = 0; i < count; ++i) {
    u.push_back({&secrets[i], blocks[i]->u(0)});
    v.push_back({&secrets[i], blocks[i]->v(0)});
  }
  const auto errors = [&rng](std::size_t, std::span<i8> out) { draw_errors(rng, out); };
  make_mask_words(*plan_, *a_, u, blocks[0]->u_stride(), errors, rounding());
  make_mask_words(*plan_, hint_, v, blocks[0]->v_stride(), nullptr, rounding());
  std::vector<std::vector<MaskRow>> rows;
  rows.reserve(blocks.size());
  for (auto& block : blocks) rows.push_back(PairedMaskBlock::hand_out(std::move(block)));
  return rows;
}

LatticeScheme::LatticeScheme(const SchemeOptions& options)
    : options_(options), abort_(std::make_shared<std::atomic<bool>>(false)),
      plan_(std::make_shared<kernels::NttPlan>(options.parameters->modulus(),
                                               options.parameters->n)) {}

std::shared_ptr<const HintTiles> LatticeScheme::public_matrix(std::size_t d_in) {
  std::shared_ptr<const HintTiles>& entry = public_[d_in];
  if (!entry) {
    const PublicMatrix a(*options_.parameters, public_matrix_seed(), d_in);
    auto tiles = std::make_shared<HintTiles>(*options_.parameters, d_in);
    tiles->put_rows(0, a.rows(), a.row(0));
    entry = std::move(tiles);
  }
  return entry;
}

std::unique_ptr<MaskedLinear> LatticeScheme::prepare(const LinearSpec& spec, HintSource& source,
                                                     Rng& rng, Progress& progress) {
  LinearRecord record(spec);
  const LatticeParameters& parameters = *options_.parameters;
  const LinearBounds bounds =
      linear_bounds(parameters, spec.name, spec.d_in, kernels::max_column_norm(*spec.columns));
  // The hint is words modulo q; what travels later may be words modulo p.
  ProductCheck check(*spec.columns, parameters.modulus(), parameters.check_vectors, rng, spec.cuts);
  auto a = public_matrix(spec.d_in);
  HintTiles hint = fetch_hint(parameters, record, *a, check, source, progress);
  if (bounds.rounded)
    check = ProductCheck(*spec.columns, words_of(parameters, bounds).modulus,
                         parameters.check_vectors, rng, spec.cuts);
  return std::make_unique<LatticeLinear>(options_, abort_, std::move(record), bounds,
                                         std::move(check), plan_, std::move(a), std::move(hint));
}

} // namespace talaria::remo
