#include "actors/worker/service.hpp"

#include <type_traits>
#include <utility>

#include "actors/inline_executor.hpp"
#include "actors/tensor_labels.hpp"

namespace talaria::worker {

static_assert(std::is_same_v<Reply, transport::Reply>);

namespace {
/// Tensors up to this size are multiplied by the thread that has read them. Behind larger ones the
/// next is read meanwhile.
constexpr std::size_t kMultipliedAtOnce = std::size_t{128} << 10;
} // namespace

WorkerService::WorkerService(caf::actor_system& system, std::shared_ptr<ProductEngine> engine,
                             std::shared_ptr<WorkerLedger> ledger, const transport::TlsContext& tls,
                             ServiceOptions options)
    : worker_(spawn_worker(system, std::move(engine), std::move(ledger), options.trace,
                           std::move(options.device_lost))) {
  transport::WorkerServer::Events events;
  events.request = [&system, worker = worker_, recorder = options.recorder, trace = options.trace,
                    matrix_name = std::move(options.matrix_name)](
                       const std::shared_ptr<transport::WorkerServer::Session>& session, u64 id,
                       transport::Request request) {
    telemetry::SpanLabels labels;
    bool small = false;
    if (const auto* tensor = std::get_if<remo::MaskedTensor>(&request)) {
      labels = labels_of(*tensor);
      small = tensor->bytes->size() <= kMultipliedAtOnce;
      if (recorder) recorder->record(*tensor, matrix_name(tensor->matrix));
    }
    Incoming incoming{std::move(request),
                      [session, id, labels, trace](const Reply& reply) {
                        const bool marked = labels.micro_batch != 0;
                        const telemetry::Span span(marked ? trace.tracer : nullptr, trace.pack,
                                                   telemetry::SpanKind::pack, labels);
                        session->reply(id, reply);
                      },
                      session->enclave()};
    if (small)
      InlineExecutor(system).send(worker, std::move(incoming));
    else
      caf::anon_send(worker, std::move(incoming));
  };
  events.log = std::move(options.log);
  server_ = std::make_unique<transport::WorkerServer>(
      tls, options.listen, std::move(options.identity), options.server, std::move(events));
}

std::vector<transport::WorkerServer::Enclave> WorkerService::enclaves() const {
  return server_->enclaves();
}

WorkerService::~WorkerService() {
  server_.reset(); // no new questions; sessions are gone
  caf::anon_send_exit(worker_, caf::exit_reason::user_shutdown);
}

} // namespace talaria::worker
