#include "actors/enclave/outsource_stage.hpp"

#include <memory>
#include <set>

#include "actors/actor_end.hpp"

namespace talaria::enclave {

OutsourceStage::behavior_type outsource_stage(OutsourceStage::pointer self, worker::Worker target,
                                              UnmaskStage unmask) {
  name_exceptions_by_kind(self);
  // A worker that dies in the middle of a request answers nobody, so its requests are failed here.
  auto asked = std::make_shared<std::set<u64>>();
  self->monitor(target);
  self->set_down_handler([self, unmask, asked](const caf::down_msg&) {
    for (const u64 ticket : *asked)
      self->send(unmask, Answer{ticket, {}, caf::make_error(caf::sec::request_receiver_down), {}});
    asked->clear();
  });
  return {[self, target, unmask, asked](const Outbound& out) {
    const u64 ticket = out.ticket;
    const bool traced = out.tensor.mark.micro_batch != 0;
    asked->insert(ticket);
    self->request(target, caf::infinite, out.tensor)
        .then(
            [self, unmask, asked, ticket, traced](const remo::WorkerProduct& product) {
              const auto now = traced ? MessageTime::clock::now() : MessageTime();
              if (asked->erase(ticket) != 0) self->send(unmask, Answer{ticket, product, {}, now});
            },
            [self, unmask, asked, ticket](caf::error& failure) {
              if (asked->erase(ticket) != 0)
                self->send(unmask, Answer{ticket, {}, std::move(failure), {}});
            });
  }};
}

OutsourceStage spawn_outsource(caf::actor_system& system, worker::Worker target,
                               UnmaskStage unmask) {
  return system.spawn(outsource_stage, std::move(target), std::move(unmask));
}

} // namespace talaria::enclave
