#pragma once

#include <caf/all.hpp>
#include <memory>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "actors/enclave/micro_batch.hpp"
#include "actors/worker_interface.hpp"
#include "core/error.hpp"
#include "core/integers.hpp"
#include "model/rope_tables.hpp"
#include "model/sampler.hpp"
#include "model/token_scores.hpp"
#include "remo/masking_scheme.hpp"
#include "remo/public/wire_tensors.hpp"

namespace talaria::model::grammar {
class TokenGrammar;
}

namespace talaria::enclave {

/// What StaysInEnclave promises, in the language of CAF.
template <class Inspector, class T>
requires std::is_base_of_v<StaysInEnclave, T>
typename Inspector::result_type inspect(Inspector& f, T&) {
  if constexpr (std::is_base_of_v<caf::serializer, Inspector> ||
                std::is_base_of_v<caf::deserializer, Inspector>)
    return caf::make_error(caf::sec::invalid_argument, "clear values stay in the enclave");
  else
    return f(caf::meta::type_name("clear"));
}

/// What runs from stage to stage: the micro-batch, its residual stream and the tensor at hand.
/// After the last layer's attention only the wanted rows (and their padding) are left in both.
struct Flow : StaysInEnclave {
  MicroBatchPtr batch;
  ClearTensor residual; ///< [rows, hidden]
  ClearTensor x;        ///< [rows, width of the stage]
  /// Of all rows of the micro-batch, padding included: it stands where the last segment begins.
  std::shared_ptr<const model::RowPositions> positions;
  ClearTensor shares; ///< [rows, experts] between a router and the activation behind it
  ClearTensor kept;   ///< what passes by the second matrix of latent attention
  /// Of a model with per-layer inputs: first the rows of the table, then the inputs of all layers,
  /// [rows, layers * width]. Null in others.
  ClearTensor per_layer;
  MessageTime sent{};
};

/// Tells the unmask stage what is on its way to the worker: everything needed to open the reply.
struct Pending : StaysInEnclave {
  Flow flow;
  u64 ticket = 0;
  /// One owner; a box because messages are copyable. Taken once by the unmask stage.
  std::shared_ptr<std::unique_ptr<remo::Opening>> opening;
  remo::MaskedTensor tensor; ///< what was sent, for a second opinion
};

/// A masked tensor on its way out. Nothing in it is secret.
struct Outbound {
  u64 ticket = 0;
  u64 micro_batch = 0;
  remo::MaskedTensor tensor;
};

/// An answer that failed its check: its wrong shards are to come from somebody else. Masked bytes
/// only.
struct Contest {
  u64 ticket = 0;
  worker::Dispute dispute;
};

/// A worker's answer, or why there is none.
struct Answer {
  u64 ticket = 0;
  remo::WorkerProduct product;
  caf::error failure;
  MessageTime sent{};
};

/// A micro-batch could not be finished; its sequences end with this error.
struct Failure : StaysInEnclave {
  u64 micro_batch = 0;
  Errc code = Errc::internal;
  std::string message;
};

/// The sequence ends while rows of it are still under way: they pass as zeros from now on, in any
/// order, so that the sequences beside them in a micro-batch go on.
struct Abandon : StaysInEnclave {
  SequenceId sequence = 0;
};

/// The sequence is over and no row of it is under way: drop its keys, values and sampler.
struct Forget : StaysInEnclave {
  SequenceId sequence = 0;
};

/// A new sequence for the sampler, or for the pooler, which takes its place in models that do not
/// generate, and of which only the prompt and `dimensions` count there.
struct Enrol : StaysInEnclave {
  SequenceId sequence = 0;
  model::SamplingParameters sampling;
  std::vector<u32> prompt;
  ScoresWanted scores;
  std::shared_ptr<model::grammar::TokenGrammar> grammar; ///< of the answer; null: any
  u32 max_tokens = 0;                                    ///< of the answer
  u32 dimensions = 0; ///< of the embedding; 0: as many as the model has
};

/// What the sampler, or the pooler, made of one micro-batch.
struct Sampled : StaysInEnclave {
  struct Choice {
    SequenceId sequence = 0;
    u32 token = 0;
    std::optional<model::TokenScores> scores = std::nullopt; ///< if they are wanted
    bool was_drafted = false; ///< its row was in the micro-batch, and the next token is of that
  };
  struct Logits {
    SequenceId sequence = 0;
    u32 start = 0;    ///< position of the first row
    ClearTensor rows; ///< [count, vocab]
  };
  /// In the place of Logits, for sequences that want their prompt's scores.
  struct PromptScores {
    SequenceId sequence = 0;
    u32 end = 0;                            ///< position behind the last row
    std::vector<model::TokenScores> scores; ///< of the tokens behind the rows, within the prompt
  };
  /// What became of a whole text: an embedding, or one score.
  struct Pooled {
    SequenceId sequence = 0;
    std::vector<float> values;
  };
  u64 micro_batch = 0;
  std::vector<Pooled> pooled;
  std::vector<Choice> choices; ///< those of one sequence in their order
  std::vector<Logits> logits;
  std::vector<PromptScores> prompt_scores;
  std::vector<SequenceId> failed; ///< no token can be chosen for them
};

/// A stage that takes flows and passes them on.
using Stage = caf::typed_actor<caf::reacts_to<Flow>>;
/// Outsource stages take masked tensors, and disputes about what came back.
using OutsourceStage = caf::typed_actor<caf::reacts_to<Outbound>, caf::reacts_to<Contest>>;
/// Unmask stages learn what is pending, then get the answers.
using UnmaskStage = caf::typed_actor<caf::reacts_to<Pending>, caf::reacts_to<Answer>>;
/// Attention stages also forget sequences; so does the sampler (or pooler), which learns of new
/// ones.
using AttentionStage =
    caf::typed_actor<caf::reacts_to<Flow>, caf::reacts_to<Abandon>, caf::reacts_to<Forget>>;
using SamplerStage =
    caf::typed_actor<caf::reacts_to<Flow>, caf::reacts_to<Enrol>, caf::reacts_to<Forget>>;
/// Whoever is told how micro-batches ended: the scheduler.
using Overseer = caf::typed_actor<caf::reacts_to<Sampled>, caf::reacts_to<Failure>>;
/// The entrance: a micro-batch by its tokens.
struct Admit : StaysInEnclave {
  MicroBatchPtr batch;
  MessageTime sent{};
};
using EmbedStage = caf::typed_actor<caf::reacts_to<Admit>>;

} // namespace talaria::enclave

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(talaria::enclave::Outbound)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(talaria::enclave::Contest)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(talaria::enclave::Answer)
