#include "transport/server_admission.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "core/kernel_random.hpp"

namespace talaria::transport {
namespace {
constexpr Milliseconds kLastWords{500}; ///< for a refused enclave to read why
} // namespace

ServerAdmission::ServerAdmission(std::shared_ptr<LinkGate> gate, Times times,
                                 ServerSession& session,
                                 std::function<void(const std::string&)> log)
    : gate_(std::move(gate)), times_(times), session_(session), log_(std::move(log)) {}

void ServerAdmission::ask(TlsChannel& control) {
  kernel_random(nonce_);
  asked_ = true;
  due_ = SteadyClock::now() + times_.evidence;
  control.set_deadline(due_);
  write_frame(control, encode(AttestRequest{nonce_}));
}

void ServerAdmission::refuse(TlsChannel& control, bool undecided, const std::string& reason) {
  const std::string line = fmt::format("{}: {}: {}", session_.peer(),
                                       undecided ? "not attested, undecided" : "refused", reason);
  log_(line);
  const std::string why = "its evidence was not accepted: " + reason;
  session_.blame(why);
  control.set_deadline(SteadyClock::now() + kLastWords);
  write_frame(control, encode_refusal(undecided ? "undecided" : "attestation", reason));
  control.linger(kLastWords);
  throw Error(Errc::config, why);
}

void ServerAdmission::admit(TlsChannel& control) {
  if (!session_.wait_until_complete(SteadyClock::now() + times_.evidence))
    throw Error(Errc::no_worker, "its other connections did not come");
  ask(control);
  if (!control.wait_readable(times_.evidence)) tick(control);
  FrameReader reader(control, kPrefixBytes + kMaxHeadBytes);
  const FrameReader::Head head = reader.next();
  const ControlFrame frame = decode_control(head.bytes, head.payload_bytes);
  if (!std::holds_alternative<Evidence>(frame))
    refuse(control, false, "early: something came before evidence");
  take(control, reader);
}

void ServerAdmission::tick(TlsChannel& control) {
  if (SteadyClock::now() < due_) return;
  if (asked_)
    refuse(control, true,
           fmt::format("evidence-late: none came within {} ms", times_.evidence.count()));
  session_.hold();
  ask(control);
}

void ServerAdmission::take(TlsChannel& control, FrameReader& reader) {
  if (!asked_) throw Error(Errc::verification, "evidence that nobody has asked for");
  asked_ = false; // a nonce serves once
  const remo::SharedBytes document = reader.payload();
  const std::string_view text(reinterpret_cast<const char*>(document->data()), document->size());
  const Milliseconds patience = is_first_ ? times_.verdict : Milliseconds(0);
  const GateVerdict verdict = gate_->judge(text, session_.binding(nonce_), patience);
  is_first_ = false;
  control.set_deadline(SteadyClock::now() + times_.evidence); // the verdict may have taken a while
  if (!verdict.accepted)
    refuse(control, verdict.undecided, fmt::format("{}: {}", verdict.code, verdict.reason));
  const auto valid_for = std::max(verdict.valid_for, std::chrono::seconds(1));
  due_ = SteadyClock::now() + valid_for;
  log_(fmt::format("{}: attested for {} s: {}", session_.peer(), valid_for.count(), verdict.about));
  session_.admit(); // before the word: whatever comes earlier was sent without it
  write_frame(control, encode(Attested{valid_for, verdict.seal_key}));
}

} // namespace talaria::transport
