#include "transport/link_evidence.hpp"

#include <fmt/format.h>

#include <string_view>

namespace talaria::transport {

RefusedByOwner refused_by_owner(const Error& said) {
  const std::string_view text = said.what();
  const bool undecided = text.starts_with("undecided: ");
  return {undecided ? Errc::no_worker : Errc::config,
          fmt::format("its owner does not accept this enclave's evidence: {}", text)};
}

void LinkEvidence::begin(const AttestRequest& request) {
  if (making_.valid())
    throw Error(Errc::verification, "asked for evidence again before it had the last");
  if (!give_)
    throw Error(Errc::config, "it demands evidence, and this enclave gives none of itself; set "
                              "serve.attestation");
  LinkBinding binding = link_;
  binding.nonce = request.nonce;
  making_ = std::async(std::launch::async, [this, binding] { return give_(binding); });
}

std::optional<std::string> LinkEvidence::take_if_ready() {
  if (!making_.valid() || making_.wait_for(std::chrono::seconds(0)) != std::future_status::ready)
    return std::nullopt;
  return making_.get();
}

Attested LinkEvidence::introduce(TlsChannel& control) {
  FrameReader reader(control, kPrefixBytes + kMaxHeadBytes);
  const auto next = [&reader] {
    const FrameReader::Head head = reader.next();
    return decode_control(head.bytes, head.payload_bytes);
  };
  const ControlFrame asked = next();
  const auto* request = std::get_if<AttestRequest>(&asked);
  if (request == nullptr)
    throw Error(Errc::verification, "its hello demands evidence, but it did not ask for any");
  begin(*request);
  write_frame(control, encode_evidence(making_.get()));
  const ControlFrame word = next();
  if (const auto* refusal = std::get_if<Error>(&word)) throw refused_by_owner(*refusal);
  const auto* attested = std::get_if<Attested>(&word);
  if (attested == nullptr)
    throw Error(Errc::verification, "did not say what it makes of this enclave's evidence");
  return *attested;
}

} // namespace talaria::transport
