#pragma once

#include <variant>

#include "core/error.hpp"
#include "remo/public/wire_tensors.hpp"

namespace talaria::transport {

/// What an enclave asks a worker.
using Request = std::variant<remo::MaskedTensor, remo::HintRequest, remo::WeightRequest>;

/// What the worker answers: a product (to a tensor or a hint request), panels, or why not. What a
/// worker sent as its reason is one short printable line and always Errc::no_worker.
using Reply = std::variant<remo::WorkerProduct, remo::WeightPanels, Error>;

} // namespace talaria::transport
