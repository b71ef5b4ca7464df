#include "model/rope_tables.hpp"

#include <algorithm>

#include "kernels/kernel_set.hpp"

namespace talaria::model {

RowPositions RopeTables::at(std::vector<u32> positions, const std::vector<u32>& lengths) const {
  RowPositions out;
  out.position = std::move(positions);
  const std::size_t rows = out.position.size();
  for (const arch::Rope& rope : ropes_) {
    const std::size_t pairs = rope.frequencies.size();
    RowPositions::Angles& angles = out.ropes.emplace_back(
        RowPositions::Angles{Matrix<float>(rows, pairs), Matrix<float>(rows, pairs)});
    for (std::size_t r = 0; r < rows; ++r) {
      const u32 length =
          rope.original_length != 0 ? lengths[r] : std::max(lengths[r], out.position[r] + 1);
      const std::vector<float> other =
          rope.by_length() ? rope.frequencies_at(length) : std::vector<float>();
      kernels::rope_angles(out.position[r], (other.empty() ? rope.frequencies : other).data(),
                           pairs, angles.cos.row(r), angles.sin.row(r));
      if (rope.magnitude == 1) continue;
      for (std::size_t i = 0; i < pairs; ++i) {
        angles.cos(r, i) *= rope.magnitude;
        angles.sin(r, i) *= rope.magnitude;
      }
    }
  }
  return out;
}

} // namespace talaria::model
