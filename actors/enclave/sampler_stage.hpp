#pragma once

#include "actors/enclave/stage_context.hpp"

namespace talaria::enclave {

/// Picks tokens from logits, each sequence by its own parameters, seed and history, and scores them
/// for those that ask. From a segment with drafts it picks as many as were guessed right, and one.
///
///   Enrol{sequence, parameters, prompt} ──►┐
///   Flow{x = logits of the wanted rows} ──►├─ sampler ──► Sampled{tokens, logits} ──► overseer
///   Forget{sequence} ──────────────────────►┘
SamplerStage::behavior_type sampler_stage(SamplerStage::pointer self, StageContext context,
                                          bool oblivious);

/// `oblivious`: in time and at addresses that tell nothing of logits and tokens.
SamplerStage spawn_sampler(caf::actor_system& system, StageContext context, bool oblivious = false);

} // namespace talaria::enclave
