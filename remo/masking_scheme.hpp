#pragma once

#include <cstddef>
#include <memory>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/error.hpp"
#include "core/matrix.hpp"
#include "core/progress.hpp"
#include "core/random.hpp"
#include "core/secret.hpp"
#include "kernels/packed_weights.hpp"
#include "remo/public/parameters.hpp"
#include "remo/public/wire_tensors.hpp"

namespace talaria::remo {

enum class SchemeKind : u8 {
  lattice, ///< Module-LWE masks, exact, hidden by argument (docs/protocol.md, Privacy): the default
  hybrid, ///< the paper's low-rank mask in fp32 (arXiv 2603.00196): research only, leaks a subspace
  clear,  ///< the same integers as lattice without a mask: the baseline for exactness
  plain,  ///< int8 activations, unmasked, unchecked: the baseline for speed, in `bench` alone
};
const char* to_string(SchemeKind kind) noexcept;
/// The scheme that a user may run or serve with: any but `plain`.
/// @throws Error{usage} listing the names.
SchemeKind parse_scheme(std::string_view name);

/// Format of integer replies. Answers do not depend on it: bounds always leave room for switching.
enum class ReplyFormat : u8 {
  full,     ///< mod q: both checks of docs/protocol.md apply, a resend is harmless
  switched, ///< mod q_d, fewer bytes: only the decoded check; the first abort is fatal, nothing is
            ///< resent
};

struct SchemeOptions {
  SchemeKind kind = SchemeKind::lattice;
  const LatticeParameters* parameters = &kDefaultParameters;
  ReplyFormat reply = ReplyFormat::full;
  bool verify = true;           ///< Freivalds checks on every reply
  double hybrid_rank = 0.5;     ///< m / d_in in (0, 1]
  double hybrid_amplitude = 10; ///< rms of the mask over rms of the activation
};

/// One outsourced matrix at load time. Everything is borrowed for the duration of prepare().
struct LinearSpec {
  u32 matrix = 0;
  std::string name; ///< "layers.3.qkv", for errors
  std::size_t d_in = 0;
  std::size_t d_out = 0;
  bool two_column_sets = false; ///< int16: columns are [hi | lo], value = 256 hi + lo
  const kernels::PackedWeights* columns = nullptr;
  std::span<const float> scale; ///< [d_out]
  std::span<const float> bias;  ///< [d_out] or empty
  /// First columns of the shards that several workers hold, from 0 up, at multiples of
  /// kernels::PackedWeights::kPanel. Empty: one shard.
  std::vector<std::size_t> cuts;
};

/// A worker's hint is not what it has to be. `shards` names those of LinearSpec::cuts that are
/// wrong; it is empty if there is one shard, or if that cannot be told.
class WrongHint : public Error {
public:
  WrongHint(const Error& why, std::set<std::size_t> wrong) : Error(why), shards(std::move(wrong)) {}
  std::set<std::size_t> shards;
};

/// Where hints come from: the worker, which is not trusted to compute them rightly.
class HintSource {
public:
  virtual ~HintSource() = default;
  /// Rows [first, first + count) of R = A W (words mod q), A = PublicMatrix(parameters,
  /// public_matrix_seed(), d_in).
  virtual WorkerProduct hint_rows(u32 matrix, u32 first, u32 count) = 0;
  /// The product of public rows, for hints of the hybrid scheme.
  virtual WorkerProduct product(const MaskedTensor& public_rows) = 0;
};

class MaskedLinear;

/// A block of masks made offline; wipes itself row by row.
class MaskBlock {
public:
  /// `owner` is the linear the block is made for. It alone may use it, and knows its type.
  explicit MaskBlock(const MaskedLinear* owner) : owner_(owner) {}
  virtual ~MaskBlock() = default;
  const MaskedLinear* owner() const noexcept { return owner_; }
  virtual std::size_t rows() const noexcept = 0;
  virtual void wipe_row(std::size_t row) noexcept = 0;

private:
  const MaskedLinear* owner_;
};

/// The right to mask one activation row. Move-only; its mask is wiped when it is destroyed, used or
/// not, so that no mask is ever used twice.
class MaskRow {
public:
  MaskRow() = default;
  MaskRow(std::shared_ptr<MaskBlock> block, std::size_t row)
      : block_(std::move(block)), row_(row) {}
  MaskRow(MaskRow&& other) noexcept = default;
  MaskRow& operator=(MaskRow&& other) noexcept {
    reset();
    block_ = std::move(other.block_);
    row_ = other.row_;
    return *this;
  }
  ~MaskRow() { reset(); }
  MaskBlock* block() const noexcept { return block_.get(); }
  std::size_t index() const noexcept { return row_; }

private:
  void reset() noexcept {
    if (block_) block_->wipe_row(row_);
    block_.reset();
  }
  std::shared_ptr<MaskBlock> block_;
  std::size_t row_ = 0;
};

/// What is needed to open one worker reply: mask rows, scales, what the checks compare with. Never
/// leaves the enclave; opens once; wiped at the end.
class Opening {
public:
  virtual ~Opening() = default;
  Opening(const Opening&) = delete;
  Opening& operator=(const Opening&) = delete;
  virtual std::size_t rows() const noexcept = 0;
  /// The linear that made it. It alone may open with it, and knows its type.
  const MaskedLinear* owner() const noexcept { return owner_; }

protected:
  explicit Opening(const MaskedLinear* owner) : owner_(owner) {}

private:
  const MaskedLinear* owner_;
};

struct Masked {
  MaskedTensor tensor;
  std::unique_ptr<Opening> opening;
};

/// One outsourced matrix under one scheme. Const methods may run on several threads at once.
class MaskedLinear {
public:
  virtual ~MaskedLinear() = default;
  virtual u32 matrix() const noexcept = 0;
  virtual const std::string& name() const noexcept = 0;
  virtual std::size_t d_in() const noexcept = 0;
  virtual std::size_t d_out() const noexcept = 0;
  virtual std::size_t hint_bytes() const noexcept = 0;     ///< kept in the enclave
  virtual std::size_t mask_row_bytes() const noexcept = 0; ///< 0: no stock of masks is needed
  virtual std::size_t block_rows() const noexcept = 0;     ///< rows of one make_block
  /// Of a residue that travels, and of one in stock: also the worker's int8 products for each
  /// weight. 0 if values are no residues.
  virtual std::size_t word_bytes() const noexcept { return 0; }

