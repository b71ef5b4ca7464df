#include "actors/enclave/unmask_stage.hpp"

#include <chrono>
#include <memory>
#include <set>
#include <unordered_map>

#include "actors/errors.hpp"

namespace talaria::enclave {

namespace {

struct Waiting {
  Flow flow;
  std::unique_ptr<remo::Opening> opening;
  remo::MaskedTensor tensor;
  std::chrono::steady_clock::time_point asked;
  std::string dispute;      ///< what was wrong with the last answer; empty if there was none
  std::set<u32> distrusted; ///< who gave the wrong parts of answers
  std::unique_ptr<const model::AdapterDelta> delta; ///< null: nothing is to be added
};

class UnmaskState {
public:
  UnmaskState(UnmaskStage::pointer self, StageContext context, OutsourcedLinear target,
              Unmasked mode, Stage next)
      : self_(self), context_(std::move(context)), target_(std::move(target)), mode_(mode),
        next_(std::move(next)) {}

  void expect(const Pending& pending) {
    Waiting waiting{pending.flow,
                    std::move(*pending.opening),
                    pending.tensor,
                    std::chrono::steady_clock::now(),
                    {},
                    {},
                    nullptr};
    guarded(self_, context_, pending.flow.batch->id, [&] {
      if (target_.adapters) adapt(waiting);
      waiting_.insert_or_assign(pending.ticket, std::move(waiting));
    });
  }

  void on_reply(const Answer& answer) {
    auto node = waiting_.extract(answer.ticket);
    if (node.empty()) return;
    Waiting& waiting = node.mapped();
    guarded(self_, context_, waiting.flow.batch->id, [&] {
      if (answer.failure) throw failure_of(waiting, answer.failure);
      auto product = open(waiting, answer);
      if (!product && waiting.opening && product.error().code() == Errc::verification) {
        waiting.dispute = product.error().what();
        dispute(answer, waiting);
        waiting_.insert(std::move(node));
        return;
      }
      Flow flow = std::move(waiting.flow);
      Matrix<float> opened = std::move(product).value();
      if (waiting.delta) waiting.delta->add_to(opened);
      flow.x = share_clear(std::move(opened));
      if (mode_ == Unmasked::into_residual) flow.residual = flow.x;
      flow.sent = context_.now();
      self_->send(next_, std::move(flow));
    });
  }

private:
  /// Lets go of x.
  void adapt(Waiting& waiting) const {
    Flow& flow = waiting.flow;
    const auto span =
        context_.span(telemetry::SpanKind::activation, *flow.batch, flow.x->rows(), {});
    waiting.delta = target_.adapters->delta(*flow.batch, *flow.x);
    flow.x.reset();
  }

  /// Names the matrix once, whoever failed.
  Error failure_of(const Waiting& waiting, const caf::error& failure) const {
    const Error why = from_caf(failure);
    std::string text = why.what();
    const std::string name = target_.linear->name() + ": ";
    if (text.starts_with(name)) text.erase(0, name.size());
    return Error(why.code(), (waiting.dispute.empty() ? name : waiting.dispute + "; ") + text);
  }

  Result<Matrix<float>> open(Waiting& waiting, const Answer& answer) {
    const CheckedSpan span(context_, telemetry::SpanKind::unmask, *waiting.flow.batch,
                           waiting.opening->rows(), target_.linear->matrix(), answer.sent);
    const MatrixView<const float> residual = mode_ == Unmasked::into_residual
                                                 ? waiting.flow.residual->view()
                                                 : MatrixView<const float>();
    return target_.linear->unmask(waiting.opening, answer.product, residual);
  }

  /// With whoever sent the answer. Without a limit of its own: whoever stands for several workers
  /// gives up in time, counted from the first question.
  void dispute(const Answer& answer, Waiting& waiting) {
    const auto& by = answer.product.answered_by;
    auto shards = target_.linear->wrong_shards(waiting.tensor, answer.product);
    worker::Dispute dispute{waiting.tensor, answer.product, shards, waiting.distrusted,
                            waiting.asked};
    for (std::size_t s = 0; s < by.size(); ++s)
      if (shards.empty() || shards.contains(s)) waiting.distrusted.insert(by[s]);
    self_->send(caf::actor_cast<OutsourceStage>(self_->current_sender()),
                Contest{answer.ticket, std::move(dispute)});
  }

  UnmaskStage::pointer self_;
  StageContext context_;
  OutsourcedLinear target_;
  Unmasked mode_;
  Stage next_;
  std::unordered_map<u64, Waiting> waiting_;
};

} // namespace

UnmaskStage::behavior_type unmask_stage(UnmaskStage::pointer self, StageContext context,
                                        OutsourcedLinear target, Unmasked mode, Stage next) {
  name_exceptions_by_kind(self);
  // Handlers share the state; it ends with the actor, which wipes the openings in it.
  auto state = std::make_shared<UnmaskState>(self, std::move(context), std::move(target), mode,
                                             std::move(next));
  return {[state](const Pending& pending) { state->expect(pending); },
          [state](const Answer& answer) { state->on_reply(answer); }};
}

UnmaskStage spawn_unmask(caf::actor_system& system, StageContext context, OutsourcedLinear target,
                         Unmasked mode, Stage next) {
  return system.spawn(unmask_stage, std::move(context), std::move(target), mode, std::move(next));
}

} // namespace talaria::enclave
