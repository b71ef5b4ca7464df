#include <algorithm>

#include "core/constant_time.hpp"
#include "kernels/reference/reference.hpp"

namespace talaria::kernels::reference {

void select_rows(const u8* table, std::size_t first, std::size_t rows, std::size_t row_bytes,
                 const u32* ids, std::size_t count, u8* out) {
  // Rows that fit the nearest caches together, so that memory is read once for all ids.
  const std::size_t block = std::max<std::size_t>(1, (std::size_t{1} << 15) / (row_bytes + 1));
  for (std::size_t begin = 0; begin < rows; begin += block) {
    const std::size_t end = std::min(rows, begin + block);
    for (std::size_t i = 0; i < count; ++i)
      for (std::size_t r = begin; r < end; ++r) {
        const u8* const row = table + r * row_bytes;
        u8* const to = out + i * row_bytes;
        const auto here =
            static_cast<u8>(constant_time::equal(ids[i], static_cast<u32>(first + r)));
        for (std::size_t b = 0; b < row_bytes; ++b) to[b] |= row[b] & here;
      }
  }
}

} // namespace talaria::kernels::reference
