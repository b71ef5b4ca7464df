#include "pipeline/drafter_actor.hpp"

#include <utility>

#include "actors/actor_end.hpp"

namespace talaria::pipeline {

namespace {

struct DrafterState {
  std::shared_ptr<Drafter> drafter;
  DraftsCustomer customer;
  bool on_its_way = false; ///< a DraftOn
};

void go_on(DrafterActor::pointer self, DrafterState& state) {
  if (state.on_its_way || !state.drafter->busy()) return;
  state.on_its_way = true;
  self->send(self, DraftOn{});
}

DrafterActor::behavior_type drafter_actor(DrafterActor::pointer self,
                                          std::shared_ptr<Drafter> drafter,
                                          DraftsCustomer customer) {
  name_exceptions_by_kind(self);
  const auto state =
      std::make_shared<DrafterState>(DrafterState{std::move(drafter), std::move(customer)});
  return {[self, state](const OrderDrafts& asked) {
            for (const DraftOrder& order : asked.orders) state->drafter->order(order);
            go_on(self, *state);
          },
          [state](const enclave::Forget& forget) { state->drafter->forget(forget.sequence); },
          [self, state](const DraftOn&) {
            state->on_its_way = false;
            Drafted drafted;
            drafted.answers = state->drafter->step();
            if (!drafted.answers.empty()) self->send(state->customer, std::move(drafted));
            go_on(self, *state);
          }};
}

} // namespace

DrafterActor spawn_drafter(caf::actor_system& system, std::shared_ptr<Drafter> drafter,
                           DraftsCustomer customer) {
  return system.spawn<caf::detached>(drafter_actor, std::move(drafter), std::move(customer));
}

} // namespace talaria::pipeline
