#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cli/worker/worker_share.hpp"
#include "core/model_part.hpp"
#include "pipeline/cluster_plan.hpp"
#include "tests/support/temporary_folder.hpp"
#include "transport/certificates.hpp"
#include "transport/worker_server.hpp"

namespace talaria::tests {

/// Certificates for an enclave and for workers on 127.0.0.1, in a folder that disappears.
class LoopbackCertificates {
public:
  LoopbackCertificates() {
    transport::create_certificates(folder_.path(), {"127.0.0.1"}, {.authority = folder_.path()});
  }
  transport::TlsFiles enclave() const { return files("enclave"); }
  transport::TlsFiles worker() const { return files("127.0.0.1"); }
  const std::filesystem::path& folder() const { return folder_.path(); }

private:
  transport::TlsFiles files(const std::string& name) const {
    return {folder_.path() / "ca.pem", folder_.path() / (name + ".pem"),
            folder_.path() / (name + ".key")};
  }
  TemporaryFolder folder_;
};

/// What a worker of the tests holds.
struct LoopbackShare {
  std::string model; ///< a folder
  std::string weights = "int8";
  std::string layers = "all";
  std::string columns = "1/1";
  std::string parameters = "S48";
};

/// May turn an honest reply into another one, or into none: then the worker keeps beating and never
/// answers.
using Lie =
    std::function<std::optional<transport::Reply>(const transport::Request&, transport::Reply)>;

/// A worker behind real TLS on a port of 127.0.0.1, inside the test's process, that may lie.
class LoopbackWorker {
public:
  LoopbackWorker(const LoopbackCertificates& certificates, const LoopbackShare& what,
                 Lie lie = nullptr, std::shared_ptr<transport::LinkGate> gate = nullptr,
                 const transport::Address& listen = {"127.0.0.1", 0})
      : tls_(certificates.worker(),
             gate ? transport::Strangers::need_evidence : transport::Strangers::refused) {
    cli::WorkerFlags flags;
    flags.model = what.model;
    flags.weights = what.weights;
    flags.parameters = what.parameters;
    flags.layers = what.layers;
    flags.columns = what.columns;
    flags.threads = 1;
    flags.name = "loopback";
    SilentProgress progress;
    auto share = cli::load_share(flags, progress);
    transport::WorkerServer::Events events;
    events.request = [engine = share.engine,
                      lie](const std::shared_ptr<transport::WorkerServer::Session>& session, u64 id,
                           const transport::Request& request) {
      std::optional<transport::Reply> reply = answer(*engine, request);
      if (lie) reply = lie(request, std::move(*reply));
      if (reply) session->reply(id, std::move(*reply));
    };
    events.log = [](const std::string&) {};
    transport::ServerOptions options;
    options.gate = std::move(gate);
    server_ = std::make_unique<transport::WorkerServer>(tls_, listen, share.identity, options,
                                                        std::move(events));
  }
  u16 port() const { return server_->port(); }

private:
  static transport::Reply answer(worker::ProductEngine& engine, const transport::Request& request) {
    if (const auto* tensor = std::get_if<remo::MaskedTensor>(&request))
      return engine.multiply(*tensor);
    if (const auto* hint = std::get_if<remo::HintRequest>(&request)) return engine.hint_rows(*hint);
    return engine.panels(std::get<remo::WeightRequest>(request));
  }

  transport::TlsContext tls_;
  std::unique_ptr<transport::WorkerServer> server_;
};

/// The enclave's view of a worker of the tests.
inline pipeline::ClusterNode node_at(const std::string& name, u16 port, const LoopbackShare& what,
                                     bool replica = false) {
  pipeline::ClusterNode node;
  node.name = name;
  node.address = {"127.0.0.1", port};
  node.tls_name = "127.0.0.1";
  node.share = parse_share(what.columns).value();
  node.layers = parse_layers(what.layers).value();
  node.replica = replica;
  return node;
}

} // namespace talaria::tests
