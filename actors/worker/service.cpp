#include "actors/worker/service.hpp"

#include <utility>

#include "actors/errors.hpp"

namespace talaria::worker {

/// One question of one enclave.
struct Incoming {
  std::shared_ptr<transport::WorkerServer::Session> session;
  u64 id = 0;
  std::shared_ptr<const transport::Request> request;
};

} // namespace talaria::worker

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(talaria::worker::Incoming)

namespace talaria::worker {

namespace {

using Relay = caf::typed_actor<caf::reacts_to<Incoming>>;

struct RelayParts {
  Worker worker;
  std::shared_ptr<Recorder> recorder;
  std::function<std::string(u32)> matrix_name;
};

template <class Answer, class Question>
void pass_on(Relay::pointer self, const Worker& worker, const Incoming& incoming,
             const Question& question) {
  const auto session = incoming.session;
  const u64 id = incoming.id;
  self->request(worker, caf::infinite, question)
      .then([session, id](const Answer& answer) { session->reply(id, answer); },
            [session, id](const caf::error& error) { session->reply(id, from_caf(error)); });
}

Relay::behavior_type relay(Relay::pointer self, const RelayParts& parts) {
  return {[self, parts](const Incoming& incoming) {
    const transport::Request& request = *incoming.request;
    if (const auto* tensor = std::get_if<remo::MaskedTensor>(&request)) {
      if (parts.recorder) parts.recorder->record(*tensor, parts.matrix_name(tensor->matrix));
      pass_on<remo::WorkerProduct>(self, parts.worker, incoming, *tensor);
    } else if (const auto* hint = std::get_if<remo::HintRequest>(&request)) {
      pass_on<remo::WorkerProduct>(self, parts.worker, incoming, *hint);
    } else {
      pass_on<remo::WeightPanels>(self, parts.worker, incoming,
                                  std::get<remo::WeightRequest>(request));
    }
  }};
}

} // namespace

WorkerService::WorkerService(caf::actor_system& system, std::shared_ptr<ProductEngine> engine,
                             std::shared_ptr<WorkerLedger> ledger, const transport::TlsContext& tls,
                             ServiceOptions options)
    : system_(system), worker_(spawn_worker(system, std::move(engine), std::move(ledger))) {
  const auto spawned =
      system.spawn(relay, RelayParts{worker_, options.recorder, std::move(options.matrix_name)});
  relay_ = caf::actor_cast<caf::actor>(spawned);
  transport::WorkerServer::Events events;
  events.request = [spawned](std::shared_ptr<transport::WorkerServer::Session> session, u64 id,
                             transport::Request request) {
    caf::anon_send(spawned,
                   Incoming{std::move(session), id,
                            std::make_shared<const transport::Request>(std::move(request))});
  };
  events.log = std::move(options.log);
  server_ = std::make_unique<transport::WorkerServer>(
      tls, options.listen, std::move(options.identity), options.server, std::move(events));
}

WorkerService::~WorkerService() {
  server_.reset(); // no new questions; sessions are gone
  caf::anon_send_exit(relay_, caf::exit_reason::user_shutdown);
  caf::anon_send_exit(worker_, caf::exit_reason::user_shutdown);
}

} // namespace talaria::worker
