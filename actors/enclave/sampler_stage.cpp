#include "actors/enclave/sampler_stage.hpp"

#include <algorithm>
#include <exception>
#include <memory>
#include <optional>
#include <span>
#include <unordered_map>

namespace talaria::enclave {

namespace {

struct SequenceState {
  model::Sampler sampler;
  std::vector<u32> seen; ///< prompt and answer so far
  model::SamplingParameters parameters;
  bool oblivious;
};
using Sequences = std::unordered_map<SequenceId, SequenceState>;

/// A token for one row. Nothing if that cannot be done: then this sequence ends, and no other.
std::optional<u32> choose_one(Sequences& sequences, SequenceId sequence,
                              std::span<const float> logits) {
  const auto it = sequences.find(sequence);
  if (it == sequences.end()) return std::nullopt;
  SequenceState& state = it->second;
  try {
    const u32 token = state.sampler.sample(logits, state.seen);
    state.seen.push_back(token);
    return token;
  } catch (const std::exception&) {
    return std::nullopt;
  }
}

/// A row that a token was drawn for.
struct Drawn {
  SequenceId sequence = 0;
  std::size_t row = 0;
};

/// A token for each row of padding, which nobody gets: from the rows of others in turn, with their
/// parameters, since what sampling costs depends on both. Where there are none, this is the middle
/// of a prompt, whose last row went through the head for that.
void draw_in_vain(const Sequences& sequences, const Flow& flow, const std::vector<Drawn>& drawn) {
  const MicroBatch& batch = *flow.batch;
  for (std::size_t i = 0; i < batch.head_padding; ++i) {
    const Drawn from =
        drawn.empty() ? Drawn{batch.segments.back().sequence, i} : drawn[i % drawn.size()];
    const auto it = sequences.find(from.sequence);
    if (it == sequences.end()) continue; // a prompt that is not to be continued
    try {
      model::Sampler sampler(it->second.parameters, it->second.oblivious);
      (void)sampler.sample(flow.x->row_span(from.row), it->second.seen);
    } catch (const std::exception&) { // the row it stands for has found the same
    }
  }
}

Sampled choose(Sequences& sequences, const Flow& flow) {
  Sampled out;
  std::vector<Drawn> drawn;
  out.micro_batch = flow.batch->id;
  const Matrix<float>& logits = *flow.x;
  std::size_t row = 0;
  for (const Segment& segment : flow.batch->segments) {
    const u32 wanted = segment.wanted_rows();
    row += wanted;
    if (segment.logits_rows > 0) {
      const std::size_t asked = segment.logits_rows;
      Matrix<float> rows(asked, logits.cols());
      std::copy_n(logits.row(row - asked), asked * logits.cols(), rows.data());
      const u32 start = segment.start + segment.count - segment.logits_rows;
      out.logits.push_back({segment.sequence, start, share_clear(std::move(rows))});
    }
    if (!segment.sample) continue;
    drawn.push_back({segment.sequence, row - 1});
    if (const auto token = choose_one(sequences, segment.sequence, logits.row_span(row - 1)))
      out.choices.push_back({segment.sequence, *token});
    else
      out.failed.push_back(segment.sequence);
  }
  if (flow.batch->even) draw_in_vain(sequences, flow, drawn);
  return out;
}

} // namespace

SamplerStage::behavior_type sampler_stage(SamplerStage::pointer self, StageContext context,
                                          bool oblivious) {
  name_exceptions_by_kind(self);
  auto sequences = std::make_shared<Sequences>();
  return {[self, context, sequences](const Flow& flow) {
            guarded(self, context, flow.batch->id, [&] {
              const auto span =
                  context.span(telemetry::SpanKind::sample, *flow.batch, flow.x->rows(), flow.sent);
              self->send(context.overseer, choose(*sequences, flow));
            });
          },
          [sequences, oblivious](const Enrol& enrol) {
            try {
              sequences->insert_or_assign(enrol.sequence,
                                          SequenceState{model::Sampler(enrol.sampling, oblivious),
                                                        enrol.prompt, enrol.sampling, oblivious});
            } catch (const std::exception&) { // its first row finds no sampler and ends it
            }
          },
          [sequences](const Forget& forget) {
            const auto it = sequences->find(forget.sequence);
            if (it == sequences->end()) return;
            wipe(it->second.seen.data(), it->second.seen.size() * sizeof(u32));
            sequences->erase(it);
          }};
}

SamplerStage spawn_sampler(caf::actor_system& system, StageContext context, bool oblivious) {
  return system.spawn(sampler_stage, std::move(context), oblivious);
}

} // namespace talaria::enclave
