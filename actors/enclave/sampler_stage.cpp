#include "actors/enclave/sampler_stage.hpp"

#include <algorithm>
#include <memory>
#include <unordered_map>

namespace talaria::enclave {

namespace {

struct SequenceState {
  model::Sampler sampler;
  std::vector<u32> seen; ///< prompt and answer so far
};
using Sequences = std::unordered_map<SequenceId, SequenceState>;

Sampled choose(Sequences& sequences, const Flow& flow) {
  Sampled out;
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
    const auto it = sequences.find(segment.sequence);
    if (!segment.sample || it == sequences.end()) continue;
    SequenceState& state = it->second;
    const u32 token = state.sampler.sample(logits.row_span(row - 1), state.seen);
    state.seen.push_back(token);
    out.choices.push_back({segment.sequence, token});
  }
  return out;
}

} // namespace

SamplerStage::behavior_type sampler_stage(SamplerStage::pointer self, StageContext context) {
  auto sequences = std::make_shared<Sequences>();
  return {[self, context, sequences](const Flow& flow) {
            guarded(self, context, flow.batch->id, [&] {
              const auto span =
                  context.span(telemetry::SpanKind::sample, *flow.batch, flow.x->rows(), flow.sent);
              self->send(context.overseer, choose(*sequences, flow));
            });
          },
          [sequences](const Enrol& enrol) {
            sequences->insert_or_assign(
                enrol.sequence, SequenceState{model::Sampler(enrol.sampling), enrol.prompt});
          },
          [sequences](const Forget& forget) {
            const auto it = sequences->find(forget.sequence);
            if (it == sequences->end()) return;
            wipe(it->second.seen.data(), it->second.seen.size() * sizeof(u32));
            sequences->erase(it);
          }};
}

SamplerStage spawn_sampler(caf::actor_system& system, StageContext context) {
  return system.spawn(sampler_stage, std::move(context));
}

} // namespace talaria::enclave
