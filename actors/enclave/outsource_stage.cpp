#include "actors/enclave/outsource_stage.hpp"

#include <memory>
#include <set>
#include <utility>

#include "actors/actor_end.hpp"

namespace talaria::enclave {

namespace {

/// A worker that dies in the middle of a request answers nobody: its requests are failed here.
class WorkersDoor {
public:
  WorkersDoor(OutsourceStage::pointer self, worker::Worker target, UnmaskStage unmask)
      : self_(self), target_(std::move(target)), unmask_(std::move(unmask)) {
    self_->monitor(target_);
  }

  template <class Question>
  void ask(u64 ticket, const Question& question, bool traced) {
    asked_.insert(ticket);
    self_->request(target_, caf::infinite, question)
        .then(
            [this, ticket, traced](const remo::WorkerProduct& product) {
              const auto now = traced ? MessageTime::clock::now() : MessageTime();
              answer(ticket, {ticket, product, {}, now});
            },
            [this, ticket](caf::error& failure) {
              answer(ticket, {ticket, {}, std::move(failure), {}});
            });
  }

  void worker_died() {
    for (const u64 ticket : std::exchange(asked_, {}))
      self_->send(unmask_,
                  Answer{ticket, {}, caf::make_error(caf::sec::request_receiver_down), {}});
  }

private:
  void answer(u64 ticket, Answer answer) {
    if (asked_.erase(ticket) != 0) self_->send(unmask_, std::move(answer));
  }

  OutsourceStage::pointer self_;
  worker::Worker target_;
  UnmaskStage unmask_;
  std::set<u64> asked_;
};

bool is_traced(const remo::MaskedTensor& tensor) {
  return tensor.mark.micro_batch != 0;
}

} // namespace

OutsourceStage::behavior_type outsource_stage(OutsourceStage::pointer self, worker::Worker target,
                                              UnmaskStage unmask) {
  name_exceptions_by_kind(self);
  auto door = std::make_shared<WorkersDoor>(self, std::move(target), std::move(unmask));
  self->set_down_handler([door](const caf::down_msg&) { door->worker_died(); });
  return {[door](const Outbound& out) { door->ask(out.ticket, out.tensor, is_traced(out.tensor)); },
          [door](const Contest& contest) {
            door->ask(contest.ticket, contest.dispute, is_traced(contest.dispute.tensor));
          }};
}

OutsourceStage spawn_outsource(caf::actor_system& system, worker::Worker target,
                               UnmaskStage unmask) {
  return system.spawn(outsource_stage, std::move(target), std::move(unmask));
}

} // namespace talaria::enclave
