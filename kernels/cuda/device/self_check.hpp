#pragma once

#include "kernels/cuda/device/device.hpp"
#include "kernels/modulus.hpp"

namespace talaria::kernels::cuda {

/// Has the device multiply a small matrix and compares with the reference kernels, bit for bit: a
/// driver, a library or a device that computes wrongly must not be used. Leaves nothing on it.
/// @throws Error{internal} naming the device if the products differ or none comes.
/// @param format  words of `modulus`: residues or rounded
void check_known_answers(Device& device, const Modulus& modulus, RowFormat format);

} // namespace talaria::kernels::cuda
