#pragma once

#include <cstddef>
#include <map>

#include "kernels/packed_weights.hpp"
#include "remo/masking_scheme.hpp"
#include "remo/public/public_matrix.hpp"

namespace talaria::remo::testing {

/// An honest worker in one object: holds weights, makes hints and products.
class TestWorker : public HintSource {
public:
  explicit TestWorker(const LatticeParameters& parameters) : parameters_(&parameters) {}

  void hold(u32 matrix, kernels::PackedWeights weights) { held_[matrix] = std::move(weights); }
  kernels::PackedWeights& weights(u32 matrix) { return held_.at(matrix); }

  WorkerProduct hint_rows(u32 matrix, u32 first, u32 count) override;
  WorkerProduct product(const MaskedTensor& rows) override;

private:
  AlignedBuffer<u8> residues(const u8* words, std::size_t rows, const kernels::PackedWeights& w,
                             const kernels::Modulus& q);
  const PublicMatrix& public_matrix(std::size_t d_in);

  const LatticeParameters* parameters_;
  std::map<u32, kernels::PackedWeights> held_;
  std::map<std::size_t, PublicMatrix> public_; ///< A by d_in
};

/// The same reply with bit `bit` of byte `byte` inverted.
WorkerProduct with_bit_flipped(const WorkerProduct& product, std::size_t byte, int bit);

} // namespace talaria::remo::testing