  /// Offline: fresh secret, fresh errors, one block of mask rows (docs/protocol.md, Mask blocks).
  virtual std::vector<MaskRow> make_block(Rng& rng) const = 0;
  /// `count` such blocks, each with a secret of its own; several together may be cheaper.
  virtual std::vector<std::vector<MaskRow>> make_blocks(Rng& rng, std::size_t count) const {
    std::vector<std::vector<MaskRow>> blocks;
    for (std::size_t i = 0; i < count; ++i) blocks.push_back(make_block(rng));
    return blocks;
  }

  /// Hides x [rows, d_in]. Consumes one mask row per row of x (none if mask_row_bytes() is 0).
  /// @throws Error{internal} for NaN or infinity, or too few mask rows.
  virtual Masked mask(MatrixView<const float> x, std::vector<MaskRow> masks) const = 0;

  /// Checks and opens a reply: x W scale + bias, + residual if `residual.data` is not null
  /// ([rows, d_out]). Errc::verification if the reply is not the product (shape, format or value);
  /// then nothing of it is used. `opening` is consumed only on success or with switched replies: a
  /// full reply that failed may be asked for again, with the same bytes, elsewhere
  /// (docs/protocol.md, Sending again).
  virtual Result<Matrix<float>> unmask(std::unique_ptr<Opening>& opening,
                                       const WorkerProduct& product,
                                       MatrixView<const float> residual) const = 0;

  /// Which shards (LinearSpec::cuts) of a full reply to `sent` that unmask() refused are not the
  /// product: whoever sent those is to blame, and nobody else. Empty if there is one shard, or if
  /// it cannot be told: switched replies, another shape, a reply that fails after decoding only.
  virtual std::set<std::size_t> wrong_shards(const MaskedTensor& /*sent*/,
                                             const WorkerProduct& /*product*/) const {
    return {};
  }
};

/// `opening` as the type that its owner, the linear `owner`, gave it.
/// @throws Error{internal} if it is another linear's, or was consumed.
template <class Own>
const Own& opening_of(const MaskedLinear* owner, const std::unique_ptr<Opening>& opening) {
  if (opening == nullptr || opening->owner() != owner)
    throw Error(Errc::internal,
                owner->name() + ": an opening of another matrix, or one used before");
  return static_cast<const Own&>(*opening);
}

/// The schemes behind one interface: prepare / mask / unmask.
class MaskingScheme {
public:
  virtual ~MaskingScheme() = default;
  virtual SchemeKind kind() const noexcept = 0;
  /// One line to print before use, empty for lattice: what this scheme gives away.
  virtual std::string warning() const = 0;

  /// Once per matrix, at load: bounds, hint, integrity vectors (drawn from `rng`).
  /// Advances `progress` by the bytes of the hint (lattice: k N columns words); begin() and end()
  /// are the caller's.
  /// @throws Error{bounds} with the numbers if the matrix cannot meet noise or range bounds;
  ///         WrongHint{verification} naming the matrix if the hint is not A W.
  virtual std::unique_ptr<MaskedLinear> prepare(const LinearSpec& spec, HintSource& source,
                                                Rng& rng, Progress& progress) = 0;
};

std::unique_ptr<MaskingScheme> make_scheme(const SchemeOptions& options);

} // namespace talaria::remo
