#include "cli/serve_attestation.hpp"

#include <algorithm>
#include <fstream>
#include <iterator>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "attest/endpoint/machine_source.hpp"
#include "attest/endpoint/simulated_source.hpp"
#include "attest/evidence/encodings.hpp"
#include "attest/evidence/public_key.hpp"
#include "attest/policy/verdict.hpp"
#include "config/scalars.hpp"
#include "core/address.hpp"
#include "core/console.hpp"
#include "core/error.hpp"

namespace talaria::cli {

namespace {

std::vector<u8> whole_file(const std::filesystem::path& file) {
  std::ifstream stream(file, std::ios::binary);
  std::vector<u8> bytes{std::istreambuf_iterator<char>(stream), {}};
  if (!stream.is_open() || stream.bad())
    throw Error(Errc::io, file.string() + ": cannot be read for attestation");
  return bytes;
}

std::string padding_text(const config::Masking& masking) {
  const config::Padding& padding = masking.padding;
  if (padding.buckets.empty() && padding.rounds <= 1 && padding.pace.count() == 0) return "none";
  const std::string buckets =
      padding.buckets.empty() ? "none" : fmt::format("{}", fmt::join(padding.buckets, "-"));
  const std::string text =
      fmt::format("buckets {} rounds {} pace {}ms", buckets, padding.rounds, padding.pace.count());
  constexpr std::size_t kMost = 200; // of a statement's text; a list of buckets may be longer
  return text.size() <= kMost ? text
                              : fmt::format("buckets sha256 {} rounds {} pace {}ms",
                                            to_hex(sha256(attest::as_bytes(buckets))),
                                            padding.rounds, padding.pace.count());
}

std::string service_name(const config::Serve& serve) {
  if (!serve.attestation->service.empty()) return serve.attestation->service;
  if (!serve.hosts.empty()) return serve.hosts.front();
  const auto address = serve.listen ? parse_address(*serve.listen) : std::nullopt;
  return address ? address->host : "localhost";
}

attest::Statement statement_of(const config::PipelineConfig& settings,
                               const std::string& model_name, const Sha256Digest& model_root,
                               const std::vector<u8>& program) {
  attest::Statement statement;
  statement.service = service_name(settings.serve);
  statement.software = "talaria " TALARIA_VERSION;
  statement.binary = sha256(program);
  if (!settings.file.empty()) statement.configuration = sha256(whole_file(settings.file));
  statement.model = model_name;
  statement.model_root = model_root;
  statement.weights = settings.masking.weights;
  statement.scheme = settings.masking.scheme;
  statement.parameters = settings.masking.parameters;
  statement.integrity = settings.masking.integrity;
  statement.padding = padding_text(settings.masking);
  return statement;
}

attest::SimulatedGuest guest_of(const config::ServeAttestation& attestation,
                                const std::vector<u8>& program, const Sha256Digest& configuration) {
  attest::SimulatedGuest guest;
  guest.kind = *attest::parse_evidence_kind(attestation.evidence);
  const auto measurement = attestation.measurement.empty()
                               ? attest::digest(attest::HashKind::sha384, program)
                               : *attest::from_hex(attestation.measurement);
  std::ranges::copy(measurement, guest.measurement.begin());
  guest.configuration = configuration;
  return guest;
}

attest::GuestOptions real_guest(const config::ServeAttestation& attestation,
                                const Sha256Digest& configuration) {
  using enum attest::GuestPlatform;
  attest::GuestOptions options;
  options.platform = attestation.platform == "sev-snp" ? sev_snp
                     : attestation.platform == "tdx"   ? tdx
                     : attestation.platform == "azure" ? azure
                                                       : automatic;
  options.configuration = configuration;
  if (attestation.bundle.empty()) return options;
  auto bundle = attest::Bundle::from_tar(whole_file(attestation.bundle));
  if (!bundle)
    throw Error(Errc::config, fmt::format("serve.attestation.bundle: {}: {}",
                                          attestation.bundle.string(), bundle.refusal().reason));
  options.bundle = std::move(*bundle);
  return options;
}

std::shared_ptr<attest::EvidenceSource> evidence_source(const config::ServeAttestation& attestation,
                                                        const std::vector<u8>& program,
                                                        const Sha256Digest& configuration) {
  if (attestation.platform != "simulated")
    return attest::machine_source(real_guest(attestation, configuration));
  return std::make_shared<attest::SimulatedSource>(attestation.folder,
                                                   guest_of(attestation, program, configuration));
}

} // namespace

std::shared_ptr<attest::Attester>
make_attester(const config::PipelineConfig& settings, const std::string& model_name,
              const Sha256Digest& model_root, const std::optional<std::array<u8, 32>>& receipt_key,
              const std::vector<attest::AdapterClaim>& adapters) {
  if (!settings.serve.attestation) return nullptr;
  const config::ServeAttestation& attestation = *settings.serve.attestation;
  if (attestation.platform == "simulated") print_log("{}", attest::kSimulationWarning);
  const std::vector<u8> program = whole_file("/proc/self/exe");
  attest::Statement statement = statement_of(settings, model_name, model_root, program);
  statement.receipt_key = receipt_key;
  statement.adapters = adapters;
  static_cast<void>(attest::to_json(statement)); // if they are too many, that is said now
  return std::make_shared<attest::Attester>(
      evidence_source(attestation, program, statement.configuration), statement);
}

transport::GiveEvidence link_evidence(std::shared_ptr<attest::Attester> attester) {
  return [attester = std::move(attester)](const transport::LinkBinding& link) {
    auto document = attester->for_link(
        link.nonce, attest::channel_of_link(link.control, link.up, link.down), link.enclave_key);
    if (!document) throw Error(Errc::io, "too many wait for this platform's evidence");
    return std::move(*document);
  };
}

std::function<std::optional<SealKey>()> chip_key(const config::PipelineConfig& settings) {
  if (!settings.serve.attestation) return nullptr;
  return [settings] { return make_attester(settings, "sealing", {})->derived_key(); };
}

std::function<transport::GiveEvidence(const Sha256Digest& model_root)>
link_evidence(const config::PipelineConfig& settings) {
  if (!settings.serve.attestation) return nullptr;
  return [settings](const Sha256Digest& root) {
    const auto folder = std::filesystem::weakly_canonical(settings.model);
    const auto last = folder.has_filename() ? folder.filename() : folder.parent_path().filename();
    const std::string name = settings.serve.model_name.value_or(last.string());
    return link_evidence(make_attester(settings, name, root));
  };
}

} // namespace talaria::cli
