#include "connect/live_verdict.hpp"

#include "connect/unverified_connection.hpp"
#include "core/console.hpp"

namespace talaria::connect {

namespace {
constexpr std::chrono::seconds kToVerify{15};
} // namespace

int verify_live(const LiveOptions& options) {
  ServerAddress server = parse_server(options.server);
  if (!options.via.empty()) server.via = transport::parse_address(options.via);
  TrustOptions how;
  how.allow_simulated = options.allow_simulated;
  const auto trust = Trust::read(options.policy, options.bundle, std::move(how));
  if (trust->policy().simulated) print_log("{}", attest::kSimulationWarning);
  const Patience patience{transport::SteadyClock::now() + kToVerify, nullptr};
  const Attempt attempt = UnverifiedConnection::attempt(server, trust, patience);
  print_out("{}", options.json ? to_json(attempt.verdict) + "\n" : to_text(attempt.verdict));
  return attempt.verdict.status;
}

} // namespace talaria::connect
