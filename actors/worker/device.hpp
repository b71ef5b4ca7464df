#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "actors/worker/product_engine.hpp"
#include "remo/public/parameters.hpp"

namespace talaria::worker {

/// Has the engine multiply on what `device` names ("cpu", "auto", "cuda", "cuda:N", "cuda:N,N...")
/// and says what that is: "cpu avx512, 2 threads" or "cuda:0 NVIDIA H200". Call before add().
/// @param threads  of the engine; a GPU uses some of them for copies
/// @throws Error{usage} for another text, and with what is missing if a GPU cannot be used.
std::string choose_device(ProductEngine& engine, std::string_view device,
                          const remo::LatticeParameters& parameters, std::size_t threads);

} // namespace talaria::worker
