#pragma once

#include <atomic>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "attest/endpoint/attester.hpp"
#include "attest/endpoint/simulated_source.hpp"
#include "connect/unverified_connection.hpp"
#include "gateway/httpd.hpp"
#include "gateway/router.hpp"
#include "tests/support/temporary_folder.hpp"
#include "transport/server_tls.hpp"

namespace talaria::tests {

/// A simulated platform and certificates for 127.0.0.1, made once: its keys take seconds.
struct Site {
  Site();
  /// A server's certificate and key under `name`; made if they are not there.
  std::shared_ptr<transport::ServerTls> tls(const std::string& name) const;
  std::filesystem::path certificate(const std::string& name) const;

  TemporaryFolder folder;
  std::filesystem::path platform;
};
const Site& site();

/// What a toy enclave is measured as, and what the policy below accepts: byte 0x55.
inline constexpr u8 kImage = 0x55;

std::shared_ptr<attest::SimulatedSource>
source(u8 image = kImage, attest::EvidenceKind kind = attest::EvidenceKind::snp);
attest::Statement toy_statement();
/// Accepts image 0x55 behind the certificate `api`.
attest::Policy toy_policy(u8 image = kImage);
std::shared_ptr<const connect::Trust> toy_trust(attest::Policy policy = toy_policy(),
                                                std::chrono::hours later = {});

/// Something that claims to be an enclave. It answers POSTs by echoes or streams, and notes what
/// bodies reached it.
class ToyEnclave {
public:
  /// Answers who asks for evidence; runs inside the exchange.
  using Evidence = std::function<void(const std::string& body, gateway::HttpResponse& response)>;
  struct Options {
    std::string certificate = "api"; ///< empty: plain HTTP
    u8 image = kImage;
    attest::EvidenceKind kind = attest::EvidenceKind::snp; ///< of genuine evidence
    Evidence evidence;                                     ///< empty: genuine
    bool required = false; ///< nobody gets an answer who has not asked for evidence
    u16 port = 0;
  };
  ToyEnclave();
  explicit ToyEnclave(Options options);
  ~ToyEnclave();

  u16 port() const { return port_; }
  connect::ServerAddress address() const;
  attest::Attester& attester() { return attester_; }

  /// Bytes of all bodies but those that ask for evidence.
  std::size_t body_bytes() const { return body_bytes_; }
  /// How often a body was received.
  std::size_t count_of(const std::string& body) const;
  std::size_t requests() const { return requests_; }
  std::string last_authorization() const;
  /// Called with each body before it is answered.
  std::function<void(const std::string& body)> on_body;
  /// Streams go on until it is set.
  std::atomic<bool> released{true};

private:
  void route(const Options& options);
  void take(const std::string& body);
  void stream(gateway::HttpResponse& response);

  attest::Attester attester_;
  gateway::Router router_;
  gateway::Httpd httpd_;
  std::atomic<std::size_t> body_bytes_{0};
  std::atomic<std::size_t> requests_{0};
  mutable std::mutex mutex_;
  std::map<std::string, std::size_t> bodies_;
  std::string authorization_;
  u16 port_ = 0;
  std::thread thread_;
};

/// The evidence document that `attester` would give a genuine client of this exchange, or of
/// another connection, nonce, role or key.
attest::BindingInput genuine_input(const std::string& body);
attest::EvidenceDocument document_for(const attest::BindingInput& input, u8 image = kImage);

} // namespace talaria::tests
