#pragma once

#include <memory>
#include <vector>

#include "actors/enclave/messages.hpp"
#include "pipeline/drafter.hpp"

namespace talaria::pipeline {

struct OrderDrafts : enclave::StaysInEnclave {
  std::vector<DraftOrder> orders;
};
struct Drafted : enclave::StaysInEnclave {
  std::vector<DraftAnswer> answers;
};
/// There is more to do; the drafter sends it to itself, so that orders in between are heard.
struct DraftOn : enclave::StaysInEnclave {};

using DrafterActor = caf::typed_actor<caf::reacts_to<OrderDrafts>, caf::reacts_to<enclave::Forget>,
                                      caf::reacts_to<DraftOn>>;
/// Whoever ordered: the scheduler.
using DraftsCustomer = caf::typed_actor<caf::reacts_to<Drafted>>;

/// Runs a Drafter on a thread of its own, which none of the stages waits for.
///
///   OrderDrafts ──► drafter ──► Drafted ──► scheduler
///   Forget ────────►┘  └── DraftOn ──► itself
DrafterActor spawn_drafter(caf::actor_system& system, std::shared_ptr<Drafter> drafter,
                           DraftsCustomer customer);

} // namespace talaria::pipeline
