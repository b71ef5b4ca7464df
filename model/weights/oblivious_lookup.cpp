#include "model/weights/oblivious_lookup.hpp"

#include <algorithm>
#include <mutex>

#include "core/constant_time.hpp"
#include "core/declassify.hpp"
#include "core/error.hpp"
#include "core/secret.hpp"
#include "kernels/kernel_set.hpp"

namespace talaria::model {

namespace {

constexpr std::size_t kPiecesPerThread = 2; ///< of the table: a thread may be late

void require_inside(std::span<const u32> tokens, std::size_t rows) {
  u32 outside = 0;
  for (const u32 token : tokens) outside |= ~constant_time::less(token, static_cast<u32>(rows));
  if (declassified(outside) != 0) throw Error(Errc::internal, "embedding lookup outside the table");
}

} // namespace

void lookup_obliviously(const EmbeddingTable& table, std::span<const u32> tokens,
                        MatrixView<float> out, ThreadTeam& team) {
  if (out.rows < tokens.size() || out.cols != table.hidden())
    throw Error(Errc::internal, "embedding lookup of another shape");
  require_inside(tokens, table.rows());
  const std::size_t row_bytes = table.row_bytes();
  const u8* const bytes = table.bytes().data();
  const kernels::KernelSet& kernels = kernels::active_kernels();
  SecretBuffer<u8> found(tokens.size() * row_bytes);
  std::mutex mutex;
  const std::size_t pieces = team.threads() == 1 ? 1 : kPiecesPerThread * team.threads();
  const std::size_t grain = std::max<std::size_t>(1, (table.rows() + pieces - 1) / pieces);
  team.parallel_for_if_free(table.rows(), grain, [&](std::size_t begin, std::size_t end) {
    SecretBuffer<u8> here(found.size());
    kernels.select_rows(bytes + begin * row_bytes, begin, end - begin, row_bytes, tokens.data(),
                        tokens.size(), here.data());
    const std::lock_guard lock(mutex);
    for (std::size_t i = 0; i < found.size(); ++i) found[i] |= here[i];
  });
  for (std::size_t i = 0; i < tokens.size(); ++i)
    widen(table.dtype(), found.data() + i * row_bytes, {out.row(i), out.cols});
}

} // namespace talaria::model
