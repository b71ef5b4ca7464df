#pragma once

#include <functional>
#include <memory>
#include <string>

#include "transport/frame_io.hpp"
#include "transport/server_session.hpp"

namespace talaria::transport {

/// The worker's half of a gate: asks an enclave for evidence, has it judged, says what came of it,
/// and asks again when a verdict has run out. Of the thread of the control connection.
class ServerAdmission {
public:
  struct Times {
    Milliseconds evidence; ///< until it must be there, from the request
    Milliseconds verdict;  ///< for the gate to get what the first evidence lacks
  };
  ServerAdmission(std::shared_ptr<LinkGate> gate, Times times, ServerSession& session,
                  std::function<void(const std::string&)> log);

  /// The first time: waits for the other connections, asks, and waits for evidence. Then the
  /// session is admitted. @throws Error if it is not: the enclave has been told why.
  void admit(TlsChannel& control);

  /// Asks again if it is time to: the session is held until the new verdict. @throws Error if
  /// evidence is late; the enclave has been told.
  void tick(TlsChannel& control);

  /// Takes the evidence whose head `reader` has just read. @throws Error if it is refused (the
  /// enclave has been told) or was not asked for.
  void take(TlsChannel& control, FrameReader& reader);

private:
  void ask(TlsChannel& control);
  [[noreturn]] void refuse(TlsChannel& control, bool undecided, const std::string& reason);

  const std::shared_ptr<LinkGate> gate_;
  const Times times_;
  ServerSession& session_;
  const std::function<void(const std::string&)> log_;
  LinkNonce nonce_{};
  bool asked_ = false;
  bool is_first_ = true; ///< the link is not in use before the first verdict
  TimePoint due_{};      ///< asked: of the evidence; otherwise of the next question
};

} // namespace talaria::transport
