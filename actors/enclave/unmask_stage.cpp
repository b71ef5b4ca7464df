#include "actors/enclave/unmask_stage.hpp"

#include <memory>
#include <unordered_map>

#include "actors/errors.hpp"

namespace talaria::enclave {

namespace {

struct Waiting {
  Flow flow;
  std::unique_ptr<remo::Opening> opening;
};

Flow opened(const StageContext& context, const remo::MaskedLinear& linear, Unmasked mode,
            Waiting& waiting, const Answer& answer) {
  Flow flow = std::move(waiting.flow);
  if (answer.failure) {
    const Error why = from_caf(answer.failure);
    throw Error(why.code(), linear.name() + ": " + why.what());
  }
  const auto span = context.span("unmask", *flow.batch, waiting.opening->rows());
  const MatrixView<const float> residual =
      mode == Unmasked::into_residual ? flow.residual->view() : MatrixView<const float>();
  auto product = linear.unmask(waiting.opening, answer.product, residual);
  flow.x = share_clear(std::move(product).value());
  if (mode == Unmasked::into_residual) flow.residual = flow.x;
  return flow;
}

} // namespace

UnmaskStage::behavior_type unmask_stage(UnmaskStage::pointer self, StageContext context,
                                        OutsourcedLinear target, Unmasked mode, Stage next) {
  // Handlers share the waiting room; it dies, and the openings in it are wiped, with the actor.
  auto waiting = std::make_shared<std::unordered_map<u64, Waiting>>();
  return {[waiting](const Pending& pending) {
            waiting->insert_or_assign(pending.ticket,
                                      Waiting{pending.flow, std::move(*pending.opening)});
          },
          [self, context, target, mode, next, waiting](const Answer& answer) {
            auto node = waiting->extract(answer.ticket);
            if (node.empty()) return;
            const u64 micro_batch = node.mapped().flow.batch->id;
            guarded(self, context, micro_batch, [&] {
              self->send(next, opened(context, *target.linear, mode, node.mapped(), answer));
            });
          }};
}

UnmaskStage spawn_unmask(caf::actor_system& system, StageContext context, OutsourcedLinear target,
                         Unmasked mode, Stage next) {
  return system.spawn(unmask_stage, std::move(context), std::move(target), mode, std::move(next));
}

} // namespace talaria::enclave
