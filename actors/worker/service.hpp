#pragma once

#include <caf/all.hpp>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "actors/worker/recorder.hpp"
#include "actors/worker/worker_actor.hpp"
#include "transport/tls.hpp"
#include "transport/worker_server.hpp"

namespace talaria::worker {

/// What talaria-worker serves.
struct ServiceOptions {
  transport::Address listen;
  transport::Identity identity; ///< what this worker holds; shown to every enclave
  transport::ServerOptions server;
  std::function<std::string(u32)> matrix_name; ///< for the recorder
  std::shared_ptr<Recorder> recorder;          ///< null: nothing is recorded
  std::function<void(const std::string&)> log; ///< one line each; called on any thread
  WorkerTrace trace;
  TellDeviceLost device_lost;
};

/// The worker's door: questions of any number of enclaves go to one WorkerActor, answers back to
/// whoever asked. Keeps nothing about them.
///
///   enclaves ══ TLS ══► WorkerServer ──Incoming──► WorkerActor
///        ▲                                             │
///        └───────────────── session ◄──────────────────┘
class WorkerService {
public:
  /// Listens at once. @throws Error{io} if the address cannot be bound.
  WorkerService(caf::actor_system& system, std::shared_ptr<ProductEngine> engine,
                std::shared_ptr<WorkerLedger> ledger, const transport::TlsContext& tls,
                ServiceOptions options);
  ~WorkerService(); ///< ends every session and the actor

  u16 port() const { return server_->port(); }
  /// Those that are linked now.
  std::vector<transport::WorkerServer::Enclave> enclaves() const;

private:
  WorkerInside worker_;
  std::unique_ptr<transport::WorkerServer> server_;
};

} // namespace talaria::worker
