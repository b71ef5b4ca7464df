#pragma once

#include <filesystem>
#include <string>

#include "pipeline/engine.hpp"
#include "tests/support/temporary_folder.hpp"
#include "tests/support/worker_process.hpp"
#include "transport/certificates.hpp"

namespace talaria::benchmarks {

/// Certificates, and a worker process that holds all of `model`: a folder or random:SHAPE/LAYERS.
class WorkerSite {
public:
  explicit WorkerSite(const std::string& model)
      : worker_(program(), {"--model", model, "--cert", pem("127.0.0.1.pem"), "--key",
                            pem("127.0.0.1.key"), "--ca", pem("ca.pem")}) {}

  u16 port() const noexcept { return worker_.port(); }
  /// How an engine reaches the worker at `port`, its own or that of a relay.
  pipeline::ClusterOptions cluster(u16 port) const {
    pipeline::ClusterOptions options;
    options.tls = {pem("ca.pem"), pem("enclave.pem"), pem("enclave.key")};
    pipeline::ClusterNode node;
    node.name = "worker";
    node.address = {"127.0.0.1", port};
    node.tls_name = "127.0.0.1";
    node.layers.all = true;
    options.nodes.push_back(node);
    return options;
  }

private:
  struct Certificates {
    Certificates() { transport::create_certificates(folder.path(), {"127.0.0.1"}); }
    tests::TemporaryFolder folder;
  };

  static std::filesystem::path program() {
    return std::filesystem::read_symlink("/proc/self/exe").parent_path() / "talaria-worker";
  }
  std::string pem(const std::string& name) const {
    return (certificates_.folder.path() / name).string();
  }

  Certificates certificates_;
  tests::WorkerProcess worker_;
};

} // namespace talaria::benchmarks
