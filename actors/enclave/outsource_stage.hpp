#pragma once

#include "actors/enclave/stage_context.hpp"
#include "actors/worker_interface.hpp"

namespace talaria::enclave {

/// The worker's door: sends it masked tensors, and disputes about its answers, and hands what it
/// answers to the unmask stage. Nobody else in the enclave asks the worker. Holds no secret
/// and keeps nothing but the tickets that are under way, so that a worker's death fails them. Has
/// no deadline of its own: whoever answers the worker interface always answers, and a link to
/// another machine owns the clock (an answered request would leave its timer in CAF's clock).
///
///   Outbound, Contest ──► outsource ──► worker
///                             └── Answer{product | failure} ──► unmask
OutsourceStage::behavior_type outsource_stage(OutsourceStage::pointer self, worker::Worker target,
                                              UnmaskStage unmask);

OutsourceStage spawn_outsource(caf::actor_system& system, worker::Worker target,
                               UnmaskStage unmask);

} // namespace talaria::enclave
