#pragma once

#include <memory>

#include "connect/server_address.hpp"
#include "connect/trust.hpp"
#include "connect/verified_channel.hpp"
#include "connect/wire.hpp"

namespace talaria::connect {

/// What came of an attempt to reach a server: its verdict, and if that accepts, a channel.
struct Attempt {
  attest::Verdict verdict;
  std::unique_ptr<VerifiedChannel> channel; ///< null: refused
};

/// A TLS connection to whoever answers there. It can ask for evidence, and nothing else: there is
/// no function that would send anything of a client's.
class UnverifiedConnection {
public:
  /// Connects, shakes hands, checks the name, asks for evidence over this very connection, judges
  /// it. Never throws for what the other end does: that is a verdict with one of the codes
  ///
  ///   evidence-missing (6)  nobody answers, or not in time; the server gives none now
  ///   no-tls, tls-version, certificate (9)   not the party, or not the protection, asked for
  ///   redirect, no-evidence (9)              it answers something else than evidence
  ///
  /// or of what is wrong with the evidence.
  static Attempt attempt(const ServerAddress& server, std::shared_ptr<const Trust> trust,
                         const Patience& patience);

private:
  UnverifiedConnection(std::unique_ptr<Wire> wire, std::shared_ptr<const Trust> trust,
                       const Patience& patience);
  static Attempt try_once(const ServerAddress& server, const std::shared_ptr<const Trust>& trust,
                          const Patience& patience);
  attest::Verdict ask(const std::string& authority) const;
  attest::Verdict judge(int status, const std::string& body, const attest::BindingInput& own) const;

  std::unique_ptr<Wire> wire_;
  std::shared_ptr<const Trust> trust_;
  const Patience& patience_;
};

} // namespace talaria::connect
