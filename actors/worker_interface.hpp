#pragma once

#include <caf/all.hpp>
#include <chrono>
#include <cstddef>
#include <set>

#include "remo/public/wire_tensors.hpp"

namespace talaria::worker {

/// `wrong` was given for `tensor` and failed its check: whoever gave the wrong part of it must not
/// be asked again, and the rest of it is right. Only for full replies, where sending the same bytes
/// once more is harmless (docs/protocol.md, Sending again).
struct Dispute {
  remo::MaskedTensor tensor;
  remo::WorkerProduct wrong;
  std::set<std::size_t> wrong_shards; ///< of wrong.answered_by; empty: it cannot be told which
  std::set<u32> distrusted;           ///< whose answers to this tensor were wrong before
  std::chrono::steady_clock::time_point asked; ///< when it was sent for the first time
};

/// Whoever multiplies: the embedded worker, a link that stands for a remote one, or a dispatcher in
/// front of several. Nobody upstream can tell which.
///
///   MaskedTensor c ──► worker ──► WorkerProduct c·W
///   Dispute        ──► worker ──► WorkerProduct, its wrong shards from somebody else
///   HintRequest    ──► worker ──► WorkerProduct (rows of A·W)
///   WeightRequest  ──► worker ──► WeightPanels
///                         └── caf::error with the code of an Errc and one line of text
using Worker = caf::typed_actor<caf::replies_to<remo::MaskedTensor>::with<remo::WorkerProduct>,
                                caf::replies_to<Dispute>::with<remo::WorkerProduct>,
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
