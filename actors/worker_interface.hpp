#pragma once

#include <caf/all.hpp>

#include "remo/public/wire_tensors.hpp"

namespace talaria::worker {

/// `wrong` was given for `tensor` and failed its check: whoever gave it must not be asked again.
/// Only for full replies, where sending the same bytes once more is harmless (REMO.md section 9).
struct Dispute {
  remo::MaskedTensor tensor;
  remo::WorkerProduct wrong;
};

/// `right` was given for `tensor` after a dispute and passed its check: whoever gave another answer
/// lied.
struct Settled {
  remo::MaskedTensor tensor;
  remo::WorkerProduct right;
};

/// Whoever multiplies: the embedded worker, a link that stands for a remote one, or a dispatcher in
/// front of several. Nobody upstream can tell which.
///
///   MaskedTensor c ──► worker ──► WorkerProduct c·W
///   Dispute        ──► worker ──► WorkerProduct from somebody else
///   Settled        ──► worker
///   HintRequest    ──► worker ──► WorkerProduct (rows of A·W)
///   WeightRequest  ──► worker ──► WeightPanels
///                         └── caf::error with the code of an Errc and one line of text
using Worker =
    caf::typed_actor<caf::replies_to<remo::MaskedTensor>::with<remo::WorkerProduct>,
                     caf::replies_to<Dispute>::with<remo::WorkerProduct>, caf::reacts_to<Settled>,
                     caf::replies_to<remo::HintRequest>::with<remo::WorkerProduct>,
                     caf::replies_to<remo::WeightRequest>::with<remo::WeightPanels>>;

} // namespace talaria::worker

// These stay inside a process: between processes travel the frames of transport/, and CAF's own
// network layer is not loaded. Serialising one is a bug, so none of them can be.
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(talaria::remo::MaskedTensor)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(talaria::remo::WorkerProduct)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(talaria::remo::HintRequest)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(talaria::remo::WeightRequest)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(talaria::remo::WeightPanels)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(talaria::worker::Dispute)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(talaria::worker::Settled)
