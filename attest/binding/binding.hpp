#pragma once

#include <array>
#include <vector>

#include "attest/binding/document.hpp"
#include "attest/evidence/refusal.hpp"
#include "core/digest.hpp"

namespace talaria::attest {

/// Whose evidence it is and for what. Both ends of a connection export the same value: without the
/// role, evidence that an enclave asks of a worker could be shown back to it.
enum class Role : u8 {
  server = 1,  ///< an enclave, to a client
  client = 2,  ///< an enclave, to a worker
  archive = 3, ///< of a key, for receipts and archives: fresh for nobody
};

/// The five things that a report is bound to. A verifier computes each of them itself: its own
/// nonce, its own exporter, the key from its TLS stack. It takes none from a document.
struct BindingInput {
  Role role = Role::server;
  std::array<u8, 32> nonce{};   ///< random, of the verifier; zero for an archive and never else
  std::array<u8, 32> channel{}; ///< TLS exporter (channel_of_link() for a worker); zero for an
                                ///< archive and never else
  Sha256Digest key{};           ///< of the prover's SubjectPublicKeyInfo
  Sha256Digest statement{};     ///< of the statement's bytes as sent
};

/// Label of the TLS 1.3 exporter, without a context, 32 bytes (RFC 9266).
inline constexpr std::string_view kExporterLabel = "EXPORTER-Channel-Binding";

/// The channel of a link of three connections: SHA-256 of their exporters, 32 bytes each.
std::array<u8, 32> channel_of_link(Bytes control, Bytes up, Bytes down);

/// "talaria attestation v1" 00 | role | nonce | channel | key | statement: 152 bytes.
std::array<u8, 152> transcript(const BindingInput& input);

/// SHA-512 of the transcript: REPORT_DATA of SNP and TDX. With a path it is that of the batch whose
/// leaf the transcript is.
std::array<u8, 64> report_data(const BindingInput& input, const std::vector<PathStep>& path = {});

/// SHA-256 of the same: extraData of Azure's vTPM quote.
std::array<u8, 32> qualifying_data(const BindingInput& input,
                                   const std::vector<PathStep>& path = {});

/// Several bindings under one report, for when the security processor is slower than the callers:
/// leaf = SHA-256(00 | transcript), node = SHA-256(01 | left | right); an odd node moves up alone.
class BatchTree {
public:
  /// 1 to 65,536 inputs. @throws Error{usage} otherwise.
  explicit BatchTree(const std::vector<BindingInput>& inputs);

  /// What the report is asked for: of one input, its own report_data().
  std::array<u8, 64> report_data() const;
  std::array<u8, 32> qualifying_data() const;
  /// The steps from input `index` to the root; empty in a tree of one.
  std::vector<PathStep> path(std::size_t index) const;

private:
  std::vector<u8> hashed() const;

  std::vector<std::vector<Sha256Digest>> levels_; ///< leaves first, the root last
  std::array<u8, 152> only_{};                    ///< the transcript of a tree of one
};

/// Records in stage binding whether evidence is bound to `own`: `binding-input` if `own` is not
/// what its role demands (a nonce that is zero, an archive with a channel), `report-data` if
/// `bound` is not its hash. `bound` is REPORT_DATA, 64 bytes, or extraData, 32 bytes.
void check_binding(Bytes bound, const BindingInput& own, const std::vector<PathStep>& path,
                   Checks& checks);

} // namespace talaria::attest
