#pragma once

#include <boost/test/unit_test.hpp>
#include <memory>
#include <vector>

#include "kernels/cuda/accelerator.hpp"
#include "remo/public/parameters.hpp"
#include "tests/kernels/kernel_fixtures.hpp"

/// For tests that need a GPU. A program that links gpu_fixture.cpp ends with exit code 77 and a
/// line that says why if there is none.
namespace talaria::kernels::cuda::test {

using kernels::test::Stream;

/// The first device that can be used.
AcceleratorOptions options_for(const remo::LatticeParameters& parameters);

/// Any int8, -128 included.
PackedWeights random_weights(std::size_t d_in, std::size_t d_out, Stream& stream);
std::vector<u8> random_words(std::size_t count, const Modulus& q, Stream& stream);

/// c W as the reference kernels make it.
std::vector<u8> reference_product(const std::vector<u8>& words, std::size_t rows,
                                  const PackedWeights& weights, const Modulus& q);

/// One group of rows through begin() and finish().
std::vector<u8> product(Accelerator& accelerator, u32 matrix, RowFormat format,
                        const std::vector<u8>& rows, std::size_t count);
std::vector<u8> bytes_of(const Job::Reply& reply);

} // namespace talaria::kernels::cuda::test
